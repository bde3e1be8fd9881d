"""A large project's next checkout is there before it is needed."""

import os
from pathlib import Path

from support import processes
from support.projects import write_files
from support.waiting import wait_for

FILES = 600
LISTS = """
import hashlib, os
for folder, folders, names in sorted(os.walk(".")):
    folders.sort()
    for name in sorted(names):
        path = os.path.join(folder, name)
        print(path, hashlib.sha256(open(path, "rb").read()).hexdigest(), os.stat(path).st_mode)
"""


def project() -> dict:
    return {f"d{i % 7}/f{i}.txt": f"number {i}\n" * (i % 50) for i in range(FILES)} | {"lists.py": LISTS}


def root_of(errand) -> Path:
    return errand.home / "state" / "local"


def spares(errand) -> list[str]:
    folder = root_of(errand) / "spares"
    return [name for name in os.listdir(folder) if len(name) == 64] if folder.exists() else []  # noqa: PTH208


def control_log(errand, run: str) -> str:
    return (root_of(errand) / "runs" / run / "control.log").read_text()


def test_the_next_run_takes_the_spare_and_sees_its_own_snapshot(errand):
    write_files(errand.cwd, project())
    first = errand.ok("run", "lists.py")
    snapshot = errand.show()["snapshot"]["root"]
    wait_for(lambda: spares(errand) == [snapshot], "a spare of the first snapshot")
    write_files(errand.cwd, {"d3/f3.txt": "changed", "d3/new.sh": ("#!/bin/sh\n", 0o755)})
    (errand.cwd / "d4/f4.txt").unlink()
    second = errand.ok("run", "lists.py")
    run = errand.show()["id"]
    assert "spare checkout" in control_log(errand, run)
    before, after = ({line.split()[0] for line in one.text.splitlines()} for one in (first, second))
    assert after - before == {"./d3/new.sh"}
    assert before - after == {"./d4/f4.txt"}
    changed = set(second.text.splitlines()) - set(first.text.splitlines())
    assert {line.split()[0] for line in changed} == {"./d3/f3.txt", "./d3/new.sh"}


def test_of_two_runs_at_once_each_has_a_tree_of_its_own(errand):
    write_files(errand.cwd, project())
    errand.ok("run", "--", "true")
    wait_for(lambda: spares(errand), "a spare")
    both = [errand.start("run", "--", "sh", "-c", "echo x >>d1/f1.txt; wc -l <d1/f1.txt") for _ in range(2)]
    assert [one.finish().out.strip() for one in both] == [b"2", b"2"]


def test_what_makes_it_is_killed_and_nothing_is_wrong(errand, mark):
    write_files(errand.cwd, project())
    run = errand.submit("lists.py")
    for pid in processes.carrying("HARNESS_MARK", mark):
        if processes.command(pid)[1:2] == ["spare"]:
            os.kill(pid, 9)
    errand.ok("follow", run)
    assert len(errand.ok("run", "lists.py").text.splitlines()) == FILES + 2  # lists.py, train.py
    wait_for(lambda: spares(errand), "a spare after all")


def test_a_small_project_has_none(errand):
    errand.ok("run", "train.py")
    assert not (root_of(errand) / "spares").exists()
