"""Packages made by the tests: tiny wheels, and an index on loopback that serves them (PEP 503) and can misbehave.

So a test of environments needs no network, and knows what an index was asked for.
"""

import base64
import contextlib
import hashlib
import http.server
import io
import re
import tarfile
import threading
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

GATE_S = 300  # what hangs hangs at most so long


def record_of(files: dict[str, bytes], name: str) -> bytes:
    rows = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(content)}\n")
    return ("".join(rows) + f"{name},,\n").encode()


def make_wheel(
    folder: Path, name: str, version: str = "1.0", *, requires: tuple[str, ...] = (), code: str = "",
    tag: str = "py3-none-any", padding: int = 0, is_folder: bool = False,
) -> Path:  # fmt: skip
    """A wheel with one module of its name, which may be a folder; padding makes it larger by so many bytes."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}/__init__.py" if is_folder else f"{name}.py": f"__version__ = {version!r}\n{code}".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    if padding:
        files[f"{name}_data.bin"] = b"\0" * padding
    files[f"{info}/RECORD"] = record_of(files, f"{info}/RECORD")
    path = folder / f"{name}-{version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), content)
    return path


def make_sdist(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A source archive with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}.tar.gz"
    files = {"PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n", **files}
    with tarfile.open(path, "w:gz") as archive:
        for member, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


class Index:
    """A package index over http on loopback. `hang` holds every answer back, `fail` answers with a status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        self.hang: Callable[[str], bool] = lambda _path: False
        self.fail: int | None = None
        self.wants_login: tuple[str, str] | None = None
        self.gate = threading.Event()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 (http.server's)
                index.answer(self)

            def do_HEAD(self) -> None:  # noqa: N802
                index.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/simple/"

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

    def wheel(self, name: str, version: str = "1.0", **options) -> Path:
        return make_wheel(self.folder, name, version, **options)

    def files_of(self, name: str) -> Iterator[Path]:
        wanted = re.sub(r"[-_.]+", "-", name).lower()
        for path in sorted(self.folder.iterdir()):
            if re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower() == wanted:
                yield path

    def page(self, name: str) -> bytes | None:
        links = [
            f'<a href="/files/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a><br>'
            for path in self.files_of(name)
        ]
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if links else None

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = urllib.parse.unquote(request.path)
        self.asked.append(path)
        self.authorizations.append(request.headers.get("Authorization"))
        if self.hang(path):
            self.gate.wait(GATE_S)
        if self.wants_login is not None:
            word = base64.b64encode(":".join(self.wants_login).encode()).decode()
            if request.headers.get("Authorization") != f"Basic {word}":
                request.send_response(401)
                request.send_header("WWW-Authenticate", 'Basic realm="index"')
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
        if path.startswith("/simple/"):
            body, kind = self.page(path.split("/")[2]), "text/html"
        else:
            file = self.folder / path.rpartition("/")[2]
            body, kind = (file.read_bytes() if file.is_file() else None), "application/octet-stream"
        status = self.fail or (404 if body is None else 200)
        body = body if status == 200 else b""
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            with contextlib.suppress(OSError):  # who asked may be gone
                request.wfile.write(body)
