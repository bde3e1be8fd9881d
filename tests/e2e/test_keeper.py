"""A connection that stays for the next command: who shares it, what it costs when it breaks, and when it ends."""

import fcntl
import os
import signal
import stat
from pathlib import Path

import pytest
from support import processes
from support.projects import write_files
from support.waiting import wait_for

# Says "up", waits until the file that is its first argument appears, writes so many lines, and ends.
GATED = """
import os, sys
from time import sleep
print("up", flush=True)
while not os.path.exists(sys.argv[1]):
    sleep(0.01)
for i in range(int(sys.argv[2])):
    print("line", i)
"""


@pytest.fixture
def kept(errand, sshd):
    """The target's name; the first command that reaches it leaves its connection."""
    errand.configure(keep_connection="10m")
    write_files(errand.cwd, {"gated.py": GATED})
    return errand.add_target("node", *sshd.target_arguments())


def is_connected(errand) -> bool:
    (node,) = [one for one in errand.json("target", "list")["targets"] if one["name"] == "node"]
    return node["is_connected"]


def keeper(errand) -> int:
    """The process that keeps the connection."""
    (pid,) = [pid for pid in processes.carrying("HARNESS_MARK", errand.mark) if processes.command(pid)[0] == TITLE]
    return pid


TITLE = "errand: link to node"


def test_the_next_command_does_not_log_in(errand, sshd, kept):
    for _ in range(3):
        errand.ok("run", "--target", kept, "--", "true")
    assert sshd.logins() == 1
    assert is_connected(errand)


def test_several_commands_share_it_at_once(errand, sshd, kept, tmp_path):
    gate = tmp_path / "gate"
    errand.ok("run", "--target", kept, "--", "true")
    following = []
    for _ in range(5):  # one after another: of more than three submissions at once one is told to connect by itself
        following.append(errand.start("run", "--target", kept, "gated.py", str(gate), "5000"))
        following[-1].wait_output(b"up\n")
    gate.touch()
    for one in following:
        result = one.finish()
        assert result.code == 0
        assert result.out == b"up\n" + b"".join(b"line %d\n" % i for i in range(5000))
    assert sshd.logins() == 1


def serving(errand) -> list[int]:
    marked = processes.carrying("HARNESS_MARK", errand.mark)
    return [pid for pid in marked if "serve" in processes.command(pid)]


def test_more_submissions_than_a_link_takes_cost_a_connection_and_no_word(errand, sshd, kept):
    errand.ok("run", "--target", kept, "--", "true")
    (standing,) = serving(errand)
    os.kill(standing, signal.SIGSTOP)  # so that what is submitted stays so
    try:
        several = [errand.start("run", "--target", kept, "--", "true") for _ in range(4)]
        # Not until it has ended: on a busy machine the others would take the link for dead meanwhile.
        wait_for(lambda: sshd.logins() == 2, "one to go its own way")
    finally:
        os.kill(standing, signal.SIGCONT)
    results = [one.finish() for one in several]
    assert [one.code for one in results] == [0] * 4
    assert sshd.logins() == 2
    assert not [one.err for one in results if b"again" in one.err]


def test_a_command_that_is_killed_takes_nobody_along(errand, sshd, kept, tmp_path):
    gate = tmp_path / "gate"
    errand.ok("run", "--target", kept, "--", "true")
    stays = errand.start("run", "--target", kept, "gated.py", str(gate), "100")
    stays.wait_output(b"up\n")
    killed = errand.start("run", "--target", kept, "gated.py", str(gate), "100")
    killed.wait_output(b"up\n")
    run = errand.show()["id"]
    killed.kill()
    gate.touch()
    assert stays.finish().code == 0
    assert errand.ok("follow", run).out.endswith(b"line 99\n")
    assert sshd.logins() == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_where_the_keeper_ends_who_used_it_connects_anew(errand, sshd, kept, tmp_path, number):
    gate = tmp_path / "gate"
    errand.ok("run", "--target", kept, "--", "true")
    following = errand.start("run", "--target", kept, "gated.py", str(gate), "1000")
    following.wait_output(b"up\n")
    os.kill(keeper(errand), number)
    following.wait_output("connected to node again", stream="err")
    gate.touch()
    result = following.finish()
    assert result.code == 0
    assert result.out == b"up\n" + b"".join(b"line %d\n" % i for i in range(1000))
    assert sshd.logins() == 2


def test_a_link_that_is_cut_costs_a_new_connection(errand, sshd, kept):
    errand.ok("run", "--target", kept, "--", "true")
    sshd.cut()
    errand.ok("run", "--target", kept, "--", "true")
    assert sshd.logins() == 2


def test_a_link_that_died_unseen_is_found_at_once(errand, sshd, proxy):
    """Nothing ends it: as after another network, or a firewall that forgot it. The timeout is not waited for."""
    link = proxy(sshd.port)
    errand.configure(keep_connection="10m", idle_timeout="10m")
    errand.add_target("node", "--transport=ssh2", *sshd.target_arguments(port=link.port))
    errand.ok("run", "--target", "node", "--", "true")
    link.freeze()
    result = errand.ok("run", "--target", "node", "--", "echo", "hello", deadline_s=100)
    assert result.out == b"hello\n" and "leads nowhere" in result.errors
    assert sshd.logins() == 2


def test_a_keeper_that_hangs_costs_a_new_connection(errand, sshd, kept):
    errand.ok("run", "--target", kept, "--", "true")
    hanging = keeper(errand)
    os.kill(hanging, signal.SIGSTOP)
    try:
        assert errand.ok("run", "--target", kept, "--", "echo", "hello").out == b"hello\n"
        assert sshd.logins() == 2
    finally:
        os.kill(hanging, signal.SIGKILL)


