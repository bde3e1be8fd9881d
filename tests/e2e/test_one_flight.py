"""A submission and the wish to follow it go in one flight: no answer is waited for between."""

import json
import sys
from pathlib import Path

import pytest
from support.projects import write_files
from support.wire import NUMBERS, Snapshot, Wire, WireError, pack, spec

EMPTY = Snapshot({"nothing": b""})
# An executor whose words after the marker are held back until FOLLOW came.
HOLDS_BACK = """#!{python}
import os, struct, subprocess, sys, threading

real = subprocess.Popen([{executor!r}, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
follow_came = threading.Event()


def inwards():
    data = b""
    while block := os.read(0, 65536):
        real.stdin.write(block)
        real.stdin.flush()
        data += block
        while len(data) >= 12 and len(data) >= 12 + struct.unpack_from("<I", data)[0]:
            if data[4] == {follow}:
                follow_came.set()
            data = data[12 + struct.unpack_from("<I", data)[0] :]
    real.stdin.close()


threading.Thread(target=inwards, daemon=True).start()
marker = b""
while marker.count(b"\\n") < 2:
    marker += os.read(real.stdout.fileno(), 1)
os.write(1, marker)
follow_came.wait()
while block := os.read(real.stdout.fileno(), 65536):
    os.write(1, block)
"""


def test_run_asks_to_follow_before_it_hears_of_acceptance(errand, sshd, tmp_path):
    write_files(errand.cwd, {"t.py": "print('hello')"})
    target = errand.add_target("node", *sshd.target_arguments())
    errand.ok("run", "--target", target, "t.py")
    (executor,) = Path(sshd.home, ".errand", "bin").iterdir()
    kept = executor.rename(tmp_path / "kept")
    executor.write_text(HOLDS_BACK.format(python=sys.executable, executor=str(kept), follow=NUMBERS["FOLLOW"]))
    executor.chmod(0o755)
    result = errand.ok("run", "--target", target, "t.py", deadline_s=60)
    assert result.out == b"hello\n"
    assert [state["state"] for state in errand.show()["states"]][-1] == "Completed"


@pytest.fixture
def begun(link: Wire):
    """(stream, run, the rest of the flight): SUBMIT was sent, its objects were not."""
    stream = link.open()
    spec_bytes = spec(EMPTY, ["sh", "-c", "echo hello"])
    link.send("SUBMIT", stream, {"spec": spec_bytes.decode(), "root": EMPTY.root, "base": None})
    rest = link.pack_frames(stream, pack(EMPTY.objects)) + link.frame("PUSH_END", stream)
    return stream, json.loads(spec_bytes)["run"], rest


def test_follow_waits_for_the_submission(link, begun):
    stream, run, rest = begun
    followed = [link.follow(run, "driver.log"), link.follow(run, "driver.log")]
    link.ask("STATUS", {"runs": []})  # what there was to answer was answered
    assert not link.waiting
    link.write(rest)
    assert link.answer(stream)["run"] == run
    for one in followed:
        assert one.run().read() == b"hello\n"
        assert [state["seq"] for state in one.states] == list(range(1, len(one.states) + 1))


def test_follow_of_a_submission_that_is_given_up_finds_no_run(link, begun):
    stream, run, _ = begun
    followed = link.follow(run, "driver.log")
    link.send("RESET", stream)
    with pytest.raises(WireError) as failed:
        followed.run()
    assert failed.value.code == "not_found"


def test_follow_of_a_submission_that_fails_finds_no_run(link, begun):
    stream, run, _ = begun
    followed = link.follow(run, "driver.log")
    link.write(link.pack_frames(stream, b"this is no pack") + link.frame("PUSH_END", stream))
    with pytest.raises(WireError):
        link.answer(stream)
    with pytest.raises(WireError) as failed:
        followed.run()
    assert failed.value.code == "not_found"


def test_follow_can_be_given_up_while_it_waits(link, begun):
    stream, run, rest = begun
    followed = link.follow(run, "driver.log")
    link.send("RESET", followed.stream)
    with pytest.raises(WireError) as failed:
        followed.run()
    assert failed.value.code == "canceled"
    link.write(rest)
    assert link.answer(stream)["run"] == run


@pytest.mark.usefixtures("begun")
def test_follow_of_another_run_does_not_wait(link):
    with pytest.raises(WireError) as failed:
        link.follow("another", "driver.log").run()
    assert failed.value.code == "not_found"
