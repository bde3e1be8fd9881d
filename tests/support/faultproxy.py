"""A TCP proxy on 127.0.0.1 that is a slow, narrow or broken link, the same way every time.

    with FaultProxy(("127.0.0.1", port), rtt_s=0.05, rate=1_000_000, faults=[Fault("rst", "down", 5000)]) as proxy:
        connect to proxy.port

Delay: rtt_s is the round trip; each direction has half of it. The connection to the server is opened 1.5 round trips
after the client's, which is when a server behind such a link would see it, so that a protocol's whole beginning
costs what it would cost; only connect() itself returns at once. Rate is in bytes a second for each direction.

Faults happen at a byte: exactly `at` bytes of that direction are delivered, then

    close   both sides see the end of the stream
    rst     both sides are reset
    half    the receiver of that direction sees its end; the other direction goes on
    freeze  nothing passes any more, either way, and nobody is told (a cable pulled out); thaw() mends it
    flip    the byte at offset `at` is xored with `mask`, and all goes on

and they may be asked for at any moment by cut(), freeze(), thaw(), refuse() and accept_again().

Directions: "up" from the client to the server, "down" back. Connections are numbered from 1.
"""

import argparse
import collections
import contextlib
import fcntl
import re
import signal
import socket
import struct
import sys
import termios
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)] if __name__ == "__main__" else []

from support.waiting import wait_for  # noqa: E402

CHUNK = 256 * 1024
IN_FLIGHT = 64 * 1024 * 1024  # what a fast link with a delay may hold
KINDS = ("close", "rst", "half", "freeze", "flip")


@dataclass(frozen=True)
class Fault:
    kind: str
    direction: str  # "up" or "down"
    at: int
    connection: int | None = None  # None: every connection
    mask: int = 0x01

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.direction not in ("up", "down") or self.at < 0:
            raise ValueError(f"no such fault: {self}")


@dataclass
class Count:
    """Bytes delivered over one connection."""

    up: int = 0
    down: int = 0


class _Ended(Exception):
    """This direction is over."""


