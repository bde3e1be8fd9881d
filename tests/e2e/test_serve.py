"""`errand-executor serve` as PROTOCOL.md has it: every request, answered and refused."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from support import wire
from support.inject import failing, is_possible
from support.waiting import wait_for
from support.wire import EXECUTOR, Closed, Snapshot, Wire, WireError, spec

HELLO = Snapshot({"hello.sh": (b"#!/bin/sh\necho hello $1\n", "x"), "data": {"empty": b"", "a file": b"x" * 5000}})
OTHER_CONTROLLER = "f" * 32


def shell(text: str, snapshot: Snapshot = HELLO, **changes) -> bytes:
    return spec(snapshot, ["sh", "-c", text], **changes)


def run_id(spec_bytes: bytes) -> str:
    return json.loads(spec_bytes)["run"]


def end(link: Wire, run: str) -> wire.Follow:
    """Follow the run to its end."""
    return link.follow(run, "driver.log").run()


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
    done = subprocess.run(
        [EXECUTOR, "serve", "--root", tmp_path / "file" / "node"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )  # fmt: skip
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
    flight = link.submission(stream, shell("cat new", changed), changed, objects={root: changed.objects[root]}, base=HELLO.root)
    link.write(flight)
    new = (wire.CONTENT, wire.oid(wire.CONTENT, b"new content"))
    assert link.answer(stream) == {new}
    link.write(link.pack_frames(stream, wire.pack({new: changed.objects[new]})) + link.frame("PUSH_END", stream))
    assert end(link, link.answer(stream)["run"]).read() == b"new content"


def test_an_unknown_run_that_is_only_to_be_adopted_is_not_found(link):
    with pytest.raises(WireError) as refused:
        link.submit(shell("true"), HELLO, adopt_only=True)
    assert refused.value.code == "not_found"
    spec_bytes = shell("true")
    link.submit(spec_bytes, HELLO)
    assert link.submit(spec_bytes, HELLO, adopt_only=True)["is_new"] is False


@pytest.mark.parametrize(
    "changes",
    [{"format": 2}, {"run": "Not An Id"}, {"attempts": 0}, {"framework": "cobol"}, {"snapshot": None}, {"outputs": ["../x"]}],
)  # fmt: skip
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
        body = {"spec": shell("true").decode(), "root": HELLO.root, "base": None, "adopt_only": False}
        link.send("SUBMIT", stream, body)
        link.write(link.pack_frames(stream, data))
        with pytest.raises(WireError) as refused:
            link.answer(stream)
        assert refused.value.code in ("corrupt", "limit")
    assert not list((root / "store" / "objects").glob("*/*"))
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


def test_variables_of_an_outer_run_do_not_reach_a_run(connect):
    link = connect(env={"ERRAND_RUN_ID": "outer", "ERRAND_OUTER": "1"})
    spec_bytes = shell("env")
    link.submit(spec_bytes, HELLO)
    variables = dict(line.split("=", 1) for line in end(link, run_id(spec_bytes)).read().decode().splitlines() if "=" in line)
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


def test_what_arrived_before_the_cut_is_not_asked_for_again(connect):
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
    wait_for(lambda: has_objects(broken, arrived), "the first pack in the store")
    broken.kill()
    link = connect()
    stream = link.open()
    link.write(link.submission(stream, spec_bytes, snapshot, objects=trees))
    assert link.answer(stream) == set(contents) - set(arrived)
    missing = {key: contents[key] for key in set(contents) - set(arrived)}
    link.write(link.pack_frames(stream, wire.pack(missing)) + link.frame("PUSH_END", stream))
    assert link.answer(stream)["is_new"] is True


def has_objects(link: Wire, objects: dict) -> bool:
    store = Path(link.marker["root"]) / "store" / "objects"
    return all((store / digest.hex()[:2] / digest.hex()[2:]).exists() for _, digest in objects)


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
    run = link.submit(shell("mkdir outputs; echo before > outputs/x"), HELLO)["run"]
    end(link, run)
    (root / "runs" / run / "work" / "outputs" / "x").write_text("after!\n")
    with pytest.raises(WireError) as refused:
        link.fetch(run)
    assert refused.value.code == "changed"


def test_large_outputs_come_home_in_many_packs(link):
    text = "mkdir outputs; i=0; while test $i -lt 12; do head -c 3000000 /dev/urandom > outputs/$i; i=$((i+1)); done"
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
    run = link.submit(shell("sleep 0.2; mkdir outputs; echo 1 > outputs/x"), HELLO)["run"]
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


# --- the node ------------------------------------------------------------------------------------------------------


def test_check_tells_facts_and_findings(link, root):
    [report], _ = link.ask("CHECK", {"deep": True})
    node, checks = report["node"], {check["step"]: check for check in report["checks"]}
    assert node["kernel"] == os.uname().release
    assert node["cpus"] == len(os.sched_getaffinity(0))
    assert node["memory_bytes"] > 1 << 20
    assert node["root"] == str(root)
    assert {"system", "root", "disk", "python", "logout", "cgroup", "inotify", "store"} <= set(checks)
    assert all(set(check) == {"step", "ok", "detail", "hint"} for check in report["checks"])
    assert node["python"]["version"] == subprocess.check_output(
        [node["python"]["path"], "-c", "import platform; print(platform.python_version())"], text=True
    ).strip()


def test_check_says_what_is_missing(connect, tmp_path):
    (tmp_path / "bin").mkdir()
    [report], _ = connect(env={"PATH": str(tmp_path / "bin")}).ask("CHECK", {"deep": False})
    [python] = [check for check in report["checks"] if check["step"] == "python"]
    assert python["ok"] is False
    assert "apt-get install python3" in python["hint"]


def test_a_program_that_hangs_does_not_silence_the_connection(connect, tmp_path):
    """nvidia-smi may hang for a minute: everything else is answered meanwhile."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    link = connect(env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    check = link.open()
    link.send("CHECK", check, {"deep": False})
    assert link.ask("STATUS", {"runs": None}, deadline_s=5)[0] == [{"runs": []}]
    link.send("RESET", check)
    with pytest.raises(WireError) as ended:
        link.receive(check)
    assert ended.value.code == "canceled"


