"""Servers that misbehave, and what a person is told of it, over every network transport."""

import contextlib
import errno
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import processes
from support.errand import Errand, strip_controls
from support.sshd import Sshd, free_port
from support.waiting import wait_for


@pytest.fixture
def hasty(errand: Errand) -> Errand:
    """The controller, with short time-outs, 4 s together."""
    errand.configure(connect_timeout="2s", login_timeout="2s")
    return errand


@pytest.fixture
def at(errand: Errand, network: str) -> Callable[[int], str]:
    """at(port): a target there, of which nothing else is true."""

    def add(port: int, host: str = "127.0.0.1") -> str:
        return errand.add_target(
            "node", f"me@{host}", f"--port={port}", "--ssh-config=/dev/null", f"--transport={network}"
        )

    return add


@pytest.fixture
def noisy(make_sshd: Callable[..., Sshd]) -> Callable[[str], Sshd]:
    """noisy(text): a node whose login shell is bash with that ~/.bashrc."""

    def make(text: str) -> Sshd:
        server = make_sshd(shell="/bin/bash")
        (server.home / ".bashrc").write_text(text)
        return server

    return make


# ---- no SSH ----


@pytest.mark.auto_too
def test_a_port_that_is_closed(at, refused):
    port = free_port()
    step = refused(at(port))
    assert step["step"] == "connect"
    assert f"me@127.0.0.1 port {port}" in step["detail"]
    assert "connect: " in step["detail"]
    assert "refused" in step["detail"]
    assert "sshd" in step["hint"]


@pytest.mark.auto_too
def test_a_host_that_does_not_resolve(at, refused):
    step = refused(at(22, "no-such-host.invalid"))
    assert step["step"] == "connect"
    assert "no-such-host.invalid port 22" in step["detail"]
    assert "resolve: " in step["detail"]


@pytest.mark.auto_too
@pytest.mark.parametrize("kind", ["silent", "silent after its version", "babbles"])
@pytest.mark.usefixtures("hasty")
def test_a_server_that_never_gets_to_the_point(at, refused, bad_server, kind):
    server = bad_server(kind)
    step = refused(at(server.port))
    assert step["step"] == "connect"
    assert f"me@127.0.0.1 port {server.port}" in step["detail"]
    assert "handshake: " in step["detail"]
    assert step["time_ms"] < 30_000, "the time-outs that are set, and not those by default, which are 40 s"


@pytest.mark.auto_too
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("closes", ""),
        ("closes after its version", ""),
        ("speaks HTTP", ""),
        ("speaks SSH 1", "SSH 1"),
        ("speaks SSH 1 and waits", "SSH 1"),
    ],
)
def test_a_server_that_is_none(at, refused, bad_server, kind, words):
    server = bad_server(kind)
    step = refused(at(server.port))
    assert step["step"] == "connect"
    assert f"me@127.0.0.1 port {server.port}" in step["detail"]
    assert "handshake: " in step["detail"]
    assert words in step["detail"] + step["hint"]


@contextlib.contextmanager
def in_the_way(server: Sshd) -> Iterator[None]:
    """Somebody else is logging in there, for as long as this takes."""
    with socket.create_connection(("127.0.0.1", server.port)) as first:
        assert first.recv(4) == b"SSH-"
        yield


@pytest.mark.auto_too
def test_a_server_with_no_room_is_asked_a_few_times(make_sshd, reach, refused):
    server = make_sshd(lines=("MaxStartups 1",))
    with in_the_way(server):
        step = refused(reach(server))
    assert step["step"] == "connect"
    assert re.search(r"handshake: .*\(5 times in [0-9.]+ s\)$", step["detail"])
    assert "MaxStartups" in step["hint"]


