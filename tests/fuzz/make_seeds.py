#!/usr/bin/env python3
"""Writes inputs of the corpora that are made of real encodings: corpus/NAME/seed-*; other inputs stay as they are.

For the harnesses whose inputs are bytes that nobody writes by hand. What a harness's first bytes mean says its head.
"""

import hashlib
import io
import json
import re
import struct
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import wire  # noqa: E402
from support.wire import Snapshot  # noqa: E402

DIGEST = "0123456789abcdef" * 4
RUN = "abcdefgh"
TIME = "2026-11-23T10:00:00.000Z"
NUMBERS = wire.message_numbers()


def encode(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def write(corpus: str, name: str, data: bytes) -> None:
    folder = HERE / "corpus" / corpus
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


# --- journals ------------------------------------------------------------------------------------------------------


def line(seq: int, state: str, **more) -> bytes:
    return encode({"seq": seq, "time": TIME, "attempt": 1, "state": state, "reason": "", **more})


FIRST = {"node": DIGEST, "store": DIGEST[:32], "boot": "b-0", "executor": DIGEST}
PROCESS = {"boot": "b-0", "pid": 77, "start": 99}
LOGS = {"driver.log": 5, "control.log": 6, "metrics": 0}
OUTPUTS = {"root": DIGEST, "files": 2, "size_bytes": 7, "warnings": ["outputs/x: gone"]}
ENVIRONMENT = {
    "kind": "packages",
    "identity": DIGEST,
    "build": "20261128T061500Z-ab12",
    "builder": "uv 0.5.1",
    "python": "3.11.7",
    "lock": DIGEST,
    "is_reused": False,
    "spent_ms": 2500,
    "packages": 12,
    "unpinned": 3,
    "size_bytes": 262000000,
}
END = {"proof": "cgroup", "ended": 2, "survivors": 1, "outputs": OUTPUTS, "logs": LOGS}

JOURNALS = {
    "completed": [
        line(1, "Starting", **FIRST),
        line(2, "Preparing"),
        line(3, "Queued", queued="a slot"),
        line(4, "Running", process=PROCESS, log_offset=0, environment=ENVIRONMENT),
        line(5, "Finalizing"),
        line(6, "Completed", exit={"kind": "exited", "code": 0}, **END),
    ],
    "canceled": [
        line(1, "Starting", **FIRST),
        line(2, "Running", process=PROCESS, log_offset=0),
        line(3, "CancelRequested"),
        line(4, "Canceled", exit={"kind": "canceled"}, proof="tree", ended=1, survivors=0, outputs=None, logs=LOGS),
    ],
    "again": [
        line(1, "Starting", **FIRST),
        line(2, "Running", process=PROCESS, log_offset=0),
        line(3, "Starting", attempt=2),
        line(4, "Running", attempt=2, process=PROCESS, log_offset=17),
        line(5, "Failed", attempt=2, exit={"kind": "signaled", "signal": "SIGKILL"}, **END),
    ],
    **{
        kind: [line(1, "Starting", **FIRST), line(2, "Failed", exit={"kind": kind, **more})]
        for kind, more in {
            "out_of_memory": {"signal": "SIGKILL"},
            "timed_out": {},
            "node_restarted": {},
            "supervisor_lost": {},
            "environment_failed": {},
            "could_not_start": {"code": 127},
            "unknown": {},
            "signaled": {"signal": "SIG77"},
        }.items()
    },
}


def journals() -> None:
    for name, lines in JOURNALS.items():
        text = b"".join(one + b"\n" for one in lines)
        write("runstate", name, text)
        write("runview", name, b"\1" + text)
        write("history", name, b"\0" + text)
        tombstone = {"run": RUN, "spec": DIGEST, "collected": TIME, "journal": [one.decode() for one in lines]}
        write("runview", f"tombstone-{name}", b"\0" + encode(tombstone))
    running = b"".join(one + b"\n" for one in JOURNALS["completed"][:4])
    write("runview", "torn", b"\1" + running + b'{"seq":5,"ti')
    write("runview", "torn-line", b"\1" + running + b'{"seq":5}\n')
    write("runview", "running", b"\1" + running)
    for place in (16, 28, 100, 4096 + 3, 3 * 4096 + 8, 5 * 4096 + 100):
        write("history", f"damaged-{place}", b"\1" + struct.pack("<I", place)[:3] + b"\xff")


# --- the wire ------------------------------------------------------------------------------------------------------

BODIES = {
    "HELLO": {"protocol": 1, "controller": "0" * 32, "version": "0.1.0", "features": ["a"], "time": TIME},
    "ERROR": {"code": "no_space", "message": "m", "hint": "h"},
    "SECRETS": {"secrets": {"TOKEN": "x", "OTHER": {"base64": "/w=="}}},
    "SUBMIT": {"spec": "{}", "root": DIGEST, "base": None},
    "NEED": {"objects": 1},
    "ACCEPTED": {"run": RUN, "is_new": True, "journal": ["{}"]},
    "FOLLOW": {
        "run": RUN,
        "journal_seq": 3,
        "files": [{"file": "driver.log", "generation": 1, "offset": 7, "tail": DIGEST}],
        "until": "end",
    },
    "AT": {"file": "driver.log", "generation": 1, "offset": 7, "gap": 3, "why": "limit"},
    "STATE": {"line": "{}"},
    "FETCH": {"run": RUN, "base": DIGEST},
    "OFFER": {"root": DIGEST, "files": 1, "size_bytes": 2, "warnings": ["w"]},
    "STATUS": {"runs": [RUN]},
    "CANCEL": {"run": RUN, "reason": "r", "by": "me", "grace_ms": 5},
    "COLLECTED": {"run": RUN, "root": DIGEST, "sizes": {"driver.log": 1}},
    "CHECK": {"deep": True},
    "ENVIRONMENTS": {"action": "show", "identity": DIGEST[:8], "build": None, "is_forced": False},
    "GC": {"is_dry": True, "keep_days": 1, "max_store_bytes": 1000},
}
ANSWERS = {
    ("FOLLOW", "END"): {"state": "Completed", "sizes": {"driver.log": 9}},
    ("FETCH", "END"): {},
    ("STATUS", "REPORT"): {
        "runs": [
            {"run": RUN, "known": False},
            {"run": RUN, "known": True, "journal": ["{}"], "sizes": {}, "spec": DIGEST, "collected": False},
            {"run": RUN, "known": True, "error": BODIES["ERROR"]},
        ]
    },
    ("STATUS", "END"): {},
    ("ENVIRONMENTS", "REPORT"): {
        "environments": [
            {"identity": DIGEST, "build": "20261128T061500Z-ab12", "used_by": [RUN], "is_ready": True}
            | dict.fromkeys(("created", "last_used"), TIME)
            | {"name": "requirements.txt", "kind": "packages", "builder": "uv 0.5.1", "python": "3.11.7"}
            | {"size_bytes": 262000000, "packages": 12}
        ]
    },
    ("ENVIRONMENTS", "END"): {},
    ("CANCEL", "END"): {"state": "CancelRequested"},
    ("COLLECTED", "END"): {},
    ("CHECK", "REPORT"): {"node": {}, "checks": [{"step": "disk", "ok": True, "detail": "d", "hint": None}]},
    ("GC", "REPORT"): {
        key: 1
        for key in (
            "runs roots objects executors leftovers bytes kept_runs kept_objects kept_bytes is_dry warnings".split()
        )
    }
    | {"is_dry": True, "warnings": ["w"]},
}


def record(name: str, stream: int, payload: bytes | dict = b"", flags: int = 0) -> bytes:
    if isinstance(payload, dict):
        payload = encode(payload)
    return struct.pack("<BBBH", NUMBERS[name], flags, stream, len(payload)) + payload


def body(name: str, stream: int) -> bytes:
    return record(name, stream, BODIES[name])


def credit(stream: int, count: int) -> bytes:
    return record("CREDIT", stream, struct.pack("<I", count))


def messages() -> None:
    for name, value in BODIES.items():
        write("message", name.lower(), bytes([NUMBERS[name], 0]) + encode(value))
    for (request, answer), value in ANSWERS.items():
        write("message", f"{request}-{answer}".lower(), bytes([NUMBERS[answer], NUMBERS[request]]) + encode(value))
    write("message", "credit", bytes([NUMBERS["CREDIT"], 0, 0, 0, 1, 0]))
    write("message", "data", bytes([NUMBERS["DATA"], 0]) + b"bytes")
    write("message", "push_end", bytes([NUMBERS["PUSH_END"], 0]))
    write("message", "push_end-with-a-body", bytes([NUMBERS["PUSH_END"], 0]) + b"{}")


def peers() -> None:
    hello = body("HELLO", 0)
    to_executor = {
        "submission": hello
        + body("SECRETS", 1)
        + body("SUBMIT", 1)
        + record("DATA", 1, b"x" * 300, 1)
        + record("PUSH_END", 1)
        + record("DATA", 1, b"y", 0)
        + credit(1, 7),
        "all": hello
        + record("PING", 0, b"12345678")
        + b"".join(
            body(name, stream)
            for stream, name in enumerate(
                ["FOLLOW", "FETCH", "STATUS", "CANCEL", "CHECK", "GC", "COLLECTED", "SUBMIT"], start=1
            )
        )
        + credit(1, 65536)
        + record("GOT", 2)
        + record("RESET", 1)
        + record("RESET", 8)
        + record("DATA", 8, b"late")
        + body("FOLLOW", 9),
        "four-submissions": hello + b"".join(body("SUBMIT", stream) for stream in (1, 3, 5, 7)),
        "no-hello": body("FOLLOW", 1),
        "hello-twice": hello + hello,
        "number-again": hello + body("FOLLOW", 2) + body("FOLLOW", 2),
        "no-such-stream": hello + record("DATA", 1, b"x"),
        "too-much-credit": hello + body("FOLLOW", 1) + credit(1, 1 << 30),
        "no-credit-for-data": hello + body("FOLLOW", 1) + record("DATA", 1, b"x"),
        "many-streams": hello + b"".join(body("CHECK", stream) for stream in range(1, 140, 2)),
    }
    to_controller = {
        "answers": record("PONG", 0, b"\1" + b"\0" * 7)
        + body("NEED", 1)
        + record("DATA", 1, b"c" + b"\1" * 32, 1)
        + body("ACCEPTED", 1)
        + body("STATE", 2)
        + body("AT", 2)
        + record("DATA", 2, b"a line\n")
        + record("END", 2, ANSWERS["FOLLOW", "END"])
        + body("OFFER", 3)
        + record("DATA", 3, b"x" * 99, 1)
        + record("PUSH_END", 3)
        + record("END", 3, {})
        + record("REPORT", 4, ANSWERS["STATUS", "REPORT"])
        + record("END", 4, {})
        + record("END", 5, ANSWERS["CANCEL", "END"])
        + record("REPORT", 6, ANSWERS["CHECK", "REPORT"])
        + record("END", 6, {})
        + record("REPORT", 7, ANSWERS["GC", "REPORT"])
        + record("END", 7, {})
        + record("DATA", 8, b"after RESET")
        + body("ERROR", 8)
        + record("END", 9, {}),
        "error-on-the-connection": body("ERROR", 0),
        "data-after-the-end": body("ACCEPTED", 1) + record("DATA", 1, b"x"),
        "a-request": body("FOLLOW", 10),
    }
    for name, records in to_executor.items():
        write("peer", f"executor-{name}", b"\1" + records)
        write("peer", f"executor-raw-{name}", b"\3" + frames(records))
    for name, records in to_controller.items():
        write("peer", f"controller-{name}", b"\0" + records)
        write("peer", f"controller-raw-{name}", b"\2" + frames(records))


def frames(records: bytes) -> bytes:
    """The records as the wire has them."""
    out, at = b"", 0
    while at < len(records):
        number, flags, stream, length = struct.unpack_from("<BBBH", records, at)
        out += struct.pack("<IBBHI", length, number, flags, 0, stream) + records[at + 5 : at + 5 + length]
        at += 5 + length
    return out


def transfers() -> None:
    snapshot = Snapshot(
        {"a.py": b"print(1)\n", "run.sh": (b"#!/bin/sh\n", "x"), "lib": {"b.py": b"", "l": (b"b.py", "s")}}
    )
    kinds = {wire.CONTENT: 0, b"l": 1, wire.TREE: 2}

    def put(key: tuple[bytes, bytes]) -> bytes:
        value = snapshot.objects[key]
        return struct.pack("<BBH", 1, kinds[key[0]], len(value)) + value

    # The last tree is the root.
    trees = [key for key in snapshot.objects if key[0] == wire.TREE]
    content = [key for key in snapshot.objects if key[0] == wire.CONTENT]
    all_of_it = b"".join(map(put, content + trees)) + b"\2"
    raw = wire.pack(snapshot.objects)
    write("receive", "at-once", all_of_it + b"\0")
    write("receive", "in-rounds", b"".join(map(put, trees)) + b"\2\0" + b"".join(map(put, content)) + b"\2\0")
    write("receive", "one-by-one", b"".join(put(key) + b"\2\0" for key in reversed(trees + content)))
    write("receive", "nothing", b"\0\0\0")
    write("receive", "half-a-pack", b"\3\0" + struct.pack("<H", 100) + raw[:100] + b"\0")
    write("receive", "no-pack", b"\3\1" + struct.pack("<H", 4) + b"junk\0")
    write(
        "receive",
        "a-pack-as-it-stands",
        b"\3\1" + struct.pack("<H", len(raw)) + raw + b"".join(map(put, trees)) + b"\0",
    )
    for large in (0, 1):
        start = bytes([large])
        write("push", f"{large}-content", start)
        write("push", f"{large}-all", start + b"\3\3")
        write("push", f"{large}-one-by-one", start + b"".join(bytes([0, 1, 1, which]) for which in range(9)))
        write("push", f"{large}-again", start + b"\0\2\2\0\0")
        write("push", f"{large}-unknown", start + b"\0\1\1\x0f")
        write("push", f"{large}-other-kind", start + b"\0\1\1\x81")
        write("push", f"{large}-count-is-wrong", start + b"\0\3\2\0\1")
        write("push", f"{large}-no-records", start + b"\1\2\1\1")
        write("push", f"{large}-half-a-record", start + b"\1\1\2\1" + struct.pack("<H", 20) + b"c" * 20)


# --- what lies on a disk -------------------------------------------------------------------------------------------


def specs() -> None:
    snapshot = Snapshot({"train.py": b"print(1)\n"})
    plain = json.loads(wire.spec(snapshot, ["make", "all"], run=RUN))
    full = {
        **plain,
        "framework": "python",
        "script": "train.py",
        "command": ["--name", "", {"base64": "/w=="}, "a\nb"],
        "interpreter": "python3.11",
        "environment": {"pin": None, "variables": {"A": "1", "B": {"base64": "/w=="}}},
        "secrets": ["TOKEN"],
        "attempts": 3,
        "time_limit_ms": 1000,
        "resources": {"slots": 2, "gpus": 1, "priority": -5},
        "outputs": ["outputs", "a/b"],
        "tags": {"team": "vision"},
        "on_end": ["mail", "me"],
        "later": [1, 2],
    }
    write("runspec", "plain", encode(plain))
    write("runspec", "full", encode(full))
    changes = {
        "newer": {"format": 2},
        "pinned": {"environment": {"pin": {"identity": DIGEST, "build": DIGEST}, "variables": {}}},
        "script-outside": {"script": "../x"},
        "no-command": {"script": None, "command": []},
        "nul": {"command": [{"base64": "AA=="}]},
        "outputs-twice": {"outputs": ["outputs", "outputs"]},
        "outputs-outside": {"outputs": ["/etc"]},
        "no-attempts": {"attempts": 0},
        "bad-variable": {"environment": {"pin": None, "variables": {"A=B": "1"}}},
    }
    for name, change in changes.items():
        write("runspec", name, encode({**full, **change}))


def envspecs() -> None:
    vectors = json.loads((HERE.parent / "vectors" / "envspec.json").read_text())
    for vector in vectors:
        write("envspec", vector["name"], encode(vector["definition"]))
    snapshot = Snapshot({"train.py": b"print(1)\n"})
    plain = json.loads(wire.spec(snapshot, ["make", "all"], run=RUN))
    environment = {
        "pin": {"identity": DIGEST, "build": "20261128T061500Z-ab12"},
        "definition": next(v["definition"] for v in vectors if v["name"] == "packages"),
        "is_refresh": True,
        "imports": ["numpy", "a.b_c"],
        "shared": ["/opt/errand/envs", "~/envs"],
        "slots": 3,
        "variables": {"A": "1"},
    }
    write("runspec", "environment", encode({**plain, "environment": environment}))
    spark = {
        "deploy_mode": "cluster",
        "master": "yarn",
        "queue": "ml",
        "conf": ["spark.a=1", "spark.b.c=x=y"],
        "packages": ["g.h:a_2.12:1.0-SNAPSHOT"],
        "exclude_packages": ["org.slf4j:*"],
        "py_files": ["lib/tools.zip", "hdfs:///x.py"],
        "archives": ["m.tar.gz#m"],
        "driver_memory": "4g",
        "executor_cores": 4,
        "max_attempts": 2,
        "submit_timeout_ms": 1000,
        "base": "hdfs:///user/me",
        "livy": {"url": "https://c/livy", "auth": "basic", "upload": "command", "upload_command": ["cp"]},
        "attendant": "/usr/bin/errand",
    }
    pyspark = {**plain, "framework": "pyspark", "script": "job.py", "command": []}
    write("runspec", "spark", encode({**pyspark, "spark": spark}))
    write("runspec", "spark-missing", encode(pyspark))
    write("runspec", "spark-owned", encode({**pyspark, "spark": {**spark, "conf": ["spark.yarn.tags=x"]}}))


REQUIREMENTS = {
    "all": f"""# everything
--index-url https://me:pw@index.example.com/simple
--extra-index-url https://${{TOKEN}}@${{HOST}}/simple
--no-binary :all:
--find-links lib
six==1.17.0 \\
    --hash=sha256:{DIGEST}
a-1-py3-none-any.whl
-e ./lib[plot]
-c requirements.txt
""",
    "plain": "Scikit_Learn[Pandas] >= 1.2, <2 ; python_version < '3.9'\nnumpy==1.26.4\n",
    "local": "./a-1-py3-none-any.whl ; os_name == 'posix'\n-e lib[plot]\n--find-links lib\n",
    "addresses": "x @ https://me:pw@h/x.whl#sha256=1\ngit+ssh://git@h/r.git@v1#egg=r\n-e git+https://h/y#egg=y\n",
    "hashes": f"six==1.0 --hash=sha256:{DIGEST} --hash sha256:{DIGEST[::-1]}\n",
}
PYPROJECT = """[project]
name = "lib"
requires-python = ">=3.9"
dependencies = ["six", "numpy>=1.2; os_name == 'posix'", "far"]
[project.optional-dependencies]
plot = ["matplotlib~=3.8"]
[dependency-groups]
dev = ["pytest", {include-group = "plot"}]
[tool.uv.sources]
far = { git = "https://h/far", tag = "v1" }
six = { path = "../a-1-py3-none-any.whl" }
[[tool.uv.index]]
url = "https://index.example.com/simple"
default = true
"""
TOML = r'''a = 1_000 # one
"b c".d = """
long \
   line"""
e.f = 'x\y'
[t.u]
e = [1.5e3, 0x1f, true, inf, 1979-05-27T07:32:00Z, [{x = "\u00e9\n"}],]
[[p]]
n = """"quoted""""
[p.q]
[[p]]
'''


def python_files() -> None:
    for name, text in REQUIREMENTS.items():
        write("requirements", name, text.encode())
        write("requirements", name + "-lib", text.encode() + b"\xff" + PYPROJECT.encode())
    write("requirements", "utf16", "six==1\r\nnumpy".encode("utf-16"))
    write("toml", "pyproject", PYPROJECT.encode())
    write("toml", "all", TOML.encode())
    markers = ["(os_name == 'a' or 'b' in extra) and python_version not in '3.8'", "sys.platform!='win32'"]
    specifiers = ["~=1.4.2", "==1!2.0.post1.dev2+a.b", "!=1.*,>=v1.0-Alpha.1", "===x", "3.11"]
    for number, line in enumerate("".join(REQUIREMENTS.values()).splitlines() + markers + specifiers):
        write("pep508", str(number), line.encode())


def environment_files() -> None:
    own = "extends: sklearn\npackages: [six==1.0]\npython: 3.11\nimports: [six]\nvariables: {A: b}\nbuilder: uv\n"
    conda = "name: x\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- numpy\n- pip:\n  - six==1.0\n  -\n"
    header = "#!/bin/sh\n# /// script\n# requires-python = '>=3.9'\n# dependencies = [\n#   'six',\n# ]\n# ///\n"
    lock = "version = 1\nrequires-python = '>=3.9'\n[[package]]\nname = 'x'\nsource = { editable = '.' }\n"
    existing = [
        "venv: /opt/x\n",
        "interpreter: python3\n",
        "conda_env: base\n",
        "image: 'python:3'\n",
        "name: minimal\n",
    ]
    files = [(0, own), (1, conda), (2, header), (3, lock), (4, PYPROJECT), *((0, text) for text in existing)]
    for number, (which, text) in enumerate(files):
        write("envplan", str(number), bytes([which]) + text.encode())


def slots() -> None:
    slot = {
        "attempt": 1,
        "stage": 0,
        "kind": "exited",
        "code": 3,
        "time": TIME,
        "start": 99,
        "by": "shim",
        "step": "",
        "text": "",
    }
    texts = {
        "exited": slot,
        "signaled": {**slot, "kind": "signaled", "signal": "SIGKILL"},
        "could_not_start": {
            **slot,
            "kind": "could_not_start",
            "code": 127,
            "by": "launch",
            "step": "exec",
            "text": "x: no",
        },
        "other-stage": {**slot, "stage": 1},
        "no-kind": {key: value for key, value in slot.items() if key != "kind"},
        "large-code": {**slot, "code": 1 << 40},
        "unknown-signal": {**slot, "kind": "signaled", "signal": "SIGNAL"},
    }
    for name, value in texts.items():
        text = encode(value)
        write("exitslot", name, b"\1" + text)
        padded = text.ljust(494)
        write(
            "exitslot", f"file-{name}", b"\0" + padded + b"#" + hashlib.sha256(padded).hexdigest()[:16].encode() + b"\n"
        )
    write("exitslot", "zeros", b"\0" + bytes(1024))
    write("exitslot", "short", b"\0" + b"x" * 100)


def entries() -> None:
    entry = {
        "run": RUN,
        "ticket": 7,
        "accepted": TIME,
        "priority": -1,
        "resources": {"slots": 1, "gpus": 2},
        "grant": {"slots": [], "gpus": []},
        "pin": None,
        "executor": DIGEST,
        "process": {**PROCESS, "attempt": 2},
    }
    for name, change in {
        "started": {},
        "waiting": {"grant": None, "process": None},
        "long-names": {"run": "r" * 200, "executor": "e" * 200},
        "negative": {"process": {"boot": "", "pid": -1, "start": -1, "attempt": -1}},
        "no-time": {"accepted": "now"},
    }.items():
        write("queue", name, encode({**entry, **change}).ljust(4096) + b"\n")


def requests() -> None:
    request = {"request": "cancel", "reason": "enough", "by": "me@here", "grace_ms": 100}
    for name, change in {
        "cancel": {},
        "no-grace": {"grace_ms": None},
        "long": {"reason": "r" * 1000, "by": "b" * 1000},
        "grace-too-long": {"grace_ms": 1 << 50},
        "other": {"request": "signal"},
    }.items():
        write("requests", name, encode({**request, **change}))
    write("requests", "empty", b"")


OBJECTS = b"link targets and trees, one behind another"  # as fuzz_outputs.c has them
CONTENT = b"what the script left"


def indexes() -> None:
    paths = [b"outputs/file", b"outputs/link", b"outputs/none", b"../outputs.json", b"outputs"]

    def entry(digest: bytes, path: int | None, at: int, length: int) -> bytes:
        offset = sum(map(len, paths[:path])) if path is not None else 0
        return digest + struct.pack("<QQII", offset, at, length, len(paths[path]) if path is not None else 0)

    whole = hashlib.sha256(b"c" + CONTENT).digest()
    rows = [
        entry(hashlib.sha256(b"t" + OBJECTS[:12]).digest(), None, 0, 12),
        entry(hashlib.sha256(b"c" + OBJECTS[5:9]).digest(), None, 5, 4),
        entry(whole, 0, 0, len(CONTENT)),
        entry(hashlib.sha256(b"c" + CONTENT[:4]).digest(), 0, 0, 4),
        entry(hashlib.sha256(b"c1").digest(), 0, 1 << 40, 9),
        entry(hashlib.sha256(b"c2").digest(), 0, 0, 1 << 30),
        *(entry(hashlib.sha256(b"c%d" % (3 + i)).digest(), 1 + i, 0, 5) for i in range(4)),
    ]
    rows.sort(key=lambda row: row[:32])
    tail = b"".join(rows) + b"".join(paths)
    head = b"ERNDIDX1" + struct.pack("<QQ", len(rows), sum(map(len, paths)))
    write("outputs", "made", b"\1" + struct.pack("<H", len(rows)) + tail)
    write("outputs", "whole", b"\0" + head + tail)
    write("outputs", "none", b"\1\0\0")
    write("outputs", "cut", b"\0" + head + tail[:-1])
    write("outputs", "huge-count", b"\0ERNDIDX1" + struct.pack("<QQ", 1 << 60, 1 << 60))


def stat_indexes() -> None:
    """The files that fuzz_statindex.c looks up, some as they are, some not."""
    tick = 1795810000 * 10**9

    def entry(number: int, path: bytes, size: int) -> bytes:
        stat = struct.pack("<QQQQQII", size, tick, tick, 10 + number, 1, 0o100644, len(path))
        return stat + bytes([number]) + bytes(31) + path

    paths = [b"a", b"b/c", b"b/d/e", b"b.c", b"train.py"]
    files = [entry(i, path, 100 * i) for i, path in enumerate(paths)]
    head = b"ERNDSTX1" + struct.pack("<II", 1, 5) + b"\7" + bytes(31) + struct.pack("<Q", 1795820000 * 10**9)
    write("statindex", "known", b"\1" + head + b"".join(files))
    write("statindex", "changed", b"\1" + head + entry(0, b"a", 1) + b"".join(files[1:]))
    write("statindex", "more", b"\1" + head + b"".join(files[:2]) + entry(9, b"b/c/x", 1) + b"".join(files[2:]))
    write("statindex", "long-path", b"\1" + head + files[0][:44] + b"\xff\xff\xff\xff" + files[0][48:])
    write("statindex", "written-before-time", b"\1" + head[:48] + struct.pack("<Q", 1 << 63) + b"".join(files))
    whole = head + b"".join(files)
    write("statindex", "sealed", b"\0" + whole + hashlib.sha256(whole).digest())
    write("statindex", "not-sealed", b"\0" + whole)


def pack_files() -> None:
    """A pack file as documented, and some that are not."""
    bodies = [b"hello\n", b"", b"x" * 300]
    entries, at = [], 8
    for body in bodies:
        entries.append(hashlib.sha256(b"c" + body).digest() + struct.pack("<QIB3x", at, len(body), 0))
        at += len(body)
    entries.sort()
    joined = b"".join(bodies)
    sealed = b"\1" + struct.pack("<H", len(joined)) + joined
    fan = b"".join(struct.pack("<I", sum(entry[0] <= i for entry in entries)) for i in range(256))
    tail = struct.pack("<QQ", len(entries), at) + b"ERNDPCK1"
    whole = b"ERNDPCK1" + joined + b"".join(entries) + fan + tail
    write("packfile", "whole", b"\0" + whole)
    write("packfile", "cut", b"\0" + whole[:-1])
    write("packfile", "falling-fan", b"\0" + whole[:-1048] + fan[::-1] + tail)
    write("packfile", "huge-count", b"\0" + whole[:-24] + struct.pack("<QQ", 1 << 60, at) + b"ERNDPCK1")
    write("packfile", "sealed", sealed + b"".join(entries))
    write("packfile", "not-in-order", sealed + b"".join(reversed(entries)))
    write("packfile", "bad-one", sealed + entries[0][:44] + b"\1" + entries[0][45:] + entries[1])
    far = [entry[:32] + struct.pack("<QIB3x", place, 5, 0) for entry, place in zip(entries, (1 << 63, 1 << 20, 400))]
    write("packfile", "far-away", sealed + b"".join(far))
    write("packfile", "huge-body", sealed + entries[0][:40] + b"\xff\xff\xff\xff" + entries[0][44:])
    write("packfile", "one-digest", sealed + entries[0] * 400)


def settings() -> None:
    conf = HERE.parent.parent / "conf"
    alive = [
        re.sub(r"(?m)^#(?! )", "", (conf / name).read_text())
        for name in ("errand.yaml", "config.yaml", "targets.d/gpu1.yaml")
    ]
    for number, (name, text) in enumerate(zip(("project", "user", "target"), alive, strict=True)):
        write("config", name, bytes([number]) + text.encode())
    for number, text in enumerate(
        [
            "targets: {a: {host: x}, b-: {host: -oProxyCommand=x}, local: {host: y}}",
            "variables: {A: 1, A=B: 2, '': 3}\ngrace: 1h\nsnapshot: {warn_size: 5G}",
            "tagret: gpu1",
            "grace: [1]",
            "outputs: {a: b}",
            "\tgrace: 1",
            "targets: {a: {port: 70000}}",
            "framework: ruby",
        ]
    ):
        write("config", f"short-{number}", b"\1" + text.encode())
    files = [{"path": "/a/errand.yaml", "digest": DIGEST, "time": TIME}, {"path": {"base64": "/w=="}, "digest": "x"}]
    write("trust", "two", encode({"format": 1, "files": files}))
    write("trust", "newer", encode({"format": 2, "files": []}))
    write("trust", "no-files", encode({"format": 1}))


def metrics() -> None:
    texts = {
        "scalars": '{"loss": 0.5, "step": 1}\n{"note": "as planned", "on": true}\n',
        "numbers-that-json-lacks": '{"loss": NaN, "a": -Infinity, "b": [Infinity], "s": "NaN \\" NaN"}\n',
        "lists": '{"curve": [1, 2.5, "x"], "none": [], "step": 7}\n',
        "tables": '{"t": {"x": [1, 2], "y": ["a", "b"]}, "u": {"x": [1], "y": [2, 3]}}\n',
        "rows": '{"best": {"epoch": 3, "by": "loss", "in": {"deep": [1, {"er": null}]}}}\n',
        "no-metrics": '[1]\nloss 1\n{"a": null}\n{"": 1}\n{"a": [[1]]}\n{"a": 1, "a": 2}\n',
        "cut": '{"a": 1}\n\n{"b": 2}\n{"c":',
        "steps": '{"step": 1.5, "a": 1}\n{"step": "x", "a": 1}\n{"step": -9007199254740992, "a": 1e308}\n',
    }
    for name, text in texts.items():
        write("metrics", name, b"\x09\0" + text.encode())
    write("metrics", "bytes", b"\0\0" + b'{"a": "\xff"}\n{"\x00": 1}\n\xef\xbb\xbf{"a": 1}\n')


def lines() -> None:
    facts = {
        "protocol": 1,
        "features": [],
        "version": "0.1.0",
        "digest": DIGEST,
        "store": DIGEST[:32],
        "node": DIGEST,
        "boot": "b-0",
        "platform": "linux-x86_64",
        "time": TIME,
        "root": "/home/me/.errand",
    }
    marker = b"\nERRAND-EXECUTOR " + encode(facts) + b"\n"
    write("marker", "executor", b"Welcome!\r\n" + marker + b"then frames")
    write("marker", "no-object", b"\nERRAND-EXECUTOR [1]\n")
    write("marker", "no-newline", marker[:-1])
    for words in (
        "missing Linux x86_64",
        "missing Linux",
        "missing ../../x /y",
        "missing " + "L" * 70 + " x86_64",
        "missing Linux x86_64 and more",
        "nohome /home/me/.errand",
        "nospace /home/me/.errand 77",
        "noexec /home/me",
        "failed sh: \33[31mcannot\33[m",
        "nospacecraft",
        "",
    ):
        name = re.sub(r"\W+", "-", words)[:24].strip("-") or "no-words"
        write("marker", f"bootstrap-{name}", f"\nERRAND-BOOTSTRAP {words}\n".encode() + marker)
    write("marker", "long-line", b"x" * 17000 + marker)
    words = [["a", "-l", "-qt", "text", "b"], ["--item=1", "-i2", "--number", "7", "-d", "1h", "-s", "5G", "--", "-x"]]
    words += [["--nubmer", "1"], ["-n"], ["--long=1", "a"], ["-n", "-1", "a"], ["-h"], ["a", "--help"], []]
    for number, one in enumerate(words):
        for stops in (0, 1):
            write("cli", f"{number}-{stops}", bytes([stops]) + b"".join(word.encode() + b"\0" for word in one))


# --- archives ------------------------------------------------------------------------------------------------------


def tar(form: int, *entries: tuple[str, bytes, bytes | str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, what in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(what, bytes):
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
            else:
                info.linkname = what
                archive.addfile(info)
    return out.getvalue()


def archives() -> None:
    plain = [
        ("outputs/", tarfile.DIRTYPE, ""),
        ("outputs/model.bin", tarfile.REGTYPE, b"0123456789"),
        ("outputs/latest", tarfile.SYMTYPE, "model.bin"),
        ("outputs/" + "deep/" * 30 + "file", tarfile.REGTYPE, b"x"),
    ]
    for name, form in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        write("archive", name, tar(form, *plain))
        write("archive", f"{name}-out", tar(form, ("../x", tarfile.REGTYPE, b"x")))
        write("archive", f"{name}-link", tar(form, ("a", tarfile.SYMTYPE, ".."), ("a/x", tarfile.REGTYPE, b"x")))
        write("archive", f"{name}-hard", tar(form, ("a", tarfile.LNKTYPE, "/etc/passwd")))


# --- YARN ----------------------------------------------------------------------------------------------------------


def yarn_answers() -> None:
    """What a real cluster answered, each before the reader that it is for."""
    answers = HERE.parent / "fixtures" / "yarn"
    for name in (
        "exit7.app.json",
        "exit7_before_context.app.json",
        "queued.app.json",
        "live.accepted.app.json",
        "queued.killed.app.json",
        "app.none.json",
    ):
        write("yarn", name, b"\0" + (answers / name).read_bytes())
    for name in ("exit7.by_tag.json", "by_tag.none.json"):
        write("yarn", name, b"\1" + (answers / name).read_bytes())
    write("yarn", "attempts", b"\2" + (answers / "live.attempts.json").read_bytes())
    for name, asked in (("live.log.size-10", -10), ("live.ended.log.size-10", -10), ("live.log.size6", 6)):
        body = (answers / f"{name}.txt").read_bytes()
        write("yarn", f"{name}.txt", b"\3" + struct.pack("<h", asked) + body)
    jobs = [{"jobId": 0, "stageIds": [0, 1], "status": "RUNNING", "numTasks": 80, "numCompletedTasks": 3}]
    write("yarn", "progress", b"\4" + encode([*jobs, {**jobs[0], "numSkippedStages": 1, "numSkippedTasks": 7}]))
    write("yarn", "log-gone", b"\3" + struct.pack("<h", 5) + (answers / "live.ended.none.txt").read_bytes())


def engine_journals() -> None:
    def said(seq: int, event: str, attempt: int = 1, **more) -> bytes:
        return encode({"seq": seq, "time": TIME, "attempt": attempt, "event": event, "kind": "yarn", **more}) + b"\n"

    log = {"source": "container_1_2_01_000001", "marker": "", "at": 0, "start": 0}
    whole = said(1, "submitting", tag="errand-x-1", token=DIGEST[:32], text="")
    whole += said(2, "submitted", application="application_17_0002", text="")
    whole += said(3, "state", queue="default", state="ACCEPTED", final_status="UNDEFINED", text="it waits")
    whole += said(4, "log", log=log, text="") + said(5, "note", text="YARN answers again")
    write("runengine", "whole", whole + said(6, "ended", state="FINISHED", final_status="SUCCEEDED", text=""))
    write("runengine", "second-attempt", whole + said(6, "submitting", attempt=2, token="x", text=""))


def main() -> None:
    for old in (HERE / "corpus").glob("*/seed-*"):
        old.unlink()
    for make in (
        journals,
        messages,
        peers,
        transfers,
        specs,
        envspecs,
        python_files,
        environment_files,
        slots,
        entries,
        requests,
        indexes,
        stat_indexes,
        pack_files,
        archives,
        settings,
        lines,
        metrics,
        yarn_answers,
        engine_journals,
    ):
        make()


if __name__ == "__main__":
    main()
