"""errand env list, show, remove; node gc: what is on a target, over each transport."""

from pathlib import Path

import pytest
from support.forged_environments import LOCK, NEW, OLD, make_build, pin, stamp
from support.forging import WAITS, Forged
from test_verbs_json import BOOL, COUNT, DIGEST, TEXT, TIME, Maybe, check

ONE, TWO = "3f2a" * 16, "77ab" * 16
ENVIRONMENTS = {
    "environments": [
        {
            "identity": DIGEST,
            "build": Maybe(TEXT),
            "name": Maybe(TEXT),
            "python": Maybe(TEXT),
            "size_bytes": Maybe(COUNT),
            "used_by": [TEXT],
            "ready": BOOL,
            "created": Maybe(TIME),
            "last_used": Maybe(TIME),
        }
    ]
}


@pytest.fixture
def root(errand, target) -> Path:
    """The node's root behind `target`."""
    return Path(errand.json("target", "check", target)["node"]["root"])


def test_a_target_without_environments_says_so(errand, target):
    result = errand.ok("env", "list", "--target", target)
    assert result.out == b""
    assert result.errors.endswith(f"errand: {target} has no environments yet\n")
    assert errand.json("env", "list", "--target", target) == {"environments": []}


def test_environments_are_listed_with_who_uses_them(errand, target, root, tmp_path):
    make_build(root, ONE, OLD, days=40)
    make_build(root, ONE, NEW, days=3)
    make_build(root, TWO, OLD, days=2, name="environment.yml")
    run = errand.submit("--target", target, "--", "sh", "-c", WAITS.format(tmp_path / "gate"))
    pin(root, run, TWO)
    (root / "envs" / ("88" * 32)).mkdir()
    (root / "envs" / ("88" * 32) / "failed").write_text(f'{{"time":"{stamp(1)[1]}","message":"no such package"}}')
    listed = errand.json("env", "list", "--target", target)
    check(listed, ENVIRONMENTS)
    found = [(one["identity"], one["build"], one["used_by"], one["ready"]) for one in listed["environments"]]
    failed = ("88" * 32, None, [], False)
    assert found == [(ONE, OLD, [], True), (ONE, NEW, [], True), (TWO, OLD, [run], True), failed]
    lines = [line.split() for line in errand.ok("env", "list", "--target", target).text.splitlines()]
    assert lines[0] == ["ENVIRONMENT", "FROM", "EXPERIMENT", "PYTHON", "PACKAGES", "SIZE", "RUNS", "UNUSED", "STATE"]
    assert lines[1] == [ONE[:12], "requirements.txt", "-", "3.11.7", "2", "71", "MB", "-", "40", "d", "replaced"]
    assert lines[3] == [TWO[:12], "environment.yml", "-", "3.11.7", "2", "71", "MB", "1", "2", "d", "ready"]
    assert lines[4] == ["88" * 6, *"------", "-", "failed"]
    (tmp_path / "gate").touch()
    errand.ok("wait", run)
    assert errand.json("env", "list", "--target", target)["environments"][2]["used_by"] == []


def test_an_environment_says_what_it_is_made_of(errand, target, root):
    folder = make_build(root, ONE, OLD, days=3)
    for name in (ONE, ONE[:6], "requirements.txt"):
        shown = errand.ok("env", "show", "--target", target, name).text
        assert f"place       {folder}/prefix\n" in shown
    head, reasons, installed = shown.split("\n\n")
    assert f"identity    {ONE}\nbuild       {OLD}\nname        requirements.txt\n" in head
    assert reasons.splitlines() == [
        "its identity is the digest of",
        "  kind        packages",
        "  python      >=3.11",
        "  requirement numpy<2",
        f"  requirement my.whl [gpu] (content {'ab' * 6})",
        "  requirement six",
        "  option      --index-url https://pypi.example.com/simple",
        "  interpreter /usr/bin/python3.11 (cpython 3.11.7)",
        "  platform    linux-x86_64",
        "  libc        glibc-2.36",
        "  built-with  uv 0.5.1",
    ]
    assert installed.splitlines() == ["installed", "  numpy==1.26.4", "  six==1.16.0"]
    assert errand.ok("env", "show", "--target", target, ONE, "--lock").text == LOCK
    assert errand.ok("env", "show", "--target", target, ONE, "--log").text.endswith("Installed 2 packages\n")
    document = errand.json("env", "show", "--target", target, ONE)
    assert document["document"]["libc"] == "glibc-2.36"


def test_names_that_are_none_or_several_are_told(errand, root, target):
    make_build(root, ONE)
    make_build(root, TWO)
    several = errand.run("env", "show", "--target", target, "requirements.txt", code=1).errors
    assert ONE[:12] in several and TWO[:12] in several
    none = errand.run("env", "show", "--target", target, "abcdef", code=1)
    assert f'{target} has no environment "abcdef"' in none.errors
    build = errand.run("env", "show", "--target", target, ONE, "--build", NEW, code=1)
    assert f"with build {NEW}" in build.errors
    error = errand.run("env", "show", "--target", target, "abcdef", "--json", code=1).json()
    assert error["error"]["code"] == "not_found"


def test_what_is_removed_is_gone_and_what_a_run_uses_stays(errand, target, root, tmp_path):
    make_build(root, ONE, OLD)
    make_build(root, ONE, NEW)
    make_build(root, TWO)
    run = errand.submit("--target", target, "--", "sh", "-c", WAITS.format(tmp_path / "gate"))
    pin(root, run, TWO)
    used = errand.run("env", "remove", "--target", target, TWO, code=1)
    assert f"environment {TWO[:12]} is used by run {run}" in used.errors
    errand.ok("env", "remove", "--target", target, ONE, "--build", NEW)
    assert (root / "envs" / ONE / "current").readlink() == Path(OLD)
    assert errand.json("env", "remove", "--target", target, "--unused") == {"removed": [ONE]}
    assert not (root / "envs" / ONE).exists()
    errand.ok("env", "remove", "--target", target, "--force", TWO)
    assert not (root / "envs" / TWO).exists()
    assert [entry.name for entry in (root / "envs").iterdir()] == ["lock"]
    (tmp_path / "gate").touch()
    errand.ok("wait", run)


