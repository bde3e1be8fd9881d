"""What of a project is left out: git itself is the oracle, over random trees; then what errand adds to git's rules."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.errand import Errand
from support.gittrees import GitTree

TREES_PER_TEST = 25
TESTS = 10
TESTS_SOAK = 200


def seeds(count: int, marks=()) -> list:
    return [pytest.param(number, marks=marks, id=f"trees{number}") for number in range(count)]


ALL_SEEDS = [*seeds(TESTS), *(pytest.param(number, marks=pytest.mark.soak) for number in range(TESTS, TESTS_SOAK))]


def to_bytes(value: str | dict) -> bytes:
    """A byte string of --json."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


class Taken:
    """What errand snapshot --dry-run says of a folder."""

    def __init__(self, errand: Errand, project: bytes | Path):
        document = errand.json("snapshot", "--dry-run", cwd=os.fsdecode(project))
        entries = [(to_bytes(entry["path"]), entry["kind"]) for entry in document["files"]]
        self.files = {path for path, kind in entries if kind != "folder"}
        self.empty_folders = {path for path, kind in entries if kind == "folder"}
        self.left_out = {to_bytes(entry["path"]): to_bytes(entry["rule"]) for entry in document["left_out"]}


def is_inner(tree: GitTree, path: bytes) -> bool:
    """True where a repository within the tree has the path."""
    full = os.path.relpath(tree.project + b"/" + path, tree.top)  # noqa: PTH100 - names are bytes
    return any(full.startswith(one + b"/") for one in tree.repositories)


def split_rule(tree: GitTree, text: bytes) -> tuple[bytes, int, bytes]:
    """File, line and text of ".gitignore:3: data/"."""
    text = text.removesuffix(b" (but for what git tracks)")
    source, line, rule = text.split(b":", 2)
    return os.path.realpath(os.path.join(tree.project, source)), int(line), rule[1:]  # noqa: PTH118


def check_left_out(tree: GitTree, taken: Taken) -> None:
    """Each rule that leaves something out is the one that git check-ignore names."""
    mine = {
        path: split_rule(tree, rule)
        for path, rule in taken.left_out.items()
        if not rule.startswith(b"built-in") and not is_inner(tree, path)
    }
    said = tree.reasons(list(mine)) if mine else {}
    gits = {path: (os.path.realpath(os.path.join(tree.top, row[0])), *row[1:]) for path, row in said.items()}  # noqa: PTH118
    assert mine == gits


def check_reasons(errand: Errand, tree: GitTree, taken: Taken) -> None:
    """--why PATH names the rule that git check-ignore names, also of one that takes a file in."""
    some = [path for path in sorted(taken.files) if not is_inner(tree, path)]
    some = tree.rng.sample(some, min(2, len(some)))
    for path, (source, line, rule) in (tree.reasons(some) if some else {}).items():
        document = errand.json("snapshot", "--why", tree.project + b"/" + path, cwd=os.fsdecode(tree.project))
        why = to_bytes(document["why"])
        assert document["is_in"]
        assert (b":%d: %s" % (line, rule) if source else b"no rule says anything") in why


@pytest.mark.parametrize("number", ALL_SEEDS)
def test_git_takes_and_leaves_out_the_same(errand: Errand, tmp_path: Path, number: int):
    for seed in range(number * TREES_PER_TEST, (number + 1) * TREES_PER_TEST):
        folder = tmp_path / f"tree{seed}"
        folder.mkdir()
        tree = GitTree(folder, seed, errand.env(), errand.user_home)
        taken = Taken(errand, tree.project)
        assert taken.files == tree.git_says(), f"seed {seed}"
        check_left_out(tree, taken)
        if seed % 5 == 0:
            check_reasons(errand, tree, taken)
        shutil.rmtree(folder)


# What .amlignore and .errandignore say is what git says of the same rules in its own words.
OTHER_FILES = {
    b".amlignore": (False, b"--exclude-from=.amlignore"),
    b".errandignore": (True, b"--exclude-per-directory=.errandignore"),
}


@pytest.mark.parametrize("name", OTHER_FILES, ids=os.fsdecode)
@pytest.mark.parametrize("number", seeds(1) + [pytest.param(n, marks=pytest.mark.soak) for n in range(1, 20)])
def test_other_ignore_files_have_the_same_rules(errand: Errand, tmp_path: Path, name: bytes, number: int):
    is_nested, option = OTHER_FILES[name]
    for seed in range(number * TREES_PER_TEST, (number + 1) * TREES_PER_TEST):
        folder = tmp_path / f"tree{seed}"
        folder.mkdir()
        tree = GitTree(folder, seed, errand.env(), errand.user_home)
        tree.make_only(name, is_nested=is_nested)
        if not os.path.isfile(tree.top + b"/" + name) or tree.repositories:  # noqa: PTH113 - names are bytes
            continue
        for rest in (b"/info/exclude", b"/index", b"/worktrees/linked/index"):
            Path(os.fsdecode(tree.git + rest)).unlink(missing_ok=True)
        (errand.user_home / ".gitconfig").write_text("[core]\n\texcludesFile =\n")
        listed = tree.run(tree.top, b"ls-files", b"-z", b"--others", option).split(b"\0")[:-1]
        assert Taken(errand, tree.top).files == set(listed), f"seed {seed}"


