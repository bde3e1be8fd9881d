"""The snapshot of an unchanged tree, against git status; the first one of a tree, against git add -A."""

import itertools
import subprocess

import projects


def bench_snapshot(bench, field) -> None:
    folder = projects.make(field.folder / "snapshot15000", 15000)
    errand = field.errand(folder)

    def git_status() -> None:
        subprocess.run(["git", "status", "--porcelain"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    # The first snapshot of a fresh tree reads again what changed within its own clock tick.
    for _ in range(2):
        errand.ok("snapshot")
    bench.compare(
        "snapshot of 15,000 unchanged files",
        lambda: errand.ok("snapshot"),
        git_status,
        peer_name="git status",
        aim="<= 1.0",
    )


def bench_first_snapshot(bench, field) -> None:
    """Everything is read, hashed and written. git compresses it too, and does not wait for the disk."""
    folder = projects.make(field.folder / "first15000", 15000)
    count = itertools.count()

    def git_add() -> None:
        where = field.folder / f"first{next(count)}.git"
        git = ["git", f"--git-dir={where}", f"--work-tree={folder}"]
        subprocess.run([*git, "init", "-q"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*git, "add", "-A"], check=True)

    # Each time into a new place: what was removed shortly before slows the next one down (ext4).
    bench.compare(
        "first snapshot of 15,000 files",
        lambda: field.errand(folder).ok("snapshot"),
        git_add,
        peer_name="git add",
        runs=3,
    )
