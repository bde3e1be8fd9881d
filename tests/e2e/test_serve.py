"""`errand-executor serve` as PROTOCOL.md has it: every request, answered and refused."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import wire
from support.foldertree import objects_in
from support.inject import failing, is_possible
from support.runs import HELLO, end, run_id, shell
from support.wire import EXECUTOR, Closed, Snapshot, Wire, WireError

OTHER_CONTROLLER = "f" * 32


# --- opening -------------------------------------------------------------------------------------------------------


def test_the_marker_says_who_is_there(connect, root):
    marker = connect().marker
    assert marker["protocol"] == 1
    assert marker["digest"] == hashlib.sha256(EXECUTOR.read_bytes()).hexdigest()
    assert marker["store"] == (root / "store" / "id").read_text().strip()
    assert marker["node"] == json.loads((root / "node").read_text())["id"]
    assert marker["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert marker["platform"] == f"linux-{os.uname().machine}"
    assert marker["root"] == str(root)


def test_serve_leaves_quietly_when_its_input_is_closed(connect):
    assert connect().close() == 0


def test_another_version_of_the_protocol_is_refused(connect):
    link = connect(is_greeting=False)
    link.hello(protocol=2)
    with pytest.raises(WireError) as refused:
        link.receive(0)
    assert refused.value.code == "version"
    assert link.close() == 1


def test_a_root_that_cannot_be_made_is_said_where_the_bootstrap_would(tmp_path):
    (tmp_path / "file").write_text("")
    command = [EXECUTOR, "serve", "--root", tmp_path / "file" / "node"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(b"\nERRAND-BOOTSTRAP failed ")
    assert done.stdout.count(b"\n") == 2
    assert str(tmp_path / "file").encode() in done.stdout


def test_ping_is_answered_while_a_run_is_followed(link):
    run = link.submit(shell("sleep 30"), HELLO)["run"]
    link.follow(run, "driver.log")
    link.send("PING", 0, b"are you there")
    while (message := link.read()).name != "PONG":
        pass
    assert message.payload == b"are you there"
    link.ask("CANCEL", {"run": run, "reason": "test", "by": "tester", "grace_ms": 0})


# --- submission ----------------------------------------------------------------------------------------------------


def test_a_run_goes_from_its_submission_to_its_outputs(link):
    text = "./hello.sh world; cat data/a*file | wc -c; mkdir -p outputs/deep; echo result > outputs/deep/file; exit 3"
    spec_bytes = shell(text)
    accepted = link.submit(spec_bytes, HELLO)
    run = run_id(spec_bytes)
    assert accepted["run"] == run
    assert accepted["is_new"] is True
    first = json.loads(accepted["journal"][0])
    assert (first["seq"], first["state"], first["node"]) == (1, "Starting", link.marker["node"])
    assert first["store"] == link.marker["store"]
    assert first["executor"] == link.marker["digest"]

    followed = link.follow(run, "driver.log", "control.log", "metrics").run()
    assert followed.read() == b"hello world\n5000\n"
    assert followed.names[0] == "Starting"
    assert followed.names[-1] == "Failed"
    assert [line["seq"] for line in followed.states] == list(range(1, len(followed.states) + 1))
    final = followed.states[-1]
    assert final["exit"] == {"kind": "exited", "code": 3}
    assert followed.end["state"] == "Failed"
    assert followed.end["sizes"]["driver.log"] == final["logs"]["driver.log"] == len(followed.read())

    status = link.status(run)
    assert status["known"] is True
    assert [json.loads(line) for line in status["journal"]] == followed.states
    assert status["spec"] == hashlib.sha256(spec_bytes).hexdigest()
    assert status["sizes"]["driver.log"] == len(followed.read())
    assert status["collected"] is False

    offer, objects = link.fetch(run)
    assert (offer["files"], offer["size_bytes"], offer["warnings"]) == (1, 7, [])
    assert wire.tree_files(objects, offer["root"]) == {"outputs/deep/file": b"result\n"}
    assert offer["root"] == final["outputs"]["root"]

    link.ask("COLLECTED", {"run": run, "root": offer["root"], "sizes": followed.end["sizes"]})
    assert link.status(run)["collected"] is True


def test_the_same_submission_again_starts_nothing(connect, tmp_path):
    marks = tmp_path / "starts"
    spec_bytes = shell(f"echo started >> {marks}")
    first = connect().submit(spec_bytes, HELLO)
    link = connect()
    again = link.submit(spec_bytes, HELLO)
    assert (first["is_new"], again["is_new"]) == (True, False)
    end(link, first["run"])
    late = link.submit(spec_bytes, HELLO, objects={})
    assert late["is_new"] is False
    assert json.loads(late["journal"][-1])["state"] == "Completed"
    assert marks.read_text() == "started\n"


def test_the_same_id_with_another_specification_is_a_mismatch(link):
    spec_bytes = shell("true")
    run = link.submit(spec_bytes, HELLO)["run"]
    with pytest.raises(WireError) as refused:
        link.submit(shell("false", run=run), HELLO)
    assert refused.value.code == "mismatch"
    assert end(link, run).names[-1] == "Completed"


def test_a_snapshot_that_is_there_is_not_asked_for_again(link):
    link.submit(shell("true"), HELLO)
    stream = link.open()
    link.write(link.submission(stream, shell("true"), HELLO, objects={}, base=HELLO.root))
    assert link.answer(stream)["is_new"] is True


def test_only_what_is_missing_is_asked_for(link):
    """With the first snapshot as base, and only the root tree sent along, the new file alone is needed."""
    link.submit(shell("true"), HELLO)
    changed = Snapshot({**HELLO.files, "new": b"new content"})
    stream = link.open()
    root = (wire.TREE, bytes.fromhex(changed.root))
    flight = link.submission(
        stream, shell("cat new", changed), changed, objects={root: changed.objects[root]}, base=HELLO.root
    )
    link.write(flight)
    new = (wire.CONTENT, wire.oid(wire.CONTENT, b"new content"))
    assert link.answer(stream) == {new}
    link.write(link.pack_frames(stream, wire.pack({new: changed.objects[new]})) + link.frame("PUSH_END", stream))
    assert end(link, link.answer(stream)["run"]).read() == b"new content"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"run": "Not An Id"},
        {"attempts": 0},
        {"framework": "cobol"},
        {"resources": None},
        {"outputs": ["../x"]},
    ],
)
def test_a_bad_specification_is_refused_and_the_connection_goes_on(link, changes):
    with pytest.raises(WireError) as refused:
        link.submit(shell("true", **changes), HELLO)
    assert refused.value.code in ("corrupt", "version", "limit")
    link.submit(shell("true"), HELLO)


def test_a_specification_of_another_snapshot_is_refused(link):
    other = Snapshot({"other": b""})
    with pytest.raises(WireError) as refused:
        link.submit(shell("true", other), HELLO)
    assert refused.value.code == "protocol"


def test_a_pack_that_lies_is_refused_and_the_store_stays_clean(link, root):
    lies = {(wire.CONTENT, wire.oid(wire.CONTENT, b"truth")): b"lies"}
    for data in (wire.pack(lies), b"no pack at all", wire.zstd_frame(b"\0" * 100)):
        stream = link.open()
        body = {"spec": shell("true").decode(), "root": HELLO.root, "base": None}
        link.send("SUBMIT", stream, body)
        link.write(link.pack_frames(stream, data))
        with pytest.raises(WireError) as refused:
            link.answer(stream)
        assert refused.value.code in ("corrupt", "limit")
    assert not [*(root / "store" / "objects").glob("*/*"), *(root / "store" / "packs").iterdir()]
    assert not [name for name in os.listdir(root / "runs") if not name.startswith(".")]
    link.submit(shell("true"), HELLO)


def test_secrets_reach_the_run_and_no_disk(link, root):
    value = "s3cr3t-" + os.urandom(8).hex()
    snapshot = Snapshot({"check.sh": b'printf "%s" "$TOKEN" | sha256sum\n'})
    spec_bytes = shell("sh check.sh", snapshot, secrets=["TOKEN"])
    run = link.submit(spec_bytes, snapshot, secrets_sent={"TOKEN": value})["run"]
    assert end(link, run).read().split()[0].decode() == hashlib.sha256(value.encode()).hexdigest()
    for path in root.rglob("*"):
        if path.is_file():
            assert value.encode() not in path.read_bytes(), path


def test_a_run_without_the_secrets_it_names_is_refused(link):
    for sent in (None, {}, {"OTHER": "x"}):
        with pytest.raises(WireError) as refused:
            link.submit(shell("true", secrets=["TOKEN"]), HELLO, secrets_sent=sent)
        assert refused.value.code == "not_found"
        assert "TOKEN" in str(refused.value)


@pytest.fixture
def program(tmp_path) -> Path:
    """An executor of the test's own. Without its execute bit nothing more is started from it."""
    return Path(shutil.copy(EXECUTOR, tmp_path / "executor"))


