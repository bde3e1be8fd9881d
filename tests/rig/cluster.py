"""Up, down, status."""

import contextlib
import fcntl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from support.waiting import PATIENCE, TooLate, wait_for

from rig import configuration, parts, process, settings, sockets, web
from rig.parts import PARTS, Part
from rig.spark import SPARK
from rig.trouble import Trouble

READY_WITHIN_S = 180

Say = Callable[[str], None]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(say: Say = _say) -> Iterator[None]:
    """One that starts or stops parts at a time."""
    settings.HOME.mkdir(parents=True, exist_ok=True)
    with open(settings.HOME / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another ./dev cluster, or for tests, to finish starting or stopping parts")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- up --------------------------------------------------------------------------------------------------------------


def _start(part: Part) -> None:
    for port in part.ports:
        if taken_by := sockets.owner(port):
            raise Trouble(
                f"{part.name} needs port {port} of {settings.HOST}, which {taken_by} listens on; end that first"
            )
    part.prepare()
    process.start(part.name, part.command(), part.environment(), part.folder)


def _check_alive(part: Part) -> None:
    if process.running(part.name) is None:
        raise Trouble(
            f"{part.name} ended before it was ready; the end of {process.log(part.name)}:\n{process.tail(part.name)}"
        )


def fetch_parts(names: list[str]) -> None:
    """What these need on the disk."""
    SPARK.fetch()
    for name in names:
        PARTS[name].fetch()


def up(words: list[str], say: Say = _say) -> list[str]:
    """Start what is not running of these parts and of those that they need, and wait until all are ready. Returns the
    names of those that were started."""
    wanted = parts.with_needs(parts.named(words))
    if not all(process.running(name) for name in wanted):
        fetch_parts(wanted)
        configuration.write()
    begun = time.monotonic()
    ready: set[str] = set()
    started: list[str] = []

    def go_on() -> bool:
        for part in (PARTS[name] for name in wanted if name not in ready):
            if process.running(part.name) is None and part.name not in started:
                if set(part.after) <= ready:
                    _start(part)
                    started.append(part.name)
                continue
            _check_alive(part)
            if part.is_ready():
                ready.add(part.name)
                if part.name in started:
                    say(f"{part.name} is ready after {time.monotonic() - begun:.1f} s")
        return len(ready) == len(wanted)

    try:
        wait_for(go_on, "all parts to be ready", READY_WITHIN_S, 0.1)
    except TooLate as error:
        raise _not_ready([name for name in wanted if name not in ready]) from error
    if "namenode" in wanted:
        make_folders()
    return started


def _not_ready(names: list[str]) -> Trouble:
    late = next((name for name in names if process.running(name)), names[0])
    return Trouble(
        f"not ready after {READY_WITHIN_S * PATIENCE:g} s: {', '.join(names)}; "
        f"the end of {process.log(late)}:\n{process.tail(late)}"
    )


def make_folders() -> None:
    """What an administrator has made in HDFS."""
    for folder, mode in ((f"/user/{settings.USER}", "755"), ("/apps", "755"), ("/tmp", "1777")):
        for operation in ("MKDIRS", "SETPERMISSION"):
            path = f"/webhdfs/v1{folder}?op={operation}&permission={mode}&user.name={settings.USER}"
            answer = web.request(web.url(settings.NAMENODE_HTTP, path), method="PUT", body=b"")
            if answer.status != 200:
                raise Trouble(f"HDFS: could not make {folder}: {answer.text}")


# ---- down ------------------------------------------------------------------------------------------------------------


def down(words: list[str], say: Say = _say) -> None:
    """End these parts and those that need them; only what the rig has started."""
    for name in reversed(parts.with_users(parts.named(words))):
        if done := process.stop(name, PARTS[name].stop_signal):
            say(f"{name}: {done}")


# ---- status ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    part: Part
    pid: int | None
    memory_mb: int
    is_ready: bool

    @property
    def word(self) -> str:
        if self.pid is None:
            return "down"
        return "ready" if self.is_ready else "not ready"


def _memory_mb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * 4096 >> 20
    except (OSError, IndexError):
        return 0


def status(words: list[str]) -> list[State]:
    states = []
    for part in (PARTS[name] for name in parts.named(words)):
        pid = process.running(part.name)
        states.append(State(part, pid, _memory_mb(pid) if pid else 0, pid is not None and part.is_ready()))
    return states