def test_what_was_removed_before_a_failure_is_told(errand, target, root):
    make_build(root, ONE)
    said = errand.run("env", "remove", "--target", target, ONE, "nobody", "--json", code=1).json()
    assert said["removed"] == [ONE] and "nobody" in said["error"]["message"]
    assert not (root / "envs" / ONE).exists()


def test_removing_needs_to_be_told_what(errand):
    assert "or say --unused" in errand.run("env", "remove", code=2).errors
    assert "or say --unused" in errand.run("env", "remove", "--unused", "x", code=2).errors


def test_an_environment_is_named_by_a_run_that_has_it(errand, tmp_path):
    forged = Forged(errand, tmp_path)
    make_build(forged.root, ONE, OLD)
    make_build(forged.root, ONE, NEW)
    follow = errand.follow(forged.id)
    forged.say("Running", environment={"kind": "packages", "identity": ONE, "build": OLD})
    forged.end("Completed", kind="exited", code=0)
    assert follow.finish().code == 0
    assert errand.json("env", "show", "@")["build"] == OLD
    assert errand.json("env", "show", forged.id[:8])["build"] == OLD
    assert errand.json("env", "show", ONE)["build"] == NEW
    words = errand.ok("completion", "words", "env", "show", ONE[:2]).text
    assert words.startswith(f"{ONE[:12]}\tpackages, ")


def test_gc_removes_environments_that_nobody_used_for_long(errand, target, root):
    make_build(root, ONE, days=40)
    make_build(root, TWO, days=20)
    dry = errand.json("node", "gc", target, "--dry-run")
    assert (dry["environments"], dry["kept_environments"]) == (1, 1)
    assert (root / "envs" / ONE).exists()
    assert "1 environment" in errand.ok("node", "gc", target).text
    assert not (root / "envs" / ONE).exists()
    assert errand.json("node", "gc", target, "--keep-environments", "10")["environments"] == 1
    assert not (root / "envs" / TWO).exists()


def test_what_differs_between_two_is_told(errand, root, target):
    make_build(root, ONE)
    folder = make_build(root, TWO, name="other", python=">=3.12", requirements=["numpy<3", "six"])
    (folder / "lock.txt").write_text("numpy==2.1.0 --hash=sha256:00\nsix==1.16.0\n")
    result = errand.ok("env", "diff", "--target", target, "requirements.txt", "other")
    assert result.text.splitlines() == [
        "- python >=3.11",
        "+ python >=3.12",
        "- requirement numpy<2",
        "+ requirement numpy<3",
        f"- requirement my.whl [gpu] (content {'ab' * 6})",
        "",
        "installed:",
        "- numpy==1.26.4",
        "+ numpy==2.1.0",
    ]
    assert errand.json("env", "diff", "--target", target, ONE, ONE) == {
        "same": True,
        "definition": [],
        "installed": [],
    }
    assert errand.json("env", "diff", "--target", target, ONE, TWO)["installed"] == [
        "- numpy==1.26.4",
        "+ numpy==2.1.0",
    ]
    alike = errand.ok("env", "diff", "--target", target, ONE, ONE)
    assert "are defined alike" in alike.errors and alike.out == b""


def test_a_lock_is_written_into_the_project_and_nothing_else_is_overwritten(errand, root, target):
    make_build(root, ONE)
    result = errand.ok("env", "lock", "--target", target, ONE)
    lock = errand.cwd / "requirements.lock"
    text = lock.read_text()
    assert text.startswith("# Written by errand env lock on ")
    assert text.endswith("\n--index-url https://pypi.example.com/simple\n" + LOCK)
    assert "2 packages" in result.errors
    lock.write_text(text.replace("numpy", "other"))
    errand.ok("env", "lock", "--target", target, ONE)
    assert lock.read_text().endswith(LOCK), "errand wrote it, so errand writes it anew"
    lock.write_text("mine==1\n")
    kept = errand.run("env", "lock", "--target", target, ONE, code=1)
    assert "errand did not write it" in kept.errors
    assert lock.read_text() == "mine==1\n"
    errand.ok("env", "lock", "--target", target, ONE, "--output", errand.cwd / "other.txt")
    assert (errand.cwd / "other.txt").read_text().endswith(LOCK)
    errand.ok("env", "lock", "--target", target, ONE, "--force")
    assert lock.read_text().endswith(LOCK)


def test_an_export_is_a_folder_that_can_be_used_elsewhere(errand, root, target):
    make_build(root, ONE)
    errand.ok("env", "export", "--target", target, ONE, errand.cwd / "away")
    assert (errand.cwd / "away" / "requirements.lock").read_text().endswith(LOCK)
    definition = (errand.cwd / "away" / "environment.yaml").read_text()
    lines = [line for line in definition.splitlines() if not line.startswith("#")]
    assert lines == ["requirements: requirements.lock", 'python: "3.11"']
    assert "#   requirement numpy<2\n" in definition


def test_without_a_lock_it_is_said_what_is_missing(errand, root, target):
    (make_build(root, ONE) / "lock.txt").unlink()
    assert "is not known here" in errand.run("env", "lock", "--target", target, ONE, code=1).errors
    run = errand.submit("--target", target, "--", "true")
    errand.ok("wait", run)
    assert "had no environment of its own" in errand.run("env", "lock", run, code=1).errors
