"""errand gc: what this machine no longer needs goes, and nothing else does."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import aging, inject
from support.aging import age
from support.projects import write_files

needs_strace = pytest.mark.skipif(not inject.is_possible("strace"), reason="this machine does not let us trace")
needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="this machine does not let us mount")

LEAVES = (
    'import os\nos.makedirs("outputs", exist_ok=True)\nopen("outputs/model", "w").write("{}")\nprint("log of {}")\n'
)
# Goes on until the file that is its first argument appears.
GATED = "import os, sys\nfrom time import sleep\nwhile not os.path.exists(sys.argv[1]):\n    sleep(0.01)\n"


def run_one(errand, text: str) -> str:
    """A run of a script that is another one each time; it leaves an output. Its id."""
    write_files(errand.cwd, {"t.py": LEAVES.format(text, text)})
    errand.ok("run", "t.py")
    return errand.show()["id"]


def objects(errand) -> set[str]:
    store = errand.home / "state/store/objects"
    return {path.name for path in store.rglob("*") if path.is_file()}


def roots(errand) -> set[str]:
    return {path.name for path in (errand.home / "state/store/roots").iterdir()}


def roots_of(errand, run: str) -> set[str]:
    shown = errand.show(run)
    return {shown["snapshot"]["root"], shown["outputs"]["root"]}


def test_what_was_not_used_for_long_goes_and_results_stay(errand):
    old = run_one(errand, "old")
    age(errand.home, 40)
    new = run_one(errand, "new")
    before = objects(errand)
    would = errand.json("gc", "--dry-run")
    assert objects(errand) == before and would["is_dry"] is True
    did = errand.json("gc")
    assert would == {**did, "is_dry": True}
    assert did["roots"] == 1 and did["objects"] > 0 and did["bytes"] > 0 and did["warnings"] == []
    # The old snapshot was used when the new one was sent.
    assert did["kept_roots"] == {"needed": 0, "recent": 0, "spared": 3}
    assert roots(errand) == roots_of(errand, new) | {errand.show(old)["snapshot"]["root"]}
    assert len(before) - len(objects(errand)) == did["objects"] and len(objects(errand)) == did["kept_objects"]
    for run, text in ((old, "old"), (new, "new")):
        assert errand.ok("logs", run).text == f"log of {text}\n"
        assert (Path(errand.ok("outputs", run).text.strip()) / "model").read_text() == text
    assert errand.json("gc")["objects"] == 0


def test_outputs_come_from_the_node_again_and_the_next_run_sends_what_is_needed(errand, tmp_path):
    old = run_one(errand, "old")
    age(errand.home, 40)
    assert errand.json("gc")["roots"] == 2
    assert roots(errand) == set()
    errand.ok("outputs", old, "--to", tmp_path / "again")
    assert (tmp_path / "again/model").read_text() == "old"
    errand.ok("run", "t.py")
    assert errand.show()["snapshot"]["sent_files"] == 0


def test_it_is_said_what_went_what_stayed_and_why(errand):
    run_one(errand, "old")
    age(errand.home, 40)
    run_one(errand, "recent")
    age(errand.home, 2)
    run_one(errand, "new")
    result = errand.ok("gc")
    said = result.text.splitlines()
    assert said[0].startswith("freed ") and ": 1 snapshot, " in said[0]
    assert said[1].startswith("kept ") and ": 5 snapshots, " in said[1]
    assert said[2:4] == [
        "  3 snapshots used in the last 24 h, which always stay",
        "  2 snapshots used within keep_snapshots, which is 30 d",
    ]
    assert "logs and outputs of 3 runs" in said[4] and str(errand.home / "state/runs") in said[4]
    assert said[5].endswith(": errand node gc local") and len(said) == 6
    assert result.errors == ""
    assert errand.ok("gc").text.splitlines()[0] == "nothing to free"


def test_the_snapshot_of_a_run_that_goes_on_stays(errand, tmp_path):
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.submit("t.py", tmp_path / "gate")
    age(errand.home, 400)
    assert errand.json("gc", "--max-store", "0")["kept_roots"]["needed"] == 1
    assert errand.show(run)["snapshot"]["root"] in roots(errand)
    (tmp_path / "gate").touch()
    errand.ok("wait", run)
    assert errand.json("gc")["roots"] == 1


def test_a_small_store_keeps_what_was_used_last(errand):
    for text in ("first", "second", "third"):
        run_one(errand, text)
        age(errand.home, 2)
    kept = errand.json("gc", "--dry-run")["kept_bytes"]
    assert errand.json("gc", "--max-store", str(kept))["roots"] == 0
    assert errand.json("gc", "--max-store", str(kept - 1))["roots"] == 1
    (errand.home / "config/config.yaml").write_text("max_store: 0\n")
    last = run_one(errand, "last")
    result = errand.ok("gc")
    assert "4 snapshots of these only for the room (max_store, min_free)" in result.text
    assert roots(errand) > roots_of(errand, last) and len(roots(errand)) == 3


def test_the_floor_of_free_space_counts(errand):
    run_one(errand, "old")
    age(errand.home, 2)
    assert errand.json("gc", "--min-free", "0")["roots"] == 0
    assert errand.json("gc", "--min-free", "1P")["roots"] == 2


def test_leftovers_and_worthless_indexes_go_once_they_are_old(errand):
    run = run_one(errand, "old")
    state = errand.home / "state"
    [index] = (state / "index").iterdir()
    leftovers = [
        state / ".tmp-1",
        state / "index" / f"{index.name}.tmp-0123456789abcdef",
        state / "runs" / run / "outputs.errand-abcdef" / "model",
        state / "runs" / run / ".tmp-2",
        errand.home / "config" / ".tmp-3",
    ]
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    assert errand.json("gc")["leftovers"] == 0
    age(errand.home, 40)
    for path in (leftovers[0], leftovers[4]):
        os.utime(path, (0, 0))
    did = errand.json("gc")
    assert did["leftovers"] == 5 and did["indexes"] == 1
    assert not index.exists() and not any(path.exists() for path in leftovers)
    assert (state / "runs" / run / "outputs/model").exists() and (state / "history.db").exists()


def test_a_snapshot_that_is_being_made_is_waited_for_and_then_said(errand):
    run_one(errand, "one")
    with open(errand.home / "state/store/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        said = errand.run("gc", "--json", code=1).json()["error"]
    assert said["code"] == "busy" and "try again" in said["hint"]


def test_wrong_sizes_are_wrong_usage(errand):
    assert "max_store" in errand.run("gc", "--max-store", "much", code=2).errors
    assert errand.run("gc", "--keep", "x", "--json", code=2).json()["error"]["code"] == "usage"


def test_runs_and_collections_at_once_do_no_harm(errand):
    """What a submission stands on does not go while it is used, even where it had not been used for long."""
    for number in range(4):
        run_one(errand, f"before {number}")
        age(errand.home, 40)
        collecting = [errand.start("gc", "--max-store", "0") for _ in range(3)]
        run_one(errand, f"after {number}")
        for one in collecting:
            done = one.finish()
            assert done.code == 0 or b"another process has lock locked" in done.err, str(done)
    assert len(errand.json("list")["runs"]) == 8


@needs_strace
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("call", ["unlinkat", "fsync"])
def test_killed_anywhere_it_leaves_a_store_that_the_next_one_uses(errand, call):
    for when in range(1, 100):
        run_one(errand, f"old {when}")
        age(errand.home, 40)
        killed = subprocess.run(
            [*inject.failing(call, signal="KILL", when=when), *errand.argv("gc")],
            cwd=errand.cwd,
            env=errand.env(),
            capture_output=True,
            check=False,
        )
        new = run_one(errand, f"new {when}")
        assert errand.ok("logs", new).text == f"log of new {when}\n"
        if killed.returncode == 0:
            break
    assert killed.returncode == 0 and when > 1
    age(errand.home, 40)
    errand.ok("gc")
    assert objects(errand) == roots(errand) == set()


@needs_mount
def test_a_full_disk_is_what_it_is_for(errand):
    """Also after a restart, when the store is verified first."""
    write_files(errand.cwd, {"data": os.urandom(1 << 20), "t.py": "print(1)\n"})
    errand.home.mkdir(exist_ok=True)
    script = f"""
        errand run t.py && {sys.executable} {aging.__file__} "$ERRAND_HOME" 40 &&
        sed -i 's/"boot":"./"boot":"x/' "$ERRAND_HOME/state/store/synced" &&
        ! dd if=/dev/zero of="$ERRAND_HOME/filler" bs=64k status=none &&
        errand gc --json && rm data && errand submit t.py
    """
    done = subprocess.run(
        [*inject.on_small_disk(errand.home, 8 << 20), "bash", "-c", script],
        cwd=errand.cwd,
        env=errand.env(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b'"roots":1,' in done.stdout


@needs_mount
def test_a_full_disk_says_what_frees_it(errand):
    write_files(errand.cwd, {"data": os.urandom(4 << 20), "t.py": "print(1)\n"})
    errand.home.mkdir(exist_ok=True)
    done = subprocess.run(
        [*inject.on_small_disk(errand.home, 2 << 20), *errand.argv("run", "--json", "t.py")],
        cwd=errand.cwd,
        env=errand.env(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 125
    said = json.loads(done.stdout)["error"]
    assert (
        said["code"] == "no_space" and said["hint"] == f"errand gc frees space on this machine, in {errand.home}/state"
    )


def test_a_wrong_length_of_time_is_said_with_its_option(errand):
    said = errand.run("gc", "--keep", "1x", code=2).errors
    assert "--keep: keep_snapshots: " in said and "command line" not in said
