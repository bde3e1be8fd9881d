"""The ways of making the world worse do what the fault tests rely on."""

import subprocess

import pytest
from support import inject

needs_strace = pytest.mark.skipif(not inject.is_possible("strace"), reason="strace may not trace here")
needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="no mount namespace of our own here")


def run(prefix, *command):
    return subprocess.run([*prefix, *command], capture_output=True, check=False, timeout=60)


@needs_strace
def test_a_call_fails_the_time_that_was_asked_for(tmp_path):
    script = (
        "import os\nfor name in 'abc':\n  try: os.mkdir(name)\n  except OSError as error: print(name, error.errno)\n"
    )
    done = subprocess.run(
        [*inject.failing("mkdir", error="ENOSPC", when=2), "/usr/bin/python3", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == b"b 28\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


@needs_strace
def test_a_process_is_killed_at_a_call_and_calls_are_counted(tmp_path):
    done = run(inject.failing("sync", signal="KILL"), "sync")
    assert done.returncode == -9
    run(inject.counting("sync", tmp_path / "report"), "sync")
    assert inject.counted(tmp_path / "report")["sync"] == 1


@needs_mount
def test_a_small_disk_is_full_and_gone_afterwards(tmp_path):
    done = run(inject.on_small_disk(tmp_path, 1 << 20), "dd", "if=/dev/zero", f"of={tmp_path}/file", "bs=1M", "count=2")
    assert b"No space left on device" in done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_mount
def test_a_read_only_disk_can_be_read_alone(tmp_path):
    (tmp_path / "there").write_text("text")
    done = run(inject.on_read_only_disk(tmp_path), "sh", "-c", f"cat {tmp_path}/there; touch {tmp_path}/new")
    assert done.stdout == b"text"
    assert b"Read-only file system" in done.stderr


@needs_mount
def test_another_boot_id_is_seen(tmp_path):
    boot_id = "01234567-89ab-cdef-0123-456789abcdef"
    done = run(inject.with_boot_id(boot_id, tmp_path / "boot_id"), "cat", "/proc/sys/kernel/random/boot_id")
    assert done.stdout.decode().strip() == boot_id
