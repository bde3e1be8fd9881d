"""A project as it lies on the disk: what a snapshot keeps and reports, and that the node's checkout is the same."""

import base64
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.errand import ROOT, Errand
from support.foldertree import bad_objects, make_deep, tree_of
from support.inject import failing, is_possible

# Made by errand in a run's folder, or left out of a snapshot, at the top.
NOT_OURS = (b"outputs", b"logs", b".git")
PATH_BYTES_MAX = 4095
CONTENT_BYTES_MAX = 4 << 20


def to_bytes(value: str | dict) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def node_root(errand: Errand, target: str, request: pytest.FixtureRequest) -> Path:
    """Where the node keeps what is its own."""
    if target == "local":
        return errand.home / "state" / "local"
    return request.getfixturevalue("sshd").home / ".errand"


def run_and_look(errand: Errand, target: str, root: Path, project: Path, **keywords) -> dict[bytes, tuple]:
    """The folder that a run on the target found."""
    errand.ok("run", "--target", target, "--", "true", cwd=project, **keywords)
    work = root / "runs" / errand.show()["id"] / "work"
    return tree_of(work, NOT_OURS)


def problems(errand: Errand, project: Path, **keywords) -> dict[bytes, str]:
    document = errand.json("snapshot", "--dry-run", cwd=project, **keywords)
    return {to_bytes(entry["path"]): entry["text"] for entry in document["problems"]}


# ---- what is kept ----------------------------------------------------------------------------------------------------


def make_odd_files(folder: Path) -> None:
    """Names and sizes at the edges."""
    names = [
        *(
            b" ",
            b"a b",
            b" lead",
            b"trail ",
            b"new\nline",
            b"cr\r",
            b"tab\t",
            b"\x01\x1b[31m",
            b"-n",
            b"--",
            b"*",
            b"?",
        ),
        *(
            b"\xff\xfe\x80",
            b"\xc3\xa9t\xc3\xa9",
            b"e\xcc\x81",
            b"\xe2\x82\xac",
            b"x" * 255,
            b"\xff" * 255,
            b"..a",
            b"a..",
        ),
        *(b"?", b"~", b"back\\slash", b"'", b'"', b"$(x)", b"A", b"a", b"a.b", b"a-b", b"a0", b".hidden"),
    ]
    top = os.fsencode(folder)
    for name in names:
        write(top + b"/names/" + name, name)
        write(top + b"/folders/" + name + b"/" + name, b"in " + name)
    rng = random.Random(1)
    for size in (0, 1, 4095, 4096, CONTENT_BYTES_MAX, CONTENT_BYTES_MAX + 1, 3 * CONTENT_BYTES_MAX):
        write(top + b"/sizes/%d" % size, rng.randbytes(size))
    make_deep(folder, deep_path(PATH_BYTES_MAX), b"deep")
    make_deep(folder, [b"d"] * 300 + [b"file"], b"deeper")


def write(path: bytes, content: bytes, mode: int = 0o644) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - names are bytes
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)  # noqa: PTH101


