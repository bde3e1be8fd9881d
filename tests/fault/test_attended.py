"""A run whose stage is an attendant: it may die, its supervisors too, and it is started again until it says an end.

The attendant of these tests is a shell script; what makes it one is the file `attended` in the run's folder,
which names the attempt.
"""

import os
import signal

import pytest
from support import inject, processes
from support.supervision import open_gate, wait_gate
from support.waiting import wait_for

needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="no mount namespace of our own here")

# Writes a line a start; what follows sees which one it is.
COUNT = 'echo "$$" >> ../starts; n=$(wc -l < ../starts | tr -d " "); '


def attended(node, script, **changes):
    run = node.shell(COUNT + script, **changes)
    (run.folder / "attended").write_text("1\n")
    run.start()
    return run


def starts(run):
    path = run.folder / "starts"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def kill_attendant(run, count):
    """SIGKILL the attendant that was started last, which is number count."""
    wait_for(lambda: len(starts(run)) == count, f"start {count} of the attendant of {run.id}")
    processes.end_all([starts(run)[-1]])


def test_an_attendant_that_is_killed_is_started_again(node):
    run = attended(node, 'gate "gate$n"; exit 7')
    wait_gate(run, "gate1")
    kill_attendant(run, 1)
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    last = run.end()
    assert last["exit"] == {"kind": "exited", "code": 7}
    assert len(starts(run)) == 2
    assert run.states() == ["Starting", "Running", "Failed"], "to the run nothing happened"
    assert "the attendant has died" in run.control()


def test_a_further_start_can_do_without_another_checkout(node):
    """Where that failed, on a full disk, the job was given up after eleven starts within a minute."""
    run = node.shell(COUNT + 'gate "gate$n"; exit 7')
    run.start()
    wait_gate(run, "gate1")
    (run.folder / "attended").write_text("1\n")
    (node.root / "store").rename(node.root / "away")
    kill_attendant(run, 1)
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 7}


def test_what_the_dead_one_started_is_gone_before_the_next_begins(node):
    run = attended(
        node,
        'if [ "$n" = 1 ]; then setsid sh -c "trap : TERM; echo \\$\\$ > ../child; while :; do sleep 1000; done" & '
        'gate gate; fi; kill -0 "$(cat ../child)" 2> /dev/null && exit 9; exit 0',
        grace_ms=300,
    )
    wait_gate(run)
    wait_for(lambda: (run.folder / "child").exists(), "the child to say its number")
    kill_attendant(run, 1)
    assert run.end()["exit"] == {"kind": "exited", "code": 0}


@pytest.mark.parametrize("victim", ["guardian", "shim"])
def test_an_attendant_and_one_supervisor_die(node, victim):
    run = attended(node, 'gate "gate$n"; exit 3')
    wait_gate(run, "gate1")
    run.kill(victim)
    kill_attendant(run, 1)
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 3}


def test_an_adopter_starts_a_dead_attendant_again(node):
    run = attended(node, 'gate "gate$n"; exit 3')
    wait_gate(run, "gate1")
    run.kill("guardian", "shim")
    kill_attendant(run, 1)
    run.adopt()
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 3}
    assert run.states().count("Running") == 1


def test_an_adopter_whose_attendant_ends_unseen_asks_a_further_one(node):
    run = attended(node, '[ "$n" = 2 ] && exit 4; gate gate; exit 5')
    wait_gate(run)
    run.kill("guardian", "shim")
    run.adopt()
    assert len(run.supervisors()) == 2
    open_gate(run)
    assert run.end()["exit"] == {"kind": "exited", "code": 4}, "nobody saw the first one's status"


@needs_mount
def test_after_a_restart_of_the_node_a_further_one_is_started(node, tmp_path):
    run = attended(node, 'gate "gate$n"; exit 3')
    wait_gate(run, "gate1")
    run.kill("guardian", "shim")
    kill_attendant(run, 1)
    run.start("--adopt", prefix=inject.with_boot_id("11111111-2222-3333-4444-555555555555", tmp_path / "boot"))
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 3}


