"""A process that outlives the command that started it and is known again later, for certain.

Its record, run/NAME.json, has the process id, the time of its start in ticks and the boot they belong to; all three
together are never given out twice. The record is written by the process itself before it becomes the program
(introduce.py), so that whoever starts it may be killed at any moment.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

from support import processes
from support.waiting import TooLate, wait_for

from rig import introduce, settings


def _record(name: str) -> Path:
    return settings.RUN / f"{name}.json"


def running(name: str) -> int | None:
    """The id of the process of that name, where it lives."""
    try:
        recorded = json.loads(_record(name).read_text())
        pid = recorded["pid"]
        same = introduce.identity(pid) == recorded
    except (OSError, ValueError, KeyError):
        return None
    return pid if same and processes.is_alive(pid) else None


def log(name: str) -> Path:
    return settings.LOGS / f"{name}.log"


def start(name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
    """Start the command in a session of its own, with its output in its log; the log before it is kept as *.log.1."""
    settings.RUN.mkdir(parents=True, exist_ok=True)
    settings.LOGS.mkdir(parents=True, exist_ok=True)
    if log(name).exists():
        log(name).replace(log(name).with_suffix(".log.1"))
    _record(name).unlink(missing_ok=True)
    with open(log(name), "wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(settings.SOURCE / "introduce.py"), str(_record(name)), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_for(lambda: _record(name).exists() or child.poll() is not None, f"{name} to introduce itself", every_s=0.01)


def stop(name: str, number: int = signal.SIGTERM, patience_s: float = 20) -> str:
    """End the process of that name, by force where it does not within patience_s. Returns what was done, "" where
    there was nothing to do."""
    pid = running(name)
    done = ""
    if pid is not None:
        processes.kill(pid, number)
        try:
            wait_for(lambda: running(name) is None, f"{name} to end", patience_s, 0.05)
            done = "stopped"
        except TooLate:
            processes.end_all([pid])
            done = "killed: it did not end when it was asked to"
    _record(name).unlink(missing_ok=True)
    return done


def tail(name: str, lines: int = 20) -> str:
    """The end of its log."""
    try:
        text = log(name).read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
