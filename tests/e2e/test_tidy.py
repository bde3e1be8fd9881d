"""The round that nobody asked for: a connection's end starts it, where it is due, and nobody notices."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import aging, inject
from support.aging import age_node
from support.projects import write_files
from support.runs import HELLO, end, run_id, shell
from support.waiting import wait_for
from support.wire import EXECUTOR, Snapshot, Wire

DAY_MS = 86400 * 1000
WISH = {"every_ms": DAY_MS, "keep_work_ms": 3 * DAY_MS, "keep_runs_ms": 30 * DAY_MS}
TIDY = ["--every", "1d", "--keep-work", "3d", "--keep-runs", "30d"]

needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="this machine does not let us mount")
needs_strace = pytest.mark.skipif(not inject.is_possible("strace"), reason="this machine does not let us trace")


def record(root: Path) -> dict:
    """What the last round wrote; {} while it writes, or where there was none."""
    try:
        return json.loads((root / "tidied").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def rounds_end(root: Path) -> dict:
    wait_for(lambda: "ended" in record(root), "a round to end")
    return record(root)["report"]


def finished_run(link: Wire, text: str = "true", *, is_collected: bool = True, snapshot: Snapshot = HELLO) -> str:
    spec_bytes = shell(f"{text}; mkdir -p outputs; echo x > outputs/x", snapshot)
    link.submit(spec_bytes, snapshot)
    run = run_id(spec_bytes)
    end(link, run)
    if is_collected:
        link.ask("COLLECTED", {"run": run, "root": link.fetch(run)[0]["root"], "sizes": {}})
    dry = {"is_dry": True, "keep_days": 0, "max_store_bytes": None}
    if is_collected:
        wait_for(lambda: link.ask("GC", dry)[0][0]["runs"] > 0, "the end of the run's supervisors")
    return run


def tidy(root: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
    """A round in a process that we wait for: its output is closed when it ends."""
    subprocess.run(
        [*prefix, EXECUTOR, "tidy", "--root", root, *(arguments or TIDY)], check=True, capture_output=True, timeout=120
    )


def test_the_end_of_a_connection_removes_what_is_due_and_no_more(connect, root):
    link = connect(tidy=WISH)
    collected, not_collected = finished_run(link), finished_run(link, is_collected=False)
    link.close()
    assert record(root) == {} and (root / "tidied").exists(), "a new root has nothing to tidy"
    age_node(root, 4)
    link = connect(tidy=WISH)
    assert (root / "runs" / collected / "work").exists(), "not while somebody is connected"
    link.close()
    report = rounds_end(root)
    assert (report["work_trees"], report["runs"], report["warnings"]) == (1, 0, [])
    assert not (root / "runs" / collected / "work").exists()
    assert (root / "runs" / collected / "driver.log").exists()
    assert (root / "runs" / not_collected / "work").exists()
    age_node(root, 40)
    connect(tidy=WISH).close()
    wait_for(lambda: record(root).get("report", {}).get("runs") == 1, "the run to go")
    assert (root / "runs" / not_collected / "work/outputs/x").exists(), "nobody has its outputs"


def test_it_is_not_done_twice_nor_where_nobody_wants_it(connect, root):
    connect(tidy=WISH).close()
    age_node(root, 40)
    connect().close()
    connect(tidy={**WISH, "every_ms": 0}).close()
    assert (root / "tidied").read_text() == ""
    connect(tidy=WISH).close()
    rounds_end(root)
    before = (root / "tidied").read_text()
    age_node(root, 0.9)
    tidy(root)
    connect(tidy=WISH).close()
    assert (root / "tidied").read_text() == before
    tidy(root, "--every", "10h")
    assert (root / "tidied").read_text() != before


def test_of_many_connections_one_does_it(connect, root):
    connect(tidy=WISH).close()
    age_node(root, 2)
    links = [connect(tidy=WISH) for _ in range(5)]
    with open(root / "tidied", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for link in links:
            link.close()
        tidy(root)
        assert (root / "tidied").read_text() == "", "whoever has the lock does it"
    connect(tidy=WISH).close()
    rounds_end(root)


def test_a_push_is_not_waited_for_and_what_it_left_goes_in_the_next_round(connect, root):
    link = connect(tidy=WISH)
    finished_run(link)
    link.close()
    age_node(root, 40)
    with open(root / "store/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        tidy(root)
        report = record(root)["report"]
        assert (report["runs"], report["roots"], report["is_store_due"]) == (1, 0, True)
    assert [path.name for path in (root / "store/roots").iterdir()] == [HELLO.root]
    tidy(root, "--every", "0", *TIDY[2:])
    report = record(root)["report"]
    assert (report["roots"], report["is_store_due"]) == (1, False) and report["objects"] > 0
    tidy(root, "--every", "0", *TIDY[2:])
    assert record(root)["report"]["kept_objects"] == 0, "where no snapshot is due nobody looks at the store"


def test_executors_stay_while_they_are_used(connect, root):
    link = connect(tidy=WISH)
    own, other = (root / "bin" / f"errand-executor-{digest}" for digest in (link.marker["digest"], "0" * 64))
    for path in (own, other):
        path.write_bytes(b"x")
    age_node(root, 20)
    link.close()
    age_node(root, 20)
    connect(tidy=WISH).close()
    assert rounds_end(root)["executors"] == 1
    assert own.exists() and not other.exists()
    # Of another version's connection, that one was in use 20 days ago.
    (root / "bin" / f"errand-executor-{'1' * 64}").write_bytes(b"x")
    age_node(root, 20)
    tidy(root)
    assert record(root)["report"]["executors"] == 0


@needs_strace
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("call", ["unlinkat", "renameat", "pwrite64"])
def test_killed_anywhere_it_is_tried_again_an_hour_later(connect, root, call):
    link = connect(tidy=WISH)
    run = finished_run(link)
    link.close()
    for when in (1, 2, 3):
        age_node(root, 4)
        tidy(root, prefix=tuple(inject.failing(call, signal="KILL", when=when)))
        if "ended" in record(root):
            break
        before = (root / "tidied").read_bytes()
        tidy(root)
        assert (root / "tidied").read_bytes() == before, "not at once again"
        age_node(root, 0.05)
    tidy(root)
    assert "ended" in record(root)
    assert not (root / "runs" / run / "work").exists() and not (root / "runs" / run / "work.gone").exists()
    assert (root / "runs" / run / "driver.log").exists()


@needs_mount
def test_a_full_disk_is_what_it_is_for(errand, tmp_path):
    """Also where there is no room for the record, whose time counts nevertheless."""
    disk = tmp_path / "disk"
    root = disk / "node"
    disk.mkdir()
    write_files(errand.cwd, {"t.py": "import os\nopen('big', 'wb').write(os.urandom(3 << 20))\n"})
    (errand.home / "config/targets.d").mkdir(parents=True)
    (errand.home / "config/targets.d/tiny.yaml").write_text(f"transport: local\nroot: {root}\n")
    script = f"""
        set -e
        errand run -t tiny t.py; test -e {root}/tidied
        {sys.executable} -c 'from support.aging import *; age_node(Path("{root}"), 4)'
        ! dd if=/dev/zero of={root}/filler bs=4k status=none
        {EXECUTOR} tidy --root {root} {" ".join(TIDY)} 2>&1 | cat
        test ! -e {root}/runs/*/work; cat {root}/tidied
        rm {root}/filler; find {root}/tidied -mmin -10
    """
    done = subprocess.run(
        [*inject.on_small_disk(disk, 8 << 20), "bash", "-c", script],
        cwd=errand.cwd,
        env={**errand.env(), "PYTHONPATH": str(Path(aging.__file__).parent.parent)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert done.stdout.decode().splitlines()[-1] == f"{root}/tidied"


def test_a_user_sets_it_and_target_check_tells_of_it(errand):
    (errand.home / "config").mkdir(parents=True, exist_ok=True)
    write_files(errand.cwd, {"t.py": "print(1)\n"})
    errand.ok("run", "t.py")
    root = errand.home / "state/local"
    wait_for((root / "tidied").exists, "the record")
    assert "tidied" in errand.ok("target", "check", "local").text
    age_node(root, 4)
    (errand.home / "config/config.yaml").write_text("tidy:\n  every: 0\n")
    errand.ok("target", "check", "local")
    assert (root / "tidied").read_text() == ""
    (errand.home / "config/config.yaml").write_text("tidy: {keep_work: 5d}\n")
    errand.ok("target", "check", "local")
    assert rounds_end(root)["work_trees"] == 0
    age_node(root, 2)
    errand.ok("target", "check", "local")
    wait_for(lambda: record(root).get("report", {}).get("work_trees") == 1, "the work tree to go")
    said = errand.ok("target", "check", "local").text
    assert " freed" in said and record(root)["ended"] in said
