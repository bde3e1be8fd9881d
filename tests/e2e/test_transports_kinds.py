"""Servers of many kinds, and what comes of each over `ssh2`, `openssh` and `auto`: it works, or one sentence says why
not. What misbehaves altogether stands in test_transports_servers.py."""

import ctypes
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support.errand import strip_controls
from support.faultproxy import Fault
from support.projects import write_files
from support.sshd import Sshd

WAYS = ("ssh2", "openssh", "auto")


def libssh2_version() -> tuple[int, ...]:
    """Of the libssh2 on this machine: newer ones share more with servers."""
    library = ctypes.CDLL("libssh2.so.1")
    library.libssh2_version.restype = ctypes.c_char_p
    return tuple(int(number) for number in re.findall(r"\d+", library.libssh2_version(0).decode())[:3])


NEVER = (99,)


@dataclass(frozen=True)
class Works:
    """over: the transport that it comes to; why: words of the reason for it."""

    over: str
    why: str = ""


@dataclass(frozen=True)
class Says:
    """The step that fails, words of its sentence, and words of what to do."""

    step: str
    words: str
    hint: str


@dataclass(frozen=True)
class Kind:
    """An sshd with these lines. since: the libssh2 with which the built-in transport gets in; lacks: what the older
    ones say. openssh: what comes of the ssh program, also where `auto` falls to it."""

    lines: str
    since: tuple[int, ...] = (0,)
    lacks: Says | None = None
    why: str = ""  # words of `auto` falling to the ssh program
    openssh: Works | Says = Works("openssh")
    host_key: str = "ed25519"

    def expect(self, way: str) -> Works | Says:
        if way == "openssh":
            return self.openssh
        if libssh2_version() >= self.since:
            return Works("ssh2")
        if way == "ssh2":
            return self.lacks
        return Works("openssh", self.why) if isinstance(self.openssh, Works) else self.openssh


def shares_no(what: str, **more) -> dict:
    return {
        "lacks": Says("connect", f"share no {what} (the server offers only ", "transport to openssh"),
        "why": f"share no {what}",
        **more,
    }


OFFERS_NONE = Says("connect", "handshake: Unable to negotiate with ", "share no such algorithm")

KINDS = {
    # What ssh-audit's guides write for OpenSSH 9.2, less what needs other keys.
    "hardened": Kind(
        """KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,\
diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr
MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com
HostKeyAlgorithms ssh-ed25519,ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-256
PubkeyAcceptedAlgorithms ssh-ed25519,ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-256
RequiredRSASize 3072""",
        since=(1, 11, 1),
        **shares_no("MACs"),
    ),
    # What the sshds of Ubuntu 16.04 (7.2) and CentOS 7 (7.4) offer, as far as this one still knows it.
    "old": Kind(
        """KexAlgorithms curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha1
Ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com
MACs umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1
HostKeyAlgorithms ssh-rsa,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519""",
    ),
    # CentOS 6 (5.3): signatures and MACs of SHA-1, which nobody takes any more.
    "ancient": Kind(
        """KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1
Ciphers aes128-ctr,aes192-ctr,aes256-ctr,aes128-cbc,3des-cbc
MACs hmac-md5,hmac-sha1
HostKeyAlgorithms ssh-ed25519""",
        since=NEVER,
        openssh=OFFERS_NONE,
        **shares_no("key exchanges"),
    ),
    "RSA host key only": Kind(
        "",
        host_key="rsa",
        since=(1, 11, 0),
        lacks=Says("connect", "the built-in transport cannot follow", "transport to openssh"),
        why="kind of the host's known key",
    ),
    "EtM only": Kind(
        "MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com\nCiphers aes256-ctr",
        since=(1, 11, 1),
        **shares_no("MACs"),
    ),
    "AEAD only": Kind(
        "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com", since=(1, 11, 1), **shares_no("ciphers")
    ),
    "post-quantum only": Kind(
        "KexAlgorithms sntrup761x25519-sha512@openssh.com", since=NEVER, **shares_no("key exchanges")
    ),
    "compresses": Kind("Compression yes"),
    "rekeys every megabyte": Kind("RekeyLimit 1M"),
    "one try": Kind("MaxAuthTries 1"),
    "one session": Kind("MaxSessions 1"),
}

