"""The life of a run under its two supervisors."""

import hashlib
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from support import processes
from support.supervision import EXECUTOR, open_gate, proof, wait_gate
from support.waiting import wait_for

# ---- a run's life


def test_a_script_runs_and_its_end_is_known(node):
    run = node.run("echo to stdout; echo to stderr >&2; exit 0")
    last = run.end()
    assert run.states() == ["Starting", "Running", "Completed"]
    assert last["exit"] == {"kind": "exited", "code": 0}
    assert run.log() == "to stdout\nto stderr\n"
    assert last["logs"]["driver.log"] == len(run.log())
    assert (last["ended"], last["survivors"]) == (0, 0)
    assert proof(last)
    assert last["outputs"] == {"root": None, "files": 0, "size_bytes": 0, "warnings": []}


@pytest.mark.parametrize("code", [1, 2, 126, 127, 255])
def test_an_exit_status_is_reported_as_it_is(node, code):
    last = node.run(f"exit {code}").end()
    assert last["state"] == "Failed"
    assert last["exit"] == {"kind": "exited", "code": code}


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 11, 15, 31, signal.SIGRTMIN + 2])
def test_a_signal_is_reported_by_name(node, number):
    last = node.run(f"kill -{int(number)} $$").end()
    assert last["state"] == "Failed"
    assert last["exit"]["kind"] == "signaled"
    name = "SIGRTMIN+2" if number > 34 else signal.Signals(number).name
    assert last["exit"]["signal"] == name


def test_arguments_arrive_byte_for_byte(node):
    show = 'for a; do printf "<%s>" "$a"; done'
    odd = ["", "two\nlines", " spaces ", "*", "$HOME", "'\"", {"base64": "/w=="}]
    run = node.accept(command=["/bin/sh", "-c", show, "sh", *odd])
    run.start()
    run.end()
    log = (run.folder / "driver.log").read_bytes()
    assert log == b"<><two\nlines>< spaces ><*><$HOME><'\"><\xff>"


def test_a_python_script_runs_in_the_work_tree(node, project):
    (project / "lib").mkdir()
    (project / "lib" / "__init__.py").write_text("name = 'lib'\n")
    (project / "train.py").write_text(
        "import os, sys, lib\nprint(lib.name, os.getcwd(), sys.argv[1:], sys.stdin.read(), flush=False)\n"
        "print(os.environ['PYTHONUNBUFFERED'], os.listdir('outputs'))\n"
    )
    run = node.accept(framework="python", script="train.py", command=["--epochs", "3"])
    run.start()
    assert run.end()["state"] == "Completed"
    assert run.log() == f"lib {run.folder}/work ['--epochs', '3'] \n1 []\n"


def test_the_environment_is_the_logins_the_runs_and_errands(node):
    node.environment |= {"ERRAND_HOME": "/outer", "ERRAND_RUN_ID": "outer-run", "LOGIN_HAS": "this", "BOTH": "login"}
    variables = {"MINE": "a b\nc", "BOTH": "run", "PYTHONUNBUFFERED": "0", "ERRAND_ATTEMPT": "99"}
    run = node.run("env -0 > env", environment={"pin": None, "variables": variables})
    run.end()
    pairs = run.work("env").read_bytes().split(b"\0")[:-1]
    env = dict(pair.decode().split("=", 1) for pair in pairs)
    assert env["LOGIN_HAS"] == "this"
    assert (env["MINE"], env["BOTH"], env["PYTHONUNBUFFERED"]) == ("a b\nc", "run", "0")
    assert env["PWD"] == f"{run.folder}/work"
    assert {key: value for key, value in env.items() if key.startswith("ERRAND_")} == {
        "ERRAND_RUN_ID": run.id,
        "ERRAND_RUN_DIR": str(run.folder),
        "ERRAND_EXPERIMENT": "tests",
        "ERRAND_ATTEMPT": "1",
        "ERRAND_METRICS": f"{run.folder}/metrics",
        "ERRAND_OUTPUTS": f"{run.folder}/work/outputs",
    }


