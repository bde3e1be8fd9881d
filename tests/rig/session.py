"""One cluster for all tests of a session, and for sessions beside each other.

Parts are started when the first test asks for them and end with the last session that uses them; what a person brought
up stays. Each test holds a part's file with a shared lock, or alone where it does harm.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from support.waiting import TooLate, wait_for

from rig import cluster, parts, settings
from rig.process import running


def _started() -> Path:
    """The parts that tests have started, a line each."""
    return settings.HOME / "started-by-tests"


def _nothing(_: str) -> None:
    pass


class Session:
    """What one process of a test session uses. Life: Session() -> use ... -> close."""

    def __init__(self) -> None:
        settings.HOME.mkdir(parents=True, exist_ok=True)
        self._users = open(settings.HOME / "users", "w")  # noqa: SIM115 # held until close
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def close(self) -> None:
        self._users.close()

    @contextlib.contextmanager
    def use(self, *words: str, alone: bool = False) -> Iterator[None]:
        """These parts, up and ready. With alone no other test uses any of the same name meanwhile, and what the test
        ends is brought back after it."""
        with contextlib.ExitStack() as held:
            for word in sorted(words):
                lock = held.enter_context(open(settings.HOME / f"use-{word}", "w"))
                # In turn: who wants it alone would else wait as long as there are others.
                with open(settings.HOME / f"turn-{word}", "w") as turn:
                    fcntl.flock(turn, fcntl.LOCK_EX)
                    fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            with cluster.alone(say=_nothing):
                # Written down first: what a failed start leaves has to end, too.
                new = [name for name in parts.with_needs(parts.named([*words])) if not running(name)]
                if new:
                    with open(_started(), "a") as record:
                        record.writelines(f"{name}\n" for name in new)
                    cluster.up([*words], say=_nothing)
            yield
            if alone:
                with cluster.alone(say=_nothing):
                    cluster.up([*words], say=_nothing)


def keep() -> None:
    """What is up is a person's from now on."""
    _started().unlink(missing_ok=True)


def end(patience_s: float = 10) -> None:
    """End what tests have started, unless another session uses it still: that one will."""
    if not _started().exists():
        return
    with open(settings.HOME / "users", "w") as users:

        def is_last() -> bool:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        with contextlib.suppress(TooLate), cluster.alone():
            # The processes of this session are about to end.
            wait_for(is_last, "other test sessions", patience_s, 0.1)
            names = _started().read_text().split()
            # Another checkout that shares the cluster may have parts that this one does not know.
            others = [name for name in names if name not in parts.PARTS]
            cluster.down([name for name in names if name not in others], say=_nothing)
            if others:
                _started().write_text("".join(f"{name}\n" for name in others))
            else:
                _started().unlink()