# One that waits to be told of a cancel: SIGTERM is blocked since before it was executed.
HEAR = """
import os, signal, sys
with open("../starts", "a") as file:
    file.write(f"{os.getpid()}\\n")
n = len(open("../starts").readlines())
signal.sigwait({signal.SIGTERM})
"""
SAY = """
open("../said", "a").write("ended\\n")
sys.exit(1)
"""


def hearing(node, text, **changes):
    run = node.accept(command=["python3", "-c", HEAR + text], **changes)
    (run.folder / "attended").write_text("1\n")
    run.start()
    return run


def said(run):
    return (run.folder / "said").read_text()


def wait_start(run, count):
    wait_for(lambda: len(starts(run)) == count, f"start {count} of the attendant of {run.id}")


def test_a_cancel_reaches_an_attendant_and_has_time(node):
    """Its grace is its own: a job elsewhere is not ended within a script's."""
    run = hearing(node, 'open("../heard", "w"); os.read(os.open("../gate", os.O_RDONLY), 1)' + SAY, grace_ms=1)
    os.mkfifo(run.folder / "gate")
    wait_start(run, 1)
    run.cancel(grace_ms=0)
    wait_for(lambda: (run.folder / "heard").exists(), "the attendant to hear of it")
    run.cancel(grace_ms=0)
    assert len(run.supervisors()) == 2
    (run.folder / "gate").write_text("x")
    assert run.end()["state"] == "Canceled"
    assert said(run) == "ended\n"


def test_an_attendant_killed_while_it_cancels_is_started_to_go_on(node):
    run = hearing(node, 'if n == 1:\n    open("../heard", "w")\n    signal.pause()' + SAY)
    wait_start(run, 1)
    run.cancel()
    wait_for(lambda: (run.folder / "heard").exists(), "the attendant to hear of it")
    kill_attendant(run, 1)
    last = run.end()
    assert (last["state"], len(starts(run))) == ("Canceled", 2)
    assert said(run) == "ended\n", "the second one was told"


def test_a_cancel_while_no_attendant_is_there_starts_one_to_hear_it(node):
    run = hearing(node, SAY)
    wait_start(run, 1)
    run.kill("guardian", "shim")
    kill_attendant(run, 1)
    run.cancel()
    run.adopt()
    last = run.end()
    assert (last["state"], len(starts(run))) == ("Canceled", 2)
    assert said(run) == "ended\n"


# Its first start has two children: one that SIGTERM ends, and one that is deaf to it.
CHILDREN = """
import os, signal, subprocess
if not os.path.exists("../starts"):
    subprocess.Popen(["sleep", "1000"])
    unblock = lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    open("../child", "w").write(str(subprocess.Popen(["sleep", "1000"], preexec_fn=unblock).pid))
"""


def test_a_cancel_while_a_dead_attendant_is_cleared_away_is_told_to_the_next(node):
    """It only hurried the clean-up; the next attendant was never told, and its job went on."""
    run = node.accept(command=["python3", "-c", CHILDREN + HEAR + SAY], grace_ms=600000)
    (run.folder / "attended").write_text("1\n")
    run.start()
    wait_start(run, 1)
    child = int((run.folder / "child").read_text())
    kill_attendant(run, 1)
    wait_for(lambda: not processes.is_alive(child), "what it left to be told to end")
    run.cancel(grace_ms=0)
    last = run.end()
    assert (last["state"], len(starts(run))) == ("Canceled", 2)
    assert said(run) == "ended\n"


def test_the_time_limit_is_told_to_an_attendant(node):
    run = hearing(node, SAY, time_limit_ms=500, grace_ms=1)
    assert run.end()["exit"] == {"kind": "timed_out"}
    assert said(run) == "ended\n"


