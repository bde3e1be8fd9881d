"""Keeps what a cluster answers, for tests that have none."""

import json
import re
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from rig import configuration, settings, web

EXTENSIONS = {"application/json": "json", "text/html": "html", "application/xml": "xml"}


class Recorder:
    """Files of a folder, each the body of an answer or what a command said, and index.json, which tells of each what
    was asked and how it was answered. What differs from machine to machine is replaced."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.index: dict[str, dict] = {}

    def keep(self, name: str, text: bytes, **facts: object) -> None:
        text = text.replace(str(settings.HOME).encode(), b"/rig")
        text = text.replace(f"{socket.gethostname()}/{settings.HOST}".encode(), b"localhost/127.0.0.1")
        text = re.sub(rb"/tmp/spark-[0-9a-f-]{36}", b"/tmp/spark-0", text)
        (self.folder / name).write_bytes(text)
        self.index[name] = {key: value for key, value in facts.items() if value is not None}

    def http(
        self,
        name: str,
        port: int,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> web.Answer:
        """Ask, and keep the answer as name and an extension."""
        answer = web.request(web.url(port, path), method=method, body=body, headers=headers, follow=False)
        kind = answer.headers.get("Content-Type")
        extension = EXTENSIONS.get((kind or "").split(";")[0], "txt")
        self.keep(
            f"{name}.{extension}",
            answer.body,
            method=method,
            url=f"http://localhost:{port}{path}",
            sent=body.decode().replace(str(settings.HOME), "/rig") if body else None,
            status=answer.status,
            content_type=kind,
            location=answer.headers.get("Location"),
        )
        return answer

    def command(
        self, name: str, words: Iterable[str], variables: dict[str, str] | None = None, deadline_s: float = 300
    ) -> subprocess.CompletedProcess:
        """Run a command of the head node, and keep what it said on stderr as name.stderr, on stdout, where that is
        anything, as name.stdout. variables: more of its environment."""
        words = list(words)
        environment = configuration.environment()
        environment |= variables or {}
        environment["PATH"] = f"{settings.HEAD}/bin:/usr/bin:/bin"
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False, timeout=deadline_s
        )
        self.keep(f"{name}.stderr", done.stderr, command=words, status=done.returncode)
        if done.stdout:
            self.keep(f"{name}.stdout", done.stdout, command=words, status=done.returncode)
        return done

    def close(self) -> None:
        """Write index.json with what was kept now; files of earlier recordings stay as they are."""
        index = self.folder / "index.json"
        rows = json.loads(index.read_text()) if index.exists() else {}
        rows |= self.index
        text = json.dumps(dict(sorted(rows.items())), indent=1, ensure_ascii=False)
        index.write_text(text.replace(str(settings.HOME), "/rig") + "\n")
