"""A script that writes without end does not fill the node's disk, and what its log lacks is said to the byte.

The logs here are lines of 16 bytes that count up, so that the bytes at any offset are known.
"""

import os
import subprocess
from pathlib import Path

import pytest
from support import inject
from support.errand import Errand
from support.supervision import EXECUTOR, Run, open_gate, wait_gate
from support.waiting import wait_for
from support.wire import Follow, Snapshot, Wire, spec, tail_digest

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
    """The log does not grow now; wait until as much was given up as will be."""
    wait_for(lambda: log.stat().st_size - first_data(log) <= LIMIT, "the log's beginning to be given up")


def check(log: Path, size: int) -> None:
    """All is as it should be of a log of that size which is over its limit."""
    assert log.stat().st_size == size
    assert disk_bytes(log) <= LIMIT + BLOCK
    start = first_data(log)
    assert KEPT <= size - start <= LIMIT
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
@pytest.mark.usefixtures("traced")
def test_a_filesystem_without_holes_is_said_and_the_run_goes_on(node):
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


# ---- to a reader


EMPTY = Snapshot({"nothing": b""})


@pytest.fixture
def gate(tmp_path: Path):
    """gate.text(n) is shell text that waits for gate.open(n)."""

    class Gate:
        def text(self, number: int) -> str:
            return f"until test -e {tmp_path}/gate{number}; do sleep 0.02; done"

        def open(self, number: int) -> None:
            (tmp_path / f"gate{number}").touch()

    return Gate()


def start(link: Wire, text: str) -> str:
    """A run with a small limit that executes shell text; its id."""
    return link.submit(spec(EMPTY, ["sh", "-c", text], log_max_bytes=LIMIT), EMPTY)["run"]


def ats(followed: Follow) -> list[dict]:
    return [event[1] for event in followed.events if event[0] == "AT" and event[1]["gap"] > 0]


def position(offset: int, generation: int = 0) -> dict:
    tail = tail_digest(expected(0, offset)) if offset > 0 else None
    return {"file": "driver.log", "generation": generation, "offset": offset, "tail": tail}


def test_a_late_reader_hears_of_the_exact_gap(link, root, gate):
    run = start(link, f"{lines(0, 200000)}; {gate.text(1)}")
    log = root / "runs" / run / "driver.log"
    wait_for(lambda: log.stat().st_size == 200000 * LINE, "the log to be written")
    wait_trimmed(log)
    begin, size = first_data(log), 200000 * LINE
    for offset in (0, 1, 5000, begin - 1, begin, begin + 1, begin + 4095, size):
        followed = link.follow(run, position(offset, 3), until="now").run()
        assert followed.read(generation=3) == expected(max(offset, begin), size)
        assert [(at["offset"], at["gap"], at["why"]) for at in ats(followed)] == (
            [(begin, begin - offset, "limit")] if offset < begin else []
        )
        assert followed.end["sizes"]["driver.log"] == size
    gate.open(1)
    assert link.follow(run).run().names[-1] == "Completed"


def test_a_reader_who_keeps_up_loses_nothing(link, root, gate):
    count = 12
    text = "; ".join(f"{gate.text(i)}; {lines(i * 25000, 25000)}" for i in range(count))
    run = start(link, f"{text}; {gate.text(count)}")
    log = root / "runs" / run / "driver.log"
    followed = link.follow(run, "driver.log")
    for i in range(count):
        gate.open(i)
        followed.until(lambda f, i=i: len(f.read()) == (i + 1) * 25000 * LINE)
        wait_trimmed(log)
    gate.open(count)
    followed.run()
    assert followed.read() == expected(0, count * 25000 * LINE)
    assert ats(followed) == []
    check(log, count * 25000 * LINE)


def test_a_reader_that_the_hole_overtakes_goes_on_behind_it(link, root, gate):
    """It has taken some, and takes no more until the node has given up what comes next."""
    run = start(link, f"{gate.text(1)}; {lines(0, 500000)}; {gate.text(2)}")
    log = root / "runs" / run / "driver.log"
    link.credits = False
    followed = link.follow(run, "driver.log")
    gate.open(1)
    wait_for(lambda: log.stat().st_size == 500000 * LINE, "the log to be written")
    wait_trimmed(log)
    begin = first_data(log)
    link.credits = True
    gate.open(2)
    followed.run()
    (gap,) = ats(followed)
    before = begin - gap["gap"]
    assert (gap["generation"], gap["offset"], gap["why"]) == (0, begin, "limit")
    assert 0 <= before < begin
    assert followed.read() == expected(0, before) + expected(begin, 500000 * LINE)


