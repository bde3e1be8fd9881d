"""A folder as a value: what a snapshot must keep of it, byte by byte. Names are bytes, paths of any length."""

# Entries of open folders, which pathlib does not know.
# ruff: noqa: PTH102, PTH115, PTH116

import hashlib
import os
import stat
import struct
from pathlib import Path

BLOCK = 1 << 20


def digest_of(descriptor: int) -> str:
    """SHA-256 of the rest of an open file, read in blocks, so that 5 GB are no more work for memory than 5 bytes."""
    digest = hashlib.sha256()
    while block := os.read(descriptor, BLOCK):
        digest.update(block)
    return digest.hexdigest()


def describe(name: bytes, folder: int) -> tuple:
    """("file", is_executable, digest), ("link", target) or ("other",) of an entry of an open folder."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return "link", os.readlink(name, dir_fd=folder)
    if not stat.S_ISREG(status.st_mode):
        return ("other",)
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        return "file", bool(status.st_mode & stat.S_IXUSR), digest_of(descriptor)
    finally:
        os.close(descriptor)


def tree_of(folder: Path | str | bytes, leave_out: tuple[bytes, ...] = ()) -> dict[bytes, tuple]:
    """Every entry below folder by its path; leave_out: names at the top that do not count."""
    found: dict[bytes, tuple] = {}
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        read_folder(top, b"", found, leave_out)
    finally:
        os.close(top)
    return found


def read_folder(folder: int, path: bytes, found: dict[bytes, tuple], leave_out: tuple[bytes, ...] = ()) -> None:
    for name in sorted(os.fsencode(entry) for entry in os.listdir(folder)):
        if name in leave_out:
            continue
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            found[path + name] = describe(name, folder)
            continue
        found[path + name] = ("folder",)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            read_folder(inner, path + name + b"/", found)
        finally:
            os.close(inner)


def make_deep(top: Path, names: list[bytes], content: bytes) -> None:
    """A file at a path that may be longer than the system takes in one piece."""
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for name in names[:-1]:
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inner
    descriptor = os.open(names[-1], os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
    os.write(descriptor, content)
    os.close(descriptor)
    os.close(folder)


def packed_objects(path: Path) -> dict[str, bytes]:
    """The objects of a pack file (FORMATS.md 2.1), by digest."""
    data = path.read_bytes()
    count, index, magic = struct.unpack("<QQ8s", data[-24:])
    assert data[:8] == magic == b"ERNDPCK1" and index + 48 * count + 1024 + 24 == len(data)
    rows = [struct.unpack("<32sQIB3x", data[at : at + 48]) for at in range(index, index + 48 * count, 48)]
    assert rows == sorted(rows)
    counts = struct.unpack("<256I", data[-1048:-24])
    assert list(counts) == [sum(row[0][0] <= first for row in rows) for first in range(256)]
    return {digest.hex(): data[at : at + length] for digest, at, length, is_bad in rows if not is_bad}


def objects_in(store: Path) -> dict[str, bytes]:
    """All objects of a store, by digest."""
    found = {path.parent.name + path.name: path.read_bytes() for path in (store / "objects").glob("??/*")}
    for path in (store / "packs").glob("*"):
        found |= packed_objects(path)
    return found


def bad_objects(store: Path) -> list[str]:
    """Digests of a store's objects whose bytes are not what these say."""
    return [
        digest
        for digest, body in sorted(objects_in(store).items())
        if digest not in {hashlib.sha256(kind + body).hexdigest() for kind in (b"c", b"l", b"t")}
    ]
