"""FOLLOW: a position in a log is a promise. Nothing lost, nothing twice, whatever happens to file, link or reader."""

import ctypes
import json
import os
import struct
from pathlib import Path

import pytest
from support.wire import Snapshot, Wire, spec, tail_digest

EMPTY = Snapshot({"nothing": b""})
WINDOW = 4 << 20  # what messages.def gives a FOLLOW to begin with


def start(link: Wire, text: str) -> str:
    """Submit a shell command; the run's id."""
    return link.submit(spec(EMPTY, ["sh", "-c", text]), EMPTY)["run"]


def finish(link: Wire, text: str) -> tuple[str, bytes]:
    """Run a shell command to its end: (run, log)."""
    run = start(link, text)
    return run, link.follow(run, "driver.log").run().read()


def cancel(link: Wire, run: str) -> None:
    link.ask("CANCEL", {"run": run, "reason": "test", "by": "tester", "grace_ms": 0})


def position(offset: int, data: bytes | None = None, generation: int = 0, file: str = "driver.log") -> dict:
    """A reader's position, with the digest of what it has where data is given."""
    tail = tail_digest(data[:offset]) if data is not None and offset > 0 else None
    return {"file": file, "generation": generation, "offset": offset, "tail": tail}


@pytest.fixture
def gate(tmp_path: Path):
    """gate.text(n) is shell text that waits for gate.open(n)."""

    class Gate:
        def text(self, number: int) -> str:
            return f"until test -e {tmp_path}/gate{number}; do sleep 0.02; done"

        def open(self, number: int) -> None:
            (tmp_path / f"gate{number}").touch()

    return Gate()


def test_log_lines_come_while_the_run_goes_on(link, gate):
    run = start(link, f"echo one; {gate.text(1)}; echo two; {gate.text(2)}; printf three")
    followed = link.follow(run, "driver.log").until(lambda f: f.read() == b"one\n")
    gate.open(1)
    followed.until(lambda f: f.read() == b"one\ntwo\n")
    gate.open(2)
    assert followed.run().read() == b"one\ntwo\nthree"
    assert followed.names[-1] == "Completed"


def test_states_and_log_come_in_the_order_in_which_they_happened(link):
    run = start(link, "echo output")
    followed = link.follow(run, "driver.log").run()
    order = [event[1]["state"] if event[0] == "STATE" else event[0] for event in followed.events]
    assert order.index("Starting") < order.index("DATA") < order.index("Completed")
    assert followed.events[-1][0] == "STATE"


def test_a_reader_goes_on_at_any_offset(link):
    run, log = finish(link, "i=0; while test $i -lt 1500; do echo line $i; i=$((i+1)); done")
    assert log == b"".join(b"line %d\n" % i for i in range(1500))
    for offset in [*range(0, len(log), 701), 4095, 4096, 4097, len(log) - 1, len(log)]:
        followed = link.follow(run, position(offset, log)).run()
        assert followed.read() == log[offset:]
        assert all(event[1]["gap"] == 0 for event in followed.events if event[0] == "AT")


def test_a_reader_that_comes_back_in_a_run_loses_and_doubles_nothing(connect, gate):
    run = start(
        connect(), f"head -c 300000 /dev/zero | tr '\\0' x; {gate.text(1)}; head -c 300000 /dev/zero | tr '\\0' y"
    )
    log = b""
    for wanted in (1, 65536, 100000, 250000, 300000):
        link = connect()
        missing = wanted - len(log)
        followed = link.follow(run, position(len(log), log)).until(lambda f, n=missing: len(f.read()) >= n)
        log += followed.read()
        link.kill()
    gate.open(1)
    log += connect().follow(run, position(len(log), log)).run().read()
    assert log == b"x" * 300000 + b"y" * 300000


def test_states_that_the_reader_has_are_not_sent_again(link):
    run, _ = finish(link, "true")
    states = link.follow(run).run().states
    for seq in range(len(states) + 2):
        followed = link.follow(run, journal_seq=seq).run()
        assert [line["seq"] for line in followed.states] == list(range(seq + 1, len(states) + 1))
        assert followed.end["state"] == "Completed"


