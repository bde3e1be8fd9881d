"""Finding and ending processes: by an environment variable that they carry, or by their ancestor."""

import contextlib
import os
import signal
from pathlib import Path

from support.waiting import wait_for


def environment(pid: int) -> dict[str, str]:
    """The environment that the process was started with; empty where it is gone, a zombie, or not ours."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def stat(pid: int) -> tuple[str, int] | None:
    """(state letter, parent's pid), or None where the process is gone."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()
    return fields[0].decode(), int(fields[1])


def everyone() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_alive(pid: int) -> bool:
    """Whether the process runs or sleeps; a zombie is not alive."""
    found = stat(pid)
    return found is not None and found[0] not in "ZX"


def descendants(pid: int) -> list[int]:
    """Every living process below pid, children first."""
    children: dict[int, list[int]] = {}
    for other in everyone():
        found = stat(other)
        if found and found[0] not in "ZX":
            children.setdefault(found[1], []).append(other)
    result, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        result += below
        todo += below
    return result


def carrying(name: str, value: str | None = None) -> list[int]:
    """Living processes whose environment has the variable (with that value, where one is given)."""
    result = []
    for pid in everyone():
        found = environment(pid).get(name)
        if found is not None and value in (None, found) and is_alive(pid):
            result.append(pid)
    return result


def command(pid: int) -> list[str]:
    """The process's argument vector; empty where it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(argument) for argument in raw.split(b"\0")[:-1]]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send the signal; a process that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end_all(pids: list[int], deadline_s: float = 10) -> None:
    """SIGKILL each of them and wait until none is alive."""
    for pid in pids:
        kill(pid)
    wait_for(lambda: not any(is_alive(pid) for pid in pids), f"the end of processes {pids}", deadline_s)


def end_marked(name: str, value: str, deadline_s: float = 20) -> None:
    """SIGKILL every process that carries the variable with that value, until none is left: what has two supervisors
    that bring each other back needs several rounds."""

    def none_left() -> bool:
        left = carrying(name, value)
        for pid in left:
            kill(pid)
        return not left

    wait_for(none_left, f"the end of all processes with {name}={value}", deadline_s)
