"""Servers on 127.0.0.1 that are no good SSH servers: what a controller must not hang on or be confused by."""

import contextlib
import socket
import threading
from collections.abc import Iterator

VERSION = b"SSH-2.0-OpenSSH_9.2p1\r\n"


def _babble() -> Iterator[bytes]:
    while True:
        yield b"no server of yours\r\n" * 500


# What each kind says to every connection; then it closes ("closes"), or says nothing any more.
SAYS = {
    "silent": lambda: iter(()),
    "silent after its version": lambda: iter([VERSION]),
    "closes": lambda: iter(()),
    "closes after its version": lambda: iter([VERSION]),
    "speaks HTTP": lambda: iter([b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"]),
    "speaks SSH 1": lambda: iter([b"SSH-1.5-OpenSSH_3.0\r\n"]),
    "speaks SSH 1 and waits": lambda: iter([b"SSH-1.5-OpenSSH_3.0\r\n"]),
    "babbles": _babble,
}
CLOSES = ("closes", "closes after its version", "speaks HTTP", "speaks SSH 1")


class BadServer:
    """Life: BadServer(kind) -> start() -> stop(), or as a context manager."""

    def __init__(self, kind: str):
        self.kind = kind
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []

    def start(self) -> "BadServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self) -> None:
        # shutdown wakes the thread that accepts; close alone would not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()

    def __enter__(self) -> "BadServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for words in SAYS[self.kind]():
                connection.sendall(words)
            if self.kind in CLOSES:
                connection.shutdown(socket.SHUT_WR)
                # What comes is taken, so that our end is an end and not a reset.
                while connection.recv(65536):
                    pass
                connection.close()
