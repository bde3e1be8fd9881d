"""What is true of a run after its supervisors were killed, the node restarted, or a record was damaged."""

import fcntl
import json
import os
import subprocess
import sys

import pytest
from support import inject, processes
from support.environments import definition, environment
from support.supervision import EXECUTOR, open_gate, wait_gate
from support.waiting import wait_for

needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="no mount namespace of our own here")


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_one_supervisor_killed_while_the_script_runs(node, victim, code):
    run = node.run(f"echo x > outputs/x; gate gate; exit {code}")
    run.wait_state("Running")
    wait_gate(run)
    run.kill(victim)
    assert len(run.supervisors()) == 1
    assert run.start("--adopt", check=False).returncode == 3, "the other one holds the run"
    open_gate(run)
    last = run.end()
    assert last["exit"] == {"kind": "exited", "code": code}
    assert last["outputs"]["files"] == 1
    assert run.states() == ["Starting", "Running", "Finalizing", "Completed" if code == 0 else "Failed"]


@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_the_supervisor_that_is_left_cancels(node, victim):
    run = node.run("trap '' TERM; setsid sleep 1000 & gate gate; while :; do sleep 1000; done", grace_ms=200)
    wait_gate(run)
    run.kill(victim)
    run.cancel()
    last = run.end()
    assert (last["state"], last["survivors"]) == ("Canceled", 0)


@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_the_supervisor_that_is_left_keeps_the_time_limit(node, victim):
    run = node.run("gate gate; while :; do sleep 1000; done", time_limit_ms=1500, grace_ms=200)
    wait_gate(run)
    run.kill(victim)
    assert run.end()["exit"] == {"kind": "timed_out"}


@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_a_supervisor_killed_within_the_grace_of_a_cancel(node, victim):
    run = node.run("trap '' TERM; gate gate; while :; do sleep 1000; done", grace_ms=1000)
    wait_gate(run)
    run.cancel()
    run.wait_state("CancelRequested")
    run.kill(victim)
    last = run.end()
    assert (last["state"], last["exit"]) == ("Canceled", {"kind": "canceled"})


@pytest.mark.parametrize("order", [("guardian", "shim"), ("shim", "guardian")])
def test_a_further_attempt_goes_on_under_one_supervisor(node, order):
    run = node.run('gate "gate$ERRAND_ATTEMPT"; [ "$ERRAND_ATTEMPT" = 2 ]', attempts=2)
    wait_gate(run, "gate1")
    run.kill(order[0])
    open_gate(run, "gate1")
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    last = run.end()
    assert (last["state"], last["attempt"]) == ("Completed", 2)


def test_both_killed_and_adopted_while_the_script_runs(node):
    run = node.run("gate gate; exit 0")
    run.wait_state("Running")
    wait_gate(run)
    run.kill("guardian", "shim")
    run.adopt()
    assert len(run.supervisors()) == 2
    assert run.start("--adopt", check=False).returncode == 3
    open_gate(run)
    last = run.end()
    assert last["exit"] == {"kind": "supervisor_lost"}, "nobody saw its status, and nobody says 0"
    assert last["state"] == "Failed"


def test_both_killed_and_the_script_ended_unseen(node):
    run = node.run("echo x > outputs/x; gate gate; exit 0")
    run.wait_state("Running")
    wait_gate(run)
    pid = run.journal()[-1]["process"]["pid"]
    run.kill("guardian", "shim")
    open_gate(run)
    wait_for(lambda: not processes.is_alive(pid), "the script to end")
    run.adopt()
    last = run.end()
    assert last["exit"] == {"kind": "supervisor_lost"}
    assert last["outputs"]["files"] == 1


def test_an_adopter_cancels_and_keeps_the_limit(node):
    for changes, kind in (({}, "canceled"), ({"time_limit_ms": 1500}, "timed_out")):
        run = node.run("setsid sleep 1000 & gate gate; while :; do sleep 1000; done", grace_ms=200, **changes)
        run.wait_state("Running")
        wait_gate(run)
        run.kill("guardian", "shim")
        run.adopt()
        if kind == "canceled":
            run.cancel()
        last = run.end()
        assert last["exit"] == {"kind": kind}
        assert last["survivors"] == 0


def test_an_accepted_run_that_nobody_started_is_started_by_an_adopter(node):
    run = node.shell("echo once >> ../once")
    run.adopt()
    assert run.end()["state"] == "Completed"
    assert (run.folder / "once").read_text() == "once\n"


def test_a_launch_whose_parent_died_before_it_said_go_is_no_end(node):
    """Its status was taken for the script's: exited with 125."""
    run = node.shell("exit 7")
    go, parents_end = os.pipe()
    os.close(parents_end)
    argv = [EXECUTOR, "launch", "--root", node.root, "--run", run.id, "--attempt", "1", "--go-fd", str(go)]
    launch = subprocess.run(argv, pass_fds=(go,), env=node.environment, check=False, timeout=60)
    os.close(go)
    assert launch.returncode == 125
    assert "its supervisor died before it was to begin" in run.control()
    run.adopt()
    assert run.end()["exit"] == {"kind": "exited", "code": 7}


