"""Dropbear as the server, over every network transport and by errand's own choice."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.dropbear import Dropbear
from support.errand import BIN, MARK
from support.projects import write_files
from support.sshd import make_key

pytestmark = pytest.mark.auto_too


@pytest.fixture
def make_dropbear(tmp_path: Path, mark: str) -> Iterator[Callable[..., Dropbear]]:
    """make_dropbear(**options of Dropbear): a private Dropbear, started."""
    made: list[Dropbear] = []

    def make(**options: str) -> Dropbear:
        made.append(Dropbear(tmp_path / f"dropbear{len(made)}", {MARK: mark}, **options))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


# Log and outputs with every byte of what was sent; the status is the script's.
BACK = """
import hashlib, os, sys
data = open("data.bin", "rb").read()
os.makedirs("outputs", exist_ok=True)
open("outputs/back.bin", "wb").write(data)
print(hashlib.sha256(data).hexdigest())
print("to stderr", file=sys.stderr)
sys.exit(7)
"""


def test_a_run_goes_there_and_comes_back(errand, make_dropbear, reach):
    server = make_dropbear()
    data = os.urandom(5_000_000)
    write_files(errand.cwd, {"data.bin": data, "back.py": BACK})
    target = reach(server)
    ended = errand.run("run", "--target", target, "back.py", code=7)
    assert sorted(ended.out.decode().split("\n")) == ["", hashlib.sha256(data).hexdigest(), "to stderr"]
    (back,) = errand.home.rglob("outputs/back.bin")
    assert back.read_bytes() == data
    (executor,) = (server.home / ".errand/bin").iterdir()
    assert executor.read_bytes() == (BIN / "errand-executor").read_bytes()
    again = errand.run("run", "--target", target, "back.py", code=7)
    assert "nothing to send" in again.errors
    assert server.logins() == 2


def test_a_run_is_followed_and_canceled_there(errand, make_dropbear, reach):
    write_files(errand.cwd, {"long.py": "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"})
    run = errand.submit("--target", reach(make_dropbear()), "long.py")
    following = errand.start("follow", run)
    following.wait_output(b"begun")
    errand.ok("cancel", run)
    assert following.finish().code == 143
    assert errand.show(run)["status"] == "Canceled"


@pytest.mark.usefixtures("libssh2_leaks")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_host_keys_of_every_kind(errand, make_dropbear, reach, network, refused, kind):
    target = reach(make_dropbear(host_key_kind=kind))
    if (network, kind) == ("ssh2", "rsa"):
        assert "kind of the host's known key" in refused(target)["detail"]
        return
    document = errand.json("target", "check", target)
    assert document["transport"] == ("openssh" if network == "openssh" or kind == "rsa" else "ssh2")


@pytest.mark.usefixtures("libssh2_leaks")
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_keys_of_every_kind(errand, make_dropbear, reach, network, refused, kind):
    """Dropbear does not take an RSA key under the name of its signatures, the only way that libssh2 1.10 has."""
    server = make_dropbear(user_key_kind=kind)
    target = reach(server)
    if (network, kind) == ("ssh2", "rsa"):
        step = refused(target)
        assert step["step"] == "login"
        assert f"{server.identity} was not accepted" in step["detail"]
        return
    document = errand.json("target", "check", target)
    assert document["transport"] == ("openssh" if network == "openssh" or kind == "rsa" else "ssh2")


def test_a_key_that_it_does_not_know(make_dropbear, reach, refused, tmp_path):
    server = make_dropbear()
    server.allow(make_key(tmp_path / "other"))
    step = refused(reach(server))
    assert step["step"] == "login"
    assert str(server.identity) in step["detail"]
    assert "authorized_keys" in step["hint"]


def test_a_host_key_that_changed(make_dropbear, reach, refused, tmp_path):
    server = make_dropbear()
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    server.known_hosts.write_text(f"[{server.host}]:{server.port} {other}\n")
    step = refused(reach(server))
    assert step["step"] == "host_key"
    assert "CHANGED" in step["detail"]
