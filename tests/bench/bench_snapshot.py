"""The snapshot of an unchanged tree: against git status."""

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
