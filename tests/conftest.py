"""Fixtures of the end-to-end and fault tests; tests/README.md tells what each is for."""

import itertools
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import processes
from support.badserver import BadServer
from support.environments import Environments, give_uv
from support.errand import MARK, Errand
from support.faultproxy import FaultProxy
from support.links import Link
from support.livy import Livy
from support.packages import Index
from support.projects import write_files
from support.sshd import Sshd
from support.supervision import Node
from support.waiting import wait_for

pytest_plugins = ["rig.fixtures"]

# Every transport that reaches a node; the whole behaviour of a run is tried over each.
# "kept" is a connection that an earlier command left.
TRANSPORTS = ("local", "openssh", "ssh2", "kept")
# What may be said while a connection comes about.
SAID_MEANWHILE = "waiting for .* to answer|trying the openssh transport|trying again"
# Those that a cable can be pulled out of.
NETWORK = tuple(name for name in TRANSPORTS if name not in ("local", "kept"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the long campaigns too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in soak]


@pytest.fixture
def mark() -> Iterator[str]:
    """A value of its own for each test, carried in the environment of all that the test starts, on both sides;
    what still carries it when the test is over is killed."""
    value = uuid.uuid4().hex
    yield value
    processes.end_marked(MARK, value)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests under strace: LeakSanitizer does not work there, so that sanitized programs look for all but leaks."""
    if "ASAN_OPTIONS" in os.environ:
        monkeypatch.setenv("ASAN_OPTIONS", os.environ["ASAN_OPTIONS"] + ":detect_leaks=0")


@pytest.fixture
def libssh2_leaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For tests with an ECDSA key in a file: libssh2 1.10 loses two numbers when it reads one."""
    known = tmp_path / "leaks"
    known.write_text("leak:libssh2_userauth_publickey_fromfile_ex\n")
    monkeypatch.setenv("LSAN_OPTIONS", f"suppressions={known}:print_suppressions=0")
    if "ASAN_OPTIONS" in os.environ:  # through libcrypto's frames, which have no pointer to the next
        monkeypatch.setenv("ASAN_OPTIONS", os.environ["ASAN_OPTIONS"] + ":fast_unwind_on_malloc=0")


@pytest.fixture
def make_sshd(tmp_path: Path, mark: str) -> Iterator[Callable[..., Sshd]]:
    """make_sshd(**options of Sshd): another private sshd, started; each call is another machine-like node."""
    count = itertools.count()
    servers: list[Sshd] = []

    def make(**options) -> Sshd:
        options["env"] = {MARK: mark, **options.get("env", {})}
        server = Sshd(tmp_path / f"sshd{next(count)}", **options)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def sshd(make_sshd: Callable[..., Sshd]) -> Sshd:
    """A private sshd on 127.0.0.1 with keys and a home of its own."""
    return make_sshd()


@pytest.fixture
def proxy() -> Iterator[Callable[..., FaultProxy]]:
    """proxy(port, **faults): a fault proxy in front of 127.0.0.1:port; see support.faultproxy."""
    made: list[FaultProxy] = []

    def make(port: int, **faults) -> FaultProxy:
        one = FaultProxy(("127.0.0.1", port), **faults)
        made.append(one)
        return one.start()

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Path]:
    """make_project({"train.py": "print(1)", "data/": None, "run.sh": ("#!/bin/sh\\n", 0o755)}, git=True): a folder.

    A value is text, bytes, (text or bytes, mode), or None for an empty folder; names may be bytes. A Path makes a
    symbolic link."""
    count = itertools.count()

    def make(files: dict | None = None, *, git: bool = False, name: str | None = None) -> Path:
        folder = tmp_path / (name or f"project{next(count)}")
        folder.mkdir(parents=True)
        write_files(folder, files if files is not None else {"train.py": 'print("hello")\n'})
        if git:
            environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
            subprocess.run(["git", "init", "-q"], cwd=folder, check=True, env=environment)
        return folder

    return make


@pytest.fixture
def project(make_project: Callable[..., Path]) -> Path:
    """A project folder with one script, train.py, that says hello."""
    return make_project(name="project")