WORDS = {
    "password only": (
        "PubkeyAuthentication no\nPasswordAuthentication yes",
        Says("login", "password", "on a terminal only"),
    ),
    "a password as well": (
        "AuthenticationMethods publickey,password\nPasswordAuthentication yes",
        Says("login", "is not enough", "on a terminal only"),
    ),
    "a user who may not": ("DenyUsers *", Says("login", "permission denied", "authorized_keys")),
    "no session": ("MaxSessions 0", Says("bootstrap", "logged in, but the server opens no session: ", "MaxSessions")),
    "a command of its own": ("ForceCommand echo git only", Says("bootstrap", "it said: git only", "ForceCommand")),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to a server in turn, `auto` included."""
    return request.param


@pytest.fixture
def added(errand, way) -> Callable[..., str]:
    """added(server): the server as a target, over that way."""

    def add(server, *options: str) -> str:
        return errand.add_target("node", f"--transport={way}", *server.target_arguments(), *options)

    return add


def place(server: Sshd) -> str:
    return f"node ({server.user}@{server.host} port {server.port}): "


def check_works(errand, target: str, works: Works) -> None:
    document = errand.json("target", "check", target)
    steps = {step["step"]: step["detail"] for step in document["steps"]}
    assert document["transport"] == works.over
    assert works.why in steps["transport"]
    ended = errand.ok("run", "--target", target, "train.py")
    assert ended.out == b"hello\n"
    trying = [line for line in ended.errors.splitlines() if "trying the openssh transport" in line]
    assert len(trying) == (1 if "share" in works.why else 0)
    assert all(works.why in line for line in trying)


def check_says(refused, target: str, server: Sshd, says: Says) -> None:
    step = refused(target)
    assert step["step"] == says.step, step
    assert step["detail"].startswith(place(server))
    assert says.words in step["detail"]
    assert says.hint in step["hint"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_server_of_this_kind_is_reached_or_named(errand, make_sshd, added, refused, way, kind):
    server = make_sshd(lines=tuple(kind.lines.splitlines()), host_key_kind=kind.host_key)
    target = added(server)
    expected = kind.expect(way)
    if isinstance(expected, Works):
        check_works(errand, target, expected)
    else:
        check_says(refused, target, server, expected)


@pytest.mark.parametrize(("lines", "says"), WORDS.values(), ids=WORDS.keys())
def test_a_server_that_lets_nobody_in_says_why(make_sshd, added, refused, lines, says):
    server = make_sshd(lines=tuple(lines.splitlines()))
    check_says(refused, added(server), server, says)


# ---- much at once, with new keys again and again ----

MEGABYTES = 12
# Writes the digest of what was sent, then as many bytes of log and of outputs as that has.
BOTH_WAYS = """
import hashlib, os, sys
data = open("data.bin", "rb").read()
os.makedirs("outputs", exist_ok=True)
open("outputs/back.bin", "wb").write(data)
print(hashlib.sha256(data).hexdigest(), flush=True)
sys.stdout.write("".join(f"{i:063d}\\n" for i in range(len(data) // 64)))
"""


def test_new_keys_every_megabyte_lose_nothing_either_way(errand, make_sshd, added):
    server = make_sshd(lines=("RekeyLimit 1M", "LogLevel DEBUG1"))
    data = os.urandom(MEGABYTES << 20)
    write_files(errand.cwd, {"data.bin": data, "both.py": BOTH_WAYS})
    target = added(server)
    ended = errand.ok("run", "--target", target, "both.py")
    digest, _, log = ended.out.partition(b"\n")
    assert digest.decode() == hashlib.sha256(data).hexdigest()
    assert log == b"".join(b"%063d\n" % i for i in range(len(data) // 64))
    (back,) = errand.home.rglob("outputs/back.bin")
    assert back.read_bytes() == data
    assert server.logins() == 1
    assert server.log.read_bytes().count(b"SSH2_MSG_KEXINIT received") > MEGABYTES


# ---- what a server says before it comes to the point ----

CONTROLS = "\033]0;title\007\033[2J\033[31m\x9b2J\b\r"


@pytest.fixture
def with_banner(make_sshd, tmp_path) -> Callable[[int], Sshd]:
    """with_banner(bytes): a server that says so much before the login, and none of it is fit for a terminal."""

    def make(size: int) -> Sshd:
        banner = tmp_path / "banner"
        line = f"Keep out! {CONTROLS} Permission denied.\n"
        banner.write_text(line * (size // len(line)))
        return make_sshd(lines=(f"Banner {banner}",))

    return make


@pytest.mark.parametrize("way", ["ssh2"])
def test_a_banner_that_libssh2_cannot_take_is_no_refusal(with_banner, added, refused):
    step = refused(added(with_banner(200_000)))
    assert step["step"] == "login"
    assert "cannot read what the server sends" in step["detail"]
    assert "openssh" in step["hint"]


@pytest.mark.parametrize("size", [300, 30_000, 200_000], ids=["short", "long", "endless"])
def test_a_banner_before_the_login_never_reaches_the_terminal_raw(errand, with_banner, added, way, size):
    if (way, size) == ("ssh2", 200_000):
        return
    target = added(with_banner(size))
    ended = errand.terminal("run", "--target", target, "train.py", columns=400).finish()
    assert ended.code == 0, strip_controls(ended.out)
    assert b"hello" in ended.out
    for raw in (b"\033]0;title", b"\033[2J", b"\x9b"):
        assert raw not in ended.out


@pytest.mark.parametrize(
    "preface",
    [
        b"Welcome\r\n",
        b"no carriage return\n\n",
        b"".join(b"line %d of the house rules\r\n" % i for i in range(200)),
        CONTROLS.encode("latin-1") + b"\r\n",
        b"SSH is spoken here\r\n",
    ],
    ids=["one line", "newlines alone", "many lines", "controls", "almost a version"],
)
def test_lines_before_the_version_are_passed_over(errand, sshd, proxy, way, preface):
    """RFC 4253 section 4.2 allows them."""
    link = proxy(sshd.port, preface=preface)
    errand.add_target("node", f"--transport={way}", *sshd.target_arguments(link.port))
    ended = errand.ok("run", "--target", "node", "train.py")
    assert (ended.out, ended.errors.count("\033")) == (b"hello\n", 0)
    assert link.connections == 1


def test_a_server_that_takes_its_time_is_waited_for(errand, sshd, proxy, way):
    link = proxy(sshd.port, faults=[Fault("freeze", "down", 0)])
    errand.add_target("node", f"--transport={way}", *sshd.target_arguments(link.port))
    running = errand.start("run", "--target", "node", "train.py")
    running.wait_output(b"waiting for node to answer", "err")
    link.thaw()
    ended = running.finish()
    assert (ended.code, ended.out) == (0, b"hello\n"), ended
    assert link.connections == 1


# ---- a server that goes away ----


def test_a_server_that_closes_at_any_point_is_said_to(errand, sshd, proxy, way, refused):
    link = proxy(sshd.port)
    target = errand.add_target("node", f"--transport={way}", *sshd.target_arguments(link.port))
    phases = []
    while "login" not in phases and len(phases) < 60:
        at = 150 + 120 * len(phases)
        link.faults = [Fault("close", "down", at)]
        step = refused(target)
        assert step["detail"].startswith(f"node ({sshd.user}@{sshd.host} port {link.port}): ")
        phases.append(re.match(r"[^:]*: ([a-z ]+): ", step["detail"])[1])
    assert {"handshake", "login"} <= set(phases)