def test_a_run_whose_start_fails_is_accepted_and_started_later(connect, program, root):
    link = connect(executor=program)
    program.chmod(0o600)
    accepted = link.submit(shell("echo started"), HELLO)
    run = accepted["run"]
    assert accepted["is_new"] is True
    assert "start: " in (root / "runs" / run / "control.log").read_text()
    program.chmod(0o700)
    followed = end(link, run)
    assert followed.end["state"] == "Completed"
    assert followed.read() == b"started\n"


def test_a_run_with_secrets_whose_start_fails_starts_when_it_is_sent_again(connect, program):
    link = connect(executor=program)
    spec_bytes = shell('echo "$TOKEN"', secrets=["TOKEN"])
    program.chmod(0o600)
    with pytest.raises(WireError) as refused:
        link.submit(spec_bytes, HELLO, secrets_sent={"TOKEN": "x"})
    assert refused.value.code == "spawn"
    program.chmod(0o700)
    assert link.submit(spec_bytes, HELLO, secrets_sent={"TOKEN": "x"})["is_new"] is False
    assert end(link, run_id(spec_bytes)).read() == b"x\n"


def test_variables_of_an_outer_run_do_not_reach_a_run(connect):
    link = connect(env={"ERRAND_RUN_ID": "outer", "ERRAND_OUTER": "1"})
    spec_bytes = shell("env")
    link.submit(spec_bytes, HELLO)
    variables = dict(
        line.split("=", 1) for line in end(link, run_id(spec_bytes)).read().decode().splitlines() if "=" in line
    )
    assert "ERRAND_OUTER" not in variables
    assert variables["ERRAND_RUN_ID"] == run_id(spec_bytes)