LOOK = """
import json, os
now = os.umask(0)
print(json.dumps({
    "ids": [os.getpid(), os.getpgid(0), os.getsid(0)],
    "fds": {name: os.readlink("/proc/self/fd/" + name) for name in ("0", "1", "2")},
    "others": [fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")],
    "flags": int(open("/proc/self/fdinfo/1").read().split()[3], 8),
    "oom": int(open("/proc/self/oom_score_adj").read()),
    "umask": now,
    "blocked": [line for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))],
}))
"""


def test_the_script_starts_clean(node, project):
    (project / "train.py").write_text(LOOK)
    run = node.accept(framework="python", script="train.py")
    run.start(prefix=["sh", "-c", "trap '' HUP INT QUIT USR1; exec \"$@\"", "sh"])
    run.end()
    found = json.loads(run.log())
    assert len(set(found["ids"])) == 1, "a session and a group of its own"
    log = f"{run.folder}/driver.log"
    assert found["fds"] == {"0": "/dev/null", "1": log, "2": log}
    assert found["others"] == []
    assert found["flags"] & os.O_APPEND
    assert found["oom"] >= 500
    now = os.umask(0)
    os.umask(now)
    assert found["umask"] == now
    # SIGPIPE and SIGXFSZ are ignored by python itself.
    assert [int(line.split()[1], 16) & ~0x1001000 for line in found["blocked"]] == [0, 0]


# ---- what cannot be started


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ({"command": ["no-such-program"]}, 127, "no-such-program: not found in PATH"),
        ({"command": ["./nothing-here"]}, 127, "./nothing-here: not found"),
        ({"command": ["./train.py"]}, 126, "./train.py: may not be executed"),
        ({"framework": "command", "script": "train.py"}, 126, "may not be executed"),
        ({"framework": "command", "script": "text"}, 126, "neither a program nor a script with a #! line"),
        ({"framework": "command", "script": "bad.sh"}, 127, "the program in its #! line was not found"),
        ({"framework": "python", "script": "train.py", "interpreter": "/no/python"}, 127, "/no/python: not found"),
        ({"framework": "python", "script": "train.py", "interpreter": "pythonx"}, 127, "pythonx: not found in PATH"),
    ],
)
def test_what_cannot_be_executed_is_told_from_the_scripts_own_exit(node, project, what, code, words):
    for name, text in (("text", "no program\n"), ("bad.sh", "#!/no/such/shell\n")):
        (project / name).write_text(text)
        (project / name).chmod(0o755)
    run = node.accept(**what)
    run.start()
    last = run.end()
    assert last["exit"] == {"kind": "could_not_start", "code": code}
    assert words in last["reason"]
    assert "Running" not in run.states()
    assert run.log() == ""


def test_a_script_with_a_first_line_starts_itself(node, project):
    (project / "go.sh").write_text("#!/bin/sh\necho $0 $#\n")
    (project / "go.sh").chmod(0o755)
    run = node.accept(framework="command", script="go.sh", command=["a", ""])
    run.start()
    run.end()
    assert run.log() == "./go.sh 2\n"


def test_a_snapshot_that_is_not_there_is_an_end_with_a_reason(node):
    run = node.accept(command=["true"], snapshot={"root": "0" * 64, "files": 1, "size_bytes": 1})
    run.start()
    last = run.end()
    assert last["exit"] == {"kind": "could_not_start", "code": 125}
    assert "0000000" in last["reason"]


# ---- what scripts leave behind


def test_a_background_child_does_not_keep_the_run_open(node):
    run = node.run("(exec sleep 1000) & echo $! > pid; exit 3")
    last = run.end()
    assert last["exit"] == {"kind": "exited", "code": 3}
    assert last["ended"] == 1
    assert not processes.is_alive(int(run.wait_file("pid")))


