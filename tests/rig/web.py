"""Asking the daemons over HTTP."""

import json
import re
import urllib.error
import urllib.request
from typing import Any

from rig import settings

# A proxy of the machine is not for loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def url(port: int, path: str) -> str:
    return f"http://{settings.HOST}:{port}{path}"


def request(
    address: str, *, method: str = "GET", body: bytes | None = None, deadline_s: float = 20
) -> tuple[int, bytes]:
    """(status, body) of an answer, whatever its status; OSError where there is none."""
    asked = urllib.request.Request(address, data=body, method=method)
    if body is not None:
        asked.add_header("Content-Type", "application/json")
    try:
        with _opener.open(asked, timeout=deadline_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def get_json(port: int, path: str) -> Any:
    """The document there. A key that occurs twice (the ResourceManager sends such) has its last value."""
    status, body = request(url(port, path))
    if status != 200:
        raise OSError(f"{url(port, path)} answered {status}: {body[:300].decode(errors='replace')}")
    return json.loads(body)


def says(port: int, path: str, pattern: str) -> bool:
    """Whether something answers there and its answer matches the pattern."""
    try:
        status, body = request(url(port, path), deadline_s=3)
    except OSError:
        return False
    return status == 200 and re.search(pattern, body.decode(errors="replace")) is not None
