"""Asking the daemons over HTTP."""

import json
import re
import socket
import ssl
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from rig import settings


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


# A proxy of the machine is not for loopback.
_DIRECT = urllib.request.ProxyHandler({})
_follows = urllib.request.build_opener(_DIRECT)
_stays = urllib.request.build_opener(_DIRECT, _Stay)


def _opener(follow: bool, ca: Path | None) -> urllib.request.OpenerDirector:
    if ca is None:
        return _follows if follow else _stays
    trusting = ssl.create_default_context(cafile=str(ca))
    return urllib.request.build_opener(_DIRECT, urllib.request.HTTPSHandler(context=trusting))


def url(port: int, path: str) -> str:
    return f"http://{settings.HOST}:{port}{path}"


def request(
    address: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    follow: bool = True,
    deadline_s: float = 20,
    ca: Path | None = None,
) -> Answer:
    """An answer, whatever its status; OSError where there is none. A body is said to be JSON.

    ca: whose word for an https server counts, with redirections followed.
    """
    asked = urllib.request.Request(address, data=body, headers=headers or {}, method=method)
    if body is not None:
        asked.add_header("Content-Type", "application/json")
    try:
        with _opener(follow, ca).open(asked, timeout=deadline_s) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def get_json(port: int, path: str) -> Any:
    """The document there. A key that occurs twice (the ResourceManager sends such) has its last value."""
    answer = request(url(port, path))
    if answer.status != 200:
        raise OSError(f"{url(port, path)} answered {answer.status}: {answer.text[:300]}")
    return json.loads(answer.body)


def says(port: int, path: str, pattern: str) -> bool:
    """Whether something answers there and its answer matches the pattern."""
    try:
        answer = request(url(port, path), deadline_s=3)
    except OSError:
        return False
    return answer.status == 200 and re.search(pattern, answer.text) is not None


def opens(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((settings.HOST, port), timeout=3).close()
    except OSError:
        return False
    return True