ESCAPES = {
    "a session of its own": "setsid sleep 1000 & echo $! >> pids",
    "a double fork": "(setsid sh -c 'sleep 1000 & echo $! >> pids' &) ; while [ ! -s pids ]; do :; done",
    "no descriptors": "setsid sleep 1000 <&- >&- 2>&- & echo $! >> pids",
    "no environment": "env -i setsid sleep 1000 & echo $! >> pids",
    "deaf to TERM": "sh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 1000; done' &"
    " while [ ! -s pids ]; do :; done",
    "stopped": "sleep 1000 & kill -STOP $!; echo $! >> pids",
}


@pytest.mark.parametrize("how", ESCAPES)
def test_nothing_escapes_its_cancel(node, how):
    run = node.run(f"{ESCAPES[how]}\ngate gate", grace_ms=500)
    wait_gate(run)
    pids = [int(word) for word in run.wait_file("pids").split()]
    assert all(processes.is_alive(pid) for pid in pids)
    run.cancel()
    last = run.end()
    assert last["state"] == "Canceled"
    assert last["exit"] == {"kind": "canceled"}
    assert proof(last)
    assert last["survivors"] == 0
    assert last["ended"] >= 2
    assert not any(processes.is_alive(pid) for pid in pids)
    assert "CancelRequested" in run.states()
    assert "tester" in last["reason"]


def test_what_forks_without_end_is_ended(node):
    run = node.run(
        "for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'trap \"\" TERM; while :; do sh -c : ; done' & done; gate gate",
        grace_ms=200,
    )
    wait_gate(run)
    run.cancel()
    last = run.end()
    assert (last["state"], last["survivors"]) == ("Canceled", 0)
    assert processes.carrying("ERRAND_RUN_ID", run.id) == []


def test_many_zombies_are_reaped_and_the_status_is_right(node):
    run = node.run(
        "i=0; while [ $i -lt 300 ]; do (setsid sh -c 'sh -c : & exec true' &); i=$((i+1)); done; gate gate; exit 7"
    )
    wait_gate(run)
    shim = run.supervisors()["shim"]

    def zombies():
        stats = [processes.stat(pid) for pid in processes.everyone()]
        return [found for found in stats if found and found[0] == "Z" and found[1] == shim]

    wait_for(lambda: not zombies(), "the zombies to be reaped")
    open_gate(run)
    assert run.end()["exit"] == {"kind": "exited", "code": 7}


def test_another_run_started_by_the_script_is_not_its_own(node):
    """A script that uses errand: the inner supervisors are below the outer's, and are spared with their script."""
    inner = node.shell("gate gate; exit 4")
    start = f"env -u ERRAND_RUN_ID ERRAND_RUN_ID={inner.id} ERRAND_RUN_DIR={inner.folder} ERRAND_ROLE=supervisor"
    outer = node.run(f"{start} {EXECUTOR} supervise --root {node.root} --run {inner.id}; sleep 1000 & gate gate")
    wait_gate(outer)
    wait_gate(inner)
    open_gate(outer)
    last = outer.end()
    assert (last["state"], last["ended"], last["survivors"]) == ("Completed", 1, 0)
    assert len(inner.supervisors()) == 2
    open_gate(inner)
    assert inner.end()["exit"] == {"kind": "exited", "code": 4}


# ---- cancel and limits


def test_a_cancel_before_the_start_starts_nothing(node):
    run = node.shell("echo started > started")
    run.cancel()
    run.start()
    last = run.end()
    assert run.states() == ["Starting", "CancelRequested", "Canceled"]
    assert last["exit"] == {"kind": "canceled"}
    assert not run.work("started").exists()


def test_a_script_may_end_well_within_its_grace(node):
    script = "trap 'echo saved > outputs/saved; exit 0' TERM; gate gate & while :; do wait; done"
    run = node.run(script, grace_ms=20000)
    wait_gate(run)
    run.cancel()
    last = run.end()
    assert last["state"] == "Canceled"
    assert last["outputs"]["files"] == 1, "its outputs come home all the same"