@pytest.mark.auto_too
def test_a_server_that_has_room_a_moment_later_does(errand, make_sshd, reach):
    server = make_sshd(lines=("MaxStartups 1",))
    target = reach(server)
    with in_the_way(server):
        running = errand.start("run", "--target", target, "train.py")
        running.wait_output(b"trying again a few times", "err")
    ended = running.finish()
    assert (ended.code, ended.out) == (0, b"hello\n"), ended
    assert ended.errors.count("trying again") == 1


@pytest.mark.auto_too
def test_ctrl_c_counts_while_a_server_has_no_room(errand, make_sshd, reach):
    server = make_sshd(lines=("MaxStartups 1",))
    target = reach(server)
    with in_the_way(server):
        running = errand.start("run", "--target", target, "train.py")
        running.wait_output(b"trying again a few times", "err")
        running.interrupt()
        ended = running.finish()
    assert ended.code == 130, ended


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("kind", ["silent", "silent after its version"])
def test_ctrl_c_while_connecting_is_immediate(errand, at, bad_server, kind, tty):
    server = bad_server(kind)
    target = at(server.port)
    errand.configure(connect_timeout="1h", login_timeout="1h")
    command = errand.terminal if tty else errand.start
    running = command("run", "--target", target, "train.py")
    wait_for(lambda: server.connections, "a connection")
    if tty:
        running.send(b"\x03")
    else:
        running.signal(signal.SIGINT)
    ended = running.finish()
    assert ended.code == 130
    here = ("ERRAND_HOME", str(errand.home))
    wait_for(lambda: not processes.carrying(*here), "the end of all that was started here")


def test_a_question_stops_the_clock(errand, sshd, reach):
    errand.configure(connect_timeout="4s", login_timeout="4s")
    target = reach(sshd)
    sshd.known_hosts.write_text("")
    screen = errand.terminal("target", "check", target, columns=200)
    screen.expect(r"yes.*no")
    asked = time.monotonic()
    wait_for(lambda: time.monotonic() - asked > 4 + 4 + 1, "longer than both deadlines", 60)
    assert screen.process.poll() is None
    screen.send(b"yes\n")
    assert screen.finish().code == 0, strip_controls(screen.out)


# ---- logged in, and then ----


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo no shell for you", "no shell for you"),
        ("echo go away >&2; exit 3", "go away"),
        ("/bin/false", "status 1"),
    ],
)
def test_a_forced_command_is_told_from_an_executor(make_sshd, reach, refused, command, words):
    server = make_sshd(lines=(f"ForceCommand {command}",))
    step = refused(reach(server))
    assert step["step"] == "bootstrap"
    assert f"port {server.port}" in step["detail"]
    assert words in step["detail"]
    assert "ForceCommand" in step["hint"]


def test_a_start_up_file_that_ends_the_shell(noisy, reach, refused):
    step = refused(reach(noisy("echo moved to box2; exit 0\n")))
    assert step["step"] == "bootstrap"
    assert "moved to box2" in step["detail"]


@pytest.mark.usefixtures("hasty")
def test_a_start_up_file_that_waits(noisy, reach, refused):
    step = refused(reach(noisy("echo waiting for the licence server; exec sleep 1000\n")))
    assert step["step"] == "connect"
    assert "start: " in step["detail"]
    assert "waiting for the licence server" in step["detail"]


@pytest.mark.parametrize(
    "noise",
    [
        "echo noise; echo more >&2\n",
        "printf 'no newline at its end'\n",
        "printf '\\033]0;title\\007\\033[2J'\n",
        "printf '\\377\\000\\001'\n",
        "echo 'ERRAND-EXECUTOR-NOT {}'; echo ' ERRAND-EXECUTOR {}'\n",
        "head -c 200000 /dev/zero | tr '\\0' x\n",
        "head -c 260000 /dev/zero | tr '\\0' '\\n'\n",
    ],
)
def test_noise_before_the_executor_is_skipped(errand, noisy, reach, noise):
    target = reach(noisy(noise))
    ended = errand.ok("run", "--target", target, "train.py")
    assert ended.out == b"hello\n"
    assert b"noise" not in ended.err
    assert b"\x1b" not in ended.err


