"""A server that means harm: the controller gives it up with a sentence, in time, in bounded memory, and nothing that
the server says reaches the terminal as it is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import hostile
from support.errand import MARK, Errand, strip_controls
from support.hostile import HostileServer
from support.sshd import make_key

# The window is 16 MB of it; the sanitizers keep what was freed.
PEAK_MAX = (1024 if "ASAN_OPTIONS" in os.environ else 96) << 20

# A small process starts it: Linux counts what a process was before exec in its peak.
MEASURE = """
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL)
with open(sys.argv[1], "w") as report:
    report.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(done.returncode)
"""


@pytest.fixture
def hostile_server(tmp_path: Path, mark: str) -> Iterator[Callable[[str], HostileServer]]:
    """hostile_server(kind): see support.hostile."""
    made: list[HostileServer] = []

    def make(kind: str) -> HostileServer:
        made.append(HostileServer(tmp_path / "hostile", {MARK: mark}, kind).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()


def survives(errand: Errand, network: str, server: HostileServer, folder: Path) -> dict:
    """`target check` fails there as it should: the step at which it did."""
    errand.configure(connect_timeout="3s", login_timeout="3s")
    key = make_key(folder / "key")
    errand.add_target("node", f"--transport={network}", *server.target_arguments(key))
    peak = folder / "peak"
    command = [sys.executable, "-c", MEASURE, peak, errand.program, "target", "check", "node", "--json"]
    how = {"cwd": errand.cwd, "env": errand.env(), "stdin": subprocess.DEVNULL, "capture_output": True}
    done = subprocess.run(command, timeout=120, check=False, **how)
    assert done.returncode == 1, done
    assert server.misdeeds >= 1
    if network == "ssh2":  # else it is ssh's own
        assert int(peak.read_text()) < PEAK_MAX
    step = json.loads(done.stdout)["steps"][-1]
    assert not step["ok"]
    for text in (step["detail"], step["hint"] or "", done.stderr.decode()):
        assert strip_controls(text.encode()) == text and "\u202e" not in text, text
    assert f"node (somebody@127.0.0.1 port {server.port}): " in step["detail"]
    assert step["hint"]
    return step


@pytest.mark.parametrize("kind", hostile.CLEAR)
def test_before_there_are_keys(errand, network, hostile_server, tmp_path, kind):
    step = survives(errand, network, hostile_server(kind), tmp_path)
    assert "handshake: " in step["detail"] or "host key: " in step["detail"]


@pytest.mark.parametrize("kind", hostile.AT_LOGIN)
def test_at_the_login(errand, network, hostile_server, tmp_path, kind):
    step = survives(errand, network, hostile_server(kind), tmp_path)
    # ssh takes no banners without end, and does not say in which phase that was.
    assert "login: " in step["detail"] or (network == "openssh" and "invalid format" in step["detail"])


@pytest.mark.parametrize("kind", hostile.AFTER_LOGIN)
def test_when_logged_in(errand, network, hostile_server, tmp_path, kind):
    step = survives(errand, network, hostile_server(kind), tmp_path)
    assert "start: " in step["detail"]