def test_a_second_cancel_with_less_grace_hurries(node):
    run = node.run("trap '' TERM; gate gate; while :; do sleep 1000; done", grace_ms=600000)
    wait_gate(run)
    run.cancel()
    run.wait_state("CancelRequested")
    run.cancel(grace_ms=0)
    assert run.end()["state"] == "Canceled"


def test_an_empty_request_is_a_cancel(node):
    run = node.run("gate gate")
    wait_gate(run)
    (run.folder / "requests" / "1-0.json").write_bytes(b"")
    (run.folder / "control").open("wb").write(b"!")
    assert run.end()["state"] == "Canceled"


def test_the_time_limit_ends_the_run(node):
    run = node.run("trap '' TERM; echo > ready; while :; do sleep 1000; done", time_limit_ms=300, grace_ms=200)
    last = run.end()
    assert last["state"] == "Failed"
    assert last["exit"] == {"kind": "timed_out"}
    assert "time limit" in last["reason"]


# ---- attempts


def test_a_failed_script_is_started_again_with_its_outputs(node, project):
    (project / "data").write_text("as sent")
    run = node.run(
        'echo "attempt $ERRAND_ATTEMPT"; cat data; echo changed > data; echo x >> outputs/count;'
        " echo more > left; [ $(wc -l < outputs/count) = 3 ]",
        attempts=5,
    )
    last = run.end()
    assert last["state"] == "Completed"
    assert last["attempt"] == 3
    assert run.log() == "attempt 1\nas sentattempt 2\nas sentattempt 3\nas sent"
    running = [line for line in run.journal() if line["state"] == "Running"]
    assert [line["log_offset"] for line in running] == [0, len("attempt 1\nas sent"), 2 * len("attempt 1\nas sent")]
    assert [line["attempt"] for line in running] == [1, 2, 3]


@pytest.mark.parametrize(
    ("script", "changes"),
    [("gate gate", {"time_limit_ms": 200}), ("gate gate", {"cancel": True}), (None, {"command": ["no-such-program"]})],
)
def test_what_was_ended_or_could_not_start_is_not_started_again(node, script, changes):
    want_cancel = changes.pop("cancel", False) if isinstance(changes, dict) else False
    run = node.shell(script, attempts=3, **changes) if script else node.accept(attempts=3, **changes)
    run.start()
    if want_cancel:
        wait_gate(run)
        run.cancel()
    assert run.end()["attempt"] == 1


def test_a_cancel_while_an_attempt_is_cleared_away_starts_no_further_one(node):
    """It came when what the failed attempt had left was being ended: the next attempt began, and nobody ended it."""
    script = (
        "echo $ERRAND_ATTEMPT >> outputs/attempts; sleep 1000 & echo $! > pid\n"
        "sh -c 'trap \"\" TERM; echo > deaf; while :; do sleep 1000; done' & while [ ! -e deaf ]; do :; done; exit 1"
    )
    run = node.run(script, attempts=2, grace_ms=600000)
    run.wait_file("deaf")
    pid = int(run.wait_file("pid"))
    wait_for(lambda: not processes.is_alive(pid), "what the attempt left to be told to end")
    run.cancel(grace_ms=0)
    last = run.end()
    assert last["state"] == "Canceled"
    assert run.work("outputs/attempts").read_text() == "1\n"


# ---- outputs


def test_outputs_are_collected_in_place(node):
    run = node.run("cd outputs; mkdir sub; printf one > a; printf two > sub/b; mkfifo pipe; ln -s /etc link")
    last = run.end()
    assert last["state"] == "Completed"
    found = last["outputs"]
    assert (found["files"], len(found["warnings"])) == (3, 2)
    assert json.loads((run.folder / "outputs.json").read_text()) == found
    digest = hashlib.sha256(b"cone").hexdigest()
    assert node.mkrun("read", run.id, digest).stdout == b"one"
    run.work("outputs/a").write_text("other")
    refused = node.mkrun("read", run.id, digest, check=False)
    assert b"outputs/a was changed" in refused.stderr


