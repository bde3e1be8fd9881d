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
        "errand node gc tiny --keep-days 0 --json && ls $ROOT/runs && errand run -t tiny ok.py"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report, runs, said = done.stdout.splitlines()
    report = json.loads(report)
    assert report["runs"] == 1 and report["bytes"] > 1 << 20 and report["warnings"] == []
    assert runs.endswith(".tombstone") and said == "1"