def gc(link: Wire, **changes) -> dict:
    [report], _ = link.ask("GC", {"is_dry": False, "keep_days": 0, "max_store_bytes": None, **changes})
    return report


def collect(link: Wire, run: str) -> None:
    link.ask("COLLECTED", {"run": run, "root": link.fetch(run)[0]["root"], "sizes": {}})


def test_gc_removes_collected_runs_and_leaves_a_tombstone(connect, root, tmp_path):
    link, marks = connect(), tmp_path / "starts"
    kept, gone = shell("true"), shell(f"echo started >> {marks}; echo log")
    for spec_bytes in (kept, gone):
        link.submit(spec_bytes, HELLO)
        end(link, run_id(spec_bytes))
    collect(link, run_id(gone))
    before = link.status(run_id(gone))["journal"]

    assert gc(link, is_dry=True)["runs"] == 1
    assert gc(link, keep_days=1)["runs"] == 0
    assert link.status(run_id(gone))["sizes"]["driver.log"] == 4
    report = gc(link)
    assert (report["runs"], report["kept_runs"]) == (1, 1)
    assert not (root / "runs" / run_id(gone)).exists()
    assert (root / "runs" / run_id(kept)).exists()

    status = link.status(run_id(gone))
    assert (status["known"], status["collected"], status["journal"]) == (True, True, before)
    again = link.submit(gone, HELLO)
    assert (again["is_new"], again["journal"]) == (False, before)
    assert marks.read_text() == "started\n"
    with pytest.raises(WireError) as refused:
        link.submit(shell("other", run=run_id(gone)), HELLO)
    assert refused.value.code == "mismatch"
    followed = link.follow(run_id(gone), "driver.log").run()
    assert followed.names[-1] == "Completed"
    assert [event[1]["gap"] for event in followed.events if event[0] == "AT"] == [4]


def test_gc_spares_what_is_young_and_what_runs(link, root):
    run = link.submit(shell("sleep 60"), HELLO)["run"]
    report = gc(link, max_store_bytes=0)
    assert (report["runs"], report["roots"], report["objects"]) == (0, 0, 0)
    assert (root / "store" / "roots" / HELLO.root).exists()
    link.ask("CANCEL", {"run": run, "reason": "", "by": "tester", "grace_ms": 0})
    assert end(link, run).names[-1] == "Canceled"


