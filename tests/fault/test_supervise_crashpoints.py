"""SIGKILL of the supervisors at their n-th system call, wherever that is: a true end, never a second start.

By default every few calls are tried, beginning at another one each day; with --soak all.
"""

import contextlib
import datetime
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import inject, processes
from support.supervision import EXECUTOR, Run, open_gate, wait_gate
from support.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not inject.is_possible("strace"), reason="strace may not trace here"),
    pytest.mark.usefixtures("traced"),
]

# More calls than any of them makes from the start, or from the end of the script, on.
START_CALLS, END_CALLS = 420, 130
STRIDE = 23

ONCE = "echo started >> ../started; echo done > outputs/done; "


def points(calls: int, always: Sequence[int] = ()) -> list:
    """The calls to die at: all with --soak, else a few."""
    first = 1 + datetime.date.today().toordinal() % STRIDE
    few = {*always, *range(first, calls, STRIDE)}
    return [n if n in few else pytest.param(n, marks=pytest.mark.soak) for n in range(1, calls)]


def starts(run: Run) -> int:
    path = run.folder / "started"
    return len(path.read_text().splitlines()) if path.exists() else 0


def adopt_until_final(run: Run) -> dict:
    """What the next connections do, until the run has ended; the one that was killed may have left locks for a
    moment."""

    def is_over() -> bool:
        if run.entry.exists():
            run.start("--adopt", check=False)
        return not run.entry.exists() and not run.supervisors()

    wait_for(is_over, f"{run.id} to end, which is {run.states()}", 30, every_s=0.05)
    return run.journal()[-1]


def kill_at(call: int) -> list[str]:
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=all:signal=KILL:when={call}"]


@pytest.mark.parametrize("call", points(START_CALLS))
def test_all_of_them_killed_at_their_nth_call(node, call):
    run = node.shell(ONCE + "exit 5")
    argv = [*kill_at(call), str(EXECUTOR), "supervise", "--root", str(node.root), "--run", run.id]
    subprocess.run(argv, capture_output=True, check=False, env=node.environment, timeout=60)
    last = adopt_until_final(run)
    assert starts(run) <= 1
    assert last["state"] == "Failed"
    assert last["exit"] in (
        {"kind": "exited", "code": 5},
        {"kind": "supervisor_lost"},
        {"kind": "signaled", "signal": "SIGKILL"},  # the script's shell was traced, and died at its n-th call too
        {"kind": "could_not_start", "code": 125},  # so did launch
    )
    if last["exit"] == {"kind": "exited", "code": 5}:
        assert starts(run) == 1
    if last["exit"]["kind"] == "could_not_start":
        assert starts(run) == 0


@contextlib.contextmanager
def dying_at(run: Run, names: tuple[str, ...], call: int):
    """These supervisors die at their call-th system call from here on."""
    pids = [run.supervisors()[name] for name in names]
    tracers = []
    for pid in pids:
        argv = ["strace", "-qq", "-o", "/dev/null", "-e", f"inject=all:signal=KILL:when={call}", "-p", str(pid)]
        tracers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        for pid in pids:
            wait_for(lambda pid=pid: is_traced(pid), "strace to attach")
        yield
    finally:
        for tracer in tracers:
            tracer.terminate()
            tracer.wait(30)


def is_traced(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    return "TracerPid:\t0\n" not in status


# Always the first ones too: where the shim died before it had seen the script's end, the guardian could reap the script
# as one of the processes that nobody asks for, before it knew that it had become its parent.
@pytest.mark.parametrize("call", points(END_CALLS, always=range(1, 5)))
@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_one_of_them_killed_at_its_nth_call_after_the_script(node, victim, call):
    run = node.run(ONCE + "setsid sleep 1000 & gate gate; exit 5")
    run.wait_state("Running")
    wait_gate(run)
    with dying_at(run, (victim,), call):
        open_gate(run)
        last = run.wait_state("Failed", "Completed", "Canceled")
        wait_for(lambda: not run.supervisors(), "the other one to leave")
    assert last["exit"] == {"kind": "exited", "code": 5}, "the other one saw it"
    assert last["outputs"]["files"] == 1
    assert starts(run) == 1
    assert not run.entry.exists()
    assert run.journal()[-1] == last


@pytest.mark.parametrize("call", points(END_CALLS))
def test_both_of_them_killed_at_their_nth_call_after_the_script(node, call):
    run = node.run(ONCE + "setsid sleep 1000 & gate gate; exit 5")
    run.wait_state("Running")
    wait_gate(run)
    script = run.journal()[-1]["process"]["pid"]
    with dying_at(run, ("guardian", "shim"), call):
        open_gate(run)
        wait_for(lambda: not processes.is_alive(script), "the script to end")
        wait_for(lambda: not run.supervisors(), "the supervisors to end or die")
    last = adopt_until_final(run)
    assert last["exit"] in ({"kind": "exited", "code": 5}, {"kind": "supervisor_lost"})
    assert last["state"] == "Failed"
    assert starts(run) == 1
    assert last["survivors"] == 0


@pytest.mark.parametrize("call", points(END_CALLS))
@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_one_of_them_killed_at_its_nth_call_after_a_cancel(node, victim, call):
    run = node.run(ONCE + "trap '' TERM; setsid sleep 1000 & gate gate; while :; do sleep 1000; done", grace_ms=50)
    run.wait_state("Running")
    wait_gate(run)
    with dying_at(run, (victim,), call):
        run.cancel()
        last = run.wait_state("Failed", "Completed", "Canceled")
        wait_for(lambda: not run.supervisors(), "the other one to leave")
    assert (last["state"], last["exit"], last["survivors"]) == ("Canceled", {"kind": "canceled"}, 0)
    assert starts(run) == 1
