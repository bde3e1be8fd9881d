"""Much to send is said before it goes, and so is much that stays."""

import os
import signal
from pathlib import Path

import pytest
from support.projects import write_files


def make_large(project: Path) -> None:
    """Files of data/raw, the biggest, and others; more than 300 KB."""
    write_files(project, {f"data/raw/{i}": os.urandom(50_000) for i in range(6)})
    write_files(project, {"model.bin": os.urandom(30_000), "small": "1"})


@pytest.fixture
def large(errand):
    write_files(errand.cwd, {"errand.yaml": "snapshot: {warn_size: 200K, warn_files: 50}\n"})
    make_large(errand.cwd)
    return errand


SAID = r"up to 10 files, 330 KB, to local: data/raw/ \(300 KB, 6 files\), model\.bin \(30 KB\), errand\.yaml"


def test_without_a_terminal_it_is_said_and_goes_on(large, target):
    first = large.ok("run", "--target", target, "train.py")
    assert (
        f"warning: sending up to 10 files, 330 KB, to {target}: data/raw/ (300 KB, 6 files), model.bin (30 KB), "
        in first.errors
    )
    assert first.text == "hello\n"
    assert first.errors.count("sending") == 1
    write_files(large.cwd, {"train.py": "print('again')\n"})
    assert "sending" not in large.ok("run", "--target", target, "train.py").errors  # one small file goes
    write_files(large.cwd, {"data/raw/new": os.urandom(250_000)})
    assert "sending up to 1 file, 250 KB, to " in large.ok("run", "--target", target, "train.py").errors


def test_on_a_terminal_it_is_asked(large):
    refused = large.terminal("run", "train.py", columns=200)
    refused.expect("about to send " + SAID)
    refused.expect(b"Send it? [y/N]")
    refused.send(b"\r")
    done = refused.finish()
    assert done.code == 125 and b"nothing was sent" in done.out and b"hello" not in done.out
    assert large.json("list")["runs"] == []
    agreed = large.terminal("run", "train.py", columns=200)
    agreed.expect(b"Send it? [y/N]")
    agreed.send(b"y\r")
    done = agreed.finish()
    assert done.code == 0 and b"hello" in done.out


def test_it_is_asked_before_all_was_read(errand):
    write_files(errand.cwd, {"errand.yaml": "snapshot: {warn_size: 2M}\n"})
    write_files(errand.cwd, {f"data/{i:02}": os.urandom(1_000_000) for i in range(20)})
    asked = errand.terminal("run", "train.py", columns=200)
    asked.expect(r"about to send up to 22 files, 20 MB, to local: data/ \(20 MB, 20 files\)")
    asked.expect(b"Send it? [y/N]")
    asked.send(b"n\r")
    assert asked.finish().code == 125
    kept = sum(path.stat().st_size for path in (errand.home / "state/store/objects").rglob("*") if path.is_file())
    assert kept < 5_000_000


def test_what_another_node_lacks_is_asked_about_once_it_is_known(large, make_sshd):
    large.ok("run", "train.py")
    large.add_target("other", *make_sshd().target_arguments())
    done = large.terminal("run", "--target", "other", "train.py", columns=200)
    done.expect(r"about to send 10 files, 330 KB, to other: data/raw/")  # all was read before
    done.send(b"y\r")
    assert done.finish().code == 0


def test_yes_is_an_answer(large):
    done = large.terminal("run", "-y", "train.py", columns=200).finish()
    assert done.code == 0 and b"sending up to 10 files" in done.out and b"Send it?" not in done.out


def test_ctrl_c_at_the_question_sends_nothing(large):
    asked = large.terminal("run", "train.py")
    asked.expect(b"Send it? [y/N]")
    asked.send(b"\x03")
    assert asked.finish().code == -signal.SIGINT
    assert large.json("list")["runs"] == []


def test_many_files_are_much_too(large):
    write_files(large.cwd, {f"many/{i}": "x" for i in range(60)})
    write_files(large.cwd, {"errand.yaml": "snapshot: {warn_size: 0, warn_files: 50}\n"})
    assert "sending up to 70 files, " in large.ok("run", "train.py").errors
    write_files(large.cwd, {"errand.yaml": "snapshot: {warn_size: 0, warn_files: 0}\n"})
    write_files(large.cwd, {f"more/{i}": "x" for i in range(60)})
    assert "sending" not in large.ok("run", "train.py").errors


def test_a_look_at_what_will_be_sent_does_not_spread_it_over_files(large):
    """The look is a walk in the middle of the walk that puts objects into the store."""
    write_files(large.cwd, {f"many/{i}": f"{i}" for i in range(600)})
    assert "sending up to" in large.ok("run", "train.py").errors
    store = large.home / "state/store"
    assert len(list((store / "packs").iterdir())) == 1
    assert len(list((store / "objects").glob("*/*"))) < 10


def sparse(path: Path, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size_bytes)


def test_much_that_is_left_out_is_said_in_a_line(errand):
    write_files(errand.cwd, {".gitignore": "data/\n*.ckpt\n", ".errandignore": "/cache\nsmall/\n", "small/x": "x"})
    sparse(errand.cwd / "data/deep/a", 3_000_000_000)
    sparse(errand.cwd / "data/b", 1_100_000_000)
    sparse(errand.cwd / "last.ckpt", 200_000_000)
    sparse(errand.cwd / "cache/first/x", 400_000_000)
    write_files(errand.cwd, {f"cache/first/{i}": "x" for i in range(300)})
    sparse(errand.cwd / ".venv/huge", 5_000_000_000)  # built in: nobody wonders
    write_files(errand.cwd, {".venv/pyvenv.cfg": ""})
    lines = [line for line in errand.ok("run", "train.py").errors.splitlines() if "left out" in line]
    assert len(lines) == 1 and lines[0].startswith("errand: left out: data/ (4.1 GB) by .gitignore:1: data/; ")
    assert "last.ckpt (200 MB) by .gitignore:2: *.ckpt" in lines[0]
    assert "small" not in lines[0] and ".venv" not in lines[0]


def test_a_glance_at_what_is_left_out_says_when_there_is_more(errand):
    write_files(errand.cwd, {".gitignore": "data/\n"})
    for number in range(300):
        sparse(errand.cwd / f"data/{number}", 10_000_000)
    [line] = [line for line in errand.ok("run", "train.py").errors.splitlines() if "left out" in line]
    assert "data/ (more than 1.2 GB) by .gitignore:1: data/" in line


def test_nothing_is_said_of_little(errand):
    write_files(errand.cwd, {".gitignore": "build/\n", "build/x": "x"})
    assert "left out" not in errand.ok("run", "train.py").errors
