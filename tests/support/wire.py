"""The wire protocol from the controller's side, byte by byte: what a controller sends, and what none should.

`Wire` starts a program that speaks the protocol on its standard input and output (the executor's `serve`) and talks to
it frame by frame. It shares no code with the product: PROTOCOL.md and FORMATS.md are its only source.
"""

import ctypes
import hashlib
import io
import json
import os
import re
import secrets
import select
import struct
import subprocess
import tarfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from support.errand import BIN, MARK, ROOT
from support.waiting import PATIENCE, TooLate

EXECUTOR = BIN / "errand-executor"
HEADER = struct.Struct("<IBBHI")
DATA_MAX = 64 << 10
LAST = 1
CONTENT, LIST, TREE = b"c", b"l", b"t"
KIND_NAMES = {CONTENT: "content", LIST: "list", TREE: "tree"}


def message_numbers() -> dict[str, int]:
    """Name to number of every message, from the table."""
    table = (ROOT / "common" / "messages.def").read_text()
    return {name: int(number) for name, number in re.findall(r"^MESSAGE\((\w+), (\d+),", table, re.M)}


NUMBERS = message_numbers()
NAMES = {number: name for name, number in NUMBERS.items()}


class WireError(Exception):
    """An ERROR message."""

    def __init__(self, body: dict):
        super().__init__(f"{body['code']}: {body['message']}")
        self.code = body["code"]
        self.body = body


class Closed(Exception):
    """The other end closed the stream of bytes."""


@dataclass
class Message:
    name: str
    flags: int
    stream: int
    payload: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.payload)


# --- objects -------------------------------------------------------------------------------------------------------


def oid(kind: bytes, body: bytes) -> bytes:
    return hashlib.sha256(kind + body).digest()


@dataclass
class Snapshot:
    """A small folder as objects: {"train.py": b"...", "run.sh": (b"...", "x"), "sub": {...}}."""

    files: dict
    objects: dict = field(default_factory=dict)  # (kind, digest): body
    count: int = 0
    size: int = 0
    root: str = ""

    def __post_init__(self):
        digest, self.size = self.add_folder(self.files)
        self.root = digest.hex()

    def add(self, kind: bytes, body: bytes) -> bytes:
        digest = oid(kind, body)
        self.objects[kind, digest] = body
        return digest

    def add_folder(self, files: dict) -> tuple[bytes, int]:
        total, entries = 0, b""
        for name in sorted(os.fsencode(name) for name in files):
            value = files[os.fsdecode(name)]
            if isinstance(value, dict):
                kind, (digest, size) = b"d", self.add_folder(value)
            else:
                content, kind = value if isinstance(value, tuple) else (value, "f")
                kind, size, digest = kind.encode(), len(content), self.add(CONTENT, content)
                self.count += 1
            entries += kind + struct.pack("<BQ", len(name), size) + digest + name
            total += size
        body = struct.pack("<BBHIQ", 1, 0, 0, len(files), total) + entries
        return self.add(TREE, body), total


def zstd_frame(data: bytes) -> bytes:
    """A zstd frame of uncompressed blocks (RFC 8878)."""
    frame = struct.pack("<IBBQ", 0xFD2FB528, 0b11000000, 0x68, len(data))  # 8-byte size, 8 MiB window
    blocks = [data[at : at + (128 << 10)] for at in range(0, len(data), 128 << 10)] or [b""]
    for number, block in enumerate(blocks):
        is_last = number == len(blocks) - 1
        frame += struct.pack("<I", len(block) << 3 | is_last)[:3] + block
    return frame


def zstd_decompress(data: bytes) -> bytes:
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(16 << 20)
    size = library.ZSTD_decompress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)))
    assert size <= len(out), "not a zstd frame"
    return out.raw[:size]


def pack(objects: dict) -> bytes:
    """One pack of {(kind, digest): body}."""
    archive = b""
    for (kind, digest), body in objects.items():
        entry = tarfile.TarInfo(f"{KIND_NAMES[kind]}/{digest.hex()}")
        entry.size, entry.mode = len(body), 0o400
        archive += entry.tobuf(tarfile.USTAR_FORMAT) + body + b"\0" * (-len(body) % 512)
    return zstd_frame(archive + b"\0" * 1024)


def unpack(data: bytes) -> dict:
    kinds = {name: kind for kind, name in KIND_NAMES.items()}
    objects = {}
    with tarfile.open(fileobj=io.BytesIO(zstd_decompress(data))) as archive:
        for entry in archive:
            kind, digest = entry.name.split("/")
            objects[kinds[kind], bytes.fromhex(digest)] = archive.extractfile(entry).read()
    for (kind, digest), body in objects.items():
        assert oid(kind, body) == digest
    return objects