def deep_path(size: int) -> list[bytes]:
    """Components that together, with the slashes, are a path of that many bytes."""
    names = [b"y" * 250] * ((size - 2) // 251)
    return [*names, b"z" * (size - 251 * len(names))]


def make_odd_kinds(folder: Path) -> None:
    """Modes, links, and folders without files."""
    top = os.fsencode(folder)
    for mode in (0o600, 0o644, 0o666, 0o700, 0o755, 0o654, 0o4755, 0o400, 0o500):
        write(top + b"/modes/%o" % mode, b"", mode)
    for name in ("empty", "only/folders/in/here", "only/one"):
        (folder / name).mkdir(parents=True)
    (folder / "one").write_text("one inode")
    os.link(folder / "one", folder / "two")
    targets = [
        b"one",
        b"./one",
        b"nowhere",
        b"empty",
        b"only/../one",
        b"\xff",
        b"x" * 1000,
        b"../" * 3,
        b"/etc/passwd",
        b".",
    ]
    (folder / "links").mkdir()
    for number, target in enumerate(targets):
        os.symlink(target, top + b"/links/%d" % number)  # noqa: PTH211
    with open(folder / "sparse", "wb") as file:
        for offset in (0, 9 << 20, 17 << 20):
            file.seek(offset)
            file.write(b"island")
        file.truncate(32 << 20)


@pytest.mark.parametrize("make", [make_odd_files, make_odd_kinds])
def test_the_checkout_is_the_project_byte_by_byte(errand: Errand, target: str, make_project, make, request):
    project = make_project({"train.py": ""})
    make(project)
    root = node_root(errand, target, request)
    here = tree_of(project)
    assert run_and_look(errand, target, root, project) == here
    assert len(here) > 20
    # The same once more, of which the node has everything, and with changes.
    (project / "train.py").write_text("changed")
    (project / "empty").rmdir() if make is make_odd_kinds else (project / "sizes" / "1").unlink()
    here = tree_of(project)
    assert run_and_look(errand, target, root, project) == here
    assert bad_objects(root / "store") == []


def test_a_sparse_file_stays_small(errand: Errand, project: Path):
    size = 64 << 20
    with open(project / "sparse", "wb") as file:
        file.write(b"first")
        file.truncate(size - 4)
        file.seek(0, os.SEEK_END)
        file.write(b"last")
    errand.ok("run", "--", "true")
    copy = errand.home / "state" / "local" / "runs" / errand.show()["id"] / "work" / "sparse"
    assert copy.stat().st_size == size
    assert copy.stat().st_blocks * 512 < size / 4


def test_an_empty_project_and_one_of_folders_only_are_snapshots(errand: Errand, make_project):
    for files in ({}, {"a/b/c/": None}):
        project = make_project(files)
        document = errand.json("snapshot", "--dry-run", cwd=project)
        kinds = [(entry["path"], entry["kind"]) for entry in document["files"]]
        assert document["size_bytes"] == 0
        assert kinds == ([("a/b/c", "folder"), ("a/b", "folder"), ("a", "folder")] if files else [])
        assert errand.json("snapshot", cwd=project)["root"] == document["root"]


# ---- what is reported ------------------------------------------------------------------------------------------------


def test_what_is_no_file_is_left_out_and_named(errand: Errand, project: Path, monkeypatch):
    os.mkfifo(project / "fifo")
    monkeypatch.chdir(project)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    assert problems(errand, project) == {
        b"fifo": "a device, socket or FIFO",
        b"socket": "a device, socket or FIFO",
    }
    assert b"not taken: fifo: a device, socket or FIFO" in errand.ok("snapshot").err
    assert errand.ok("run", "train.py").out == b"hello\n"


def test_a_link_that_leaves_the_project_is_taken_and_named(errand: Errand, project: Path):
    (project / "out").symlink_to("../elsewhere")
    assert problems(errand, project) == {b"out": "a symbolic link that leaves the project"}
    assert b"out: a symbolic link that leaves the project" in errand.ok("snapshot").err


def test_a_path_that_is_too_long_is_named(errand: Errand, project: Path):
    make_deep(project, deep_path(PATH_BYTES_MAX + 1), b"")
    (found,) = problems(errand, project).items()
    assert len(found[0]) > PATH_BYTES_MAX
    assert "too long" in found[1]


@pytest.mark.skipif(not is_possible("strace"), reason="strace may not trace here")
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "call, error, text",
    [
        ("openat", "EACCES", "open: Permission denied"),
        ("read", "EIO", "read: Input/output error"),
        ("openat", "ENOENT", "it vanished meanwhile"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(errand: Errand, project: Path, call: str, error: str, text: str):
    """Of the superuser no permission keeps a file, so the calls fail by injection."""
    (project / "secret").write_text("x")
    prefix = failing(call, error=error, when="1+", path="secret" if call == "openat" else project / "secret")
    command = [*prefix, *errand.argv("snapshot", "--dry-run", "--json")]
    done = subprocess.run(command, cwd=project, env=errand.env(), capture_output=True, check=False)
    document = json.loads(done.stdout)
    assert [(entry["path"], entry["text"]) for entry in document["problems"]] == [("secret", text)]
    assert [entry["path"] for entry in document["files"]] == ["train.py"]


def test_what_changes_meanwhile_never_gets_another_contents_name(errand: Errand, project: Path):
    """Files that grow, are rewritten and replaced all the time: each is left out by name, or is what its name says."""
    stop = threading.Event()
    rng = random.Random(2)

    def disturb() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with open(project / "grows", "ab") as file:
                file.write(b"x" * 1000)
            (project / f"rewritten{number % 20}").write_bytes(rng.randbytes(rng.randint(0, 50000)))
            (project / "new").write_bytes(rng.randbytes(1000))
            (project / "new").rename(project / f"replaced{number % 20}")
            if number % 50 == 0:
                (project / "grows").write_bytes(rng.randbytes(5 << 20))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(10):
            document = errand.json("snapshot")
            texts = {entry["text"] for entry in document["problems"]}
            assert texts <= {"it changed each time it was read", "it vanished meanwhile"}
            assert "train.py" in {entry["path"] for entry in document["files"]}
    finally:
        stop.set()
        thread.join()
    assert bad_objects(errand.home / "state" / "store") == []


# ---- size ------------------------------------------------------------------------------------------------------------


def make_many(folder: Path, count: int) -> None:
    """Small files, most of them in folders of a thousand, the rest in one."""
    for number in range(count):
        path = folder / (f"part{number // 1000}" if number % 5 else "all") / f"file{number}"
        if number % 1000 in (0, 1):
            path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % number)


# Linux counts what a process was before exec in its peak, and a test worker is large: so a small process starts it.
MEASURE = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as report:
    report.write(str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_memory(errand: Errand, *args: str, cwd: Path) -> int:
    """The most bytes of memory that the command had."""
    report = errand.folder / "peak"
    errand.ok(*args, cwd=cwd, prefix=[sys.executable, "-S", "-c", MEASURE, report], deadline_s=1800)
    return int(report.read_text())


def test_twenty_thousand_files_in_bounded_memory(errand: Errand, make_project):
    project = make_project({})
    make_many(project, 20_000)
    for _ in range(2):
        assert peak_memory(errand, "snapshot", cwd=project) < 64 << 20
    document = errand.json("snapshot", "--dry-run", cwd=project)
    assert sum(entry["kind"] == "file" for entry in document["files"]) == 20_000
    (project / "all" / "file0").write_text("changed")
    assert errand.json("snapshot", cwd=project)["root"] != document["root"]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_files_go_there(errand: Errand, target: str, make_project, request):
    project = make_project({})
    make_many(project, 100_000)
    root = node_root(errand, target, request)
    assert run_and_look(errand, target, root, project, deadline_s=900) == tree_of(project)
    assert peak_memory(errand, "snapshot", cwd=project) < 128 << 20


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_file_of_5_gb_goes_there_in_constant_memory(errand: Errand, target: str, make_project, request):
    project = make_project({})
    size, rng = 5_000_000_000, random.Random(3)
    with open(project / "data", "wb") as file:
        for _ in range(40):
            file.seek(rng.randrange(size - (1 << 20)))
            file.write(rng.randbytes(1 << 20))
        file.truncate(size)
    root = node_root(errand, target, request)
    assert peak_memory(errand, "run", "--target", target, "--", "true", cwd=project) < 64 << 20
    work = root / "runs" / errand.show()["id"] / "work"
    assert tree_of(work, NOT_OURS) == tree_of(project)


@pytest.mark.parametrize("name", ["train", "sklearn", "spark"])
def test_an_example_is_a_project_where_it_lies(errand, name):
    """Above it there is an errand.yaml, too: the example of one."""
    shutil.copytree(ROOT / "conf", errand.cwd / "conf")
    example = errand.cwd / "conf" / "examples" / name
    assert (errand.cwd / "conf" / "errand.yaml").exists()
    document = errand.json("snapshot", "--dry-run", cwd=example)
    expected = sorted(str(path.relative_to(example)) for path in example.rglob("*") if path.is_file())
    assert sorted(one["path"] for one in document["files"]) == expected