@pytest.mark.parametrize("noise", ["yes babble\n", "head -c 300000 /dev/zero; exec sleep 1000\n"])
def test_noise_without_end_is_given_up(noisy, reach, refused, noise):
    server = noisy(noise)
    step = refused(reach(server))
    assert step["step"] == "connect"
    assert f"port {server.port}" in step["detail"]
    assert "262144 bytes" in step["detail"]


def test_banners_are_not_shown_and_do_not_hurt(errand, make_sshd, reach, tmp_path):
    banner = tmp_path / "banner"
    banner.write_text("Permission denied (to all but you)\nConnection refused\n\x1b[2J Host key verification failed.\n")
    server = make_sshd(lines=(f"Banner {banner}",))
    ended = errand.ok("run", "--target", reach(server), "train.py")
    assert ended.out == b"hello\n"
    assert b"but you" not in ended.err


def test_what_came_before_the_shell_is_not_what_the_shell_said(make_sshd, reach, refused, tmp_path):
    banner = tmp_path / "banner"
    banner.write_text("Be good\n")
    server = make_sshd(lines=(f"Banner {banner}", "ForceCommand echo no shell for you"))
    target = reach(server)
    server.known_hosts.write_text("")
    step = refused(target, "--accept-new")
    assert step["detail"].endswith("it said: no shell for you")


def test_a_banner_does_not_become_the_cause(make_sshd, reach, refused, tmp_path):
    banner = tmp_path / "banner"
    banner.write_text("Connection refused is what others get here\n")
    server = make_sshd(lines=(f"Banner {banner}",))
    server.authorized_keys.write_text("")
    step = refused(reach(server))
    assert step["step"] == "login"
    assert "refused" not in step["detail"]


# ---- an executor that is none ----


def put_executor(server: Sshd, errand: Errand, text: str) -> None:
    """The file in the place of the executor is this script."""
    target = errand.add_target("other", *server.target_arguments())
    errand.ok("target", "check", target)
    (executor,) = (server.home / ".errand/bin").iterdir()
    executor.unlink()  # the one of that connection may run still
    executor.write_text(text)
    executor.chmod(0o700)
    errand.ok("target", "remove", target)


@pytest.mark.parametrize(
    ("text", "step", "words"),
    [
        ("#!/bin/sh\necho it hurts >&2\nkill -SEGV $$\n", "bootstrap", "it hurts"),
        ("#!/nowhere/sh\n", "bootstrap", "status 12"),
        ("", "bootstrap", "no executor began"),
        ("#!/bin/sh\necho 'ERRAND-EXECUTOR {\"protocol\":1'\n", "connect", "first line"),
        ("#!/bin/sh\necho 'ERRAND-EXECUTOR {\"protocol\":99}'\n", "connect", "protocol 99, this errand 1"),
        ("#!/bin/sh\necho 'ERRAND-EXECUTOR []'\n", "connect", "not an object"),
    ],
    ids=["crashes", "no interpreter", "empty", "half a line", "another protocol", "no object"],
)
def test_an_executor_that_is_broken(errand, sshd, reach, refused, text, step, words):
    put_executor(sshd, errand, text)
    found = refused(reach(sshd))
    assert found["step"] == step
    assert words in found["detail"]
    assert f"port {sshd.port}" in found["detail"]


def truncate(executor: Path) -> bool:
    try:
        os.truncate(executor, 100_000)
    except OSError as error:
        assert error.errno == errno.ETXTBSY
        return False
    return True


def test_an_executor_that_was_cut_short(errand, sshd, reach, refused):
    target = reach(sshd)
    errand.ok("target", "check", target)
    (executor,) = (sshd.home / ".errand/bin").iterdir()
    wait_for(lambda: truncate(executor), "the executor of the first connection to end")
    step = refused(target)
    assert step["step"] == "bootstrap"
    assert "damaged" in step["hint"]
    executor.unlink()
    errand.ok("target", "check", target)