@pytest.mark.parametrize("victims", [("shim",), ("guardian", "shim")])
def test_a_launch_whose_parent_died_after_it_said_go_goes_on(node, victims):
    """It died of SIGPIPE when it reported that it begins: the script, which had not begun, was said to have done so."""
    run = node.shell("echo ran > ran; exit 7")
    with (node.root / "store" / "lock").open("a") as lock:  # the checkout waits for it
        fcntl.flock(lock, fcntl.LOCK_EX)
        run.start()
        wait_for(lambda: run.queue_entry()["process"], "the launch on record")
        run.kill(*victims)
        if "guardian" in victims:
            run.adopt()
    exit = {"kind": "exited", "code": 7} if victims == ("shim",) else {"kind": "supervisor_lost"}
    assert run.end()["exit"] == exit
    assert run.wait_file("ran") == "ran"


def test_a_preparation_that_is_done_again_has_an_end_of_its_own(node, tmp_path):
    """It was killed, and what the first one had left on record, that all was well, counted for it."""
    python, flag = tmp_path / "python", tmp_path / "flag"
    python.write_text(f'#!/bin/sh\n[ -e {flag} ] && kill -9 $PPID\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    wish = definition(kind="existing", location={"interpreter": str(python)})
    run = node.shell("exit 0", environment=environment(wish, imports=["json"]))
    with (node.root / "store" / "lock").open("a") as lock:  # the checkout waits for it
        fcntl.flock(lock, fcntl.LOCK_EX)
        run.start()
        process = wait_for(lambda: run.queue_entry()["process"], "the launch on record")
        run.kill("guardian", "shim")
        processes.end_all([process["pid"]])
    entry = json.dumps({**run.queue_entry(), "process": None})
    run.entry.write_text(f"{entry:<4096}\n")
    (run.folder / "environment").unlink()
    flag.touch()
    run.adopt()
    last = run.end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "the prepare stage was killed by SIGKILL" in last["reason"]


def test_adoption_finds_every_run_but_young_ones_whose_secrets_their_submitter_has(node):
    lost = node.run("gate gate")
    lost.wait_state("Running")
    wait_gate(lost)
    lost.kill("guardian", "shim")
    young = node.shell("echo x > x")
    secret = node.shell("echo x > x", secrets=["TOKEN"])
    node.mkrun("adopt")
    assert len(lost.supervisors()) == 2
    assert young.end()["state"] == "Completed"
    assert not secret.supervisors()
    assert secret.states() == ["Starting"]
    open_gate(lost)
    assert lost.end()["exit"] == {"kind": "supervisor_lost"}


@needs_mount
def test_after_a_reboot_a_run_has_ended_and_is_not_started_again(node, tmp_path):
    run = node.run("echo started >> ../started; gate gate")
    run.wait_state("Running")
    wait_gate(run)
    run.kill("guardian", "shim")
    processes.end_all([run.journal()[-1]["process"]["pid"]])
    run.start("--adopt", prefix=inject.with_boot_id("11111111-2222-3333-4444-555555555555", tmp_path / "boot"))
    last = run.end()
    assert last["exit"] == {"kind": "node_restarted"}
    assert (run.folder / "started").read_text() == "started\n"


@needs_mount
def test_after_a_reboot_a_run_that_was_never_started_is_started(node, tmp_path):
    run = node.shell("echo once >> ../once")
    run.start("--adopt", prefix=inject.with_boot_id("11111111-2222-3333-4444-555555555555", tmp_path / "boot"))
    assert run.end()["state"] == "Completed"
    assert (run.folder / "once").read_text() == "once\n"


def test_a_pid_that_was_used_again_is_nobody_of_ours(node):
    """The record names a pid that lives, but not that process: the run is over, and the other process is spared."""
    run = node.run("gate gate")
    run.wait_state("Running")
    wait_gate(run)
    script = run.journal()[-1]["process"]["pid"]
    run.kill("guardian", "shim")
    processes.end_all([script])
    entry = run.queue_entry()
    entry["process"] |= {"pid": os.getpid()}
    text = json.dumps(entry).encode()
    run.entry.write_bytes(text + b" " * (4096 - len(text)) + b"\n")
    run.adopt()
    assert run.end()["exit"] == {"kind": "supervisor_lost"}


def test_a_damaged_record_of_the_end_is_unknown_and_never_0(node):
    run = node.run("gate gate; exit 0")
    run.wait_state("Running")
    wait_gate(run)
    run.kill("guardian", "shim")
    open_gate(run)
    with (run.folder / "exit").open("r+b") as file:
        file.seek(512)
        file.write(b'{"attempt":1,"stage":1,"kind":"exited","code":0')
    run.adopt()
    last = run.end()
    assert (last["state"], last["exit"]) == ("Failed", {"kind": "unknown"})


def test_a_torn_last_line_of_the_journal_is_as_if_never_written(node):
    run = node.run("gate gate; exit 0")
    run.wait_state("Running")
    wait_gate(run)
    run.kill("guardian", "shim")
    with (run.folder / "journal").open("ab") as file:
        file.write(b'{"seq":3,"time":"2026')
    run.adopt()
    open_gate(run)
    assert run.end()["seq"] == 3
