"""Environments without a controller: definitions as it would send them, and what a node made of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from support.supervision import Node, Run

UV = Path(sys.prefix) / "bin" / "uv"


def give_uv(node: Node, folder: Path) -> None:
    """The node has uv, in a folder of its own in PATH, and nothing of the tests' own Python."""
    folder.mkdir(exist_ok=True)
    (folder / "uv").symlink_to(UV)
    node.environment["PATH"] = f"{folder}:{node.environment['PATH']}"


def other_pythons() -> list[str]:
    """Versions ("3.9") beside ours of Pythons that a node looks for where they lie."""
    found = set()
    for folder in ["/usr/bin", "/usr/local/bin", *Path.home().glob(".pyenv/versions/*/bin")]:
        for path in Path(folder).glob("python3.*"):
            if path.name.removeprefix("python3.").isdigit():
                found.add(path.name.removeprefix("python"))
    newer = {version for version in found if int(version.split(".")[1]) >= 8}
    return sorted(newer - {".".join(map(str, sys.version_info[:2]))}, key=lambda one: int(one.split(".")[1]))


def other_python() -> tuple[str, str]:
    """One beside ours, where the machine has any: its program, and its version with the last number."""
    folders = [Path("/usr/bin"), Path("/usr/local/bin"), *Path.home().glob(".pyenv/versions/*/bin")]
    for version in other_pythons():  # the oldest first: each Spark of ours works with that one
        for path in (folder / f"python{version}" for folder in folders):
            if path.exists():
                said = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
                return str(path), said.split()[1]
    return sys.executable, "{}.{}.{}".format(*sys.version_info)


def definition(*requirements: str, index: str | None = None, **changes) -> dict:
    found = {
        "format": 1,
        "kind": "packages",
        "source": "requirements.txt",
        "python": "",
        "requirements": sorted(requirements),
        "options": [f"--index-url {index}"] if index else [],
        **changes,
    }
    return {key: value for key, value in found.items() if value not in (None, [], {})}


def environment(defined: dict, **changes) -> dict:
    """The specification's key `environment`."""
    return {"pin": None, "variables": {}, "definition": defined, **changes}


class Environments:
    """What lies under a node's envs/."""

    def __init__(self, node: Node) -> None:
        self.folder = node.root / "envs"

    def identities(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if len(path.name) == 64) if self.folder.exists() else []

    def builds(self) -> list[Path]:
        return [
            path
            for one in self.identities()
            for path in sorted(one.iterdir())
            if path.is_dir() and not path.is_symlink()
        ]

    def ready(self) -> list[dict]:
        return [json.loads((path / "READY").read_text()) for path in self.builds() if (path / "READY").exists()]

    def half_made(self, identity: str = "") -> list[Path]:
        """Builds that are not whole, and notes of builds that go on; of this identity, where one is named. Who was
        killed when it had made its build ready leaves its note: nobody believes it, the next builder replaces it."""
        builds = [path for path in self.builds() if not (path / "READY").exists()]
        waiting = [one for one in self.identities() if not list(one.glob("*/READY"))]
        found = builds + [one / "building" for one in waiting if (one / "building").exists()]
        return [path for path in found if identity in path.parts] if identity else found


def pin(run: Run) -> dict:
    return json.loads((run.folder / "environment").read_text())


def prepare_log(run: Run) -> str:
    path = run.folder / "prepare.log"
    return path.read_text(errors="replace") if path.exists() else ""


def is_sealed(folder: Path) -> bool:
    """No file or folder below may be written, but those where the interpreter keeps what it compiled, beside every
    source."""
    for here, folders, files in os.walk(folder):
        if any(name.endswith(".py") for name in files) and "__pycache__" not in folders:
            return False
        if Path(here).name == "__pycache__":
            continue
        for path in [Path(here), *(Path(here) / name for name in files)]:
            if not path.is_symlink() and path.stat().st_mode & 0o222:
                return False
    return True


def run_python(node: Node, code: str, **changes) -> Run:
    """A run of a script with this text; changes are of its specification."""
    (node.project / "train.py").write_text(code)
    run = node.accept(framework="python", script="train.py", **changes)
    run.start()
    return run