@pytest.fixture
def make_errand(tmp_path: Path, project: Path, mark: str) -> Iterator[Callable[..., Errand]]:
    """make_errand(**variables): another controller, with an ERRAND_HOME of its own."""
    count = itertools.count()
    made: list[Errand] = []

    def make(**variables: str) -> Errand:
        one = Errand(tmp_path / f"controller{next(count)}", project, mark, variables)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def errand(make_errand: Callable[..., Errand]) -> Errand:
    """A controller with an ERRAND_HOME of its own, started in `project`."""
    return make_errand()


@pytest.fixture
def node(tmp_path: Path, project: Path, mark: str) -> Node:
    """A node's root without a connection: runs are accepted and supervised as `serve` would."""
    return Node(tmp_path / "root", project, mark)


@pytest.fixture
def make_livy(tmp_path: Path, mark: str) -> Iterator[Callable[..., Livy]]:
    """make_livy(**options of Livy): another server."""
    made: list[Livy] = []

    def make(**options) -> Livy:
        made.append(Livy(tmp_path / f"livy{len(made)}", {MARK: mark}, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def make_index(tmp_path: Path) -> Iterator[Callable[[], Index]]:
    """make_index(): a package index on loopback, with what the test puts there; all are closed at the end."""
    made: list[Index] = []

    def make() -> Index:
        made.append(Index(tmp_path / f"index{len(made) or ''}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def index(make_index: Callable[[], Index]) -> Index:
    """A package index on loopback."""
    return make_index()


@pytest.fixture
def envs(node: Node, tmp_path: Path) -> Environments:
    """The node has uv; what it keeps of environments."""
    give_uv(node, tmp_path / "uv")
    return Environments(node)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return request.param


@pytest.fixture
def target(transport: str, errand: Errand, request: pytest.FixtureRequest) -> str:
    """The name of a target of `errand`, over each transport in turn: a test that uses it is run once over each."""
    if transport == "local":
        return "local"
    server: Sshd = request.getfixturevalue("sshd")
    if transport != "kept":
        return errand.add_target("node", f"--transport={transport}", *server.target_arguments())
    errand.configure(keep_connection="10m")
    name = errand.add_target("node", *server.target_arguments())
    errand.ok("node", "gc", name)
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "network" in metafunc.fixturenames and "network" not in named:
        more = [name for name in ("kept", "auto") if metafunc.definition.get_closest_marker(f"{name}_too")]
        metafunc.parametrize("network", (*NETWORK, *more), indirect=True)


@pytest.fixture
def network(request: pytest.FixtureRequest) -> str:
    """Each transport over a network in turn; where a test is marked kept_too also over a connection that is kept,
    where it is marked auto_too also by errand's own choice."""
    return request.param


@pytest.fixture
def make_link(
    errand: Errand, sshd: Sshd, proxy: Callable[..., FaultProxy], network: str, tmp_path: Path
) -> Callable[..., Link]:
    """make_link(settings={...}, **faults of FaultProxy): a target behind a proxy; see support.links."""

    def make(settings: dict[str, str] | None = None, **faults) -> Link:
        return Link(errand, sshd, proxy(sshd.port, **faults), network, tmp_path, settings or {})

    return make


@pytest.fixture
def reach(errand: Errand, network: str) -> Callable[..., str]:
    """reach(server, *options of `target add`, name="node"): the server as a target, over each network transport in
    turn; returns the name."""

    def add(server, *options: str, name: str = "node") -> str:
        return errand.add_target(name, f"--transport={network}", *server.target_arguments(), *options)

    return add


@pytest.fixture
def refused(errand: Errand) -> Callable[..., dict]:
    """refused(target, *options): `target check` fails, and this is the step at which it did: the JSON and what a person
    reads agree, the hint is there, and no process is left."""

    def check(target: str, *options: str) -> dict:
        result = errand.run("target", "check", target, "--json", *options, code=1)
        document = result.json()
        assert (document["target"], document["ok"]) == (target, False)
        (step,) = [step for step in document["steps"] if not step["ok"]]
        assert step["hint"], step
        assert step is document["steps"][-1]
        assert all(re.search(SAID_MEANWHILE, line) for line in result.errors.splitlines())
        here = ("ERRAND_HOME", str(errand.home))
        wait_for(lambda: not processes.carrying(*here), "the end of all that was started here")
        return step

    return check


@pytest.fixture
def bad_server() -> Iterator[Callable[..., BadServer]]:
    """bad_server(kind): a server that speaks no SSH, or not to its end; see support.badserver."""
    made: list[BadServer] = []

    def make(kind: str) -> BadServer:
        made.append(BadServer(kind).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()
