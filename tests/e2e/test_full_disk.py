"""A node whose disk is full: it is said, with what to do, and what is said to help does help."""

import json
import subprocess
import sys

import pytest
from support import inject
from support.projects import write_files

pytestmark = pytest.mark.skipif(not inject.is_possible("mount"), reason="this machine does not let us mount")

SIZE = 3 << 20
FILLS = """\
import os, sys
os.makedirs("outputs", exist_ok=True)
with open("outputs/model", "wb", buffering=0) as f:
    while f.write(bytes(4096)):
        pass
"""
# What is left is filled too, as by another program, byte by byte.
FILLER = 'for bs in 4096 1; do dd if=/dev/zero of="$ROOT/filler$bs" bs=$bs status=none 2>/dev/null; done'


@pytest.fixture
def disk(errand, tmp_path):
    """Runs shell text where the target `tiny` has a small disk of its own, $ROOT; what it says."""
    root = tmp_path / "disk" / "node"
    root.parent.mkdir()
    errand.ok("target", "add", "tiny", "--transport", "local", "--root", root)
    write_files(errand.cwd, {"t.py": FILLS, "ok.py": "print(1)\n"})

    def run(script: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*inject.on_small_disk(root.parent, SIZE), "bash", "-c", script],
            cwd=errand.cwd,
            env={**errand.env(), "ROOT": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )

    run.root = root
    return run


# As after a reboot: the boot cannot be noted, and the store is verified. In place: there is no room for another file.
REBOOTED = f"""
    {sys.executable} - "$ROOT/boots" "$ROOT/store/synced" <<'end'
import sys
for name in sys.argv[1:]:
    with open(name, "r+") as file:
        at = file.read().index('"boot":"') + 8
        file.seek(at)
        file.write("xx")
end
    rm "$ROOT/node"
"""


@pytest.mark.parametrize("before", ["", REBOOTED], ids=["at once", "after a reboot"])
def test_a_node_that_a_run_filled_is_freed_by_its_collection(disk, before):
    done = disk(
        f"errand run -t tiny t.py >/dev/null; {before}\n{FILLER}; "
        "errand node gc tiny --keep-days 0 --json && errand node gc tiny --keep-days 0 --keep-uncollected 0 --json && "
        "ls $ROOT/runs && errand run -t tiny ok.py"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, report, runs, said = done.stdout.splitlines()
    assert json.loads(first)["runs"] == 0, "outputs that could not be collected are nowhere else"
    report = json.loads(report)
    assert report["runs"] == 1 and report["bytes"] > 1 << 20 and report["warnings"] == []
    assert runs.endswith(".tombstone") and said == "1"


def test_a_run_that_filled_the_disk_says_so_and_where_its_outputs_are(errand, disk):
    done = disk("errand run -t tiny t.py")
    assert done.returncode == 1
    run = errand.show()
    root = str(disk.root)
    said = "exited with status 1; the disk of %s is full; its outputs could not be collected: "
    assert run["reason"].startswith(said % root), run["reason"]
    assert "No space left on device" in run["reason"]
    assert run["reason"].endswith(f"; they are still on the node, in {root}/runs/{run['id']}/work")
    assert run["reason"] in done.stderr


def test_a_run_that_fails_for_another_reason_says_nothing_of_the_disk(errand, disk):
    disk("echo 'raise SystemExit(3)' > ok.py; errand run -t tiny ok.py")
    assert errand.show()["reason"] == "exited with status 3"


def test_what_a_full_node_refuses_is_said_with_what_frees_it(disk):
    done = disk(f"errand run -t tiny t.py; {FILLER}; errand target check tiny; errand run --json -t tiny ok.py")
    assert "-> errand node gc tiny removes what is not needed" in done.stdout
    said = json.loads(done.stdout.splitlines()[-1])["error"]
    assert said["code"] == "no_space"
    assert said["message"].startswith(f"tiny: the disk of {disk.root} is full: ")
    assert said["hint"] == "errand node gc tiny frees space there"
