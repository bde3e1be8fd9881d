"""A run's environment: built cold, built from the package cache, and ready, beside the same packages by hand."""

import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from support.projects import write_files
from timing import medians

# pip takes its time: it is measured with less.
PACKAGES = {"uv": ("scikit-learn==1.5.0",), "pip": ("numpy==1.26.4", "requests==2.32.3")}
UV = Path(sys.prefix) / "bin" / "uv"
PYTHON = "/usr/bin/python3"
# Of the tester's own environment: where packages come from, and how.
SETTINGS = ("UV_", "PIP_", "SSL_CERT_", "REQUESTS_CA_", "http_proxy", "https_proxy", "no_proxy")
RUNS = {"uv": 7, "pip": 2}
# errand's, so that both do the same work: root's environments share no file with the cache (environment_uv.c).
LINK_MODE = "copy" if os.geteuid() == 0 else "hardlink"


class Ways:
    """One builder: a controller whose node is this machine, and a folder for the same by hand."""

    def __init__(self, field, builder: str):
        self.builder = builder
        self.folder = field.folder / f"environments-{builder}"
        self.folder.mkdir()
        self.packages = PACKAGES[builder]
        self.errand = field.errand(self.folder)
        settings = f"environment: {{requirements: requirements.txt, builder: {builder}}}\n"
        requirements = "\n".join(self.packages) + "\n"
        write_files(
            self.folder, {"t.py": "print('hello')\n", "requirements.txt": requirements, "errand.yaml": settings}
        )
        (self.errand.user_home / ".local" / "bin").mkdir(parents=True)
        (self.errand.user_home / ".local" / "bin" / "uv").symlink_to(UV)
        self.envs = self.errand.home / "state" / "local" / "envs"
        self.hand = field.folder / f"by-hand-{builder}"
        self.cache = field.folder / f"by-hand-cache-{builder}"
        self.kept = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}

    def forget(self, environments: list[Path], cache: Path | None) -> None:
        """They are there no longer, nor, where it is named, any package."""
        for path in environments:
            subprocess.run(["chmod", "-R", "u+w", path], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(path, ignore_errors=True)
        if cache:
            shutil.rmtree(cache, ignore_errors=True)

    def by_errand(self, is_cold: bool = False) -> float:
        """Seconds that the run's environment took, as the run says."""
        self.forget([*self.envs.glob("[0-9a-f]" * 8 + "*")], self.envs / "cache" if is_cold else None)
        self.errand.ok("env", "prepare", env=self.kept, deadline_s=600)
        prepared = self.errand.json("list", "--all", "--offline", "-n", "1")["runs"][0]["id"]
        shown = self.errand.show(prepared)["environment"]
        assert not shown["reused"]
        return shown["spent_ms"] / 1000

    def by_hand(self, is_cold: bool = False) -> float:
        self.forget([self.hand], self.cache if is_cold else None)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.errand.user_home), **self.kept}
        start = time.perf_counter()
        if self.builder == "uv":
            env |= {"UV_CACHE_DIR": str(self.cache), "UV_LINK_MODE": LINK_MODE}
            subprocess.run([UV, "venv", "-q", "-p", PYTHON, self.hand], check=True, env=env)
            subprocess.run([UV, "pip", "install", "-q", "-p", self.hand, *self.packages], check=True, env=env)
        else:
            env |= {"PIP_CACHE_DIR": str(self.cache)}
            subprocess.run([PYTHON, "-m", "venv", self.hand], check=True, env=env)
            subprocess.run([self.hand / "bin" / "pip", "install", "-q", *self.packages], check=True, env=env)
        return time.perf_counter() - start

    def run(self, *options: str) -> float:
        return self.errand.ok("run", *options, "t.py", env=self.kept).seconds

    def ready(self) -> float:
        """What a run whose environment is there says that it spent on it."""
        self.run()
        shown = self.errand.show()["environment"]
        assert shown["reused"]
        return shown["spent_ms"] / 1000


def bench_environments(bench, field) -> None:
    for builder in ("uv", "pip"):
        ways = Ways(field, builder)
        by_hand = f"uv venv && uv pip install, {LINK_MODE}" if builder == "uv" else "python -m venv && pip install"
        # What comes cold fills the caches, so that nothing has to be warmed up.
        for what, is_cold, aim in (("no package cached", True, "<= 1.05"), ("packages cached", False, "")):
            both = [partial(ways.by_errand, is_cold), partial(ways.by_hand, is_cold)]
            one, other = medians(*both, runs=RUNS[builder], warm_up=0)
            bench.add(f"environment by {builder}, {what}", one, other, "s", aim, by_hand)
        ready, none = medians(ways.run, partial(ways.run, "-e", "none"), runs=9)
        bench.add(f"run whose {builder} environment is ready", ready, none, "s", "", "no environment")
        # Of two runs the difference is mostly what else the machine does.
        spent = medians(ways.ready, runs=9)[0] * 1000
        bench.add(f"what a ready {builder} environment costs on the node", spent, None, "ms", "<= 10")