# ---- what git tracks -------------------------------------------------------------------------------------------------

RULES = {
    ".gitignore": "data/\n*.bin\nwhole/\n",
    "data/kept.txt": "1",
    "data/more/kept.txt": "1",
    "data/other.txt": "1",
    "data/deep/other.txt": "1",
    "kept.bin": "1",
    "other.bin": "1",
    "whole/a.txt": "1",
    "train.py": "",
}
KEPT = {b".gitignore", b"data/kept.txt", b"data/more/kept.txt", b"kept.bin", b"train.py"}


def git(folder: Path, *args: str, **variables: str) -> bytes:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", **variables}
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *who, *args], cwd=folder, env=environment, check=True, capture_output=True).stdout


def commit_all(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")


@pytest.fixture(params=["version 2", "version 4", "split index", "SHA-256", "conflict"])
def tracked(make_project, request: pytest.FixtureRequest) -> Path:
    """A project that tracks some of what its rules ignore, with an index of each kind."""
    folder = make_project(RULES)
    git(folder, "init", "-q", f"--object-format={'sha256' if request.param == 'SHA-256' else 'sha1'}")
    git(folder, "config", "index.version", "4" if request.param == "version 4" else "2")
    if request.param == "conflict":
        kept = git(folder, "hash-object", "-w", "kept.bin").decode().strip()
        rows = "".join(f"100644 {kept} {stage}\tdata/kept.txt\n" for stage in (1, 2, 3))
        git(folder, "update-index", "--add", "data/more/kept.txt", "kept.bin")
        subprocess.run(["git", "update-index", "--index-info"], cwd=folder, input=rows.encode(), check=True)
    else:
        git(folder, "add", "-f", "data/kept.txt", "data/more/kept.txt", "kept.bin")
    if request.param == "split index":
        git(folder, "update-index", "--split-index")
        git(folder, "add", ".gitignore")
    return folder


def test_what_git_tracks_is_sent_whatever_its_rules_say(errand: Errand, tracked: Path):
    taken = Taken(errand, tracked)
    assert taken.files == KEPT
    assert taken.left_out == {
        b".git": b"built-in: .git",
        b"data": b".gitignore:1: data/ (but for what git tracks)",
        b"other.bin": b".gitignore:2: *.bin",
        b"whole": b".gitignore:3: whole/",
    }


def test_why_tells_that_a_file_is_tracked(errand: Errand, tracked: Path):
    def why(path: str) -> tuple[bool, str]:
        document = errand.json("snapshot", "--why", path, cwd=tracked)
        return document["is_in"], document["why"]

    assert why("kept.bin") == (True, "in: git tracks it (else left out by .gitignore:2: *.bin)")
    assert why("data/kept.txt") == (True, "in: git tracks it (else left out by .gitignore:1: data/)")
    assert why("data") == (True, "in parts: left out by .gitignore:1: data/ (but for what git tracks)")
    assert why("data/other.txt") == (False, "left out by .gitignore:1: data/")
    assert why("other.bin") == (False, "left out by .gitignore:2: *.bin")


def test_errandignore_leaves_out_tracked_files_too(errand: Errand, tracked: Path):
    (tracked / ".errandignore").write_text("*.bin\n")
    (tracked / "data" / ".errandignore").write_text("more/\n")
    assert Taken(errand, tracked).files == KEPT - {b"kept.bin", b"data/more/kept.txt"} | {b".errandignore"}


def test_amlignore_replaces_what_git_has(errand: Errand, tracked: Path):
    (tracked / ".amlignore").write_text("kept.*\n")
    (tracked / "data" / ".gitignore").write_text("*\n")
    (tracked / "data" / ".amlignore").write_text("*\n")
    wanted = {b".gitignore", b".amlignore", b"data/.gitignore", b"data/.amlignore", b"data/other.txt"}
    wanted |= {b"data/deep/other.txt", b"other.bin", b"whole/a.txt", b"train.py"}
    assert Taken(errand, tracked).files == wanted


def test_a_submodule_is_sent_by_its_own_rules_although_its_folder_is_ignored(errand: Errand, make_project):
    library = make_project({".gitignore": "*.o\n", "lib.c": "", "a.bin": ""}, git=True)
    commit_all(library)
    folder = make_project({".gitignore": "vendor/\n*.bin\n", "train.py": ""})
    git(folder, "init", "-q")
    git(folder, "submodule", "--quiet", "add", "--force", str(library), "vendor/lib")
    (folder / "vendor" / "lib" / "lib.o").write_text("")
    (folder / "vendor" / "other").write_text("")
    taken = Taken(errand, folder).files
    assert taken == {
        *(b".gitignore", b".gitmodules", b"train.py"),
        *(b"vendor/lib/.gitignore", b"vendor/lib/lib.c", b"vendor/lib/a.bin"),
    }


def test_a_worktree_has_an_index_of_its_own_and_the_repositorys_exclude_file(errand: Errand, make_project, tmp_path):
    main = make_project({"a.txt": "", "b.txt": ""}, git=True)
    commit_all(main)
    (main / ".git" / "info" / "exclude").write_text("*.txt\n*.log\n")
    git(main, "worktree", "add", "-q", str(tmp_path / "linked"))
    linked = tmp_path / "linked"
    (linked / "c.txt").write_text("")
    (linked / "d.log").write_text("")
    git(linked, "rm", "-q", "--cached", "b.txt")
    taken = Taken(errand, linked)
    assert taken.files == {b"a.txt"}
    assert taken.left_out[b"d.log"] == os.fsencode(main / ".git" / "info" / "exclude") + b":2: *.log"


# ---- what errand adds ------------------------------------------------------------------------------------------------

BUILT_IN = {
    "train.py": "",
    "outputs/a": "",
    "logs/a": "",
    "sub/outputs/a": "",
    "sub/logs/a": "",
    "sub/__pycache__/a.pyc": "",
    "sub/.ipynb_checkpoints/a.ipynb": "",
    "env/pyvenv.cfg": "",
    "env/bin/python": "",
    "conda/conda-meta/history": "",
    "conda/bin/python": "",
    "data/a.csv": "",
    "data/labels.csv": "",
    "data/sub/__pycache__/a.pyc": "",
}


def test_outputs_logs_caches_and_environments_stay_here(errand: Errand, make_project):
    taken = Taken(errand, make_project(BUILT_IN))
    data = {path.encode() for path in BUILT_IN if path.startswith("data") and "__pycache__" not in path}
    assert taken.files == {b"train.py", b"sub/outputs/a", b"sub/logs/a"} | data
    assert taken.left_out == {
        b"outputs": b"built-in: outputs",
        b"logs": b"built-in: logs",
        b"sub/__pycache__": b"built-in: __pycache__",
        b"sub/.ipynb_checkpoints": b"built-in: .ipynb_checkpoints",
        b"env": b"built-in: virtual environment (pyvenv.cfg)",
        b"conda": b"built-in: conda environment (conda-meta)",
        b"data/sub/__pycache__": b"built-in: __pycache__",
    }


def test_a_rule_that_names_what_is_built_in_takes_it_in(errand: Errand, make_project):
    folder = make_project({**BUILT_IN, ".gitignore": "!outputs/\n!env/\n!*pycache*\n"})
    files = Taken(errand, folder).files
    assert {b"outputs/a", b"env/pyvenv.cfg", b"env/bin/python"} <= files
    assert not {b"logs/a", b"sub/__pycache__/a.pyc", b"conda/bin/python"} & files


def test_snapshot_include_takes_in_what_a_rule_leaves_out(errand: Errand, make_project):
    rules = {
        ".gitignore": "data/\n",
        "errand.yaml": "snapshot:\n  include: [data/labels.csv, conda/bin, ./outputs//]\n",
    }
    taken = Taken(errand, make_project({**BUILT_IN, **rules}))
    wanted = {b"data/labels.csv", b"conda/bin/python", b"outputs/a", b"errand.yaml", b".gitignore"}
    assert taken.files == wanted | {b"train.py", b"sub/outputs/a", b"sub/logs/a"}
    assert taken.left_out[b"data"] == b".gitignore:1: data/ (but for what snapshot.include names)"
    assert b"data/a.csv" not in taken.left_out


def test_the_nearest_errandignore_is_above_all_of_gits_rules(errand: Errand, make_project):
    folder = make_project(
        {
            ".gitignore": "*.csv\n!b.csv\n",
            ".errandignore": "!a.csv\nb.csv\nc/*.csv\n",
            "a.csv": "",
            "b.csv": "",
            "c/a.csv": "",
            "c/c.csv": "",
            "c/.errandignore": "!c.csv\n",
            "d.csv": "",
        },
        git=True,
    )
    taken = Taken(errand, folder).files
    assert taken == {b".gitignore", b".errandignore", b"a.csv", b"c/c.csv", b"c/.errandignore"}


def test_a_project_that_the_repository_around_it_ignores_is_sent(errand: Errand, make_project):
    top = make_project({".gitignore": "runs/\n*.log\n", "runs/one/train.py": "", "runs/one/a.log": ""}, git=True)
    assert Taken(errand, top / "runs" / "one").files == {b"train.py", b"a.log"}


def test_rules_count_without_git(errand: Errand, make_project, tmp_path):
    """No repository, and no git program: .gitignore files and the default place of the user's own still count."""
    folder = make_project({".gitignore": "a.*\n", "a.txt": "", "b.txt": "", "c.txt": ""})
    (errand.user_home / ".config" / "git").mkdir(parents=True)
    (errand.user_home / ".config" / "git" / "ignore").write_text("b.*\n")
    document = errand.json("snapshot", "--dry-run", cwd=folder, env={"PATH": str(tmp_path)})
    assert {entry["path"] for entry in document["files"]} == {".gitignore", "c.txt"}