def test_a_reader_of_a_removed_run_lacks_what_it_had_not_read(link):
    run = start(link, lines(0, 1000))
    assert link.follow(run).run().names[-1] == "Completed"
    link.ask("COLLECTED", {"run": run, "root": link.fetch(run)[0]["root"], "sizes": {}})
    body = {"is_dry": False, "keep_days": 0, "max_store_bytes": None}
    wait_for(lambda: link.ask("GC", body)[0][0]["runs"] == 1, "the run to be removed")
    followed = link.follow(run, position(100, 2)).run()
    assert [(at["generation"], at["offset"], at["gap"], at["why"]) for at in ats(followed)] == [
        (2, 1000 * LINE, 1000 * LINE - 100, "removed")
    ]


# ---- at home


def script(first: int, count: int, wait: str | None = None) -> str:
    """Python that writes such a log, and then waits for somebody to write into a FIFO."""
    text = f"for i in range({first}, {first + count}):\n    print('%015d' % i)\n"
    if wait is not None:
        text += f"import sys\nsys.stdout.flush()\nopen({wait!r}).read()\n"
    return text


def log_of(errand: Errand, run: str) -> Path:
    (log,) = errand.home.glob(f"state/local/**/runs/{run}/driver.log")
    return log


def test_what_is_missing_is_said_where_it_is_missing_each_time(errand, make_project, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    project = make_project({"train.py": script(0, 200000, str(go)) + "print('end')\n"})
    run = errand.submit("--log-max-size", "1M", "train.py", cwd=project)
    wait_for(lambda: log_of(errand, run).stat().st_size == 200000 * LINE, "the log to be written")
    wait_trimmed(log_of(errand, run))
    begin = first_data(log_of(errand, run))
    go.write_text("go")
    kept = expected(begin, 200000 * LINE) + b"end\n"
    said = (
        f"errand: warning: {begin} bytes ({begin // 10**5 / 10} MB) of the log are missing here:"
        " the node had given them up, because the log was over its limit (log_max_size)\n"
    )
    shown = errand.ok("follow", run)
    assert shown.out == kept
    assert [line for line in shown.errors.splitlines(keepends=True) if "missing" in line] == [said]
    for _ in range(2):
        logs = errand.ok("logs", run)
        assert (logs.out, logs.errors) == (kept, said)
    tail = errand.ok("logs", "--tail", "2", run)
    assert (tail.out, tail.errors) == (expected(199999 * LINE, 200000 * LINE) + b"end\n", "")
    assert errand.show(run)["log"] == {"size_bytes": 200000 * LINE + 4, "missing_bytes": begin}
    assert f"3.2 MB; {begin // 10**5 / 10} MB of it missing here" in errand.ok("show", run).text
    assert "from now on its beginning is given up" in errand.ok("logs", "--control", run).text


def test_what_is_shown_and_what_is_missing_are_all_of_it(errand, make_project):
    project = make_project({"errand.yaml": "log_max_size: 1M\n", "train.py": script(0, 100000)})
    shown = errand.ok("run", "train.py", cwd=project)
    run = errand.json("list")["runs"][0]["id"]
    missing = errand.show(run)["log"]["missing_bytes"]
    assert len(shown.out) + missing == 100000 * LINE
    assert errand.ok("logs", run).out == shown.out


@pytest.mark.parametrize("size", ["999999", "1"])
def test_a_limit_that_is_none_is_refused(errand, make_project, size):
    project = make_project({"train.py": "print('hello')\n"})
    refused = errand.run("run", "--log-max-size", size, "train.py", cwd=project, code=125)
    assert "--log-max-size: it takes at least 1M, or 0 for no limit" in refused.errors


def test_no_limit_is_no_limit(errand, make_project):
    project = make_project({"train.py": script(0, 100000)})
    run = errand.submit("--log-max-size", "0", "train.py", cwd=project)
    shown = errand.ok("follow", run)
    assert shown.out == expected(0, 100000 * LINE)
    assert first_data(log_of(errand, run)) == 0
