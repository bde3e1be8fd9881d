"""--json: one document on stdout, with exactly these names and types."""

import base64
import json
import os
import re

import pytest
from support.projects import write_files

# ---- what a document looks like ----

COUNT = "a number from 0"
TIME = "RFC 3339, UTC, milliseconds"
DIGEST = "64 hexadecimal digits"
BYTES = "a byte string"
TEXT = "text"
BOOL = "true or false"

STATUSES = {
    "Starting",
    "Preparing",
    "Queued",
    "Running",
    "Finalizing",
    "CancelRequested",
    "Completed",
    "Failed",
    "Canceled",
    "NotResponding",
}
KINDS = {
    "exited",
    "signaled",
    "out_of_memory",
    "timed_out",
    "canceled",
    "node_restarted",
    "supervisor_lost",
    "environment_failed",
    "could_not_start",
    "unknown",
}


class Maybe:
    """Also null."""

    def __init__(self, shape):
        self.shape = shape


def is_bytes(value) -> bool:
    """A string where it is UTF-8 without NUL, else base64 of what is not."""
    if isinstance(value, str):
        return "\0" not in value
    if not isinstance(value, dict) or set(value) != {"base64"}:
        return False
    raw = base64.b64decode(value["base64"], validate=True)
    try:
        return "\0" in raw.decode()
    except UnicodeDecodeError:
        return True