def test_gc_removes_snapshots_that_no_run_refers_to(link, root):
    referred, unused = Snapshot({"a": b"referred"}), Snapshot({"b": b"unused"})
    runs = [link.submit(shell("true", snapshot), snapshot)["run"] for snapshot in (referred, unused)]
    for run in runs:
        end(link, run)
    collect(link, runs[1])
    make_old(root / "store", 3)
    assert gc(link, keep_days=30)["roots"] == 0
    report = gc(link)
    assert (report["runs"], report["roots"], report["objects"]) == (1, 1, 2)
    assert (root / "store" / "roots" / referred.root).exists()
    assert not (root / "store" / "roots" / unused.root).exists()


def make_old(folder: Path, days: int) -> None:
    """Set every file's time back, and what the roots say of theirs."""
    then = time.time() - days * 86400
    for path in folder.rglob("*"):
        if path.parent.name == "roots":
            facts = json.loads(path.read_text())
            facts["time"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(then))
            path.write_text(json.dumps(facts, separators=(",", ":")))
        if path.is_file():
            os.utime(path, (then, then))


def test_gc_removes_what_interrupted_programs_left(link, root):
    then = time.time() - 2 * 86400
    left = [root / "runs" / ".new-run-1", root / "runs" / ".gone-run-2", root / "bin" / ".new-77"]
    old = [root / "bin" / f"errand-executor-{'0' * 64}", root / "bin" / f"errand-executor-{link.marker['digest']}"]
    (root / "bin").mkdir(exist_ok=True)
    for path in left[:2]:
        (path / "work").mkdir(parents=True)
        (path / "work" / "file").write_text("x")
    for path in [left[2], *old]:
        path.write_text("x")
    for path in [*left, *old]:
        os.utime(path, (then, then))
    young = root / "runs" / ".new-run-3"
    young.mkdir()
    report = gc(link)
    assert (report["leftovers"], report["executors"]) == (3, 1)
    assert not any(path.exists() for path in [*left, old[0]])
    assert young.exists()
    assert old[1].exists()


# --- install -------------------------------------------------------------------------------------------------------


