"""Small runs for the tests that speak the protocol themselves."""

import json

from support import wire
from support.wire import Snapshot, Wire, spec

HELLO = Snapshot({"hello.sh": (b"#!/bin/sh\necho hello $1\n", "x"), "data": {"empty": b"", "a file": b"x" * 5000}})


def shell(text: str, snapshot: Snapshot = HELLO, **changes) -> bytes:
    return spec(snapshot, ["sh", "-c", text], **changes)


def run_id(spec_bytes: bytes) -> str:
    return json.loads(spec_bytes)["run"]


def end(link: Wire, run: str) -> wire.Follow:
    """Follow the run to its end."""
    return link.follow(run, "driver.log").run()
