"""tag, note, compare, remove: what a person does with runs that have ended."""

import os
import re
import subprocess

import pytest
from support.projects import write_files
from test_verbs_json import BYTES, COUNT, ERROR, RUN, TEXT, Maybe, document

LEAVES = 'import os\nos.makedirs("outputs/deep", exist_ok=True)\nopen("outputs/deep/model", "w").write("weights")\n'
GATED = "import os, sys\nfrom time import sleep\nwhile not os.path.exists(sys.argv[1]):\n    sleep(0.01)\n"
MEASURES = 'import os, sys\nopen(os.environ["ERRAND_METRICS"], "a").write(\'{"loss": %s}\\n\' % sys.argv[1])\n'


def run_one(errand, text: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    write_files(errand.cwd, {"t.py": text})
    errand.run("run", *options, "t.py", *arguments)
    return errand.show()["id"]


def runs_known(errand) -> set[str]:
    return {run["id"] for run in errand.json("list")["runs"]}


# ---- tags and notes ----


def test_tags_are_set_told_and_taken_away(errand):
    run = run_one(errand, "pass\n", options=("--tag", "team=vision", "--tag", "lr=0.1"))
    assert errand.ok("tag", "@").text == "lr=0.1\nteam=vision\n"
    assert errand.ok("tag", run, "lr=0.2", "best=", "team-").out == b""
    assert errand.ok("tag", run).text == "best=\nlr=0.2\n"
    assert errand.show(run)["tags"] == {"best": "", "lr": "0.2"}
    assert re.search(r"^tags        best=\n            lr=0\.2$", errand.ok("show", run).text, re.M)
    assert document(errand, "tag", run, "a=b", shape={"run": TEXT, "tags": lambda *_: None})["tags"]["a"] == "b"


def test_of_several_changes_all_are_made_or_none(errand):
    run = run_one(errand, "pass\n")
    assert f'{run} has no tag "gone"' in errand.run("tag", run, "a=b", "gone-", code=1).errors
    assert errand.ok("tag", run).out == b""


@pytest.mark.parametrize("change", ["word", "=value", "-", b"k=\xff", "k" * 256 + "=v"])
def test_what_is_no_tag_is_wrong_usage(errand, change):
    run = run_one(errand, "pass\n")
    assert "tag" in errand.run("tag", run, change, code=2).errors
    assert errand.show(run)["tags"] == {}


def test_a_note_is_written_told_and_taken_away(errand):
    run = run_one(errand, "pass\n")
    assert errand.show(run)["note"] is None and errand.ok("note", run).out == b""
    assert errand.ok("note", "@", "too high\n\x1b[31mred").out == b""
    assert errand.ok("note", run).text == "too high\n^[[31mred\n"
    shown = errand.json("show", run)
    assert shown["note"] == "too high\n\x1b[31mred" and shown["tags"] == {}
    assert "note        too high\n            ^[[31mred\n" in errand.ok("show", run).text
    errand.ok("note", run, "")
    assert document(errand, "note", run, shape={"run": TEXT, "note": Maybe(TEXT)})["note"] is None
    assert "not UTF-8" in errand.run("note", run, b"\xff", code=2).errors


# ---- compare ----

COMPARE = {
    "a": RUN,
    "b": RUN,
    "differences": [{"what": TEXT, "a": Maybe(TEXT), "b": Maybe(TEXT)}],
    "installed": [{"in": {"a", "b"}, "line": TEXT}],
    "files": Maybe([{"path": BYTES, "change": {"added", "removed", "changed"}}]),
    "files_left_out": COUNT,
}


@pytest.fixture
def two(errand):
    write_files(errand.cwd, {"same": "1", "old/a": "1", "old/b": "2", "kept/in": "1", b"\xff": "1"})
    first = run_one(errand, MEASURES, "0.5", options=("--tag", "lr=0.1", "--env", "ONE=1"))
    (errand.cwd / "old/a").unlink()
    (errand.cwd / "old/b").unlink()
    (errand.cwd / "old").rmdir()
    write_files(errand.cwd, {"kept/in": "2", "kept/new": "3", b"\xff": "2"})
    second = run_one(errand, MEASURES + "sys.exit(3)\n", "0.25", options=("--tag", "lr=0.2", "--tag", "x="))
    return errand, first, second


def test_two_runs_are_compared(two):
    errand, first, second = two
    said = document(errand, "compare", first, second, shape=COMPARE)
    facts = {fact["what"]: (fact["a"], fact["b"]) for fact in said["differences"]}
    assert facts["command"] == ("t.py 0.5", "t.py 0.25")
    assert facts["exit"] == ("exited with status 0", "exited with status 3")
    assert facts["status"] == ("Completed", "Failed")
    assert facts["metric loss"] == ("0.5", "0.25")
    assert facts["tag lr"] == ("0.1", "0.2") and facts["tag x"] == (None, "")
    assert facts["variable ONE"] == ("1", None)
    assert not {"target", "experiment", "project", "environment"} & set(facts)
    changes = [(file["path"], file["change"]) for file in said["files"]]
    assert changes == [
        ("kept/in", "changed"),
        ("kept/new", "added"),
        ("old/", "removed"),
        ("t.py", "changed"),
        ({"base64": "/w=="}, "changed"),
    ]
    assert (said["a"]["id"], said["b"]["id"]) == (first, second)


def test_a_person_reads_what_differs_and_nothing_else(two):
    errand, first, second = two
    text = errand.ok("compare", first, second).text
    assert text.splitlines()[0].split() == ["WHAT", first, second]
    assert re.search(r"^command +t\.py 0\.5 +t\.py 0\.25$", text, re.M)
    assert re.search(r'^tag x +- +""$', text, re.M)
    assert text.endswith("\nfiles\n  ~ kept/in\n  + kept/new\n  - old/\n  ~ t.py\n  ~ \\xff\n")
    assert "experiment" not in text
    same = errand.ok("compare", first, first)
    assert same.out == b"" and "differ in nothing that is known here" in same.errors


def test_files_whose_snapshot_is_gone_are_said(two):
    errand, first, second = two
    root = errand.show(first)["snapshot"]["root"]
    (errand.home / "state/store/roots" / root).unlink()
    said = errand.ok("compare", first, second)
    assert f"their files were not compared: the snapshot of {first} is not here any more" in said.errors
    assert "files" not in said.text.splitlines()
    assert document(errand, "compare", first, second, shape=COMPARE)["files"] is None


def test_what_was_installed_is_compared_where_it_is_known(two):
    errand, first, second = two
    assert "installed" not in errand.ok("compare", first, second).text
    for run, version in ((first, "1"), (second, "2")):
        write_files(errand.home / "state/runs" / run, {"environment.lock": f"numpy=={version}\nsame==1\n"})
    assert "\ninstalled\n  - numpy==1\n  + numpy==2\n" in errand.ok("compare", first, second).text


# ---- the commit ----


def git(folder, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_run_knows_its_commit_and_whether_files_changed_since(errand):
    git(errand.cwd, "init", "-q", "-b", "main")
    git(errand.cwd, "remote", "add", "origin", "https://me:secret@git.example.org/x.git")
    assert errand.show(run_one(errand, "pass\n"))["git"]["commit"] is None
    git(errand.cwd, "add", "t.py")
    git(errand.cwd, "commit", "-qm", "first")
    commit = git(errand.cwd, "rev-parse", "HEAD")
    first = run_one(errand, "pass\n")
    known = {"repository": "https://git.example.org/x.git", "branch": "main", "commit": commit}
    assert document(errand, "show", first, shape=RUN)["git"] == known | {"dirty": False}
    write_files(errand.cwd, {"untracked": ""})
    assert errand.show(run_one(errand, "pass\n"))["git"]["dirty"] is False
    second = run_one(errand, "pass # more\n")
    assert errand.show(second)["git"] == known | {"dirty": True}
    assert f"commit      {commit} on main, files changed since\n" in errand.ok("show", second).text
    facts = {fact["what"]: (fact["a"], fact["b"]) for fact in errand.json("compare", first, second)["differences"]}
    assert facts["commit"] == (commit[:12], f"{commit[:12]}, files changed since")
    assert "secret" not in errand.ok("show", second, "--json").text


def test_git_that_is_slow_or_not_there_keeps_no_run_waiting(errand, tmp_path):
    git(errand.cwd, "init", "-q")
    waits = f"case $* in *status*) while [ ! -e {tmp_path}/go ]; do sleep 0.05; done;; esac; exit 1"
    write_files(tmp_path, {"bin/git": f"#!/bin/sh\n{waits}\n"})
    (tmp_path / "bin/git").chmod(0o755)
    errand.more_env["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
    write_files(errand.cwd, {"t.py": f"open('{tmp_path}/go', 'w')\n"})
    errand.ok("run", "t.py")
    assert errand.show()["git"] is None


# ---- remove ----


def test_a_removed_run_is_gone_with_its_folder_and_others_stay(errand):
    first, second, third = (run_one(errand, LEAVES) for _ in range(3))
    folder = errand.home / "state/runs"
    said = errand.ok("remove", "@", second[:12], "@")
    assert re.fullmatch(rf"(errand: removed ({third}|{second}), [0-9.]+ [KM]?B\n){{2}}", said.errors), said
    assert runs_known(errand) == {first} and [p.name for p in folder.iterdir()] == [first]
    assert f'there is no run "{third}"' in errand.run("show", third, code=1).errors
    assert errand.show()["id"] == first
    assert document(errand, "remove", first, shape={"removed": [TEXT]}) == {"removed": [first]}
    assert errand.ok("list").errors.startswith("errand: no runs yet")


def test_a_run_that_goes_on_stays(errand, target, tmp_path):
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.submit("--target", target, "t.py", tmp_path / "gate")
    errand.wait_status(run, "Running")
    for option in ([], ["--force"]):
        said = errand.run("remove", *option, run, code=1).errors
        assert f"{run} has not ended, as far as is known here: it is Running\n  errand cancel {run} ends it" in said
    assert document(errand, "remove", run, shape=ERROR | {"removed": [TEXT]}, code=1)["error"]["code"] == "busy"
    (tmp_path / "gate").touch()
    errand.ok("wait", run)
    errand.ok("remove", run)


def test_a_run_whose_results_are_not_at_home_stays_unless_forced(errand):
    write_files(errand.cwd, {"t.py": LEAVES})
    run = errand.submit("t.py")
    errand.wait_status(run, "Completed")
    said = errand.run("remove", run, code=1).errors
    assert f"not all that it left is at home yet\n  errand outputs {run} brings it" in said
    assert runs_known(errand) == {run}
    errand.ok("remove", "--force", run)
    assert runs_known(errand) == set()


def test_a_run_whose_node_does_not_answer_stays_until_it_was_given_up(errand, sshd, tmp_path):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.submit("--target", "gone", "t.py", tmp_path / "gate")
    sshd.stop()
    said = errand.run("remove", "--force", run, code=1).errors
    assert f"{run} may go on: node not reached" in said and f"errand cancel --force {run}" in said
    errand.ok("cancel", "--force", run)
    assert "may still go on there\n  --force" in errand.run("remove", run, code=1).errors
    errand.ok("remove", "--force", run)
    assert runs_known(errand) == set()


def test_one_that_cannot_go_does_not_keep_the_others(errand, tmp_path):
    ended = run_one(errand, LEAVES)
    write_files(errand.cwd, {"t.py": GATED})
    open_run = errand.submit("t.py", tmp_path / "gate")
    errand.wait_status(open_run, "Running")
    errand.run("remove", open_run, ended, code=1)
    assert runs_known(errand) == {open_run}
    assert 'there is no run "x' in errand.run("remove", open_run, "xx", code=1).errors


def test_what_an_interrupted_removal_left_goes_with_gc(errand):
    run = run_one(errand, LEAVES)
    left = errand.home / "state/runs/.tmp-removed-abc"
    write_files(left, {"driver.log": "x"})
    assert errand.json("gc")["kept_runs"] == 1 and left.exists()
    os.utime(left, (1, 1))
    errand.ok("gc")
    assert not left.exists() and (errand.home / "state/runs" / run).exists()
