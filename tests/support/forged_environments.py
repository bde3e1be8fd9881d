"""Environments in a node's root, as FORMATS.md has them, without building anything."""

import datetime
import json
import os
from pathlib import Path

OLD, NEW = "20260101T000000Z-aaaa", "20260201T000000Z-bbbb"
LOCK = "numpy==1.26.4 \\\n    --hash=sha256:" + "8a" * 32 + "\nsix==1.16.0 --hash=sha256:" + "1c" * 32 + "\n"
DEFINITION = {
    "format": 1,
    "kind": "packages",
    "python": ">=3.11",
    "requirements": ["numpy<2", {"kind": "f", "name": "my.whl", "digest": "ab" * 32, "extras": "gpu"}, "six"],
    "options": ["--index-url https://pypi.example.com/simple"],
}


def document(**changes) -> dict:
    """What an identity is the digest of."""
    return {
        "format": 1,
        "definition": {**DEFINITION, **changes},
        "interpreter": {"path": "/usr/bin/python3.11", "implementation": "cpython", "version": "3.11.7"},
        "platform": "linux-x86_64",
        "libc": "glibc-2.36",
        "builder": {"name": "uv", "version": "0.5.1"},
    }


def stamp(days: float) -> tuple[float, str]:
    """So many days ago."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    return then.timestamp(), then.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def make_build(
    root: Path, identity: str, build: str = OLD, *, days: float = 1, name: str = "requirements.txt", **changes
):
    """A build that is ready, the current one of its identity, and was used so many days ago."""
    folder = root / "envs" / identity / build
    (folder / "prefix" / "bin").mkdir(parents=True)
    (folder.parent / "identity.json").write_text(json.dumps(document(**changes), sort_keys=True, separators=(",", ":")))
    (folder / "lock.txt").write_text(LOCK)
    (folder / "build.log").write_text("Resolved 2 packages\nInstalled 2 packages\n")
    used, created = stamp(days)
    (folder / "used").touch()
    os.utime(folder / "used", (used, used))
    facts = {"kind": "packages", "builder": "uv 0.5.1", "python": "3.11.7", "packages": 2, "size_bytes": 71_000_000}
    ready = {"identity": identity, "build": build, "name": name, "created": created, **facts}
    (folder / "READY").write_text(json.dumps(ready))
    (folder.parent / "current").unlink(missing_ok=True)
    (folder.parent / "current").symlink_to(build)
    return folder


def pin(root: Path, run: str, identity: str, build: str = OLD) -> None:
    """The run uses it."""
    facts = {"kind": "packages", "identity": identity, "build": build}
    (root / "runs" / run / "environment").write_text(json.dumps(facts))
