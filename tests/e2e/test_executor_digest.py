"""The executor that answers is the very file that was asked for."""

from pathlib import Path

from support.sshd import Sshd


def installed(sshd: Sshd) -> Path:
    (executor,) = Path(sshd.home, ".errand", "bin").iterdir()
    return executor


def node_of(errand, sshd: Sshd) -> str:
    target = errand.add_target("node", *sshd.target_arguments())
    errand.ok("run", "--target", target, "train.py")
    return target


def test_a_changed_executor_is_refused_and_named(errand, sshd):
    target = node_of(errand, sshd)
    executor = installed(sshd)
    content = executor.read_bytes()
    executor.unlink()  # it may still run: nobody may write into it then
    executor.write_bytes(content + b"more")
    executor.chmod(0o755)
    result = errand.run("run", "--target", target, "train.py")
    assert result.code == 125
    assert "another executor answered" in result.errors
    assert f"{executor.name[:28]}..." in result.errors
    executor.unlink()
    errand.ok("run", "--target", target, "train.py")


def test_a_wrapper_that_starts_another_executor_is_refused(errand, sshd, tmp_path):
    """What it was started as (--root, --install) does not count, but what runs."""
    target = node_of(errand, sshd)
    executor = installed(sshd)
    other = tmp_path / "other"
    other.write_bytes(executor.read_bytes() + b"more")
    other.chmod(0o755)
    executor.unlink()
    executor.write_text(f'#!/bin/sh\nexec {other} "$@"\n')
    executor.chmod(0o755)
    result = errand.run("run", "--target", target, "train.py")
    assert result.code == 125
    assert "another executor answered" in result.errors


def test_a_wrapper_that_starts_the_right_executor_is_none_of_our_business(errand, sshd, tmp_path):
    target = node_of(errand, sshd)
    executor = installed(sshd)
    kept = executor.rename(tmp_path / "kept")
    executor.write_text(f'#!/bin/sh\nnice -n 1 {kept} "$@"\n')
    executor.chmod(0o755)
    errand.ok("run", "--target", target, "train.py")