def test_a_cut_submission_is_resumed_and_starts_once(connect, root, tmp_path):
    """The link is lost after every so many bytes of the flight; then the same is submitted whole."""
    marks = tmp_path / "starts"
    snapshot = Snapshot({f"file{i}": bytes([i]) * 3000 for i in range(40)})
    length = len(Wire.submission(1, shell("true", snapshot), snapshot))
    runs = []
    for cut in [*range(1, length, length // 23), length - 1, length]:
        spec_bytes = shell(f"echo {len(runs)} >> {marks}", snapshot)
        broken = connect()
        broken.write(broken.submission(broken.open(), spec_bytes, snapshot)[:cut])
        broken.close()
        link = connect()
        link.submit(spec_bytes, snapshot)
        assert end(link, run_id(spec_bytes)).names[-1] == "Completed"
        link.close()
        runs.append(run_id(spec_bytes))
    assert sorted(map(int, marks.read_text().split())) == list(range(len(runs)))
    assert sorted(name for name in os.listdir(root / "runs") if not name.startswith(".")) == sorted(runs)


def test_many_small_objects_share_a_file(connect, root):
    snapshot = Snapshot({f"f{i}": b"%d" % i for i in range(300)} | {"large": os.urandom(200_000)})
    link = connect()
    link.submit(shell("cat f299", snapshot), snapshot)
    store = root / "store"
    assert objects_in(store) == {digest.hex(): body for (_, digest), body in snapshot.objects.items()}
    assert len([*(store / "packs").iterdir()]) == 1
    assert len([*(store / "objects").glob("*/*")]) == 1


def test_a_root_that_older_executors_may_use_keeps_a_file_for_each_object(connect, root):
    root.mkdir(mode=0o700)
    (root / "format").write_text("1\n")
    snapshot = Snapshot({f"f{i}": b"%d" % i for i in range(300)})
    connect().submit(shell("cat f299", snapshot), snapshot)
    store = root / "store"
    assert not (store / "packs").exists()
    assert len([*(store / "objects").glob("*/*")]) == len(snapshot.objects)
    assert (root / "format").read_text() == "1\n"


@pytest.mark.parametrize("ending", ["cut", "killed"])
def test_what_arrived_before_the_end_is_not_asked_for_again(connect, ending):
    """A serve that is killed may lose what came in its last seconds, and nothing that it has is broken."""
    files = {f"f{i:02}": os.urandom(20000) for i in range(20)}
    snapshot = Snapshot(files)
    trees = {key: body for key, body in snapshot.objects.items() if key[0] == wire.TREE}
    contents = {key: body for key, body in snapshot.objects.items() if key[0] == wire.CONTENT}
    arrived = dict(list(contents.items())[:7])
    spec_bytes = shell("true", snapshot)
    broken = connect()
    stream = broken.open()
    flight = broken.submission(stream, spec_bytes, snapshot, objects=trees)
    broken.write(flight)
    assert broken.answer(stream) == set(contents)
    broken.write(broken.pack_frames(stream, wire.pack(arrived)))
    broken.write(broken.pack_frames(stream, wire.pack(contents))[:100_000])
    if ending == "cut":
        broken.close()
    else:
        broken.kill()
    link = connect()
    stream = link.open()
    link.write(link.submission(stream, spec_bytes, snapshot, objects=trees))
    asked = link.answer(stream)
    assert set(contents) - set(arrived) <= asked <= set(contents)
    assert ending == "killed" or asked == set(contents) - set(arrived)
    missing = {key: contents[key] for key in asked}
    link.write(link.pack_frames(stream, wire.pack(missing)) + link.frame("PUSH_END", stream))
    assert link.answer(stream)["is_new"] is True


@pytest.mark.skipif(not is_possible("strace"), reason="this machine does not let us trace")
def test_a_run_accepted_by_a_serve_that_died_is_started_by_the_next(connect, root, tmp_path):
    """SIGKILL at the first process that serve starts: the run is on disk, and nobody looks after it."""
    marks = tmp_path / "starts"
    spec_bytes = shell(f"echo started >> {marks}")
    dying = connect(prefix=(*failing("fork,vfork,clone,clone3", signal="KILL"),))
    with pytest.raises((Closed, AssertionError)):
        dying.submit(spec_bytes, HELLO)
    assert (root / "runs" / run_id(spec_bytes) / "spec.json").read_bytes() == spec_bytes
    link = connect()
    assert link.submit(spec_bytes, HELLO)["is_new"] is False
    assert end(link, run_id(spec_bytes)).names[-1] == "Completed"
    assert marks.read_text() == "started\n"


@pytest.mark.skipif(not is_possible("strace"), reason="this machine does not let us trace")
def test_a_run_accepted_by_a_serve_that_died_is_adopted_by_any_other(connect, tmp_path):
    marks = tmp_path / "starts"
    spec_bytes = shell(f"echo started >> {marks}")
    dying = connect(prefix=(*failing("fork,vfork,clone,clone3", signal="KILL"),))
    with pytest.raises((Closed, AssertionError)):
        dying.submit(spec_bytes, HELLO)
    assert end(connect(), run_id(spec_bytes)).names[-1] == "Completed"
    assert marks.read_text() == "started\n"


# --- runs that are not there, requests that are not possible --------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("FOLLOW", {"journal_seq": 0, "files": [], "until": "end"}),
        ("FETCH", {"base": None}),
        ("CANCEL", {"reason": "", "by": "tester", "grace_ms": None}),
        ("COLLECTED", {"root": None, "sizes": {}}),
    ],
)
def test_a_run_that_is_not_there_is_not_found(link, name, body):
    stream = link.open()
    link.send(name, stream, {"run": "nosuchrun", **body})
    with pytest.raises(WireError) as refused:
        link.receive(stream)
    assert refused.value.code == "not_found"
    assert "nosuchrun" in str(refused.value)