class _Lane:
    """One direction of one connection: a thread that reads, a queue in which bytes grow old enough, one that writes."""

    def __init__(self, link: "_Link", direction: str, source: socket.socket, sink: socket.socket):
        self.link = link
        self.direction = direction
        self.source = source
        self.sink = sink
        proxy = link.proxy
        self.delay_s = proxy.rtt_s / 2
        self.rate = proxy.rate
        # A narrow link must push back on its sender: small steps, and little under way.
        self.chunk = CHUNK if not self.rate else max(1024, min(CHUNK, int(self.rate / 100)))
        self.room = IN_FLIGHT if not self.rate else max(64 * 1024, int(self.rate * self.delay_s) + self.chunk)
        self.free_at = 0.0
        self.queue: collections.deque[tuple[float, bytes]] = collections.deque()
        self.queued = 0
        self.changed = threading.Condition()
        self.faults = sorted(
            (
                fault
                for fault in proxy.faults
                if fault.direction == direction and fault.connection in (None, link.number)
            ),
            key=lambda fault: fault.at,
        )

    def start(self) -> None:
        for work in (self.read, self.write):
            threading.Thread(target=work, daemon=True).start()

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self) -> None:
        try:
            while data := self.source.recv(self.chunk):
                self.put(data)
            self.put(b"")
        except OSError:
            self.link.abort()

    def put(self, data: bytes) -> None:
        now = time.monotonic()
        due = now + self.delay_s
        if self.rate:
            self.free_at = max(self.free_at, now) + len(data) / self.rate
            due = self.free_at + self.delay_s
        with self.changed:
            self.changed.wait_for(lambda: self.queued < self.room or self.link.is_over)
            self.queue.append((due, data))
            self.queued += len(data)
            self.changed.notify_all()

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self) -> None:
        try:
            self.trip(0)
            while data := self.take():
                self.deliver(data)
            self.link.gate.wait()
            self.sink.shutdown(socket.SHUT_WR)
        except _Ended:
            pass
        except OSError:
            self.link.abort()
        self.link.lane_ended()

    def take(self) -> bytes:
        with self.changed:
            self.changed.wait_for(lambda: self.queue or self.link.is_over)
            if self.link.is_over:
                raise _Ended
            due, data = self.queue.popleft()
            self.queued -= len(data)
            self.changed.notify_all()
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)
        return data

    def position(self) -> int:
        return getattr(self.link.count, self.direction)

    def deliver(self, data: bytes) -> None:
        while data:
            data = self.trip(len(data), data)
            step = len(data)
            if self.faults:
                step = min(step, self.faults[0].at - self.position())
            self.send(data[:step])
            data = data[step:]
        self.trip(0)

    def send(self, data: bytes) -> None:
        self.link.gate.wait()
        if self.link.is_over:
            raise _Ended
        self.sink.sendall(data)
        position = self.position() + len(data)
        # Before the count tells of it: who waits for the count may thaw at once, and is not to be frozen afterwards.
        while self.faults and self.faults[0].kind == "freeze" and self.faults[0].at == position:
            self.faults.pop(0)
            self.link.gate.clear()
        setattr(self.link.count, self.direction, position)
        self.link.proxy.note_progress()

    def trip(self, available: int, data: bytes = b"") -> bytes:
        """Do what is due at the present position; flip needs the byte itself. Returns data, flipped or not."""
        while self.faults and self.faults[0].at == self.position():
            fault = self.faults[0]
            if fault.kind == "flip":
                if not available:
                    break
                self.faults.pop(0)
                data = bytes((data[0] ^ fault.mask,)) + data[1:]
                continue
            self.faults.pop(0)
            self.link.inject(fault.kind, self)
        return data


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: "FaultProxy", client: socket.socket, number: int):
        self.proxy = proxy
        self.client = client
        self.number = number
        self.count = Count()
        self.server: socket.socket | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.is_over = False
        self.lanes: list[_Lane] = []
        self.lanes_left = 2
        self.lock = threading.Lock()

    def run(self) -> None:
        if self.proxy.rtt_s:
            time.sleep(self.proxy.rtt_s * 1.5)
        try:
            self.server = socket.create_connection(self.proxy.server)
            for end in (self.client, self.server):
                self.proxy.prepare(end)
        except OSError:  # also of one that cut() has closed meanwhile
            self.abort()
            return
        self.lanes = [
            _Lane(self, "up", self.client, self.server),
            _Lane(self, "down", self.server, self.client),
        ]
        if self.is_over:
            self.close()
            return
        if self.proxy.preface:
            self.lanes[1].put(self.proxy.preface)
        for lane in self.lanes:
            lane.start()

    def ends(self) -> list[socket.socket]:
        return [end for end in (self.client, self.server) if end]

    def inject(self, kind: str, lane: _Lane) -> None:
        if kind == "freeze":
            self.gate.clear()
            return
        wait_delivered(lane.sink)
        if kind == "half":
            lane.sink.shutdown(socket.SHUT_WR)
        elif kind == "close":
            self.close()
        else:
            self.abort()
        raise _Ended

    def abort(self) -> None:
        """Reset both sides."""
        for end in self.ends():
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close(orderly=False)

    def close(self, orderly: bool = True) -> None:
        with self.lock:
            if self.is_over:
                return
            self.is_over = True
        for end in self.ends():
            with contextlib.suppress(OSError):
                # Also wakes the thread that reads from it; a descriptor under recv() is not freed by close() alone.
                # shutdown() before a reset would send an orderly end first, so that one is woken by its peer's reset.
                end.shutdown(socket.SHUT_RDWR if orderly else socket.SHUT_RD)
            with contextlib.suppress(OSError):
                end.close()
        self.gate.set()
        for lane in self.lanes:
            with lane.changed:
                lane.changed.notify_all()
        self.proxy.note_progress()

    def lane_ended(self) -> None:
        with self.lock:
            self.lanes_left -= 1
            last = self.lanes_left == 0
        if last:
            self.close()


def wait_delivered(end: socket.socket) -> None:
    """Wait until the receiver's kernel has all that was sent: a reset would throw away what is still under way."""

    def is_empty() -> bool:
        try:
            return struct.unpack("i", fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0] == 0
        except (OSError, ValueError):
            return True

    with contextlib.suppress(AssertionError):
        wait_for(is_empty, "the receiver to take the bytes", 5, every_s=0.0005)


