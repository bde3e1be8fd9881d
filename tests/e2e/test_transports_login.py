"""Host keys and logins, over every network transport, against real servers with keys made for the test."""

import os
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
from support.errand import MARK, Errand, strip_controls
from support.passwords import PasswordServer
from support.sshd import Sshd, make_key
from support.waiting import wait_for


def public_key(private: Path) -> str:
    """ "ssh-ed25519 AAAA..." """
    return " ".join(private.with_suffix(".pub").read_text().split()[:2])


def fingerprint(private: Path) -> str:
    """ "SHA256:..." """
    listed = subprocess.run(["ssh-keygen", "-l", "-f", f"{private}.pub"], capture_output=True, check=True, text=True)
    return listed.stdout.split()[1]


@pytest.fixture
def other_key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "other")


def says(screen) -> str:
    """What a terminal shows so far, without line breaks of its width."""
    return " ".join(strip_controls(screen.out).split())


def is_well(errand: Errand, target: str) -> dict:
    document = errand.json("target", "check", target)
    assert document["ok"] is True
    return {step["step"]: step for step in document["steps"]}


# ---- host keys ----


def test_an_unknown_key_is_refused_with_its_fingerprint_where_nobody_can_be_asked(sshd, reach, refused):
    sshd.known_hosts.write_text("")
    step = refused(reach(sshd))
    assert step["step"] == "host_key"
    assert fingerprint(sshd.host_key) in step["detail"]
    assert f"{sshd.host} port {sshd.port}" in step["detail"]
    assert "--accept-new" in step["hint"]
    assert sshd.known_hosts.read_text() == ""
    assert sshd.logins() == 0


def test_an_unknown_key_is_asked_about_on_a_terminal_and_kept(errand, sshd, reach):
    target = reach(sshd)
    sshd.known_hosts.write_text("")
    screen = errand.terminal("run", "--target", target, "train.py", columns=200)
    screen.expect(r"yes.*no")
    assert fingerprint(sshd.host_key) in says(screen)
    screen.send(b"yes\n")
    screen.expect(b"hello")
    assert screen.finish().code == 0
    assert public_key(sshd.host_key) in sshd.known_hosts.read_text()
    assert errand.ok("run", "--target", target, "train.py").out == b"hello\n"


def test_a_no_ends_it_and_nothing_is_sent(errand, sshd, reach):
    target = reach(sshd)
    sshd.known_hosts.write_text("")
    screen = errand.terminal("run", "--target", target, "train.py", columns=200)
    screen.expect(r"yes.*no")
    screen.send(b"no\n")
    ended = screen.finish()
    assert ended.code == 125
    assert "was not accepted; nothing was sent" in says(screen)
    assert sshd.known_hosts.read_text() == ""
    assert sshd.logins() == 0


def test_accept_new_takes_an_unknown_key_once_and_for_all(errand, sshd, reach):
    target = reach(sshd)
    sshd.known_hosts.write_text("# mine\n")
    errand.ok("run", "--target", target, "--accept-new", "train.py")
    assert sshd.known_hosts.read_text().startswith("# mine\n")
    assert public_key(sshd.host_key) in sshd.known_hosts.read_text()
    is_well(errand, target)


@pytest.mark.parametrize("options", [[], ["--accept-new"]], ids=["plain", "accept-new"])
def test_a_changed_key_always_stops_and_both_are_shown(sshd, reach, refused, other_key, options):
    known = f"# line 1\n[{sshd.host}]:{sshd.port} {public_key(other_key)} me@here\n"
    sshd.known_hosts.write_text(known)
    step = refused(reach(sshd), *options)
    assert step["step"] == "host_key"
    assert "CHANGED" in step["detail"]
    assert fingerprint(sshd.host_key) in step["detail"]
    assert fingerprint(other_key) in step["detail"]
    assert f"{sshd.known_hosts}:2" in step["detail"]
    assert "ssh-keygen" in step["hint"]
    assert sshd.known_hosts.read_text() == known
    assert sshd.logins() == 0