def test_status_says_what_it_does_not_know(link):
    assert link.status("nosuchrun")["known"] is False
    assert link.ask("STATUS", {"runs": None})[0] == [{"runs": []}]


def test_status_tells_of_all_runs(link):
    runs = {link.submit(shell("true"), HELLO)["run"] for _ in range(5)}
    reports, _ = link.ask("STATUS", {"runs": None})
    assert {entry["run"] for report in reports for entry in report["runs"]} == runs
    assert all(entry["known"] for report in reports for entry in report["runs"])


def test_outputs_of_a_run_that_goes_on_are_not_offered(link):
    run = link.submit(shell("sleep 60"), HELLO)["run"]
    with pytest.raises(WireError) as refused:
        link.fetch(run)
    assert refused.value.code == "busy"
    link.ask("CANCEL", {"run": run, "reason": "test", "by": "tester", "grace_ms": 0})


def test_a_run_without_outputs_offers_nothing(link):
    run = link.submit(shell("true"), HELLO)["run"]
    end(link, run)
    offer, objects = link.fetch(run)
    assert (offer["root"], offer["files"], objects) == (None, 0, {})


def test_outputs_that_were_changed_since_are_not_sent(link, root):
    run = link.submit(shell("mkdir -p outputs; echo before > outputs/x"), HELLO)["run"]
    end(link, run)
    (root / "runs" / run / "work" / "outputs" / "x").write_text("after!\n")
    with pytest.raises(WireError) as refused:
        link.fetch(run)
    assert refused.value.code == "changed"