def test_a_follower_that_stands_still_holds_up_nobody(errand, kept):
    write_files(
        errand.cwd,
        {"loud.py": "import sys\nsys.stdout.write('x' * 99 + '\\n' * 1)\nprint(('y' * 99 + '\\n') * 100000)"},
    )
    errand.ok("run", "--target", kept, "--", "true")
    run = errand.submit("--target", kept, "loud.py")
    still = errand.start("follow", run)
    still.wait_output(b"x")
    still.signal(signal.SIGSTOP)
    assert errand.ok("run", "--target", kept, "--", "echo", "hello").out == b"hello\n"
    still.signal(signal.SIGCONT)
    assert still.finish().code == 0


def test_it_ends_when_nobody_used_it_for_a_while(errand, kept):
    errand.configure(keep_connection="1s")
    errand.ok("run", "--target", kept, "--", "true")
    wait_for(lambda: not is_connected(errand), "the keeper to end")
    wait_for(lambda: not list((errand.home / "state" / "links").glob("*[!k]")), "its socket to be removed")


def test_it_does_not_end_while_somebody_uses_it(errand, sshd, kept, tmp_path):
    gate = tmp_path / "gate"
    errand.configure(keep_connection="1s")
    errand.ok("run", "--target", kept, "--", "true")
    following = errand.start("run", "--target", kept, "gated.py", str(gate), "1")
    following.wait_output(b"up\n")
    used = keeper(errand)
    # Two further commands begin and end meanwhile; the second comes later than a keeper that is idle would last.
    errand.ok("run", "--target", kept, "--", "sleep", "3")
    assert keeper(errand) == used
    gate.touch()
    assert following.finish().code == 0
    assert sshd.logins() == 1


def test_disconnect_ends_it(errand, sshd, kept):
    errand.ok("run", "--target", kept, "--", "true")
    assert b"closed" in errand.ok("target", "disconnect", kept).err
    assert not is_connected(errand)
    assert b"no connection to node was kept" in errand.ok("target", "disconnect", kept).err
    errand.ok("run", "--target", kept, "--", "true")
    assert sshd.logins() == 2


def test_it_ends_where_its_socket_is_gone(errand, kept):
    errand.ok("run", "--target", kept, "--", "true")
    pid = keeper(errand)
    for path in (errand.home / "state" / "links").iterdir():
        path.unlink()
    wait_for(lambda: not processes.is_alive(pid), "the keeper to end")


def test_changed_settings_have_a_connection_of_their_own(errand, sshd, kept):
    errand.ok("run", "--target", kept, "--", "true")
    errand.ok("target", "add", "--force", kept, *sshd.target_arguments(), "--root=~/elsewhere")
    errand.ok("run", "--target", kept, "--", "true")
    assert sshd.logins() == 2
    assert (sshd.home / "elsewhere" / "store").is_dir()


def test_it_can_be_turned_off(errand, sshd, kept):
    errand.configure(keep_connection="0")
    for _ in range(2):
        errand.ok("run", "--target", kept, "--", "true")
    assert sshd.logins() == 2
    assert not is_connected(errand)


def test_target_check_connects_by_itself(errand, sshd, kept):
    errand.ok("run", "--target", kept, "--", "true")
    assert errand.json("target", "check", kept)["ok"]
    assert sshd.logins() == 2


def test_it_holds_nothing_of_the_command_it_came_from(errand, kept, tmp_path):
    lock = (tmp_path / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    errand.ok("run", "--target", kept, "--", "true", pass_fds=[lock.fileno()], env={"ERRAND_SECRET": "x"})
    pid = keeper(errand)
    lock.close()
    with (tmp_path / "lock").open("w") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not [name for name in processes.environment(pid) if name.startswith("ERRAND_")]
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert os.getsid(pid) == pid


def test_only_its_user_can_reach_it(errand, kept):
    errand.ok("run", "--target", kept, "--", "true")
    folder = errand.home / "state" / "links"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (socket,) = [path for path in folder.iterdir() if path.is_socket()]
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def memory(pid: int) -> bytes:
    """All that the process can write to, its environment included; but for the terabytes that a sanitizer reserves to
    mark what may be read."""
    parts = []
    with Path(f"/proc/{pid}/mem").open("rb", 0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if mode.startswith("rw") and end - start < 1 << 30:
                mem.seek(start)
                parts.append(mem.read(end - start))
    return b"".join(parts)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may read another process's memory everywhere")
def test_it_keeps_no_secret(errand, kept, tmp_path):
    """Neither one of the command that left it nor one that passed through it; both reached the script."""
    is_sanitized = "ASAN_OPTIONS" in os.environ  # its runtime keeps a copy of the environment, which we cannot wipe
    named = [] if is_sanitized else ["--secret", "TOKEN"]
    if is_sanitized:
        write_files(errand.home, {"config/config.yaml": f'secrets: {{TOKEN: "file:{tmp_path}/token"}}\n'})
    show = ["sh", "-c", 'test ${#TOKEN} = 32 && echo "it has ${#TOKEN}"']
    first, second = "first" + "a1" * 13 + "x", "second" + "b2" * 13
    pids = []
    for secret in (first, second):
        (tmp_path / "token").write_text(secret)
        given = {} if is_sanitized else {"TOKEN": secret}
        result = errand.ok("run", "--target", kept, *named, "--", *show, env=given)
        assert result.out == b"it has 32\n"
        pids.append(keeper(errand))
    assert pids[0] == pids[1]
    everything = memory(pids[0])
    assert b"HARNESS_MARK" in everything
    for secret in (first, second):
        assert secret.encode() not in everything