def tree_files(objects: dict, root: str, prefix: str = "") -> dict[str, bytes]:
    """Path to content of everything below a root whose trees are small."""
    body = objects[TREE, bytes.fromhex(root)]
    at, files = 16, {}
    while at < len(body):
        kind, length, _size = body[at : at + 1], body[at + 1], body[at + 2 : at + 10]
        digest, name = body[at + 10 : at + 42], os.fsdecode(body[at + 42 : at + 42 + length])
        at += 42 + length
        if kind == b"d":
            files |= tree_files(objects, digest.hex(), f"{prefix}{name}/")
        else:
            files[prefix + name] = objects[CONTENT, digest]
    return files


def new_run_id() -> str:
    return "r" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(15))


def spec(snapshot: Snapshot, command: list[str], **changes) -> bytes:
    """A specification; changes replace or add keys."""
    return json.dumps(
        {
            "format": 1,
            "run": new_run_id(),
            "experiment": "test",
            "created": "2026-11-23T00:00:00.000Z",
            "submitter": {"controller": "0" * 32, "name": "tester@here"},
            "snapshot": {"root": snapshot.root, "files": snapshot.count, "size_bytes": snapshot.size},
            "framework": "command",
            "script": None,
            "command": command,
            "interpreter": None,
            "environment": {"pin": None, "variables": {}},
            "secrets": [],
            "attempts": 1,
            "time_limit_ms": None,
            "grace_ms": 1000,
            "resources": {"slots": 1, "gpus": 0, "priority": 0},
            "outputs": ["outputs"],
            "tags": {},
            "on_end": None,
            **changes,
        },
        separators=(",", ":"),
    ).encode()


# --- the connection ------------------------------------------------------------------------------------------------