def test_a_log_that_its_script_cuts_begins_a_new_generation(link, gate, root):
    text = f"echo before the cut; {gate.text(1)}; : > {root}/runs/$ERRAND_RUN_ID/driver.log; echo after; {gate.text(2)}"
    run = start(link, text)
    followed = link.follow(run, "driver.log").until(lambda f: f.read() == b"before the cut\n")
    gate.open(1)
    followed.until(lambda f: f.read(generation=1) == b"after\n")
    gate.open(2)
    followed.run()
    assert followed.read(generation=0) == b"before the cut\n"
    assert followed.end["sizes"]["driver.log"] == len(b"after\n")
    assert followed.names[-1] == "Completed"


def test_a_log_that_shrank_and_grew_again_while_nobody_looked_is_noticed(link, root):
    run, log = finish(link, "echo first content, so long")
    (root / "runs" / run / "driver.log").write_bytes(b"other content that is longer than it was\n")
    followed = link.follow(run, position(len(log), log), until="now").run()
    ats = [event[1] for event in followed.events if event[0] == "AT"]
    assert (ats[0]["generation"], ats[0]["offset"]) == (1, 0)
    assert b"other content that is longer than it was\n".startswith(followed.read(generation=1))
    assert followed.read(generation=1)


def test_a_log_that_was_replaced_is_read_after_the_old_ones_end(link, gate, root):
    text = (
        f"echo old; {gate.text(1)}; cd {root}/runs/$ERRAND_RUN_ID; mv driver.log driver.log.1; echo last;"
        f" echo new > driver.log; {gate.text(2)}"
    )
    run = start(link, text)
    followed = link.follow(run, "driver.log").until(lambda f: f.read() == b"old\n")
    gate.open(1)
    followed.until(lambda f: f.read(generation=1) == b"new\n")
    assert followed.read(generation=0) == b"old\nlast\n"
    gate.open(2)
    followed.run()


def test_two_followers_see_the_same(connect, gate):
    link = connect()
    run = start(link, f"echo one; {gate.text(1)}; head -c 500000 /dev/zero | tr '\\0' z; echo")
    first = link.follow(run, "driver.log").until(lambda f: f.read() == b"one\n")
    other = connect()
    second = other.follow(run, "driver.log")
    gate.open(1)
    assert second.run().read() == first.run().read() == b"one\n" + b"z" * 500000 + b"\n"
    assert first.states == second.states


def test_a_reader_that_takes_nothing_holds_nobody_up(link):
    """Without a CREDIT a stream stops at its window; another on the same link goes on, and so does the run."""
    run = start(link, "head -c 8000000 /dev/zero | tr '\\0' q")
    link.credits = False
    slow = link.follow(run, "driver.log")
    slow.until(lambda f: len(f.read()) == WINDOW)
    fast = link.follow(run, "driver.log")
    while fast.step() != "END":
        if fast.events and fast.events[-1][0] == "DATA":
            link.send("CREDIT", fast.stream, struct.pack("<I", fast.events[-1][2]))
    assert len(fast.read()) == 8_000_000
    assert fast.names[-1] == "Completed"
    assert len(slow.read()) == WINDOW
    assert slow.names[-1] != "Completed"
    link.credits = True
    link.send("CREDIT", slow.stream, struct.pack("<I", WINDOW))
    assert len(slow.run().read()) == 8_000_000


def test_now_sends_what_there_is_and_ends(link, gate):
    run = start(link, f"echo here; {gate.text(1)}; echo later")
    # A script may write before it is noted that it runs.
    link.follow(run, "driver.log").until(lambda f: f.read() == b"here\n" and "Running" in f.names)
    followed = link.follow(run, "driver.log", until="now").run()
    assert followed.read() == b"here\n"
    assert followed.end == {"state": "Running", "sizes": {"driver.log": 5}}
    gate.open(1)
    assert link.follow(run, "driver.log").run().read() == b"here\nlater\n"
    assert link.follow(run, "driver.log", until="now").run().names[-1] == "Completed"


@pytest.mark.parametrize(("lines", "expected"), [(1, b"c\n"), (2, b"b\nc\n"), (3, b"a\nb\nc\n"), (1000, b"a\nb\nc\n")])
def test_the_last_lines_alone_can_be_asked_for(link, lines, expected):
    run, log = finish(link, "echo a; echo b; echo c")
    followed = link.follow(run, position(-lines)).run()
    assert followed.read() == expected
    assert [event[1]["offset"] for event in followed.events if event[0] == "AT"] == [len(log) - len(expected)]


