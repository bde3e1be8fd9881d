"""`serve` against an end that breaks the protocol, goes away, or changes its mind."""

import os
import time
from pathlib import Path

import pytest
from support import wire
from support.runs import HELLO, end, run_id, shell
from support.wire import Closed, Wire, WireError

SUBMIT = {"spec": shell("true").decode(), "root": HELLO.root, "base": None}
ALL_RUNS = {"runs": None}
frame = Wire.frame
HOSTILE = {
    "garbage": os.urandom(4096),
    "shell": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "oversized": wire.HEADER.pack(1 << 30, wire.NUMBERS["SUBMIT"], 0, 0, 1),
    "unknown type": frame(200, 1, b"{}"),
    "reserved bits": wire.HEADER.pack(2, wire.NUMBERS["STATUS"], 0, 7, 1) + b"{}",
    "second hello": frame("HELLO", 0, {"protocol": 1}),
    "no json": frame("STATUS", 1, b"runs"),
    "json too deep": frame("STATUS", 1, b'{"runs":' + b"[" * 4000 + b"]" * 4000 + b"}"),
    "data without a stream": frame("DATA", 5, b"x"),
    "data where none belongs": frame("STATUS", 1, ALL_RUNS) + frame("DATA", 1, b"x"),
    "executor's message": frame("ACCEPTED", 1, {"run": "norun", "is_new": True, "journal": []}),
    "stream used again": frame("STATUS", 2, ALL_RUNS) + frame("STATUS", 1, ALL_RUNS),
    "objects before submit": frame("SECRETS", 1, {"secrets": {}}) + frame("DATA", 1, b"x"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_end_that_breaks_the_protocol_is_told_and_left(connect, what):
    link = connect()
    try:
        link.write(HOSTILE[what])
        while True:
            message = link.read()
            if message.name == "ERROR" and message.stream == 0:
                break
        assert message.json["code"] in ("protocol", "limit", "version")
    except Closed:
        pass
    assert link.close() == 1


def test_a_pack_without_end_is_refused_and_the_connection_goes_on(link):
    stream = link.open()
    link.send("SUBMIT", stream, SUBMIT)
    link.write(frame("DATA", stream, b"x" * wire.DATA_MAX) * 140)
    with pytest.raises(WireError) as refused:
        link.answer(stream)
    assert refused.value.code in ("limit", "protocol", "corrupt")
    assert link.ask("STATUS", ALL_RUNS)[0] == [{"runs": []}]


def test_a_request_before_hello_is_refused(connect):
    link = connect(is_greeting=False)
    link.send("STATUS", 1, {"runs": None})
    with pytest.raises(WireError) as refused:
        link.receive(0)
    assert refused.value.code == "protocol"
    assert link.close() == 1


def test_half_a_frame_and_the_end_is_no_trouble(connect):
    for cut in range(1, 40, 3):
        link = connect()
        link.write(link.frame("STATUS", 1, {"runs": None})[:cut])
        assert link.close() == 0


def test_a_controller_that_asks_and_never_reads_is_held_back(link):
    """Megabytes of questions without reading one answer: serve stops reading, and its memory stays small."""
    question = link.frame("PING", 0, b"x" * 64)
    os.set_blocking(link.process.stdin.fileno(), False)
    sent, stuck_since = 0, None
    while sent < 64 << 20:
        try:
            sent += os.write(link.process.stdin.fileno(), question * 500)
            stuck_since = None
        except BlockingIOError:
            stuck_since = stuck_since or time.monotonic()
            if time.monotonic() - stuck_since > 1:
                break
        except BrokenPipeError:
            break
    memory_kib = 0
    try:
        status = Path(f"/proc/{link.process.pid}/status").read_text()
        memory_kib = int(status.split("VmRSS:")[1].split()[0]) if "VmRSS:" in status else 0
    except FileNotFoundError:
        pass
    assert memory_kib < 64 << 10


def test_runs_go_on_when_their_connection_breaks(connect, tmp_path):
    mark = tmp_path / "done"
    link = connect()
    run = link.submit(shell(f"while ! test -e {tmp_path}/go; do sleep 0.05; done; touch {mark}"), HELLO)["run"]
    link.write(os.urandom(1000))
    link.close()
    (tmp_path / "go").touch()
    assert end(connect(), run).names[-1] == "Completed"
    assert mark.exists()


def test_reset_ends_one_stream_and_no_other(link, tmp_path):
    run = link.submit(shell(f"while ! test -e {tmp_path}/go; do sleep 0.05; done; echo done"), HELLO)["run"]
    first, second = link.follow(run, "driver.log"), link.follow(run, "driver.log")
    first.until(lambda f: "Running" in f.names)
    link.send("RESET", first.stream)
    with pytest.raises(WireError) as ended:
        first.run()
    assert ended.value.code == "canceled"
    (tmp_path / "go").touch()
    assert second.run().read() == b"done\n"


def test_a_push_that_is_reset_leaves_no_run(link):
    stream = link.open()
    spec_bytes = shell("true")
    link.write(link.submission(stream, spec_bytes, HELLO)[:-12])  # all but PUSH_END
    link.send("RESET", stream)
    with pytest.raises(WireError) as ended:
        link.answer(stream)
    assert ended.value.code == "canceled"
    assert link.status(run_id(spec_bytes))["known"] is False
    assert link.submit(spec_bytes, HELLO)["is_new"] is True
