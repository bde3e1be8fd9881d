"""Who listens where, from /proc/net."""

import ipaddress
from pathlib import Path
from typing import NamedTuple

from support import processes

LISTEN = "0A"


class Listener(NamedTuple):
    address: str
    port: int
    inode: int

    @property
    def is_loopback(self) -> bool:
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback


def _address(text: str) -> str:
    # Words of 32 bits, each in the machine's byte order.
    raw = b"".join(int(text[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(text), 8))
    return str(ipaddress.ip_address(raw))


def listeners() -> list[Listener]:
    """Every TCP socket of the machine that listens."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except FileNotFoundError:  # no IPv6 here
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN:
                address, port = fields[1].split(":")
                found.append(Listener(_address(address), int(port, 16), int(fields[9])))
    return found


def inodes(pid: int) -> set[int]:
    """The sockets that a process holds."""
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:  # it ended, or is somebody else's
        pass
    return found


def of(pids: list[int]) -> list[Listener]:
    """What these processes listen on."""
    held = set().union(*(inodes(pid) for pid in pids))
    return [one for one in listeners() if one.inode in held]


def owner(port: int) -> str | None:
    """Who listens on the port: "process 12 (java ...)", or None where nobody does."""
    found = [one for one in listeners() if one.port == port]
    if not found:
        return None
    wanted = {one.inode for one in found}
    for pid in processes.everyone():
        if inodes(pid) & wanted:
            words = " ".join(processes.command(pid))
            return f"process {pid} ({words[:57] + '...' if len(words) > 60 else words})"
    return "a process of another user"