def test_a_changed_key_is_not_asked_about_on_a_terminal(errand, sshd, reach, other_key):
    target = reach(sshd)
    sshd.known_hosts.write_text(f"[{sshd.host}]:{sshd.port} {public_key(other_key)}\n")
    screen = errand.terminal("run", "--target", target, "train.py", columns=200)
    ended = screen.finish()
    assert ended.code == 125
    assert "CHANGED" in says(screen)
    assert "(yes/no" not in says(screen)


@pytest.mark.parametrize("hosts", ["*", "[127.0.0.1]:*", "{here}"])
def test_a_revoked_key_stops_also_where_another_line_knows_it(sshd, reach, refused, hosts):
    here = f"[{sshd.host}]:{sshd.port}"
    key = public_key(sshd.host_key)
    sshd.known_hosts.write_text(f"{here} {key}\n@revoked {hosts.format(here=here)} {key}\n")
    step = refused(reach(sshd), "--accept-new")
    assert step["step"] == "host_key"
    assert "revoked" in step["detail"]
    assert sshd.logins() == 0


@pytest.mark.parametrize(
    "line",
    [
        "[{host}]:{port} {key}",
        "[{host}]:{port} {key} a comment",
        "[127.0.0.*]:{port} {key}",
        "[*]:{port} {key}",
        "* {key}",
        "elsewhere,[{host}]:{port},other {key}",
        "  [{host}]:{port}\t{key}",
        "this line is none\n\n# nor this\n[{host}]:{port} {key}",
        "[{host}]:{port} ssh-ed25519 broken!base64\n[{host}]:{port} {key}",
        "@cert-authority * {key}\n[{host}]:{port} {key}",
        "@unheard-of * {key}\n[{host}]:{port} {key}",
    ],
)
def test_a_key_is_known_by_every_kind_of_line(errand, sshd, reach, line):
    text = line.format(host=sshd.host, port=sshd.port, key=public_key(sshd.host_key))
    sshd.known_hosts.write_text(text + "\n")
    is_well(errand, reach(sshd))


@pytest.mark.parametrize("line", ["!{host},!{here},* {key}", "[{host}]:1 {key}", "elsewhere {key}"])
def test_lines_that_mean_another_host_do_not_count(sshd, reach, refused, line):
    here = f"[{sshd.host}]:{sshd.port}"
    sshd.known_hosts.write_text(line.format(host=sshd.host, here=here, key=public_key(sshd.host_key)) + "\n")
    assert refused(reach(sshd))["step"] == "host_key"


def test_hashed_lines_are_read(errand, sshd, reach, refused, other_key):
    target = reach(sshd)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", sshd.known_hosts], check=True, capture_output=True)
    assert sshd.known_hosts.read_text().startswith("|1|")
    is_well(errand, target)
    sshd.known_hosts.write_text(sshd.known_hosts.read_text().replace(public_key(sshd.host_key), public_key(other_key)))
    assert "CHANGED" in refused(target)["detail"]


# ---- keys ----


def test_a_wrong_user_is_told_what_was_offered(errand, sshd, network, refused):
    _, *options = sshd.target_arguments()
    errand.add_target("node", f"--transport={network}", "nobody-of-that-name@127.0.0.1", *options)
    step = refused("node")
    assert step["step"] == "login"
    assert f"nobody-of-that-name@127.0.0.1 port {sshd.port}" in step["detail"]
    assert str(sshd.identity) in step["detail"]


def test_a_key_that_the_server_does_not_know(sshd, reach, refused, other_key):
    step = refused(reach(sshd, f"--identity={other_key}"))
    assert step["step"] == "login"
    assert str(other_key) in step["detail"]
    assert "publickey" in step["detail"]
    assert "authorized_keys" in step["hint"]


def test_a_key_file_that_is_not_there(sshd, reach, refused, tmp_path):
    step = refused(reach(sshd, f"--identity={tmp_path}/typo"))
    assert step["step"] == "login"
    assert f"{tmp_path}/typo" in step["detail"]


def test_a_key_file_that_others_may_read(sshd, reach, refused):
    sshd.identity.chmod(0o644)
    step = refused(reach(sshd))
    assert step["step"] == "login"
    assert str(sshd.identity) in step["detail"]
    assert f"chmod 600 {sshd.identity}" in step["hint"]


