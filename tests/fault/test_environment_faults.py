"""Builds of environments that are killed, run into a full disk, or lose their supervisors: whole or nothing, and the
next run repairs without being asked."""

import datetime
import json
import os
import signal
import subprocess
import time

import pytest
from support import inject, processes
from support.environments import definition, environment, pin, prepare_log, run_python
from support.supervision import EXECUTOR, Run
from support.waiting import wait_for

SHOW = "import tiny\nprint(tiny.__version__)\n"
# More calls than a prepare stage makes that builds one small wheel; its builder makes others.
PREPARE_CALLS = 1100
STRIDE = 150

needs_strace = pytest.mark.skipif(not inject.is_possible("strace"), reason="strace may not trace here")
needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="no mount namespace of our own here")


def points(calls: int) -> list:
    """The calls to die at: 50 with --soak, else a few, other ones each day."""
    first = 1 + datetime.date.today().toordinal() % STRIDE
    every = sorted({*range(first, calls, STRIDE), *range(1, calls, calls // 50)})
    return [n if n % STRIDE == first % STRIDE else pytest.param(n, marks=pytest.mark.soak) for n in every]


def prepare_argv(run: Run) -> list[str]:
    return [str(EXECUTOR), "prepare", "--root", str(run.node.root), "--run", run.id]


def prepare_process(run: Run) -> int | None:
    """The prepare stage's process, once it is there."""
    for pid in processes.everyone():
        words = processes.command(pid)
        if "prepare" in words and run.id in words and processes.is_alive(pid):
            return pid
    return None


def accept_python(node, index, **changes) -> Run:
    (node.project / "train.py").write_text(SHOW)
    wish = environment(definition("tiny", index=index.url, **changes))
    return node.accept(framework="python", script="train.py", environment=wish)


def assert_next_run_repairs(node, envs, index, **changes) -> None:
    run = accept_python(node, index, **changes)
    run.start()
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert run.log() == "1.0\n"
    # Where the kill hit the question what a builder is, another one was taken, under another identity: gc has that.
    assert len([one for one in envs.ready() if one["identity"] == pin(run)["identity"]]) == 1
    assert not envs.half_made(pin(run)["identity"])


@needs_strace
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("call", points(PREPARE_CALLS))
def test_a_prepare_stage_killed_at_its_nth_call(node, envs, index, call):
    index.wheel("tiny")
    run = accept_python(node, index)
    rule = f"inject=all:signal=KILL:when={call}"
    subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "-e", rule, *prepare_argv(run)],
        capture_output=True, check=False, env=node.environment, timeout=120,
    )  # fmt: skip
    for ready in envs.ready():
        assert ready["packages"] == 1, "what is ready is whole"
    assert_next_run_repairs(node, envs, index)


@needs_strace
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("call", points(PREPARE_CALLS))
def test_builder_and_prepare_stage_killed_at_their_nth_call(node, envs, index, call):
    index.wheel("tiny")
    run = accept_python(node, index)
    rule = f"inject=all:signal=KILL:when={call}"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", rule, *prepare_argv(run)],
        capture_output=True, check=False, env=node.environment, timeout=120,
    )  # fmt: skip
    assert_next_run_repairs(node, envs, index)


def test_a_prepare_stage_killed_under_its_supervisors_is_told(node, envs, index):
    index.wheel("tiny")
    index.hang = lambda path: path == "/simple/tiny/"
    run = accept_python(node, index)
    run.start()
    wait_for(lambda: index.asked, "the index to be asked")
    os.kill(prepare_process(run), signal.SIGKILL)
    last = run.end()
    assert (last["state"], last["exit"], last["survivors"]) == ("Failed", {"kind": "environment_failed"}, 0)
    assert "was killed by SIGKILL" in last["reason"]
    index.gate.set()
    assert_next_run_repairs(node, envs, index)


@pytest.mark.parametrize("victims", [("guardian",), ("shim",), ("guardian", "shim")])
def test_supervisors_killed_while_an_environment_is_built(node, envs, index, victims):
    index.wheel("tiny")
    index.hang = lambda path: path == "/simple/tiny/"
    run = accept_python(node, index)
    run.start()
    wait_for(lambda: index.asked, "the index to be asked")
    run.kill(*victims)
    index.gate.set()
    if len(victims) == 2:
        run.adopt()
    assert run.end(120)["state"] == "Completed", (prepare_log(run), run.control())
    assert run.states() == ["Starting", "Preparing", "Running", "Completed"]
    assert run.log() == "1.0\n"
    assert len(envs.ready()) == 1
    assert not envs.half_made()


@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_the_supervisor_that_is_left_cancels_a_build(node, envs, index, victim):
    index.hang = lambda _path: True
    run = accept_python(node, index)
    run.start()
    wait_for(lambda: index.asked, "the index to be asked")
    asked = len(index.asked)
    run.kill(victim)
    if victim == "shim":  # the guardian begins the stage anew
        wait_for(lambda: len(index.asked) > asked, "the index to be asked again")
    run.cancel(60000)
    last = run.end(60)
    assert (last["state"], last["exit"], last["survivors"]) == ("Canceled", {"kind": "canceled"}, 0)
    assert not envs.half_made()


def test_a_failure_that_both_supervisors_did_not_live_to_tell(node, envs, index):
    run = accept_python(node, index)
    subprocess.run(prepare_argv(run), capture_output=True, check=False, env=node.environment, timeout=120)
    run.adopt()
    last = run.end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "no package tiny" in last["reason"]
    assert not envs.builds()


@needs_mount
@pytest.mark.parametrize("builder", ["uv", "pip"])
def test_a_full_disk_is_told_and_leaves_nothing(node, envs, index, builder):
    index.wheel("tiny", padding=48 << 20)
    run = accept_python(node, index, builder=builder)
    envs.folder.mkdir(parents=True)
    look = f'"$@"; echo "status $?"; ls -d {envs.folder}/*/*/prefix {envs.folder}/*/building'
    done = subprocess.run(
        [*inject.on_small_disk(envs.folder, 64 << 20), "sh", "-c", look, "sh", *prepare_argv(run)],
        capture_output=True, check=False, env=node.environment, timeout=120,
    )  # fmt: skip
    assert done.stdout == b"status 1\n"
    assert "disk is full" in prepare_log(run)
    slot = json.loads((run.folder / "exit").read_bytes()[:512].split(b"#")[0])
    assert "the node's disk is full" in slot["text"]
    index.folder.joinpath("tiny-1.0-py3-none-any.whl").unlink()
    index.wheel("tiny")
    assert_next_run_repairs(node, envs, index, builder=builder)


def test_what_a_killed_builder_left_is_cleared_by_the_next(node, envs, index):
    index.wheel("tiny")
    run = run_python(node, SHOW, environment=environment(definition("tiny", index=index.url)))
    assert run.end(120)["state"] == "Completed"
    [identity] = envs.identities()
    made = pin(run)
    (identity / made["build"] / "READY").unlink()
    (identity / "building").write_text(json.dumps({"build": made["build"], "run": run.id, "time": "x"}))
    began = time.time()
    assert_next_run_repairs(node, envs, index)
    assert envs.builds()[0].stat().st_mtime >= began - 1