def install(root: Path, digest: str, name: str = ".new-1") -> subprocess.CompletedProcess:
    folder = root / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(EXECUTOR.read_bytes())
    (folder / name).chmod(0o700)
    path = folder / f"errand-executor-{digest}"
    return subprocess.run(
        [folder / name, "serve", "--root", root, "--install", path, "--digest", digest],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip


def test_an_executor_puts_itself_into_place(root):
    root.mkdir(mode=0o700)
    digest = hashlib.sha256(EXECUTOR.read_bytes()).hexdigest()
    for name in (".new-1", ".new-2"):  # the second finds the first in place: success
        done = install(root, digest, name)
        assert (done.returncode, done.stdout[:17]) == (0, b"\nERRAND-EXECUTOR ")
        assert os.listdir(root / "bin") == [f"errand-executor-{digest}"]
    assert (root / "bin" / f"errand-executor-{digest}").read_bytes() == EXECUTOR.read_bytes()


def test_an_executor_that_arrived_damaged_removes_itself(root):
    root.mkdir(mode=0o700)
    done = install(root, "0" * 64)
    assert done.returncode == 1
    assert b"ERRAND-BOOTSTRAP failed" in done.stdout
    assert b"damaged" in done.stdout
    assert os.listdir(root / "bin") == []


def test_an_executor_installs_through_a_symbolic_link(root, tmp_path):
    root.mkdir(mode=0o700)
    (root / "bin").mkdir()
    (tmp_path / "link").symlink_to(root / "bin")
    digest = hashlib.sha256(EXECUTOR.read_bytes()).hexdigest()
    own = root / "bin" / ".new-1"
    own.write_bytes(EXECUTOR.read_bytes())
    own.chmod(0o700)
    path = tmp_path / "link" / f"errand-executor-{digest}"
    done = subprocess.run(
        [own, "serve", "--root", root, "--install", path, "--digest", digest],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert path.exists()


# --- hostile ends --------------------------------------------------------------------------------------------------


HOSTILE = {
    "garbage": lambda link: os.urandom(4096),
    "shell": lambda link: b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "oversized": lambda link: wire.HEADER.pack(1 << 30, wire.NUMBERS["SUBMIT"], 0, 0, 1),
    "unknown type": lambda link: link.frame(200, 1, b"{}"),
    "reserved bits": lambda link: wire.HEADER.pack(2, wire.NUMBERS["STATUS"], 0, 7, 1) + b"{}",
    "second hello": lambda link: link.frame("HELLO", 0, {"protocol": 1}),
    "no json": lambda link: link.frame("STATUS", 1, b"runs"),
    "json too deep": lambda link: link.frame("STATUS", 1, b'{"runs":' + b"[" * 4000 + b"]" * 4000 + b"}"),
    "data without a stream": lambda link: link.frame("DATA", 5, b"x"),
    "data on a follow": lambda link: link.frame("FOLLOW", 1, {"run": "norun", "journal_seq": 0, "files": [], "until": "now"})
    + link.frame("DATA", 1, b"x"),
    "executor's message": lambda link: link.frame("ACCEPTED", 1, {"run": "norun", "is_new": True, "journal": []}),
    "stream used again": lambda link: link.frame("STATUS", 2, {"runs": None}) + link.frame("STATUS", 1, {"runs": None}),
    "objects before submit": lambda link: link.frame("SECRETS", 1, {"secrets": {}}) + link.frame("DATA", 1, b"x"),
    "more than the credit": lambda link: link.frame(
        "SUBMIT", 1, {"spec": shell("true").decode(), "root": HELLO.root, "base": None, "adopt_only": False}
    )
    + link.frame("DATA", 1, b"x" * wire.DATA_MAX) * 140,
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_an_end_that_breaks_the_protocol_is_told_and_left(connect, what):
    link = connect()
    try:
        link.write(HOSTILE[what](link))
        while True:
            message = link.read()
            if message.name == "ERROR" and message.stream == 0:
                break
        assert message.json["code"] in ("protocol", "limit", "version")
    except Closed:
        pass
    assert link.close() == 1


def test_a_request_before_hello_is_refused(connect):
    link = connect(is_greeting=False)
    link.send("STATUS", 1, {"runs": None})
    with pytest.raises(WireError) as refused:
        link.receive(0)
    assert refused.value.code == "protocol"
    assert link.close() == 1


def test_half_a_frame_and_the_end_is_no_trouble(connect):
    for cut in range(1, 40, 3):
        link = connect()
        link.write(link.frame("STATUS", 1, {"runs": None})[:cut])
        assert link.close() == 0


def test_a_controller_that_asks_and_never_reads_is_held_back(link):
    """Megabytes of questions without reading one answer: serve stops reading, and its memory stays small."""
    question = link.frame("PING", 0, b"x" * 64)
    os.set_blocking(link.process.stdin.fileno(), False)
    sent, stuck_since = 0, None
    while sent < 64 << 20:
        try:
            sent += os.write(link.process.stdin.fileno(), question * 500)
            stuck_since = None
        except BlockingIOError:
            stuck_since = stuck_since or time.monotonic()
            if time.monotonic() - stuck_since > 1:
                break
        except BrokenPipeError:
            break
    memory_kib = 0
    try:
        status = Path(f"/proc/{link.process.pid}/status").read_text()
        memory_kib = int(status.split("VmRSS:")[1].split()[0]) if "VmRSS:" in status else 0
    except FileNotFoundError:
        pass
    assert memory_kib < 64 << 10


def test_runs_go_on_when_their_connection_breaks(connect, tmp_path):
    mark = tmp_path / "done"
    link = connect()
    run = link.submit(shell(f"while ! test -e {tmp_path}/go; do sleep 0.05; done; touch {mark}"), HELLO)["run"]
    link.write(os.urandom(1000))
    link.close()
    (tmp_path / "go").touch()
    assert end(connect(), run).names[-1] == "Completed"
    assert mark.exists()


def test_reset_ends_one_stream_and_no_other(link, tmp_path):
    run = link.submit(shell(f"while ! test -e {tmp_path}/go; do sleep 0.05; done; echo done"), HELLO)["run"]
    first, second = link.follow(run, "driver.log"), link.follow(run, "driver.log")
    first.until(lambda f: "Running" in f.names)
    link.send("RESET", first.stream)
    with pytest.raises(WireError) as ended:
        first.run()
    assert ended.value.code == "canceled"
    (tmp_path / "go").touch()
    assert second.run().read() == b"done\n"


def test_a_push_that_is_reset_leaves_no_run(link, root):
    stream = link.open()
    spec_bytes = shell("true")
    link.write(link.submission(stream, spec_bytes, HELLO)[:-12])  # all but PUSH_END
    link.send("RESET", stream)
    with pytest.raises(WireError) as ended:
        link.answer(stream)
    assert ended.value.code == "canceled"
    assert link.status(run_id(spec_bytes))["known"] is False
    assert link.submit(spec_bytes, HELLO)["is_new"] is True