@pytest.mark.usefixtures("libssh2_leaks")
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_keys_of_every_kind_log_in(errand, sshd, reach, tmp_path, kind):
    key = make_key(tmp_path / "key", kind)
    sshd.authorized_keys.write_text(public_key(key) + "\n")
    is_well(errand, reach(sshd, f"--identity={key}"))
    assert sshd.logins() == 1


@pytest.fixture
def locked_key(sshd: Sshd, tmp_path: Path) -> Path:
    """A key that the server takes, with a passphrase: "let me in"."""
    key = make_key(tmp_path / "locked", passphrase="let me in")
    sshd.authorized_keys.write_text(public_key(key) + "\n")
    return key


def test_a_passphrase_is_asked_for_once_on_a_terminal(errand, sshd, reach, locked_key):
    target = reach(sshd, f"--identity={locked_key}")
    screen = errand.terminal("run", "--target", target, "train.py", columns=200)
    screen.expect(rf"[Pp]assphrase.*{locked_key}.*:")
    screen.send(b"let me in\n")
    screen.expect(b"hello")
    assert screen.finish().code == 0
    assert says(screen).count("assphrase for key") == 1
    assert "let me in" not in says(screen)


def echoes(screen) -> bool:
    return bool(termios.tcgetattr(screen.descriptor)[3] & termios.ECHO)


def test_ctrl_c_at_a_hidden_question_ends_all_and_leaves_the_terminal_as_it_was(errand, sshd, reach, locked_key):
    target = reach(sshd, f"--identity={locked_key}")
    screen = errand.terminal("run", "--target", target, "train.py", columns=200)
    screen.expect(rf"[Pp]assphrase.*{locked_key}.*:")
    assert not echoes(screen)
    screen.send(b"half\x03")
    wait_for(lambda: echoes(screen), "the echo to be on again")
    assert screen.finish().code in (-signal.SIGINT, 128 + signal.SIGINT)
    assert "half" not in says(screen)
    assert sshd.logins() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_a_hidden_question_ends_all_and_leaves_the_terminal_as_it_was(
    errand, sshd, reach, locked_key, number
):
    """With nobody there to answer errand waited on."""
    target = reach(sshd, f"--identity={locked_key}")
    screen = errand.terminal("run", "--target", target, "train.py", columns=200)
    screen.expect(rf"[Pp]assphrase.*{locked_key}.*:")
    screen.process.send_signal(number)
    wait_for(lambda: echoes(screen), "the echo to be on again")
    assert screen.finish().code in (-number, 128 + number, 130)
    assert sshd.logins() == 0


