"""A link that is lost, silent or narrow: what is said meanwhile, what goes on, what comes home."""

import os
import re
import signal
import time

import pytest
from support import inject
from support.errand import Result, strip_controls
from support.faultproxy import Fault
from support.links import Link, log_of
from support.projects import write_files
from support.waiting import wait_for

# Ticks until the file that is its argument appears.
TICKS = """
import os, sys
from time import sleep
i = 0
while not os.path.exists(sys.argv[1]):
    print("tick", i, flush=True)
    i += 1
    sleep(0.05)
"""
LINES = 2000
HALF = b"%08d" % (LINES // 2 - 1)  # the last line before the gate
FAST = {"idle_timeout": "2s", "connect_timeout": "2s", "login_timeout": "4s"}
LOST = r"errand: node: the connection was lost: [^;]+; trying again in \d"
AGAIN = r"errand: connected to node again after \d"


@pytest.fixture
def gated(make_link):
    """A run that waits in the middle of its log, followed."""

    def make(*options: str, output_bytes: int = 3000, settings=None, **faults):
        link = make_link(settings, **faults)
        followed = link.start(*options, lines=LINES, output_bytes=output_bytes, is_gated=True)
        followed.wait_output(HALF)
        return link, followed

    return make


def reset_all(link: Link) -> None:
    """The same, with something that answers and does not let anybody in: each try is one of proxy.connections."""
    link.proxy.faults[:] = [Fault("rst", "up", 0)]
    link.proxy.cut("rst")


def causes(result: Result) -> list[str]:
    """Why there was no connection, line by line."""
    return re.findall(r"errand: node(?: [^:]*)?: (.*); (?:trying again|no connection for)", result.errors)


# ---- slow and whole ----


@pytest.mark.skipif(not inject.is_possible("strace"), reason="strace may not trace here")
@pytest.mark.usefixtures("traced")
def test_what_comes_between_two_looks_at_the_socket_is_heard(make_link, tmp_path):
    """Each look ends 30 ms late, so that something has come since. libssh2's read for the far end's stderr took what
    was stdout's, and nobody asked for that before the next packet, which could be the answer to a PING, or before the
    executor was given up."""
    link = make_link()
    link.check(link.run(lines=10))
    link.marks.unlink()
    words = ("run", "--target", link.target, *link.script(lines=2000, output_bytes=3000))
    report = tmp_path / "calls"
    late = inject.failing("recvfrom,read", extra="delay_exit=30000", when="1+", report=report, also="poll")
    link.check(link.errand.run(*words, prefix=late))
    waits_in_vain = re.findall(r"poll\(.*, \d{5,}\) += 0 \(Timeout\)", report.read_text(errors="replace"))
    assert not waits_in_vain


# ---- away and back ----


@pytest.mark.kept_too
def test_a_lost_link_is_said_and_the_run_goes_on(gated):
    link, followed = gated()
    link.lose()
    followed.wait_output(LOST, "err")
    followed.wait_output(r"connect: .*Connection refused; no connection for \d.* now, next try in \d", "err")
    link.gate.touch()
    link.proxy.accept_again()
    result = followed.finish()
    assert re.search(AGAIN, result.errors)
    link.check(result)


def test_a_node_that_was_away_has_not_lost_its_run(gated):
    """The machine's sshd is gone for a while; the run ends meanwhile."""
    link, followed = gated()
    run = link.last_run()
    link.sshd.stop()
    link.gate.touch()
    followed.wait_output(r"next try in \d", "err")
    wait_for(lambda: link.node_log(run) == log_of(LINES), "the run to write its log")
    link.sshd.start()
    link.check(followed.finish())


@pytest.mark.parametrize("at", range(2600, 4000, 200))
def test_a_link_that_is_lost_again_before_the_executor_speaks_is_one_more_try(gated, at):
    """The cut between login and the executor's first word was taken for a login shell that lets nobody in."""
    link, followed = gated()
    link.proxy.faults = [Fault("rst", "down", at, connection=link.proxy.connections + 1)]
    link.proxy.cut("rst")
    followed.wait_output(AGAIN, "err")
    link.gate.touch()
    link.check(followed.finish())


def test_hours_of_trying_are_few_lines(gated):
    """One line when it begins, and one for each cause (a reset is met in connect() or after it); not one a try."""
    link, followed = gated()
    reset_all(link)
    before = link.proxy.connections
    wait_for(lambda: link.proxy.connections >= before + 5, "five tries", 60)
    link.proxy.faults.clear()
    link.gate.touch()
    result = followed.finish()
    link.check(result)
    assert 2 <= len(causes(result)) == len(set(causes(result))) <= 3, result.errors
    assert len(re.findall(AGAIN, result.errors)) == 1


def test_a_terminal_shows_when_the_next_try_is(make_link):
    link = make_link()
    screen = link.terminal(lines=LINES, is_gated=True)
    screen.expect(HALF)
    link.lose()
    screen.expect(LOST)
    screen.expect(r"\r\x1b\[Kno connection to node for \d[^;]*; next try in \d")
    link.gate.touch()
    link.proxy.accept_again()
    screen.expect(AGAIN)
    result = screen.finish()
    assert result.code == 0
    link.check_home(link.last_run())
    lines = strip_controls(result.out).splitlines()
    assert [line for line in lines if re.match(r"\d{8} ", line)] == log_of(LINES).decode().splitlines()


@pytest.mark.kept_too
def test_give_up_after_ends_the_following_and_not_the_run(gated):
    link, followed = gated("--give-up-after", "2s")
    run = link.last_run()
    link.lose()
    result = followed.finish()
    assert result.code == 125
    assert re.search(
        r"errand: error: gave up after [0-9.]+ s without a connection: node .*Connection refused", result.errors
    )
    assert f"come back with: errand follow {run}" in result.errors
    link.proxy.accept_again()
    assert link.errand.show(run)["status"] == "Running"
    link.gate.touch()
    link.check(link.errand.run("follow", run))


@pytest.mark.soak
def test_give_up_after_counts_from_the_last_loss(make_link):
    """Losses that were mended do not add up: four times eight seconds are not twenty."""
    link = make_link()
    write_files(link.errand.cwd, {"tick.py": TICKS})
    followed = link.errand.start("run", "--target", "node", "--give-up-after", "20s", "tick.py", str(link.gate))
    for i in range(4):
        followed.wait_output(rf"tick {10 * i}\n")
        link.lose()
        began = time.monotonic()
        wait_for(lambda began=began: time.monotonic() > began + 8, "eight seconds to pass")
        link.proxy.accept_again()
        followed.wait_output(rf"(?s:(?:again after.*){{{i + 1}}})", "err")
    link.gate.touch()
    assert followed.finish().code == 0


def test_an_unreachable_node_is_an_error_at_once_where_nothing_was_sent(make_link):
    link = make_link()
    link.lose()
    result = link.run()
    assert result.code == 125
    assert "Connection refused" in result.errors
    assert "trying again" not in result.errors
    shown = link.errand.show(link.last_run())
    assert (shown["status"], shown["exit"]["kind"]) == ("Failed", "could_not_start")


def test_give_up_after_is_time_to_reach_the_node_as_well(make_link):
    link = make_link()
    link.lose()
    started = link.start("--give-up-after", "10m")
    started.wait_output(r"Connection refused; trying again in \d", "err")
    link.proxy.accept_again()
    link.check(started.finish())


# ---- silence ----


@pytest.mark.kept_too
def test_a_silent_link_is_noticed_and_replaced(gated):
    """Nobody says that the cable is out; the old connection never ends."""
    link, followed = gated(settings=FAST)
    link.proxy.freeze()
    followed.wait_output(r"errand: node: the connection was lost: nothing came for \d", "err")
    followed.wait_output(AGAIN, "err")
    link.gate.touch()
    link.check(followed.finish())


def test_a_silent_link_is_noticed_while_connecting_again(gated):
    """A machine that takes connections and says nothing."""
    link, followed = gated(settings=FAST)
    before = link.proxy.connections
    link.proxy.faults[:] = [Fault("freeze", "down", 0)]
    link.proxy.cut("rst")
    wait_for(lambda: link.proxy.connections >= before + 2, "two tries", 60)
    link.proxy.faults.clear()
    link.gate.touch()
    link.check(followed.finish())


@pytest.mark.kept_too
def test_a_slow_link_is_not_a_dead_one(make_link):
    """A push that takes longer than idle_timeout, over which bytes pass all the time."""
    link = make_link({"idle_timeout": "5s"})
    link.check(link.run(lines=10))
    link.marks.unlink()
    write_files(link.errand.cwd, {"data/large": os.urandom(900_000)})
    link.narrow(125_000)
    result = link.run(lines=100)
    link.check(result)
    assert "trying again" not in result.errors
    assert result.seconds > 5


# ---- several at once ----


def test_two_followers_at_one_home_lose_the_link_and_no_byte(gated):
    link, first = gated(output_bytes=2_000_000)
    run = link.last_run()
    second = link.errand.follow(run)
    second.wait_output(HALF)
    link.proxy.cut("rst")
    link.gate.touch()
    for followed in (first, second):
        link.check(followed.finish())


@pytest.mark.kept_too
def test_two_followers_of_a_log_that_grows_all_the_time(make_link):
    link = make_link()
    run = link.submit(lines=60_000)
    followers = [link.errand.follow(run) for _ in range(2)]
    for follower in followers:
        follower.wait_output(b"00000000")
    for part in (500_000, 1_500_000):
        link.wait_for_log(run, part)
        link.proxy.cut("rst")
    for follower in followers:
        link.check(follower.finish())


# ---- the other verbs ----


@pytest.mark.kept_too
def test_wait_goes_on_over_a_lost_link(make_link):
    link = make_link()
    run = link.submit(lines=LINES, is_gated=True)
    waiting = link.errand.start("wait", run)
    link.wait_for_log(run, 1000)
    link.lose()
    waiting.wait_output(LOST, "err")
    link.proxy.accept_again()
    link.gate.touch()
    assert waiting.finish().code == 0
    link.check_home(run)


@pytest.mark.kept_too
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_wait_for_several_ends_at_the_first_signal(make_link, number):
    link = make_link()
    runs = [link.submit(lines=LINES, is_gated=True) for _ in range(2)]
    waiting = link.errand.start("wait", *runs)
    link.wait_for_log(runs[0], 1000)
    waiting.signal(number)
    result = waiting.finish(20)
    assert result.code == 130, str(result)
    assert f"come back with: errand follow {runs[0]}" in result.errors
    link.gate.touch()
    link.errand.ok("wait", *runs)


@pytest.mark.kept_too
def test_logs_shows_what_is_at_home_where_the_node_is_away(gated):
    link, followed = gated()
    run = link.last_run()
    followed.kill()
    link.lose()
    result = link.errand.ok("logs", run)
    assert result.out == log_of(LINES)[: len(result.out)]
    assert HALF in result.out
    assert re.search(r"errand: warning: node .*Connection refused; this is what had come before", result.errors)
    link.proxy.accept_again()
    link.gate.touch()
    link.errand.ok("wait", run)
    link.lose()
    assert link.errand.ok("logs", run).out == log_of(LINES)


@pytest.mark.kept_too
def test_list_and_show_say_that_the_node_is_away(gated):
    link, followed = gated()
    run = link.last_run()
    link.lose()
    shown = link.errand.show(run)
    assert shown["status"] == "NotResponding"
    assert "Connection refused" in shown["reason"]
    listed = link.errand.ok("list")
    assert b"NotResponding" in listed.out
    assert "Connection refused" in listed.errors
    link.proxy.accept_again()
    assert link.errand.show(run)["status"] == "Running"
    link.gate.touch()
    link.check(followed.finish())


# ---- narrow ----


@pytest.mark.kept_too
def test_a_narrow_link_carries_a_log_while_a_push_goes_on(make_link):
    """1 Mbit/s: what one command pushes does not keep another one's log, also where both share a connection."""
    link = make_link()
    run = link.submit(lines=LINES, is_gated=True)
    link.narrow(125_000)
    write_files(link.errand.cwd, {"data/large": os.urandom(1_500_000)})
    before = link.proxy.count().up
    pushing = link.errand.start("submit", "--target", "node", "work.py", str(link.folder / "other"), "10", "0", "")
    wait_for(lambda: link.proxy.count().up > before + 100_000, "the push to be under way")
    link.gate.touch()
    followed = link.errand.run("follow", run)
    assert pushing.process.poll() is None
    link.check(followed)
    link.proxy.widen()
    assert pushing.finish(120).code == 0


@pytest.mark.kept_too
def test_a_cancel_overtakes_a_push_on_a_narrow_link(gated):
    link, followed = gated()
    run = link.last_run()
    link.narrow(125_000)
    write_files(link.errand.cwd, {"data/large": os.urandom(1_500_000)})
    before = link.proxy.count().up
    pushing = link.errand.start("submit", "--target", "node", "work.py", str(link.folder / "other"), "10", "0", "")
    wait_for(lambda: link.proxy.count().up > before + 100_000, "the push to be under way")
    link.errand.ok("cancel", run)
    assert pushing.process.poll() is None
    assert followed.finish().code == 143
    link.proxy.widen()
    assert pushing.finish(120).code == 0


# ---- Ctrl-C, which a terminal sends to ssh as well ----


@pytest.mark.kept_too
def test_ctrl_c_on_a_terminal_does_not_break_the_link(make_link):
    link = make_link()
    screen = link.terminal(lines=LINES, is_gated=True)
    screen.expect(HALF)
    screen.send(b"\x03")
    screen.expect(b"come back with: errand follow")
    screen.expect(b"press Ctrl-C again to cancel it")
    result = screen.finish()
    assert result.code == 130
    assert b"connection was lost" not in result.out
    link.gate.touch()
    link.check(link.errand.run("follow", "@"))


@pytest.mark.kept_too
@pytest.mark.parametrize("answer", [b"y\n", b"\n"])
def test_a_second_ctrl_c_asks_and_cancels_over_the_same_link(make_link, answer):
    link = make_link()
    screen = link.terminal(lines=LINES, is_gated=True)
    screen.expect(HALF)
    before = link.proxy.connections
    screen.send(b"\x03")
    screen.expect(b"press Ctrl-C again to cancel it")
    screen.send(b"\x03")
    screen.expect(r"cancel the run\? \[y/N\] ")
    screen.send(answer)
    result = screen.finish()
    assert result.code == (143 if answer == b"y\n" else 130)
    assert b"connection was lost" not in result.out
    assert link.proxy.connections == before
    # What was shown before the question is not shown again after it.
    assert [result.out.count(b"%08d " % line) for line in (0, 1, LINES // 2 - 1)] == [1, 1, 1]
    assert link.errand.show()["status"] == ("Canceled" if answer == b"y\n" else "Running")


def outlast(idle_s: float) -> None:
    """Let a link that nobody reads be silent for longer than it may be."""
    end = time.monotonic() + 2 * idle_s
    wait_for(lambda: time.monotonic() > end, "the link's patience to end")


@pytest.mark.kept_too
def test_who_thinks_for_long_cancels_over_the_same_link(make_link):
    """What is heard while a person is asked is heard afterwards: the link was taken for dead, and whether the run
    was canceled was not known."""
    link = make_link({"idle_timeout": "2s"})
    screen = link.terminal(lines=LINES, is_gated=True)
    screen.expect(HALF)
    before = link.proxy.connections
    screen.send(b"\x03")
    screen.expect(b"press Ctrl-C again to cancel it")
    screen.send(b"\x03")
    screen.expect(r"cancel the run\? \[y/N\] ")
    outlast(2)
    screen.send(b"y\n")
    result = screen.finish()
    assert result.code == 143, result
    assert b"connection was lost" not in result.out
    assert link.proxy.connections == before
    assert link.errand.show()["status"] == "Canceled"


@pytest.mark.kept_too
def test_one_that_was_stopped_goes_on_over_the_same_link(make_link):
    link = make_link({"idle_timeout": "2s"})
    followed = link.start(lines=LINES, is_gated=True)
    followed.wait_output(HALF)
    before = link.proxy.connections
    followed.signal(signal.SIGSTOP)
    outlast(2)
    followed.signal(signal.SIGCONT)
    outlast(1)  # it has looked
    link.gate.touch()
    result = followed.finish()
    link.check(result)
    assert "connection was lost" not in result.errors
    assert link.proxy.connections == before


@pytest.mark.parametrize("answer", [b"n\n", b"\x03"])
def test_who_does_not_cancel_hears_how_to_come_back(make_link, answer):
    link = make_link()
    screen = link.terminal(lines=LINES, is_gated=True)
    screen.expect(HALF)
    screen.send(b"\x03")
    screen.expect(b"press Ctrl-C again to cancel it")
    screen.send(b"\x03")
    question = screen.expect(r"cancel the run\? \[y/N\] ")
    screen.send(answer)
    result = screen.finish()
    assert result.code in (130, -signal.SIGINT)
    assert b"the run goes on; come back with: errand follow " in result.out[question.end() :]
    assert link.errand.show()["status"] == "Running"


def test_a_cancel_that_did_not_reach_the_node_is_said(make_link):
    link = make_link()
    screen = link.terminal(lines=LINES, is_gated=True)
    screen.expect(HALF)
    link.proxy.refuse()
    link.proxy.cut()
    screen.expect(b"trying again in")
    screen.send(b"\x03")
    screen.expect(b"press Ctrl-C again to cancel it")
    screen.send(b"\x03")
    screen.expect(r"cancel the run\? \[y/N\] ")
    screen.send(b"y\n")
    result = screen.finish()
    run = link.last_run()
    said = " ".join(strip_controls(result.out).split())
    assert f"the run goes on, {run} could not be canceled now: " in said
    assert f"later: errand cancel {run}" in said
    assert "error: interrupted" not in said
    assert result.code == 130


# ---- what is said of a push ----


def test_a_push_shows_what_has_arrived_and_not_what_was_packed(make_link):
    """Over 1 Mbit/s: what the link has not carried is not counted, nor is the speed of making packs the link's."""
    link = make_link()
    link.check(link.run(lines=10))
    write_files(link.errand.cwd, {"data/large": os.urandom(1_500_000)})
    link.narrow(125_000)
    before = link.proxy.count().up
    screen = link.terminal(lines=10)
    shown = 0
    while shown < 40:
        step = screen.expect(
            r"sending: ([0-9.]+) (B|bytes|KB|MB) of 1\.5 MB \((\d+) %\)(?:, ([0-9.]+) KB/s, [0-9.]+ s left)?\r"
        )
        screen.out = screen.out[step.end() :]
        shown = int(step[3])
        assert shown / 100 * 1_500_000 <= link.proxy.count().up - before, step[0]
        assert step[4] is None or float(step[4]) < 250, step[0]
    assert step[4] is not None
    screen.close()