@pytest.mark.parametrize("victims", [[], ["guardian", "shim"]])
def test_the_time_limit_counts_from_the_first_start(node, victims):
    """It was lost with the first attendant: the second one's job had all the time there is."""
    run = hearing(node, SAY, time_limit_ms=2500, grace_ms=1)
    wait_start(run, 1)
    run.kill(*victims)
    kill_attendant(run, 1)
    if victims:
        run.adopt()
    wait_start(run, 2)
    assert run.end()["exit"] == {"kind": "timed_out"}
    assert (len(starts(run)), said(run)) == (2, "ended\n")


def test_attendants_that_die_again_and_again_are_given_up(node):
    run = attended(node, "kill -9 $$")
    last = run.end(deadline_s=240)
    assert last["exit"] == {"kind": "unknown"}
    assert len(starts(run)) == 11
    assert "its attendant died 11 times: whether its job still runs is not known" in last["reason"]


def test_a_further_start_that_fails_is_not_the_end_of_the_job(node):
    """launch cannot enter what it needs, and then can: the job was never asked meanwhile."""
    run = attended(node, 'gate "gate$n"; exit 3')
    wait_gate(run, "gate1")
    spec = run.folder / "spec.json"
    spec.rename(run.folder / "away")
    kill_attendant(run, 1)
    wait_for(lambda: run.control().count("it is started again") >= 3, "some starts that fail")
    (run.folder / "away").rename(spec)
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 3}


@pytest.mark.parametrize("victims", [["guardian"], ["guardian", "shim"]])
def test_who_takes_over_goes_on_starting(node, victims):
    run = attended(node, 'gate "gate$n"; exit 3')
    wait_gate(run, "gate1")
    spec = run.folder / "spec.json"
    spec.rename(run.folder / "away")
    kill_attendant(run, 1)
    wait_for(lambda: run.control().count("it is started again") >= 2, "a start that fails")
    run.kill(*victims)
    (run.folder / "away").rename(spec)
    if "shim" in victims:
        run.adopt()
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 3}


def test_a_script_of_a_further_attempt_is_never_started_again(node):
    """The first attempt had an attendant; the second, whose place is the node by then, has none."""
    run = attended(node, '[ "$n" = 1 ] && exit 5; gate gate; exit 0', attempts=2)
    wait_gate(run)
    kill_attendant(run, 2)
    assert run.end()["exit"] == {"kind": "signaled", "signal": signal.Signals(signal.SIGKILL).name}
    assert len(starts(run)) == 2


def test_outputs_that_stayed_away_are_no_warning_of_a_further_attempt(node):
    script = (
        '[ "$n" = 2 ] || { printf "of attempt 1" > ../outputs.failure; exit 5; }; mkdir -p outputs; echo x > outputs/x'
    )
    run = attended(node, script, attempts=2, outputs=["outputs"])
    last = run.end()
    assert last["exit"] == {"kind": "exited", "code": 0}
    assert last["outputs"]["warnings"] == []


def test_a_script_is_never_started_again(node):
    run = node.run(COUNT + "gate gate; exit 0")
    wait_gate(run)
    kill_attendant(run, 1)
    assert run.end()["exit"] == {"kind": "signaled", "signal": signal.Signals(signal.SIGKILL).name}
    assert len(starts(run)) == 1


def test_secrets_that_died_with_the_supervisors_keep_no_attendant_from_its_job(node):
    run = node.shell(COUNT + 'gate "gate$n"; exit 3', secrets=["TOKEN"])
    (run.folder / "attended").write_text("1\n")
    node.mkrun("start", run.id, data=b'{"TOKEN":"hush"}')
    wait_gate(run, "gate1")
    run.kill("guardian", "shim")
    kill_attendant(run, 1)
    run.adopt()
    wait_gate(run, "gate2")
    open_gate(run, "gate2")
    assert run.end()["exit"] == {"kind": "exited", "code": 3}
