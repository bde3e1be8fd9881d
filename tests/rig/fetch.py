"""What is fetched: jars by Maven, PySpark by pip. What was interrupted is fetched anew."""

import shutil
import subprocess
import sys
from pathlib import Path

from rig import settings
from rig.trouble import Trouble


def _run(what: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Trouble(f"{what}: {command[0]} is not installed") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise Trouble(f"{what}: {command[0]} ended with status {done.returncode}:\n{said}")


def _begin(folder: Path, said: str) -> Path:
    print(f"fetching {said} into {folder}", file=sys.stderr)
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    return new


def jars(what: str, version: str, folder: Path, without: tuple[str, ...] = ()) -> None:
    """The jars of WHAT.pom.xml in that version, from Maven Central or what ~/.m2/settings.xml has in its place, but for
    those whose names match one of the patterns of without."""
    if folder.exists():
        return
    new = _begin(folder, f"the jars of {what} {version}")
    _run(
        f"fetching the jars of {what} {version}",
        [
            "mvn",
            "-B",
            "-q",
            f"--file={settings.SOURCE / what}.pom.xml",
            f"-Dwanted={version}",
            f"-Dmaven.repo.local={settings.MAVEN}",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={new}",
        ],
    )
    for pattern in without:
        for jar in new.glob(pattern):
            jar.unlink()
    new.rename(folder)


def is_whole(venv: Path) -> bool:
    return (venv / "whole").exists()


def package(requirement: str, venv: Path) -> None:
    """A package of PyPI in a virtual environment of the machine's own Python, not of that of the tests."""
    if is_whole(venv):
        return
    # A virtual environment cannot be renamed: its programs have its path inside.
    shutil.rmtree(venv, ignore_errors=True)
    print(f"fetching {requirement} into {venv}", file=sys.stderr)
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3"
    _run(f"making {venv}", [python, "-m", "venv", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run(f"installing {requirement}", [*pip, requirement])
    (venv / "whole").touch()
