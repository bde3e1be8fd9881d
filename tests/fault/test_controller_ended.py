"""`errand run` is killed, interrupted or hung up at each of its steps: what the next errand says is the truth, a run is
started at most once, and its log is whole.

By default a few of its system calls are tried, beginning at another one each day; with --soak many more.
"""

import datetime
import re
import signal

import pytest
from support import inject
from support.errand import Result
from support.links import Link, log_of

needs_strace = pytest.mark.skipif(not inject.is_possible("strace"), reason="strace may not trace here")
pytestmark = pytest.mark.usefixtures("traced")

CALLS = 1500  # more than a run over ssh makes
STRIDE, SOAK_STRIDE = 130, 5
LINES = 300


def points() -> list:
    first = 1 + datetime.date.today().toordinal() % STRIDE
    few = range(first, CALLS, STRIDE)
    some = sorted({*few, *range(1, CALLS, SOAK_STRIDE)})
    return [n if n in few else pytest.param(n, marks=pytest.mark.soak) for n in some]


def with_signal_at(call: int, name: str) -> list[str]:
    """errand itself gets the signal at its n-th system call; what it starts is left alone (no -f)."""
    return ["strace", "-qq", "-o", "/dev/null", "-e", "trace=all", "-e", f"inject=all:signal={name}:when={call}"]


def listed(link: Link) -> list[dict]:
    return link.errand.json("list")["runs"]


def check_truth(link: Link, known_before: int) -> bool:
    """What list, show and follow say of the newest run is so. True where it was accepted."""
    runs = listed(link)
    if len(runs) == known_before:
        assert link.starts() == []
        return False
    run = runs[0]["id"]
    shown = link.errand.show(run)
    followed = link.errand.run("follow", run)
    if followed.code == 0:
        assert followed.out == log_of(LINES), str(followed)
        link.check_home(run)
        assert link.errand.run("follow", run).out == log_of(LINES)
        return True
    assert followed.code == 125, str(followed)
    assert re.search(r"was never accepted by|does not have", followed.errors), str(followed)
    assert shown["status"] in ("Starting", "Failed")
    assert link.starts() == []
    return False


@pytest.fixture
def warm(make_link):
    link = make_link()
    link.check(link.run(lines=10))
    link.marks.unlink()
    return link


def end_with(link: Link, call: int, name: str) -> Result:
    words = ("run", "--target", link.target, *link.script(lines=LINES, output_bytes=2000))
    return link.errand.run(*words, prefix=with_signal_at(call, name))


@needs_strace
@pytest.mark.parametrize("call", points())
def test_killed_at_its_nth_call(warm, call):
    end_with(warm, call, "KILL")
    was_accepted = check_truth(warm, known_before=1)
    again = warm.run(lines=LINES, output_bytes=2000)
    warm.check(again)
    assert len(warm.starts()) == (2 if was_accepted else 1)


@needs_strace
@pytest.mark.parametrize("call", points())
@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_interrupted_at_its_nth_call(warm, name, call):
    result = end_with(warm, call, name)
    number = getattr(signal, f"SIG{name}")
    assert result.code in (0, -number, 130), str(result)
    was_accepted = check_truth(warm, known_before=1)
    if result.code == 130:
        said = re.findall(
            r"interrupted; nothing was (?:sent|started on node)$"
            r"|whether \w+ was accepted is not known; errand show \w+ asks node$"
            r"|(?:goes on; come back with: errand follow|its outputs are still on the node: errand outputs) \w+$",
            result.errors,
            re.M,
        )
        assert len(said) == 1, str(result)
        assert ("nothing was" in said[0]) <= (not was_accepted), str(result)
        assert ("errand follow" in said[0] or "errand outputs" in said[0]) <= was_accepted, str(result)
