"""Argument vectors that run a command in a worse world: a system call that fails or kills, a full disk, no network.

Each is a list to put in front of a command, as in `subprocess.run([*failing("fsync", error="ENOSPC"), *argv])`. strace
injects into release builds only: LeakSanitizer does not work under it.
"""

import functools
import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def failing(
    call: str,
    *,
    error: str | None = None,
    signal: str | None = None,
    when: str | int = 1,
    path: str | Path | None = None,
    extra: str = "",
    report: str | Path = "/dev/null",
    also: str = "",
) -> list[str]:
    """The `when`-th of these calls ("3", "2+", "1+2") in each process fails with the error ("ENOSPC"), or the process
    gets the signal ("KILL") there. `path` limits it to calls on that file; `call` may be several ("write,pwrite64").
    `report` gets all of them, and those of `also`, which are left as they are."""
    how = [f"error={error}"] if error else []
    how += [f"signal={signal}"] if signal else []
    how += [extra] if extra else []
    only = ["-P", str(path)] if path else []
    rule = f"inject={call}:{':'.join(how)}:when={when}"
    seen = f"{call},{also}" if also else call
    return ["strace", "-f", "-qq", "-o", str(report), *only, "-e", f"trace={seen}", "-e", rule]


def counting(call: str, report: Path) -> list[str]:
    """Writes every one of these calls into the report; read it with counted()."""
    return ["strace", "-f", "-qq", "-o", str(report), "-e", f"trace={call}"]


def counted(report: Path) -> Counter:
    """How often each call was made, over all processes."""
    calls = re.findall(r"^\d+ +(\w+)\(", report.read_text(errors="replace"), re.M)
    return Counter(calls)


def in_namespace(flags: str, setup: str, command: Sequence[str] = ()) -> list[str]:
    """`unshare` with those flags, as root there where we are none here; `setup` is shell text that runs first."""
    become_root = [] if os.getuid() == 0 else ["-U", "-r"]
    return ["unshare", *become_root, *shlex.split(flags), "sh", "-c", f'{setup} && exec "$@"', "sh", *command]


def on_small_disk(folder: Path, size_bytes: int, inodes: int | None = None) -> list[str]:
    """`folder`, which must exist, is an empty disk of that size for the command and its children alone."""
    options = f"size={size_bytes}" + (f",nr_inodes={inodes}" if inodes else "")
    return in_namespace("-m", f"mount -t tmpfs -o {options} none {shlex.quote(str(folder))}")


def on_read_only_disk(folder: Path) -> list[str]:
    """Nothing in `folder` can be written by the command and its children."""
    where = shlex.quote(str(folder))
    return in_namespace("-m", f"mount --bind {where} {where} && mount -o remount,bind,ro {where}")


def with_boot_id(boot_id: str, file: Path) -> list[str]:
    """The command and its children see this boot id, as after a reboot. `file` is written and used for it."""
    file.write_text(boot_id + "\n")
    return in_namespace("-m", f"mount --bind {shlex.quote(str(file))} /proc/sys/kernel/random/boot_id")


@functools.cache
def is_possible(kind: str) -> bool:
    """Whether this machine lets us: "strace" (ptrace) or "mount" (a mount namespace of our own)."""
    probe = {
        "strace": [*failing("getppid", error="EPERM"), "true"],
        "mount": [*in_namespace("-m", "mount -t tmpfs none /mnt"), "true"],
    }[kind]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
