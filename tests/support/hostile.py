"""SSH servers that break the protocol: before the key exchange by raw bytes, after it by paramiko's machinery, which
has the keys and sends what it is told to."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko
from paramiko import common
from paramiko.message import Message

from support.passwords import PasswordServer

VERSION = b"SSH-2.0-OpenSSH_9.2p1\r\n"
FLOOD = 64 << 20  # more than anybody may keep of it
CONTROLS = "bye \x1b]0;title\x07\x1b[2J\x9b31m\r\n\u202e now"


def packet(payload: bytes, length: int | None = None) -> bytes:
    """RFC 4253 section 6, without a MAC; length: what it claims to be."""
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    claimed = len(payload) + padding + 1 if length is None else length
    return struct.pack(">IB", claimed, padding) + payload + bytes(padding)


def string(data: bytes, length: int | None = None) -> bytes:
    return struct.pack(">I", len(data) if length is None else length) + data


def kexinit(*lists: bytes) -> bytes:
    usual = (
        b"curve25519-sha256",
        b"ssh-ed25519",
        b"aes256-ctr",
        b"aes256-ctr",
        b"hmac-sha2-256",
        b"hmac-sha2-256",
        b"none",
        b"none",
        b"",
        b"",
    )
    names = [string(name) if isinstance(name, bytes) else name for name in (*lists, *usual[len(lists) :])]
    return b"\x14" + bytes(16) + b"".join(names) + bytes(5)


# What is said in the clear; then the server keeps still.
CLEAR: dict[str, bytes] = {
    "a packet of 4 GB": VERSION + packet(kexinit(), 0xFFFFFFFF) + b"x" * 100_000,
    "a packet of 2 GB": VERSION + packet(kexinit(), 0x7FFFFFFF) + b"x" * 100_000,
    "a packet of no bytes": VERSION + struct.pack(">I", 0) * 1000,
    "a packet all padding": VERSION + struct.pack(">IB", 12, 255) + bytes(11),
    "a list of 4 GB": VERSION + packet(b"\x14" + bytes(16) + struct.pack(">I", 0xFFFFFFFF) + b"x" * 100),
    "a list of a million names": VERSION + packet(kexinit(b",".join([b"a"] * 15_000))),
    "an offer of nothing": VERSION + packet(kexinit(*[b""] * 10)),
    "an offer cut short": VERSION + packet(kexinit()[:60]),
    "an offer of one byte": VERSION + packet(b"\x14"),
    "an empty packet": VERSION + packet(b""),
    "another message first": VERSION + packet(b"\x35" + string(b"banner")) * 10,
    "a reply without a question": VERSION + packet(b"\x1f" + string(b"key") + string(b"f") + string(b"sig")),
    "offers without end": VERSION + packet(kexinit()) * 20_000,
    "words to ignore without end": VERSION + packet(b"\x02" + string(b"x" * 30_000)) * 1000,
    "a goodbye with controls": VERSION
    + packet(b"\x01" + struct.pack(">I", 2) + string(CONTROLS.encode()) + string(b"")),
    "a goodbye of 4 GB": VERSION + packet(b"\x01" + struct.pack(">I", 2) + struct.pack(">I", 0xFFFFFFFF) + b"bye"),
    "a version without end": b"SSH-2.0-" + b"x" * 1_000_000,
    "a version with controls": f"SSH-2.0-{CONTROLS}".encode() + b"\r\n",
    "a version and noise": VERSION + bytes(range(256)) * 100,
    "bytes of zero": bytes(1_000_000),
}


def _flooded(send: Callable[[], None], size: int) -> None:
    for _ in range(FLOOD // size):
        send()


def _message(number: int, *parts: bytes) -> Message:
    message = Message()
    message.add_byte(bytes([number]))
    for part in parts:
        message.add_bytes(part)
    return message


class HostileServer(PasswordServer):
    """As PasswordServer, whose login is passed by anybody's key; kind: a name in CLEAR or AFTER_LOGIN, AT_LOGIN."""

    def __init__(self, folder: Path, mark: dict[str, str], kind: str):
        super().__init__(folder, mark)
        self.kind = kind
        self.misdeeds = 0

    def target_arguments(self, identity: Path) -> list[str]:
        return [*super().target_arguments(), f"--identity={identity}"]

    def _accept(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while True:
                connection, _ = self.listener.accept()
                if self.kind in CLEAR:
                    self.kept = connection
                    threading.Thread(target=self._say, args=(connection,), daemon=True).start()
                    continue
                transport = paramiko.Transport(connection)
                transport.add_server_key(paramiko.Ed25519Key(filename=str(self.key)))
                self.transports.append(transport)
                transport.start_server(event=threading.Event(), server=_Open(self, transport))

    def _say(self, connection: socket.socket) -> None:
        self.misdeeds += 1
        with contextlib.suppress(OSError):
            connection.sendall(CLEAR[self.kind])

    def misbehave(self, table: dict, transport: paramiko.Transport, channel: int) -> bool:
        if self.kind not in table:
            return False
        self.misdeeds += 1

        def go() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                table[self.kind](
                    lambda *message: transport._send_message(_message(*message)), struct.pack(">I", channel)
                )

        threading.Thread(target=go, daemon=True).start()
        return True


class _Open(paramiko.ServerInterface):
    def __init__(self, server: HostileServer, transport: paramiko.Transport):
        self.server = server
        self.transport = transport

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002
        if self.server.misbehave(AT_LOGIN, self.transport, 0):
            threading.Event().wait(20)
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.server.misbehave(AFTER_LOGIN, self.transport, channel.remote_chanid):
            return True
        return super().check_channel_exec_request(channel, command)


DATA, EXTENDED, ADJUST, REQUEST = (
    common.MSG_CHANNEL_DATA,
    common.MSG_CHANNEL_EXTENDED_DATA,
    common.MSG_CHANNEL_WINDOW_ADJUST,
    common.MSG_CHANNEL_REQUEST,
)
PIECE = os.urandom(30_000)

# While the client's key is looked at: send(number of a message, parts ...), and the client's channel as four bytes.
AT_LOGIN = {
    "banners without end": lambda send, _: _flooded(
        lambda: send(common.MSG_USERAUTH_BANNER, string(PIECE), string(b"")), len(PIECE)
    ),
    "a banner of 4 GB": lambda send, _: send(common.MSG_USERAUTH_BANNER, string(b"x", 0xFFFFFFFF), string(b"")),
    "methods of 4 GB": lambda send, _: send(common.MSG_USERAUTH_FAILURE, string(b"x", 0xFFFFFFFF), b"\0"),
    "a key it was not asked about": lambda send, _: send(
        common.MSG_USERAUTH_PK_OK, string(b"ssh-ed25519"), string(b"other", 0xFFFFFF00)
    ),
    "an expulsion with controls": lambda send, _: send(
        common.MSG_DISCONNECT, struct.pack(">I", 2), string(CONTROLS.encode()), string(b"")
    ),
    "questions about everything": lambda send, _: _flooded(
        lambda: send(common.MSG_GLOBAL_REQUEST, string(b"hostkeys-00@openssh.com"), b"\1", PIECE), len(PIECE)
    ),
    "an unknown message": lambda send, _: send(200, PIECE),
}

# When a command was asked for.
AFTER_LOGIN = {
    "more than the window": lambda send, channel: _flooded(lambda: send(DATA, channel, string(PIECE)), len(PIECE)),
    "data of 4 GB": lambda send, channel: send(DATA, channel, string(b"x", 0xFFFFFFFF)),
    "data for nobody": lambda send, _: _flooded(lambda: send(DATA, b"\0\0\1\0", string(PIECE)), len(PIECE)),
    "words on stderr without end": lambda send, channel: _flooded(
        lambda: send(EXTENDED, channel, struct.pack(">I", 1), string(PIECE)), len(PIECE)
    ),
    "an unknown kind of data": lambda send, channel: _flooded(
        lambda: send(EXTENDED, channel, struct.pack(">I", 77), string(PIECE)), len(PIECE)
    ),
    "room for more than there is": lambda send, channel: [
        send(ADJUST, channel, struct.pack(">I", 0xFFFFFFFF)) for _ in range(100)
    ],
    "channels of its own": lambda send, _: [
        send(
            common.MSG_CHANNEL_OPEN, string(b"forwarded-tcpip"), struct.pack(">III", i, 1 << 20, 1 << 15), string(PIECE)
        )
        for i in range(500)
    ],
    "an end by a signal of 4 GB": lambda send, channel: send(
        REQUEST, channel, string(b"exit-signal"), b"\0", string(b"KILL", 0xFFFFFFFF)
    ),
    "a status of no bytes": lambda send, channel: [
        send(REQUEST, channel, string(b"exit-status"), b"\0"),
        send(common.MSG_CHANNEL_CLOSE, channel),
    ],
    "a farewell with controls": lambda send, _: send(
        common.MSG_DISCONNECT, struct.pack(">I", 2), string(CONTROLS.encode()), string(b"")
    ),
    "a short farewell": lambda send, _: send(common.MSG_DISCONNECT, b"\0"),
}