class Wire:
    """A connection to `errand-executor serve`, opened as far as HELLO (is_greeting=False: only the marker)."""

    def __init__(
        self, root: Path, *, mark: str = "", is_greeting: bool = True, arguments: list[str] | None = None,
        executor: Path = EXECUTOR, controller: str = "0" * 32, prefix: tuple[str, ...] = (), env: dict | None = None,
        tidy: dict | None = None,
    ):  # fmt: skip
        environment = {"ASAN_OPTIONS": "exitcode=99", **os.environ, MARK: mark, **(env or {})}
        self.process = subprocess.Popen(
            [*prefix, executor, "serve", "--root", root, *(arguments or [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0,
        )  # fmt: skip
        self.input = b""
        self.written = 0
        self.next_stream = 1
        self.waiting: list[Message] = []
        self.credits = True  # give credit for DATA at once
        os.set_blocking(self.process.stdin.fileno(), False)
        try:
            self.marker = self.read_marker()
            if is_greeting:
                self.hello(controller, tidy=tidy)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> int:
        """End it as a lost link would; the exit status of serve."""
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            return self.process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.close()

    # bytes

    def fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TooLate("nothing came from serve in time")
        if select.select([self.process.stdout], [], [], left)[0]:
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                raise Closed
            self.input += data

    def write(self, data: bytes, deadline_s: float = 30) -> None:
        """Write all, taking in what comes meanwhile."""
        deadline = time.monotonic() + deadline_s * PATIENCE
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([self.process.stdout], [self.process.stdin], [], 0.1)
            if readable:
                self.fill(deadline)
            if writable:
                try:
                    view = view[os.write(self.process.stdin.fileno(), view) :]
                except BrokenPipeError as error:
                    raise Closed from error
            if time.monotonic() > deadline:
                raise TooLate("serve does not read")
        self.written += len(data)

    def read_marker(self) -> dict:
        deadline = time.monotonic() + 20 * PATIENCE
        while True:
            head, newline, rest = self.input.lstrip(b"\n").partition(b"\n")
            if newline:
                self.input = rest
                if not head.startswith(b"ERRAND-EXECUTOR "):
                    raise AssertionError(f"instead of a marker: {head!r}")
                return json.loads(head.partition(b" ")[2])
            try:
                self.fill(deadline)
            except Closed:
                raise AssertionError(f"instead of a marker: {self.input!r}") from None

    # frames

    @staticmethod
    def frame(name: str | int, stream: int, payload: bytes | dict = b"", flags: int = 0) -> bytes:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return HEADER.pack(len(body), NUMBERS.get(name, name), flags, 0, stream) + body

    def send(self, name: str | int, stream: int, payload: bytes | dict = b"", flags: int = 0) -> None:
        self.write(self.frame(name, stream, payload, flags))

    def read(self, deadline_s: float = 30) -> Message:
        """The next message, of any stream."""
        deadline = time.monotonic() + deadline_s * PATIENCE
        while True:
            if len(self.input) >= HEADER.size:
                length, kind, flags, zero, stream = HEADER.unpack_from(self.input)
                assert zero == 0
                if len(self.input) >= HEADER.size + length:
                    payload = self.input[HEADER.size : HEADER.size + length]
                    self.input = self.input[HEADER.size + length :]
                    message = Message(NAMES[kind], flags, stream, payload)
                    if message.name == "DATA" and self.credits and stream:
                        self.send("CREDIT", stream, struct.pack("<I", len(payload)))
                    return message
            self.fill(deadline)

    def receive(self, stream: int, deadline_s: float = 30) -> Message:
        """The next message of this stream, CREDIT left out; an ERROR is raised."""
        deadline = time.monotonic() + deadline_s * PATIENCE
        while True:
            for i, message in enumerate(self.waiting):
                if message.stream == stream:
                    return self.checked(self.waiting.pop(i))
            message = self.read((deadline - time.monotonic()) / PATIENCE)
            if message.name == "CREDIT":
                continue
            if message.stream == stream:
                return self.checked(message)
            if message.stream == 0 and message.name == "ERROR":
                raise WireError(message.json)
            self.waiting.append(message)

    @staticmethod
    def checked(message: Message) -> Message:
        if message.name == "ERROR":
            raise WireError(message.json)
        return message

    # requests

    def hello(self, controller: str = "0" * 32, protocol: int = 1, tidy: dict | None = None) -> None:
        body = {"protocol": protocol, "controller": controller, "version": "0", "features": []}
        body |= {"tidy": tidy} if tidy else {}
        self.send("HELLO", 0, {**body, "time": "2026-11-23T00:00:00.000Z"})

    def open(self) -> int:
        self.next_stream += 1
        return self.next_stream - 1

    def ask(self, name: str, body: dict, deadline_s: float = 60) -> tuple[list[dict], dict]:
        """One request with one answer: (the REPORTs, END's body)."""
        stream = self.open()
        self.send(name, stream, body)
        reports = []
        while (message := self.receive(stream, deadline_s)).name != "END":
            assert message.name == "REPORT"
            reports.append(message.json)
        return reports, message.json

    def status(self, run: str) -> dict:
        """What STATUS says of one run."""
        reports, _ = self.ask("STATUS", {"runs": [run]})
        [entry] = [entry for report in reports for entry in report["runs"]]
        return entry

    @classmethod
    def submission(
        cls,
        stream: int,
        spec_bytes: bytes,
        snapshot: Snapshot,
        *,
        objects: dict | None = None,
        base: str | None = None,
        secrets_sent: dict | None = None,
        **changes,
    ) -> bytes:
        """The bytes of a submission in one flight. objects: what goes along; all, where None."""
        body = {"spec": spec_bytes.decode(), "root": snapshot.root, "base": base, **changes}
        flight = cls.frame("SECRETS", stream, {"secrets": secrets_sent}) if secrets_sent is not None else b""
        flight += cls.frame("SUBMIT", stream, body)
        wanted = snapshot.objects if objects is None else objects
        return flight + (cls.pack_frames(stream, pack(wanted)) if wanted else b"") + cls.frame("PUSH_END", stream)

    @classmethod
    def pack_frames(cls, stream: int, data: bytes) -> bytes:
        frames = b""
        for at in range(0, len(data), DATA_MAX):
            part = data[at : at + DATA_MAX]
            frames += cls.frame("DATA", stream, part, LAST if at + DATA_MAX >= len(data) else 0)
        return frames

    def answer(self, stream: int, deadline_s: float = 30) -> dict | set:
        """What comes after PUSH_END: ACCEPTED's body, or the set of (kind, digest) that are needed."""
        message = self.receive(stream, deadline_s)
        if message.name == "ACCEPTED":
            return message.json
        assert message.name == "NEED"
        count, records = message.json["objects"], b""
        while True:
            message = self.receive(stream, deadline_s)
            assert message.name == "DATA"
            records += message.payload
            if message.flags & LAST:
                break
        assert len(records) == 33 * count
        return {(records[at : at + 1], records[at + 1 : at + 33]) for at in range(0, len(records), 33)}

    def submit(self, spec_bytes: bytes, snapshot: Snapshot, deadline_s: float = 60, **options) -> dict:
        """Submit, sending what is needed; ACCEPTED's body."""
        stream = self.open()
        self.write(self.submission(stream, spec_bytes, snapshot, **options))
        while isinstance(answer := self.answer(stream, deadline_s), set):
            # A needed tree means everything below it; sending all is simple and right.
            self.write(self.pack_frames(stream, pack(snapshot.objects)) + self.frame("PUSH_END", stream))
        return answer

    def follow(self, run: str, *files: dict | str, journal_seq: int = 0, until: str = "end") -> "Follow":
        return Follow(self, run, files, journal_seq, until)

    def fetch(self, run: str, deadline_s: float = 60) -> tuple[dict, dict]:
        """A run's outputs: (OFFER's body, objects)."""
        stream = self.open()
        self.send("FETCH", stream, {"run": run, "base": None})
        offer, objects, data = self.receive(stream, deadline_s).json, {}, b""
        while (message := self.receive(stream, deadline_s)).name != "END":
            if message.name == "DATA":
                data += message.payload
                if message.flags & LAST:
                    objects, data = objects | unpack(data), b""
                continue
            assert message.name == "PUSH_END"
            missing = missing_below(objects, offer["root"])
            if missing:
                records = b"".join(kind + digest for kind, digest in sorted(missing))
                self.send("NEED", stream, {"objects": len(missing)})
                self.write(self.pack_frames(stream, records))
            else:
                self.send("GOT", stream)
        return offer, objects


def missing_below(objects: dict, root: str) -> set:
    """What of a closure of small trees and files is not among the objects."""
    key = (TREE, bytes.fromhex(root))
    if key not in objects:
        return {key}
    body, at, missing = objects[key], 16, set()
    while at < len(body):
        kind, length = body[at : at + 1], body[at + 1]
        digest = body[at + 10 : at + 42]
        at += 42 + length
        if kind == b"d":
            missing |= missing_below(objects, digest.hex())
        elif (CONTENT, digest) not in objects:
            missing.add((CONTENT, digest))
    return missing


class Follow:
    """A FOLLOW in progress. events has everything in order: ("STATE", line), ("AT", body), ("DATA", file, offset,
    bytes), ("END", body); data has the bytes of (file, generation) by offset, put together by read()."""

    def __init__(self, wire: Wire, run: str, files: tuple, journal_seq: int, until: str):
        self.wire = wire
        self.stream = wire.open()
        self.events: list[tuple] = []
        self.states: list[dict] = []
        self.data: dict[tuple[str, int], bytearray] = defaultdict(bytearray)
        self.starts: dict[tuple[str, int], int] = {}
        self.at: tuple[str, int] | None = None
        self.end: dict | None = None
        wanted = [
            {"file": file, "generation": 0, "offset": 0, "tail": None} if isinstance(file, str) else file
            for file in files
        ]
        body = {"run": run, "journal_seq": journal_seq, "files": wanted, "until": until}
        wire.send("FOLLOW", self.stream, body)

    def step(self, deadline_s: float = 30) -> str:
        """Take one message; its name."""
        message = self.wire.receive(self.stream, deadline_s)
        if message.name == "STATE":
            line = json.loads(message.json["line"])
            self.states.append(line)
            self.events.append(("STATE", line))
        elif message.name == "AT":
            body = message.json
            self.at = (body["file"], body["generation"])
            expected = self.starts.setdefault(self.at, body["offset"]) + len(self.data[self.at])
            assert body["offset"] == expected + (body["gap"] if expected != body["offset"] else 0)
            self.events.append(("AT", body))
        elif message.name == "DATA":
            self.data[self.at] += message.payload
            self.events.append(("DATA", self.at[0], len(message.payload)))
        else:
            assert message.name == "END"
            self.end = message.json
        return message.name

    def run(self, deadline_s: float = 60) -> "Follow":
        """Take everything until END."""
        while self.step(deadline_s) != "END":
            pass
        return self

    def until(self, is_enough, deadline_s: float = 30) -> "Follow":
        """Take messages until is_enough(self)."""
        deadline = time.monotonic() + deadline_s * PATIENCE
        while not is_enough(self):
            assert self.end is None, "it ended before"
            self.step((deadline - time.monotonic()) / PATIENCE)
        return self

    def read(self, file: str = "driver.log", generation: int = 0) -> bytes:
        return bytes(self.data[file, generation])

    @property
    def names(self) -> list[str]:
        return [line["state"] for line in self.states]


def tail_digest(data: bytes) -> str:
    """What FOLLOW says of the bytes that a controller has."""
    return hashlib.sha256(data[-4096:]).hexdigest()