SCALARS = {
    COUNT: lambda v: type(v) is int and v >= 0,
    TIME: lambda v: isinstance(v, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", v),
    DIGEST: lambda v: isinstance(v, str) and re.fullmatch(r"[0-9a-f]{64}", v),
    BYTES: is_bytes,
    TEXT: lambda v: isinstance(v, str),
    BOOL: lambda v: type(v) is bool,
}


def check(value, shape, where: str = "$") -> None:
    """A dict has exactly those keys; a list of one shape any number of items; a set is one of these texts; a function
    judges itself."""
    if isinstance(shape, Maybe):
        if value is not None:
            check(value, shape.shape, where)
    elif isinstance(shape, dict):
        assert isinstance(value, dict) and set(value) == set(shape), f"{where}: {value}"
        for key, member in shape.items():
            check(value[key], member, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where}: {value}"
        for index, item in enumerate(value):
            check(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, set):
        assert value in shape, f"{where}: {value}"
    elif callable(shape):
        shape(value, where)
    else:
        assert SCALARS[shape](value), f"{where} is not {shape}: {value!r}"


def exit_fact(value, where: str) -> None:
    kind = value.get("kind")
    more = {"exited": {"code": COUNT}, "could_not_start": {"code": COUNT}}
    more |= dict.fromkeys(("signaled", "out_of_memory"), {"signal": lambda v, w: check(v.startswith("SIG"), {True}, w)})
    check(value, {"kind": KINDS, **more.get(kind, {})}, where)


SHORT_RUN = {
    "id": TEXT,
    "experiment": TEXT,
    "target": TEXT,
    "status": STATUSES,
    "attempt": COUNT,
    "exit": Maybe(exit_fact),
    "reason": TEXT,
    "created": TIME,
    "started": Maybe(TIME),
    "ended": Maybe(TIME),
    "engine": Maybe(
        {
            "kind": TEXT,
            "application": Maybe(TEXT),
            "tag": Maybe(TEXT),
            "queue": Maybe(TEXT),
            "state": Maybe(TEXT),
            "final_status": Maybe(TEXT),
            "tracking_url": Maybe(TEXT),
            "diagnostics": Maybe(TEXT),
            "progress": Maybe(TEXT),
        }
    ),
}
RUN = SHORT_RUN | {
    "node": {"id": Maybe(DIGEST), "store": Maybe(TEXT)},
    "states": [{"state": STATUSES, "attempt": COUNT, "time": TIME, "reason": TEXT}],
    "snapshot": {
        "root": DIGEST,
        "files": COUNT,
        "size_bytes": COUNT,
        "sent_files": Maybe(COUNT),
        "sent_bytes": Maybe(COUNT),
    },
    "command": [BYTES],
    "git": Maybe({"repository": Maybe(TEXT), "branch": Maybe(TEXT), "commit": Maybe(TEXT), "dirty": BOOL}),
    "tags": lambda value, where: check(list(value.values()), [TEXT], where),
    "note": Maybe(TEXT),
    "metrics": lambda value, where: check(type(value), {dict}, where),
    "log": {"size_bytes": Maybe(COUNT), "missing_bytes": COUNT},
    "environment": Maybe(
        {
            "kind": TEXT,
            "identity": Maybe(DIGEST),
            "build": Maybe(TEXT),
            "python": Maybe(TEXT),
            "reused": BOOL,
            "spent_ms": Maybe(COUNT),
            "packages": Maybe(COUNT),
        }
    ),
    "outputs": Maybe({"root": Maybe(DIGEST), "files": COUNT, "size_bytes": COUNT}),
}
TIMING = {
    "total_us": COUNT,
    "connection": Maybe(TEXT),
    "phases": [{"phase": TEXT, "on": {"here", "node"}, "at_us": Maybe(COUNT), "took_us": Maybe(COUNT)}],
}
RUNS = {"runs": [SHORT_RUN]}
ERROR = {"error": {"code": TEXT, "message": TEXT, "hint": Maybe(TEXT)}}
SNAPSHOT = {
    "root": DIGEST,
    "files": [{"path": BYTES, "kind": {"file", "executable", "symlink", "folder"}, "size_bytes": COUNT}],
    "size_bytes": COUNT,
    "left_out": [{"path": BYTES, "rule": BYTES}],
    "left_out_total": COUNT,
    "problems": [{"path": BYTES, "text": BYTES, "is_in": BOOL}],
    "problem_total": COUNT,
}
TARGET_CHECK = {
    "target": TEXT,
    "ok": BOOL,
    "steps": [{"step": TEXT, "ok": BOOL, "time_ms": COUNT, "detail": TEXT, "hint": Maybe(TEXT)}],
    "transport": TEXT,
    "node": Maybe(lambda value, where: check(type(value) is dict, {True}, where)),
}
GC = {
    "is_dry": BOOL,
    "roots": COUNT,
    "objects": COUNT,
    "indexes": COUNT,
    "leftovers": COUNT,
    "bytes": COUNT,
    "kept_objects": COUNT,
    "kept_bytes": COUNT,
    "kept_runs": COUNT,
    "kept_runs_bytes": COUNT,
    "kept_roots": {"needed": COUNT, "recent": COUNT, "spared": COUNT},
    "warnings": [TEXT],
}
NODE_GC = {
    "is_dry": BOOL,
    "runs": COUNT,
    "roots": COUNT,
    "objects": COUNT,
    "executors": COUNT,
    "leftovers": COUNT,
    "spares": COUNT,
    "shipped": COUNT,
    "environments": COUNT,
    "caches": COUNT,
    "bytes": COUNT,
    "kept_runs": COUNT,
    "kept_environments": COUNT,
    "work_trees": COUNT,
    "kept_runs_bytes": COUNT,
    "kept_executors": COUNT,
    "kept_executors_bytes": COUNT,
    "kept_objects": COUNT,
    "kept_bytes": COUNT,
    "warnings": [TEXT],
}


def document(errand, *args, shape, code: int = 0):
    """The one document on stdout, which must have that shape."""
    result = errand.run(*args, "--json", code=code)
    assert result.out.endswith(b"\n") and result.out.count(b"\n") == 1, str(result)
    value = result.json()
    check(value, shape)
    return value


# ---- the documents ----


def test_a_run_from_its_beginning_to_its_end(errand, target, tmp_path):
    script = 'import os\nfrom time import sleep\nprint("up", flush=True)\n'
    script += 'while not os.path.exists("{}"):\n    sleep(0.01)\n'
    leaves = 'os.makedirs("outputs", exist_ok=True)\nopen("outputs/a", "w").write("12345")\n'
    write_files(errand.cwd, {"t.py": script.format(tmp_path / "gate") + leaves})
    submitted = json.loads(errand.ok("submit", "--json", "--target", target, "t.py", b"\xff", "x y", "").out)
    check(submitted, RUN)
    assert submitted["command"] == ["t.py", {"base64": "/w=="}, "x y", ""]
    run = submitted["id"]
    errand.wait_status(run, "Running")
    running = document(errand, "show", run, shape=RUN)
    assert running["exit"] is running["ended"] is running["outputs"] is running["log"]["size_bytes"] is None
    assert running["node"]["id"] and running["node"]["store"] and running["started"]
    assert document(errand, "list", shape=RUNS)["runs"][0]["status"] == "Running"
    (tmp_path / "gate").touch()
    assert document(errand, "wait", run, shape=RUNS)["runs"][0]["exit"] == {"kind": "exited", "code": 0}
    ended = document(errand, "show", run, shape=RUN)
    assert ended["status"] == "Completed" and ended["log"]["size_bytes"] == 3
    assert ended["outputs"]["files"] == 1 and ended["outputs"]["size_bytes"] == 5
    assert [state["state"] for state in ended["states"]][-1] == "Completed"
    assert ended["created"] <= ended["started"] <= ended["ended"]
    assert document(errand, "follow", run, shape=RUN) == ended
    outputs = document(errand, "outputs", run, shape=SHORT_RUN | {"path": Maybe(BYTES)})
    assert os.listdir(outputs["path"]) == ["a"]
    assert document(errand, "cancel", run, shape=RUNS)["runs"][0]["id"] == run


def test_run_prints_the_run_and_exits_as_the_script(errand):
    write_files(errand.cwd, {"t.py": "import os, signal\nprint('log')\nos.kill(os.getpid(), signal.SIGTERM)\n"})
    result = errand.run("run", "--json", "t.py", code=143)
    check(result.json(), RUN)
    assert result.json()["exit"] == {"kind": "signaled", "signal": "SIGTERM"} and result.out.count(b"\n") == 1


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_timing_is_a_part_of_the_run(errand, verb):
    check(errand.ok(verb, "--timing", "--json", "train.py").json(), RUN | {"timing": TIMING})


@pytest.mark.parametrize(
    ("text", "options", "code", "fact"),
    [
        ("import time\ntime.sleep(1000)\n", ["--time-limit", "1s"], 124, {"kind": "timed_out"}),
        ("print(1)\n", ["--interpreter", "/nothing/python"], 127, {"kind": "could_not_start", "code": 127}),
    ],
)
def test_other_ends(errand, text, options, code, fact):
    write_files(errand.cwd, {"t.py": text})
    shown = errand.run("run", "--json", *options, "t.py", code=code).json()
    check(shown, RUN)
    assert shown["exit"] == fact and shown["status"] == "Failed"


def test_a_run_that_was_never_accepted(errand, sshd):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    sshd.stop()
    said = errand.run("run", "--target", "gone", "--give-up-after", "1s", "--json", "train.py", code=125)
    check(said.json(), ERROR)
    (run,) = errand.json("list")["runs"]
    shown = document(errand, "show", run["id"], shape=RUN)
    assert shown["node"] == {"id": None, "store": None} and shown["snapshot"]["sent_files"] is None
    assert shown["status"] == "Failed" and shown["exit"]["kind"] == "could_not_start"


def test_a_snapshot_with_names_that_are_bytes(errand):
    write_files(errand.cwd, {b"\xff\xfe": "1", "ü\n": "22", "empty/": None, "x.sh": ("#!/bin/sh\n", 0o755)})
    (errand.cwd / "link").symlink_to("x.sh")
    write_files(errand.cwd, {".gitignore": "*.log\n", b"\xfe.log": ""})
    said = document(errand, "snapshot", "--dry-run", shape=SNAPSHOT)
    kinds = {json.dumps(file["path"]): file["kind"] for file in said["files"]}
    assert kinds[json.dumps({"base64": "//4="})] == "file" and kinds[json.dumps("ü\n")] == "file"
    assert kinds['"empty"'] == "folder" and kinds['"x.sh"'] == "executable" and kinds['"link"'] == "symlink"
    assert {"path": {"base64": "/i5sb2c="}, "rule": ".gitignore:1: *.log"} in said["left_out"]
    assert said["size_bytes"] == sum(file["size_bytes"] for file in said["files"])
    why = document(errand, "snapshot", "--why", b"\xff\xfe", shape={"path": BYTES, "is_in": BOOL, "why": BYTES})
    assert why["path"] == {"base64": "//4="} and why["is_in"]


def test_targets(errand, target):
    checked = document(errand, "target", "check", target, shape=TARGET_CHECK)
    assert checked["ok"] and checked["target"] == target and checked["node"]
    listed = errand.json("target", "list")
    assert set(listed) == {"targets"}
    names = {"name", "host", "port", "transport", "root", "origin", "is_default"}
    for one in listed["targets"]:
        assert names <= set(one)


def test_a_target_that_does_not_answer_is_a_document_too(errand, sshd):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    sshd.stop()
    checked = document(errand, "target", "check", "gone", shape=TARGET_CHECK, code=1)
    assert not checked["ok"] and checked["node"] is None and not checked["steps"][-1]["ok"]


def test_collections(errand):
    errand.ok("run", "train.py")
    document(errand, "gc", "--dry-run", shape=GC)
    document(errand, "gc", shape=GC)
    document(errand, "node", "gc", "local", "--dry-run", shape=NODE_GC)
    document(errand, "node", "gc", "local", shape=NODE_GC)


def test_the_configuration(errand):
    shown = document(
        errand,
        "config",
        "show",
        shape={
            "project": BYTES,
            "project_file": Maybe(BYTES),
            "values": [{"key": TEXT, "value": lambda _value, _where: None, "origin": BYTES}],
        },
    )
    assert {"key": "attempts", "value": 1, "origin": "default"} in shown["values"]


# ---- errors ----


@pytest.mark.parametrize(
    ("args", "code", "name"),
    [
        (["show", "x"], 1, "not_found"),
        (["list", "--nonsense"], 2, "usage"),
        (["list", "more"], 2, "usage"),
        (["run", "nothing.py"], 125, "not_found"),
        (["run", "--target", "nothing", "train.py"], 125, "not_found"),
        (["run", "--time-limit", "x", "train.py"], 125, "usage"),
        (["submit", "nothing.py"], 1, "not_found"),
        (["follow", "x"], 125, "not_found"),
        (["wait", "x"], 125, "not_found"),
        (["cancel", "x"], 1, "not_found"),
        (["outputs", "x"], 1, "not_found"),
        (["remove", "x"], 1, "not_found"),
        (["tag", "x", "k=v"], 1, "not_found"),
        (["note", "x", "text"], 1, "not_found"),
        (["compare", "x", "y"], 1, "not_found"),
        (["target", "check", "nothing"], 1, "not_found"),
        (["node", "gc", "nothing"], 1, "not_found"),
        (["node", "gc", "local", "--keep-days", "x"], 2, "usage"),
        (["gc", "--max-store", "x"], 2, "usage"),
        (["snapshot", "--why", "nothing"], 1, "not_found"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_a_document_with_the_status_that_it_has_without(errand, args, code, name):
    verb_words = 2 if args[0] in ("target", "node") else 1
    plain = errand.run(*args, code=code)
    assert plain.out == b"" and plain.err.startswith(b"errand: ")
    result = errand.run(*args[:verb_words], "--json", *args[verb_words:], code=code)
    check(result.json(), ERROR)
    error = result.json()["error"]
    assert error["code"] == name and result.err == b""
    assert plain.errors.startswith(f"errand: error: {error['message']}\n")


def test_a_snapshot_of_the_whole_home_is_an_error(errand):
    said = errand.run("snapshot", "--dry-run", "--json", cwd=errand.user_home, code=1)
    check(said.json(), ERROR)
    assert "home folder" in said.json()["error"]["message"]
