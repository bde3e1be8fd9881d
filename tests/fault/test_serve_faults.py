"""`serve` killed at each of its steps, and on a full disk: what comes next finds a state that it can use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import wire
from support.inject import is_possible, on_small_disk
from support.runs import HELLO, end, run_id, shell
from support.waiting import wait_for
from support.wire import Closed, Snapshot, Wire, WireError

needs_strace = pytest.mark.skipif(not is_possible("strace"), reason="this machine does not let us trace")
needs_mount = pytest.mark.skipif(not is_possible("mount"), reason="this machine does not let us mount")

# What serve changes on the disk or in processes, and every how many of these calls it is killed.
STEPS = {
    "openat": 5,
    "write,pwrite64": 3,
    "rename,renameat,renameat2": 1,
    "fsync,fdatasync,syncfs": 1,
    "mkdir,mkdirat,mknodat": 1,
    "fallocate,ftruncate": 1,
    "flock": 1,
    "clone,clone3,fork,vfork": 1,
}
MOST_CALLS = 500


def dying_at(call: str, when: int) -> list[str]:
    """SIGKILL at the when-th of these calls of serve itself; what it starts is left alone (no -f)."""
    return ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]


@pytest.fixture
def connect(mark: str):
    """connect(root, **options): a connection to that node."""
    made: list[Wire] = []

    def make(root: Path, **options) -> Wire:
        made.append(Wire(root, mark=mark, **options))
        return made[-1]

    yield make
    for one in made:
        if not one.process.stdin.closed:
            one.close()


def submit_and_die(connect: Callable[..., Wire], root: Path, spec_bytes: bytes, prefix: list[str]) -> bool:
    """Submit to a serve that is killed. True where it was not."""
    try:
        link = connect(root, prefix=tuple(prefix))
        link.submit(spec_bytes, HELLO)
    except (Closed, AssertionError, BrokenPipeError):
        return False
    link.close()
    return True


@needs_strace
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("call", STEPS)
def test_a_submission_killed_anywhere_can_be_made_again_and_starts_once(connect, tmp_path, call):
    """Each try is a node of its own, so that also the making of the root is cut."""
    for when in range(1, MOST_CALLS, STEPS[call]):
        root, marks = tmp_path / f"node{when}", tmp_path / f"starts{when}"
        spec_bytes = shell(f"echo started >> {marks}; echo log; mkdir -p outputs; echo out > outputs/x")
        survived = submit_and_die(connect, root, spec_bytes, dying_at(call, when))
        link = connect(root)
        link.submit(spec_bytes, HELLO)
        followed = end(link, run_id(spec_bytes))
        where = f"killed at {call} number {when}"
        assert followed.names[-1] == "Completed", where
        assert followed.read() == b"log\n", where
        assert marks.read_text() == "started\n", where
        offer, objects = link.fetch(run_id(spec_bytes))
        assert wire.tree_files(objects, offer["root"]) == {"outputs/x": b"out\n"}, where
        link.close()
        if survived:
            assert when > 1, "it was never killed"
            return
    pytest.fail(f"serve makes {call} more than {MOST_CALLS} times")


@needs_strace
@pytest.mark.usefixtures("traced")
def test_a_cancel_killed_anywhere_can_be_made_again(connect, tmp_path):
    root, survived, when = tmp_path / "node", False, 0
    while not survived:
        when += 1
        link = connect(root)
        run = link.submit(shell("sleep 600"), HELLO)["run"]
        body = {"run": run, "reason": "test", "by": "tester", "grace_ms": 0}
        try:
            dying = connect(root, prefix=tuple(dying_at("renameat,renameat2,fsync,write,mkdirat,flock", when)))
            dying.ask("CANCEL", body)
            survived = dying.close() == 0
        except (Closed, AssertionError, BrokenPipeError):
            pass
        link.ask("CANCEL", body)
        assert end(link, run).names[-1] == "Canceled"
        link.close()
    assert when > 5


@needs_mount
def test_a_full_disk_is_said_and_leaves_nothing_half_done(connect, tmp_path):
    root = tmp_path / "disk" / "node"
    root.parent.mkdir()
    link = connect(root, prefix=tuple(on_small_disk(root.parent, 6 << 20)))
    large = Snapshot({f"f{i}": os.urandom(1 << 20) for i in range(12)})
    for _ in range(2):
        with pytest.raises(WireError) as refused:
            submit_in_parts(link, shell("true", large), large)
        assert refused.value.code == "no_space"
    assert link.ask("STATUS", {"runs": None})[0] == [{"runs": []}]


def submit_in_parts(link: Wire, spec_bytes: bytes, snapshot: Snapshot) -> dict:
    """A submission of more than one pack."""
    stream = link.open()
    trees = {key: body for key, body in snapshot.objects.items() if key[0] == wire.TREE}
    link.write(link.submission(stream, spec_bytes, snapshot, objects=trees))
    while isinstance(answer := link.answer(stream), set):
        wanted = {key: snapshot.objects[key] for key in answer}
        while wanted:
            keys = list(wanted)[:4]
            link.write(link.pack_frames(stream, wire.pack({key: wanted.pop(key) for key in keys})))
        link.send("PUSH_END", stream)
    return answer


@needs_mount
def test_a_run_ends_on_a_disk_that_it_fills(connect, tmp_path):
    """The journal's room was reserved: the run ends, and its follower is told."""
    root = tmp_path / "disk" / "node"
    root.parent.mkdir()
    link = connect(root, prefix=tuple(on_small_disk(root.parent, 8 << 20)))
    run = link.submit(shell("head -c 100000000 /dev/zero; echo full >&2; exit 4"), HELLO)["run"]
    followed = link.follow(run, "driver.log").run()
    assert followed.names[-1] == "Failed"
    assert followed.states[-1]["exit"] == {"kind": "exited", "code": 4}
    assert followed.end["sizes"]["driver.log"] == len(followed.read())


def test_runs_outlive_serve_killed_while_they_are_followed(connect, tmp_path):
    root, gate = tmp_path / "node", tmp_path / "gate"
    text = f"i=0; while test $i -lt 2000; do echo line $i; i=$((i+1)); done; until test -e {gate}; do sleep 0.01; done"
    link = connect(root)
    run = link.submit(shell(text + "; echo done"), HELLO)["run"]
    log = b""
    expected = b"".join(b"line %d\n" % i for i in range(2000))
    while len(log) < len(expected):
        tail = wire.tail_digest(log) if log else None
        position = {"file": "driver.log", "generation": 0, "offset": len(log), "tail": tail}
        follower = connect(root)
        follower.credits = False
        followed = follower.follow(run, position).until(lambda f: f.read())
        log += followed.read()[: len(expected) // 7]
        follower.kill()
    assert log == expected
    gate.touch()
    wait_for(lambda: link.status(run)["sizes"]["driver.log"] == len(expected) + 5, "the last line")
    assert end(link, run).read() == expected + b"done\n"