def test_the_last_lines_are_followed_on(link, gate):
    run = start(link, f"echo a; echo b; {gate.text(1)}; echo c")
    link.follow(run, "driver.log").until(lambda f: f.read() == b"a\nb\n")
    followed = link.follow(run, position(-1)).until(lambda f: f.read() == b"b\n")
    gate.open(1)
    assert followed.run().read() == b"b\nc\n"


def test_all_files_are_followed_at_once(link, root):
    run = start(link, f"echo log; echo '{{\"loss\":1}}' >> {root}/runs/$ERRAND_RUN_ID/metrics; echo more")
    followed = link.follow(run, "driver.log", "control.log", "metrics").run()
    for file in ("driver.log", "control.log", "metrics"):
        content = (root / "runs" / run / file).read_bytes()
        assert content.startswith(followed.read(file))
        assert followed.end["sizes"][file] == len(followed.read(file))
    assert followed.read("metrics") == b'{"loss":1}\n'


def test_the_prepare_stages_files_come_whole_before_the_line_behind_it(link, gate, root):
    """Who reads that line knows all that the stage had to say."""
    run = start(link, gate.text(1))
    folder = root / "runs" / run
    link.follow(run).until(lambda f: "Running" in f.names)
    (folder / "prepare.log").write_bytes(b"p" * 1_000_000)
    (folder / "environment.lock").write_bytes(b"k" * 200_000)
    gate.open(1)
    followed = link.follow(run, "driver.log", "prepare.log", "environment.lock").run()
    kinds = [
        event[1]["state"] if event[0] == "STATE" else event[1] if event[0] == "DATA" else event[0]
        for event in followed.events
    ]
    last = max(index for index, kind in enumerate(kinds) if kind in ("prepare.log", "environment.lock"))
    assert kinds.index("Starting") < last < kinds.index("Running")
    assert followed.read("prepare.log") == b"p" * 1_000_000
    assert followed.end["sizes"]["environment.lock"] == 200_000


def test_a_line_of_100_mb_comes_through(link):
    run = start(link, "head -c 100000000 /dev/zero | tr '\\0' L")
    followed = link.follow(run, "driver.log").run(deadline_s=120)
    assert len(followed.read()) == 100_000_000
    assert followed.read().strip(b"L") == b""


def test_binary_output_comes_through(link, root):
    run = start(link, "head -c 3000000 /dev/urandom")
    log = link.follow(run, "driver.log").run().read()
    assert log == (root / "runs" / run / "driver.log").read_bytes()


def test_a_child_that_writes_on_does_not_keep_the_follower(link, tmp_path):
    """The end is the script's end: what a forgotten child writes later is after the recorded size."""
    run = start(link, f"echo out; (while ! test -e {tmp_path}/go; do echo noise; sleep 0.01; done) &")
    followed = link.follow(run, "driver.log").run()
    (tmp_path / "go").touch()
    assert followed.names[-1] == "Completed"
    assert followed.end["sizes"]["driver.log"] == len(followed.read())


def test_many_followers_of_one_link_each_get_all(link, gate):
    run = start(link, f"{gate.text(1)}; head -c 200000 /dev/zero | tr '\\0' m")
    followers = [link.follow(run, "driver.log") for _ in range(20)]
    gate.open(1)
    for follower in followers:
        assert follower.run().read() == b"m" * 200000


def test_the_journal_is_what_the_follower_saw(link, root):
    run, _ = finish(link, "echo x")
    lines = [json.loads(line) for line in (root / "runs" / run / "journal").read_bytes().splitlines()]
    assert link.follow(run).run().states == lines


def test_without_inotify_logs_are_followed_all_the_same(connect, gate):
    """Another 128 instances of the account are in use: the timer asks."""
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if limit > 4096:
        pytest.skip(f"{limit} inotify instances are too many to use up")
    library = ctypes.CDLL(None, use_errno=True)
    taken = []
    while (descriptor := library.inotify_init1(os.O_CLOEXEC)) >= 0:
        taken.append(descriptor)
    try:
        link = connect()
        run = start(link, f"echo one; {gate.text(1)}; echo two")
        followed = link.follow(run, "driver.log").until(lambda f: f.read() == b"one\n")
        gate.open(1)
        assert followed.run().read() == b"one\ntwo\n"
    finally:
        for descriptor in taken:
            os.close(descriptor)
