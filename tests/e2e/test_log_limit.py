"""A script that writes without end does not fill the node's disk, and what its log lacks is said to the byte.

The logs here are lines of 16 bytes that count up, so that the bytes at any offset are known.
"""

import os
import subprocess
from pathlib import Path

import pytest
from support import inject
from support.supervision import EXECUTOR, Run, open_gate, wait_gate
from support.waiting import wait_for

LIMIT = 1_000_000
KEPT = LIMIT - LIMIT // 4
BLOCK = 64 << 10
LINE = 16


def lines(first: int, count: int) -> str:
    """Shell text that writes so many lines."""
    return f"seq -f %015.0f {first} {first + count - 1}"


def expected(start: int, end: int) -> bytes:
    """The bytes of such a log between two offsets."""
    first = start // LINE
    text = b"".join(b"%015d\n" % i for i in range(first, -(-end // LINE)))
    return text[start - first * LINE : end - first * LINE]


def disk_bytes(log: Path) -> int:
    return log.stat().st_blocks * 512


def first_data(log: Path) -> int:
    with log.open("rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_DATA)


def wait_trimmed(log: Path) -> None:
    wait_for(lambda: disk_bytes(log) <= LIMIT + BLOCK, "the log's beginning to be given up")


def check(log: Path, size: int) -> None:
    """All is as it should be of a log of that size which is over its limit."""
    assert log.stat().st_size == size
    assert disk_bytes(log) <= LIMIT + BLOCK
    start = first_data(log)
    assert KEPT <= size - start <= LIMIT + BLOCK
    with log.open("rb") as file:
        file.seek(start)
        assert file.read() == expected(start, size)


# ---- on the node


def said(run: Run) -> int:
    return run.control().count("from now on its beginning is given up")


def test_a_log_over_its_limit_loses_its_beginning_and_no_offset(node):
    run = node.run(f"{lines(0, 200000)}; gate a; {lines(200000, 300000)}; gate b; echo end", log_max_bytes=LIMIT)
    log = run.folder / "driver.log"
    wait_gate(run, "a")
    wait_trimmed(log)
    check(log, 200000 * LINE)
    open_gate(run, "a")
    wait_gate(run, "b")
    wait_trimmed(log)
    check(log, 500000 * LINE)
    open_gate(run, "b")
    last = run.end()
    assert last["exit"] == {"kind": "exited", "code": 0}
    assert last["logs"]["driver.log"] == log.stat().st_size == 500000 * LINE + len("end\n")
    assert said(run) == 1
    assert "over its limit of 1.0 MB (log_max_size)" in run.control()


def test_what_came_at_the_very_end_is_over_no_limit_either(node):
    run = node.run(lines(0, 250000), log_max_bytes=LIMIT)
    assert run.end()["state"] == "Completed"
    check(run.folder / "driver.log", 250000 * LINE)


@pytest.mark.parametrize("victims", [["guardian"], ["shim"], ["guardian", "shim"]])
def test_whoever_is_left_or_comes_keeps_the_limit(node, victims):
    run = node.run(f"{lines(0, 100000)}; gate a; {lines(100000, 200000)}; gate b", log_max_bytes=LIMIT)
    log = run.folder / "driver.log"
    wait_gate(run, "a")
    wait_trimmed(log)
    run.kill(*victims)
    if len(victims) == 2:
        run.adopt()
    open_gate(run, "a")
    wait_gate(run, "b")
    wait_trimmed(log)
    check(log, 300000 * LINE)
    assert said(run) == 1, "who takes over goes on with what was said"
    open_gate(run, "b")
    run.end()


def test_a_script_that_goes_on_while_it_is_ended_keeps_the_limit(node):
    text = f"trap '' TERM; gate a; {lines(0, 200000)}; gate b"
    run = node.run(text, log_max_bytes=LIMIT, grace_ms=600_000)
    log = run.folder / "driver.log"
    wait_gate(run, "a")
    run.cancel()
    run.wait_state("CancelRequested")
    open_gate(run, "a")
    wait_gate(run, "b")
    wait_trimmed(log)
    check(log, 200000 * LINE)
    run.cancel(grace_ms=0)
    assert run.end()["state"] == "Canceled"


def test_a_further_attempt_keeps_the_limit_with_a_log_of_its_own(node):
    text = f'test $ERRAND_ATTEMPT = 2 || {{ rm "$ERRAND_RUN_DIR/driver.log"; exit 1; }}; {lines(0, 200000)}; gate a'
    run = node.run(text, log_max_bytes=LIMIT, attempts=2)
    wait_gate(run, "a")
    wait_trimmed(run.folder / "driver.log")
    check(run.folder / "driver.log", 200000 * LINE)
    open_gate(run, "a")
    run.end()


def test_a_run_without_a_limit_keeps_all_of_its_log(node):
    run = node.run(lines(0, 200000), log_max_bytes=None)
    run.end()
    assert first_data(run.folder / "driver.log") == 0
    assert "limit" not in run.control()


@pytest.mark.skipif(not inject.is_possible("strace"), reason="no ptrace here")
def test_a_filesystem_without_holes_is_said_and_the_run_goes_on(node, traced):
    run = node.shell(f"{lines(0, 100000)}; gate a; {lines(100000, 100000)}", log_max_bytes=LIMIT)
    log = run.folder / "driver.log"
    refusing = inject.failing("fallocate", error="EOPNOTSUPP", when="1+", path=log)
    argv = [*refusing, str(EXECUTOR), "supervise", "--root", str(node.root), "--run", run.id]
    with subprocess.Popen(argv, env=node.environment) as tracer:  # strace stays as long as those that it traces
        wait_gate(run, "a")
        wait_for(lambda: "cannot be given up on this filesystem" in run.control(), "control.log to say so")
        open_gate(run, "a")
        assert run.end()["state"] == "Completed"
        tracer.wait(60)
    assert first_data(log) == 0
    assert log.read_bytes() == expected(0, 200000 * LINE)
    assert run.control().count("cannot be given up") == 1