def test_outputs_that_cannot_be_collected_are_a_warning(node):
    run = node.run("echo x > outputs/x; mkdir ../outputs.json; touch ../outputs.json/in")
    last = run.end()
    assert last["state"] == "Completed"
    assert last["outputs"] is None
    why = "its outputs could not be collected: write outputs.json: rename the new file: "
    assert why in last["reason"]
    assert last["reason"].endswith(f"; they are still on the node, in {run.folder}/work")


# ---- secrets


def test_secrets_reach_the_script_and_nothing_else(node):
    run = node.shell('printf %s "$TOKEN" > token; gate gate', secrets=["TOKEN"])
    node.mkrun("start", run.id, data=b'{"TOKEN":"s3cr3t\\nvalue"}')
    wait_gate(run)
    assert run.work("token").read_text() == "s3cr3t\nvalue"
    run.work("token").unlink()
    for pid in run.supervisors().values():
        assert b"s3cr3t" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert "s3cr3t" not in " ".join(processes.command(pid))
    open_gate(run)
    assert run.end()["state"] == "Completed"
    for path in node.root.rglob("*"):
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes(), path


def test_a_run_is_not_started_without_its_secrets(node):
    run = node.run("echo started > started", secrets=["TOKEN"])
    last = run.end()
    assert last["exit"] == {"kind": "could_not_start", "code": 125}
    assert "secrets gone" in last["reason"]
    assert not run.work("started").exists()


# ---- cost


def test_the_supervisors_sleep_and_are_small(node):
    run = node.run("gate gate")
    run.wait_state("Running")
    wait_gate(run)
    pids = run.supervisors().values()

    def runs() -> list[str]:
        return [Path(f"/proc/{pid}/schedstat").read_text() for pid in pids]

    def slept(span_s: float) -> bool:
        before, end = runs(), time.monotonic() + span_s
        wait_for(lambda: time.monotonic() > end, "a while to pass")
        return runs() == before

    wait_for(lambda: slept(1), "a second in which neither supervisor woke up")
    resident = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        resident += int(re.search(r"VmRSS:\s+(\d+)", status)[1])
    if "ASAN_OPTIONS" not in os.environ:
        assert resident <= 4096, f"{resident} KiB"
    open_gate(run)
    run.end()


def test_many_runs_at_once(node):
    runs = [node.shell(f"exit {i % 3}") for i in range(20)]
    for run in runs:
        run.start()
    for i, run in enumerate(runs):
        assert run.end(deadline_s=60)["exit"]["code"] == i % 3
    assert {path.name for path in (node.root / "queue").iterdir()} == {"lock", "ticket"}


# ---- acceptance


def test_accepting_twice_is_one_run_and_another_specification_is_refused(node):
    spec = node.specification(command=["true"])
    data = json.dumps(spec).encode()
    assert node.mkrun("accept", data=data).stdout == b"1\n"
    assert node.mkrun("accept", data=data).stdout == b"0\n"
    refused = node.mkrun("accept", data=json.dumps({**spec, "attempts": 2}).encode(), check=False)
    assert refused.stderr.startswith(b"mismatch: ")


def test_a_removed_run_is_never_started_again(node):
    spec = node.specification(command=["true"])
    run = node.accept(spec)
    assert node.mkrun("remove", run.id, check=False).stderr.startswith(b"busy: ")
    run.start()
    run.end()
    node.mkrun("remove", run.id)
    assert not run.folder.exists()
    assert node.mkrun("accept", data=json.dumps(spec).encode()).stdout == b"0\n"
    assert not run.folder.exists()


def test_starting_twice_starts_once(node):
    run = node.run("echo once >> ../once; gate gate")
    wait_gate(run)
    assert run.start(check=False).returncode == 3
    open_gate(run)
    run.end()
    assert (run.folder / "once").read_text() == "once\n"