@dataclass
class FaultProxy:
    """Life: FaultProxy(...) -> start() -> stop(), or a context manager. Its methods may be called from any thread."""

    server: tuple[str, int]
    rtt_s: float = 0.0
    rate: float | None = None
    faults: list[Fault] = field(default_factory=list)
    port: int = 0
    preface: bytes = b""  # goes down before what the server says

    def __post_init__(self) -> None:
        self.links: list[_Link] = []
        self.listener: socket.socket | None = None
        self.changed = threading.Condition()

    def start(self) -> "FaultProxy":
        self.accept_again()
        return self

    def stop(self) -> None:
        self.refuse()
        self.cut("rst")

    def __enter__(self) -> "FaultProxy":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def prepare(self, end: socket.socket) -> None:
        """Small buffers for a narrow link; a listener hands its receive buffer on to what it accepts."""
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.rate:
            for side in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                end.setsockopt(socket.SOL_SOCKET, side, 64 * 1024)

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                link = _Link(self, client, len(self.links) + 1)
                self.links.append(link)
                self.changed.notify_all()
            threading.Thread(target=link.run, daemon=True).start()

    # -- at any moment -------------------------------------------------------------------------------------------

    def cut(self, kind: str = "rst") -> None:
        """End every open connection now: "rst" or "close"."""
        for link in list(self.links):
            (link.abort if kind == "rst" else link.close)()

    def freeze(self) -> None:
        """From now on nothing passes over the connections that are open."""
        for link in list(self.links):
            link.gate.clear()

    def thaw(self) -> None:
        for link in list(self.links):
            link.gate.set()

    def arm(self, fault: Fault) -> None:
        """The newest connection has this fault, which comes next there; its place counts from now."""
        for lane in self.links[-1].lanes:
            if lane.direction == fault.direction:
                lane.faults.insert(0, replace(fault, at=lane.position() + fault.at))

    def widen(self) -> None:
        """No connection is narrow any more, those that are open included."""
        self.rate = None
        for link in list(self.links):
            for lane in link.lanes:
                lane.rate = None

    def refuse(self) -> None:
        """New connections are refused from now on; open ones stay."""
        if self.listener:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None

    def accept_again(self) -> None:
        """Listen (on the same port, after refuse)."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.prepare(listener)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.listener = listener
        self.port = listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    # -- what happened -------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return len(self.links)

    def count(self, connection: int | None = None) -> Count:
        """Bytes delivered over one connection, or over all of them together."""
        counts = [link.count for link in self.links if connection in (None, link.number)]
        return Count(sum(count.up for count in counts), sum(count.down for count in counts))

    def note_progress(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_count(self, direction: str, at_least: int, deadline_s: float = 30) -> None:
        """Wait until so many bytes were delivered in that direction, over all connections."""
        with self.changed:
            if not self.changed.wait_for(lambda: getattr(self.count(), direction) >= at_least, deadline_s):
                raise AssertionError(f"{direction}: {self.count()} after {deadline_s} s, {at_least} were awaited")


# -- as a program ------------------------------------------------------------------------------------------------


def parse_fault(kind: str, text: str) -> Fault:
    """DIRECTION:BYTE[:CONNECTION]"""
    direction, _, rest = text.partition(":")
    at, _, connection = rest.partition(":")
    return Fault(kind, direction, int(at), int(connection) if connection else None)


def parse_size(text: str) -> float:
    """A number with K, M or G (powers of 1000) behind it."""
    found = re.fullmatch(r"([0-9.]+)([KMG]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text}: a number, with K, M or G behind it")
    return float(found[1]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[found[2]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True, help="HOST:PORT of the server")
    parser.add_argument("--port", type=int, default=0, help="to listen on; default: a free one, which is printed")
    parser.add_argument("--rtt-ms", type=float, default=0)
    parser.add_argument("--rate", type=parse_size, help="bytes a second, each way (10M)")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="DIRECTION:BYTE[:CONNECTION]")
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")
    stop_signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)
    faults = [parse_fault(kind, text) for kind in KINDS for text in getattr(arguments, kind)]
    with FaultProxy((host, int(port)), arguments.rtt_ms / 1000, arguments.rate, faults, arguments.port) as proxy:
        print(proxy.port, flush=True)
        signal.sigwait(stop_signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
