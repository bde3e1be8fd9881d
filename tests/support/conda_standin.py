#!/usr/bin/env python3
"""A stand-in for micromamba: takes exactly the vectors that errand gives it; texts and statuses are of mamba 2.8.1.

Unverified: the official static micromamba, channels over a network, the solver. What it makes is a virtual environment
of the Python that runs it, with a conda-meta record for each package of a `channel` (a folder with NAME-VERSION files);
like the real one it replaces a prefix that is there and leaves a half-built one behind where a package is `broken`.
A python whose file says "whole FILE" is a copy of that Python with its library, as conda's are: such a prefix works
wherever it is put. Packages whose file says "module CODE" are a module of their name.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

# What it is told by its environment, of which `calls` keeps a record.
VARIABLES = ("MAMBA_ROOT_PREFIX", "CONDA_PKGS_DIRS", "CONDA_PREFIX", "CONDA_OVERRIDE_GLIBC")


def refuse(text: str, status: int = 1) -> None:
    print(text, file=sys.stderr)
    sys.exit(status)


def find(channels: list[str], spec: str) -> tuple[str, str, Path]:
    name, _, version = spec.partition("=")
    for channel in channels:
        folder = Path(channel.removeprefix("file://"))
        for path in sorted(folder.glob(f"{name}-*")):
            if path.name.rpartition("-")[2].startswith(version.strip("=")):
                return name, path.name.rpartition("-")[2], path
    refuse(
        "error    libmamba Could not solve for environment specs\n    The following package could not be installed\n"
        f"    └─ {name} ={version or '*'} * does not exist (perhaps a typo or a missing channel).\n"
        "critical libmamba Could not solve for environment specs"
    )
    raise AssertionError


def copy_python(executable: Path, prefix: Path) -> None:
    """Program and library, and scripts as conda and pip write them."""
    version = executable.resolve().name
    library = executable.resolve().parent.parent / "lib"
    leave_out = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "config-*", "__pycache__", "*.pyc")
    shutil.copytree(library / version, prefix / "lib" / version, ignore=leave_out, symlinks=True)
    (prefix / "lib" / version / "site-packages").mkdir()
    for path in library.glob(f"lib{version}*.so*"):
        shutil.copy2(path, prefix / "lib", follow_symlinks=False)
    (prefix / "bin").mkdir()
    shutil.copy2(executable.resolve(), prefix / "bin" / version)
    (prefix / "bin" / "python3").symlink_to(version)
    (prefix / "bin" / "python").symlink_to(prefix / "bin" / version)  # conda's is relative
    code = "import sys\nprint(sys.prefix)\n"
    scripts = {
        "short": f"#!{prefix}/bin/python\n{code}",
        "long": f"#!/bin/sh\n'''exec' {prefix}/bin/{version} \"$0\" \"$@\"\n' '''\n{code}",
    }
    for name, text in scripts.items():
        (prefix / "bin" / name).write_text(text)
        (prefix / "bin" / name).chmod(0o755)


def make_python(prefix: Path, content: str, *, has_pip: bool) -> None:
    if content.startswith("whole "):
        copy_python(Path(content.removeprefix("whole ")), prefix)
    else:
        extra = [] if has_pip else ["--without-pip"]
        subprocess.run([sys.executable, "-m", "venv", *extra, str(prefix)], check=True)


def create(words: list[str]) -> None:
    if words[:2] != ["-y", "-p"] or words[3:5] != ["--no-rc", "--override-channels"]:
        refuse(f"The following argument was not expected: {words}", 109)
    prefix, rest, channels = Path(words[2]), words[5:], []
    while rest[:1] == ["-c"]:
        channels.append(rest[1])
        rest = rest[2:]
    found = [find(channels, spec) for spec in rest]
    shutil.rmtree(prefix, ignore_errors=True)
    has_pip = any(name == "pip" for name, _, _ in found)
    for path in (path for name, _, path in found if name == "python"):
        make_python(prefix, path.read_text(), has_pip=has_pip)
    (prefix / "conda-meta").mkdir(parents=True)
    for name, version, path in found:
        print(f"  + {name}  {version}")
        if "broken" in path.read_text():
            refuse("critical libmamba extraction failed: No space left on device")
        if path.read_text().startswith("module "):
            (site,) = prefix.glob("lib/python*/site-packages")
            (site / f"{name}.py").write_text(path.read_text().removeprefix("module "))
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        record = {"name": name, "version": version, "url": f"file://{path}", "md5": digest}
        (prefix / "conda-meta" / f"{path.name}.json").write_text(json.dumps(record))


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        print("2.8.1")
        return
    with (Path(sys.argv[0]).parent / "calls").open("a") as calls:
        seen = {name: os.environ.get(name) for name in VARIABLES}
        calls.write(json.dumps([sys.argv[1:], seen]) + "\n")
    if sys.argv[1] != "create":
        refuse(f"The following argument was not expected: {sys.argv[1]}", 109)
    create(sys.argv[2:])


if __name__ == "__main__":
    main()