def test_large_outputs_come_home_in_many_packs(link):
    text = "mkdir -p outputs; i=0; while test $i -lt 12; do head -c 3000000 /dev/urandom > outputs/$i; i=$((i+1)); done"
    run = link.submit(shell(text), HELLO)["run"]
    end(link, run)
    offer, objects = link.fetch(run)
    assert offer["size_bytes"] == 36_000_000
    assert sum(map(len, wire.tree_files(objects, offer["root"]).values())) == 36_000_000


def test_cancel_ends_a_run_and_answers_at_once(link):
    run = link.submit(shell("trap '' TERM; sleep 600 & wait; sleep 600"), HELLO)["run"]
    followed = link.follow(run, "driver.log").until(lambda f: "Running" in f.names)
    _, answer = link.ask("CANCEL", {"run": run, "reason": "changed my mind", "by": "tester", "grace_ms": 100})
    assert answer["state"] in ("Running", "CancelRequested")
    followed.run()
    assert followed.names[-1] == "Canceled"
    assert followed.states[-1]["exit"]["kind"] == "canceled"
    assert link.ask("CANCEL", {"run": run, "reason": "", "by": "tester", "grace_ms": None})[1]["state"] == "Canceled"


def test_only_the_submitter_collects_and_only_what_is_there(connect):
    link = connect()
    run = link.submit(shell("sleep 0.2; mkdir -p outputs; echo 1 > outputs/x"), HELLO)["run"]
    body = {"run": run, "root": None, "sizes": {}}
    for late in (False, True):
        if late:
            end(link, run)
        with pytest.raises(WireError) as refused:
            link.ask("COLLECTED", body)
        assert refused.value.code == ("mismatch" if late else "busy")
    right = {**body, "root": link.fetch(run)[0]["root"]}
    with pytest.raises(WireError) as refused:
        connect(controller=OTHER_CONTROLLER).ask("COLLECTED", right)
    assert refused.value.code == "access"
    assert link.status(run)["collected"] is False
    link.ask("COLLECTED", right)
    assert link.status(run)["collected"] is True
