"""A run's environment: built cold, built from the package cache, and ready, beside the same packages by hand."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from support.projects import write_files
from timing import medians

PACKAGES = ("scikit-learn==1.5.0", "pandas==2.2.2")
UV = Path(sys.prefix) / "bin" / "uv"
PYTHON = "/usr/bin/python3"
# Of the tester's own environment: where packages come from, and how.
SETTINGS = ("UV_", "PIP_", "SSL_CERT_", "REQUESTS_CA_", "http_proxy", "https_proxy", "no_proxy")
RUNS = {"uv": 5, "pip": 2}


class Ways:
    """One builder: a controller whose node is this machine, and a folder for the same by hand."""

    def __init__(self, field, builder: str):
        self.builder = builder
        self.folder = field.folder / f"environments-{builder}"
        self.folder.mkdir()
        settings = f"environment: {{requirements: requirements.txt, builder: {builder}}}\n"
        files = {"t.py": "print('hello')\n", "requirements.txt": "\n".join(PACKAGES) + "\n", "errand.yaml": settings}
        write_files(self.folder, files)
        self.errand = field.errand(self.folder)
        write_files(
            self.folder, {"errand.yaml": f"environment: {{requirements: requirements.txt, builder: {builder}}}\n"}
        )
        (self.errand.user_home / ".local" / "bin").mkdir(parents=True)
        (self.errand.user_home / ".local" / "bin" / "uv").symlink_to(UV)
        self.envs = self.errand.home / "state" / "local" / "envs"
        self.hand = field.folder / f"by-hand-{builder}"
        self.cache = field.folder / f"by-hand-cache-{builder}"
        self.kept = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}

    def forget(self, cache: bool) -> None:
        """No environment is there, on either side; with `cache` no package either."""
        for path in [self.hand, *self.envs.glob("[0-9a-f]" * 8 + "*")]:
            subprocess.run(["chmod", "-R", "u+w", path], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(path, ignore_errors=True)
        if cache:
            shutil.rmtree(self.cache, ignore_errors=True)
            shutil.rmtree(self.envs / "cache", ignore_errors=True)

    def by_errand(self) -> float:
        """Seconds that the run's environment took, as the run says."""
        self.errand.ok("env", "prepare", env=self.kept, deadline_s=600)
        shown = self.errand.show("@")["environment"]
        assert not shown["reused"]
        return shown["spent_ms"] / 1000

    def by_hand(self) -> float:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.errand.user_home), **self.kept}
        start = time.perf_counter()
        if self.builder == "uv":
            env |= {"UV_CACHE_DIR": str(self.cache)}
            subprocess.run([UV, "venv", "-q", "-p", PYTHON, self.hand], check=True, env=env)
            subprocess.run([UV, "pip", "install", "-q", "-p", self.hand, *PACKAGES], check=True, env=env)
        else:
            env |= {"PIP_CACHE_DIR": str(self.cache)}
            subprocess.run([PYTHON, "-m", "venv", self.hand], check=True, env=env)
            subprocess.run([self.hand / "bin" / "pip", "install", "-q", *PACKAGES], check=True, env=env)
        return time.perf_counter() - start

    def run(self, *options: str) -> float:
        return self.errand.ok("run", *options, "t.py", env=self.kept).seconds


def bench_environments(bench, field) -> None:
    for builder in ("uv", "pip"):
        ways = Ways(field, builder)
        by_hand = "uv venv && uv pip install" if builder == "uv" else "python -m venv && pip install"
        for what, cache, aim in (("no package cached", True, "<= 1.05"), ("packages cached", False, "")):
            one, other = medians(
                ways.by_errand,
                ways.by_hand,
                runs=RUNS[builder],
                warm_up=0 if cache else 1,
                before=lambda cache=cache, ways=ways: ways.forget(cache),
            )
            bench.add(f"environment by {builder}, {what}", one, other, "s", aim, by_hand)
        ways.forget(False)
        ways.by_errand()
        ready, none = medians(lambda ways=ways: ways.run(), lambda ways=ways: ways.run("-e", "none"), runs=15)
        bench.add(f"run whose {builder} environment is ready", ready, none, "s", "", "no environment")
        bench.add(f"what a ready {builder} environment costs a run", (ready - none) * 1000, None, "ms", "<= 10")