def test_a_passphrase_that_nobody_can_be_asked_for(sshd, reach, refused, locked_key):
    step = refused(reach(sshd, f"--identity={locked_key}"))
    assert step["step"] == "login"
    assert str(locked_key) in step["detail"]
    assert "passphrase" in step["detail"]
    assert "ssh-add" in step["hint"]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of a new ssh-agent without keys."""
    path = tmp_path / "agent.socket"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield str(path)
    process.terminate()
    process.wait()


def test_an_agents_key_logs_in(errand, network, sshd, agent):
    add = {**os.environ, "SSH_AUTH_SOCK": agent}
    subprocess.run(["ssh-add", "-q", sshd.identity], env=add, check=True)
    user, port, _, *rest = sshd.target_arguments()
    errand.add_target("node", f"--transport={network}", user, port, *rest)
    errand.ok("run", "--target", "node", "train.py", env={"SSH_AUTH_SOCK": agent})
    assert sshd.logins() == 1


@pytest.fixture
def full_agent(agent, sshd, tmp_path) -> str:
    """An agent in which the key that the server takes comes last of four."""
    keys = [make_key(tmp_path / f"wrong{i}") for i in range(3)]
    add = {**os.environ, "SSH_AUTH_SOCK": agent}
    subprocess.run(["ssh-add", "-q", *keys, sshd.identity], env=add, check=True)
    return agent


def check_by_agent(errand, network, server: Sshd, socket: str, *options: str, code: int = 0) -> dict:
    user, port, _, *rest = server.target_arguments()
    errand.add_target("node", f"--transport={network}", user, port, *rest, *options)
    document = errand.run("target", "check", "node", "--json", env={"SSH_AUTH_SOCK": socket}, code=code).json()
    return document["steps"][-1]


@pytest.mark.auto_too
def test_a_server_that_allows_one_try_gets_the_key_that_was_named(errand, network, make_sshd, sshd, full_agent):
    strict = make_sshd(lines=("MaxAuthTries 1", f"AuthorizedKeysFile {sshd.authorized_keys}"))
    check_by_agent(errand, network, strict, full_agent, f"--identity={sshd.identity}")
    assert strict.logins() == 1


@pytest.mark.auto_too
def test_a_server_that_allows_fewer_tries_than_there_are_keys(errand, network, make_sshd, sshd, full_agent):
    strict = make_sshd(lines=("MaxAuthTries 1", f"AuthorizedKeysFile {sshd.authorized_keys}"))
    step = check_by_agent(errand, network, strict, full_agent, code=1)
    assert step["step"] == "login"
    assert "Too many authentication failures" in step["detail"]
    assert "--identity FILE" in step["hint"]
    assert strict.connections() == 1


# ---- passwords ----


@pytest.fixture(params=["password", "keyboard-interactive"])
def password_server(request: pytest.FixtureRequest, tmp_path: Path, mark: str) -> Iterator[PasswordServer]:
    server = PasswordServer(tmp_path / "password", {MARK: mark}, request.param).start()
    yield server
    server.stop()


def test_a_password_is_asked_for_on_a_terminal(errand, reach, password_server):
    target = reach(password_server)
    screen = errand.terminal("target", "check", target, columns=200)
    screen.expect(r"[Pp]assword.*: ?$")
    screen.send(b"wrong\n")
    screen.expect(r"[Pp]assword.*: ?$", start=len(screen.out))
    screen.send(b"open sesame\n")
    ended = screen.finish()
    assert ended.code == 0, says(screen)
    assert password_server.tried == ["wrong", "open sesame"]
    assert "sesame" not in says(screen)


def test_a_password_that_nobody_can_be_asked_for(reach, refused, password_server):
    step = refused(reach(password_server))
    assert step["step"] == "login"
    assert password_server.method in step["detail"]
    assert "on a terminal only" in step["hint"]
    assert password_server.tried == []


@pytest.fixture
def two_ways(password_server, tmp_path) -> tuple[PasswordServer, str]:
    """A server that wants a key and then something typed, and the option of `target add` with that key."""
    key = make_key(tmp_path / "first")
    password_server.first_key = paramiko.Ed25519Key(filename=str(key))
    return password_server, f"--identity={key}"


@pytest.mark.auto_too
def test_a_key_and_a_password_may_both_be_wanted(errand, reach, two_ways):
    server, key = two_ways
    screen = errand.terminal("target", "check", reach(server, key), columns=200)
    screen.expect(r"[Pp]assword.*: ?$")
    screen.send(b"open sesame\n")
    assert screen.finish().code == 0, says(screen)
    assert server.tried == ["open sesame"]


@pytest.mark.auto_too
def test_a_key_that_is_not_enough_is_not_called_a_wrong_one(reach, refused, two_ways):
    server, key = two_ways
    step = refused(reach(server, key))
    assert step["step"] == "login"
    assert f"{key.partition('=')[2]} is not enough" in step["detail"]
    assert server.method in step["detail"]
    assert "on a terminal only" in step["hint"]


# ---- the user's own ssh configuration ----


@pytest.fixture
def configured(errand: Errand, network: str, tmp_path: Path) -> Callable[[str], str]:
    """configured(text): a target whose host is the alias "box" in an ssh configuration with that text."""

    def make(text: str) -> str:
        config = tmp_path / "ssh_config"
        config.write_text(text)
        return errand.add_target("node", "box", f"--ssh-config={config}", f"--transport={network}")

    return make


def alias(server: Sshd, name: str = "box", more: str = "") -> str:
    return f"""
