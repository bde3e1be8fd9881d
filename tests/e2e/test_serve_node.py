"""`serve`: CHECK, GC and --install: what concerns the node and not one run."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from support import inject
from support.foldertree import objects_in
from support.runs import HELLO, end, run_id, shell
from support.waiting import wait_for
from support.wire import EXECUTOR, Snapshot, Wire, WireError


def test_check_tells_facts_and_findings(link, root):
    [report], _ = link.ask("CHECK", {"deep": True})
    node, checks = report["node"], {check["step"]: check for check in report["checks"]}
    assert node["kernel"] == os.uname().release
    assert node["cpus"] == len(os.sched_getaffinity(0))
    assert node["memory_bytes"] > 1 << 20
    assert node["root"] == str(root)
    assert {"system", "root", "disk", "python", "logout", "cgroup", "inotify", "log limit", "store"} <= set(checks)
    assert all(set(check) == {"step", "ok", "detail", "hint"} for check in report["checks"])
    assert (
        node["python"]["version"]
        == subprocess.check_output(
            [node["python"]["path"], "-c", "import platform; print(platform.python_version())"], text=True
        ).strip()
    )


@pytest.mark.skipif(not inject.is_possible("strace"), reason="this machine does not let us trace")
@pytest.mark.usefixtures("traced")
def test_check_says_where_a_log_cannot_be_cut(connect):
    def log_limit(*prefix: str) -> dict:
        [report], _ = connect(prefix=prefix).ask("CHECK", {"deep": False})
        [check] = [check for check in report["checks"] if check["step"] == "log limit"]
        return check

    assert log_limit()["ok"] is True
    said = log_limit(*inject.failing("fallocate", error="EOPNOTSUPP", when="1+"))
    assert said["ok"] is False and "log_max_size" in said["detail"] and "root:" in said["hint"]


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
    assert link.ask("STATUS", {"runs": None})[0] == [{"runs": []}]
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

    wait_for(lambda: gc(link, is_dry=True)["runs"] == 1, "the end of the run's supervisors")
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


def test_gc_removes_the_work_tree_of_what_is_at_home_and_keeps_the_run(link, root):
    spec_bytes = shell("echo log; mkdir -p outputs; echo result > outputs/x; head -c 3000000 /dev/zero > rest")
    link.submit(spec_bytes, HELLO)
    run = run_id(spec_bytes)
    end(link, run)
    folder = root / "runs" / run
    wait_for(lambda: gc(link, is_dry=True, keep_days=1)["kept_runs"] == 1, "the run to be known")
    assert gc(link, keep_days=1, keep_work_days=0)["work_trees"] == 0, "nobody has its outputs yet"
    collect(link, run)
    assert gc(link, keep_days=1, keep_work_days=1)["work_trees"] == 0
    assert gc(link, keep_days=1)["work_trees"] == 0, "as long as the run, where nothing is said"
    would = gc(link, keep_days=1, keep_work_days=0, is_dry=True)
    assert (folder / "work" / "rest").exists()
    report = gc(link, keep_days=1, keep_work_days=0)
    for one in (would, report):
        assert (one["runs"], one["work_trees"], one["kept_runs"]) == (0, 1, 1)
        assert one["bytes"] >= 3000000 > one["kept_runs_bytes"] > 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "collected", "control", "control.log", "driver.log", "exit", "journal", "metrics", "outputs.json", "requests",
        "spec.json",
    ]  # fmt: skip
    assert link.follow(run, "driver.log").run().read() == b"log\n"
    with pytest.raises(WireError) as refused:
        link.fetch(run)
    assert refused.value.code == "not_found" and "are not here any more" in str(refused.value)
    assert link.submit(spec_bytes, HELLO)["is_new"] is False
    assert gc(link, keep_days=1, keep_work_days=0)["work_trees"] == 0
    assert gc(link)["runs"] == 1


def test_gc_finishes_what_was_interrupted_in_removing_a_work_tree(link, root):
    spec_bytes = shell("true")
    link.submit(spec_bytes, HELLO)
    run = run_id(spec_bytes)
    end(link, run)
    collect(link, run)
    (root / "runs" / run / "work").rename(root / "runs" / run / "work.gone")
    wait_for(
        lambda: gc(link, keep_days=1, keep_work_days=0) and not (root / "runs" / run / "work.gone").exists(),
        "the rest of the work tree to go",
    )


def test_gc_keeps_outputs_that_are_nowhere_else(link, root):
    """They could not be collected, or not all of them: their submitter has the rest, and the node the work tree."""
    spec_bytes = shell("mkdir -p outputs; mkfifo outputs/fifo; echo x > outputs/x")
    link.submit(spec_bytes, HELLO)
    run = run_id(spec_bytes)
    assert end(link, run).states[-1]["outputs"]["warnings"]
    collect(link, run)
    wait_for(lambda: gc(link, is_dry=True)["runs"] == 1, "the end of the run's supervisors")
    assert gc(link, keep_days=1, keep_work_days=0)["work_trees"] == 0
    assert (root / "runs" / run / "work" / "outputs" / "x").exists()


def test_gc_tells_what_executors_and_runs_cost(link, root):
    link.submit(shell("sleep 60"), HELLO)
    executor = root / "bin" / f"errand-executor-{'0' * 64}"
    executor.parent.mkdir(exist_ok=True)
    executor.write_bytes(b"x" * 50000)
    report = gc(link)
    assert (report["kept_runs"], report["kept_executors"]) == (1, 1)
    assert report["kept_runs_bytes"] > 0
    assert 50000 <= report["kept_executors_bytes"] < 100000
    make_old(executor.parent, 3)
    for report in (gc(link, is_dry=True), gc(link)):
        assert (report["executors"], report["kept_executors"], report["kept_executors_bytes"]) == (1, 0, 0)


def test_gc_spares_what_is_young_and_what_runs(link, root):
    run = link.submit(shell("sleep 60"), HELLO)["run"]
    report = gc(link, max_store_bytes=0)
    assert (report["runs"], report["roots"], report["objects"]) == (0, 0, 0)
    assert (root / "store" / "roots" / HELLO.root).exists()
    link.ask("CANCEL", {"run": run, "reason": "", "by": "tester", "grace_ms": 0})
    assert end(link, run).names[-1] == "Canceled"


@pytest.mark.parametrize("files", [1, 300], ids=["files", "a-pack"])
def test_gc_removes_snapshots_that_no_run_refers_to(link, root, files):
    referred, unused = (
        Snapshot({f"{word}{i}": b"%d" % i for i in range(at, at + files)}) for at, word in ((0, "a"), (1000, "b"))
    )
    runs = [link.submit(shell("true", snapshot), snapshot)["run"] for snapshot in (referred, unused)]
    for run in runs:
        end(link, run)
    collect(link, runs[1])
    make_old(root / "store", 3)
    wait_for(lambda: gc(link, is_dry=True)["runs"] == 1, "the end of the run's supervisors")
    assert gc(link, keep_days=30)["roots"] == 0
    make_old(root / "store", 3)  # what a collection has looked at is young again
    report = gc(link)
    assert (report["runs"], report["roots"], report["objects"]) == (1, 1, files + 1)
    assert objects_in(root / "store").keys() == {digest.hex() for _, digest in referred.objects}
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
    brought = root / "bin" / ".uv-run-9"
    brought.mkdir()
    (brought / "uv").write_text("x")
    script = root / ".check-4711.py"
    script.write_text("x")
    left += [brought, script]
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