Host {name}
    HostName {server.host}
    Port {server.port}
    User {server.user}
    IdentityFile {server.identity}
    IdentitiesOnly yes
    UserKnownHostsFile {server.known_hosts}
    {more}
"""


def test_an_alias_brings_host_port_user_and_key(errand, sshd, configured):
    steps = is_well(errand, configured(alias(sshd)))
    assert steps["address"]["detail"] == f"{sshd.user}@{sshd.host} port {sshd.port}"
    assert fingerprint(sshd.host_key) in steps["host_key"]["detail"]


def test_the_options_of_the_target_go_before_the_alias(errand, sshd, network, tmp_path):
    config = tmp_path / "ssh_config"
    config.write_text(alias(sshd).replace(str(sshd.port), "1").replace(str(sshd.identity), "/nowhere"))
    options = [f"--port={sshd.port}", f"--identity={sshd.identity}", f"--known-hosts={sshd.known_hosts}"]
    errand.add_target("node", "box", f"--ssh-config={config}", f"--transport={network}", *options)
    is_well(errand, "node")


@pytest.mark.parametrize("network", ["openssh"])
class TestWhatOnlyTheProgramDoes:
    """ProxyJump and ControlMaster: `auto` goes to the ssh program for them."""

    def test_a_jump_host(self, errand, make_sshd, configured):
        box, jump = make_sshd(), make_sshd()
        target = configured(alias(box, more="ProxyJump jump") + alias(jump, "jump"))
        assert is_well(errand, target)["jump_host"]["detail"] == "jump"
        assert (box.logins(), jump.logins()) == (1, 1)

    def test_a_jump_host_that_lets_nobody_in_is_named(self, make_sshd, configured, refused, other_key):
        box, jump = make_sshd(), make_sshd()
        text = alias(box, more="ProxyJump jump") + alias(jump, "jump").replace(str(jump.identity), str(other_key))
        step = refused(configured(text))
        assert step["step"] == "connect"
        assert "jump host" in step["detail"]
        assert "Permission denied" in step["detail"]
        assert f"port {box.port}" in step["detail"]

    def test_a_jump_host_that_does_not_answer(self, errand, make_sshd, configured, refused, bad_server):
        box, jump = make_sshd(), bad_server("silent")
        errand.configure(connect_timeout="1s", login_timeout="1s")
        text = alias(box, more="ProxyJump jump") + alias(make_sshd(), "jump").replace("Port ", f"Port {jump.port} # ")
        step = refused(configured(text))
        assert step["step"] == "connect"

    def test_a_machine_without_ssh_is_told_what_to_install(self, errand, sshd, reach, refused):
        errand.configure(ssh="/nowhere/ssh")
        step = refused(reach(sshd))
        assert "/nowhere/ssh" in step["detail"]
        assert "openssh-client" in step["hint"]

    def test_a_master_that_is_alive_is_used(self, errand, sshd, configured, tmp_path):
        socket = tmp_path / "master"
        master = subprocess.Popen(sshd.ssh(options=("-N", "-M", f"-S{socket}")), stdin=subprocess.DEVNULL)
        try:
            sshd_is_in = f"ControlPath {socket}"
            wait_for(socket.exists, "the master's socket")
            steps = is_well(errand, configured(alias(sshd, more=sshd_is_in)))
            assert "your ssh keeps open" in steps["shared"]["detail"]
            assert sshd.logins() == 1
        finally:
            master.terminate()
            master.wait()


def test_a_bad_line_in_the_configuration_is_named(sshd, configured, refused):
    step = refused(configured(alias(sshd, more="Frobnicate yes")))
    assert step["step"] == "connect"
    assert "Bad configuration option: frobnicate" in step["detail"]
    assert "ssh_config" in step["detail"]


def test_a_configuration_that_is_not_there_is_named(reach, sshd, refused, tmp_path):
    step = refused(reach(sshd, f"--ssh-config={tmp_path}/none"))
    assert f"{tmp_path}/none" in step["detail"]
