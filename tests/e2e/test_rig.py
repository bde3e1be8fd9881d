"""The rig itself: the cluster that tests and developers use (rig/README.md)."""

import base64
import fcntl
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest
from rig import cluster, introduce, parts, process, settings, sockets, yarn
from rig import session as rig_session
from rig.livy import LIVY, OLD, Livy
from rig.parts import Part
from rig.trouble import Trouble
from support import processes
from support.sshd import Sshd
from support.waiting import wait_for

CONTEXT = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
COUNTS = CONTEXT + "print('sum', spark.sparkContext.parallelize(range(100), 2).sum(), flush=True)\n"
WAITS = COUNTS + "import signal\nsignal.pause()\n"

# ---- parts, without a cluster ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rig of its own with nothing in it."""
    for name in ("RUN", "LOGS"):
        monkeypatch.setattr(settings, name, tmp_path / name.lower())
    monkeypatch.setattr(settings, "HOME", tmp_path)
    return tmp_path


@pytest.fixture
def make_part(folder: Path, monkeypatch: pytest.MonkeyPatch, mark: str):
    """make_part(a Python program, **more of Part): the only part of the rig, named one."""
    monkeypatch.setattr(cluster, "fetch_parts", lambda _: None)
    monkeypatch.setattr(cluster.configuration, "write", lambda: None)

    def make(program: str, ports: tuple[int, ...] = (), **more) -> Part:
        more = {"is_ready": lambda: (folder / "ready").exists(), **more}
        environment = {**os.environ, "HARNESS_MARK": mark, "FOLDER": str(folder)}
        command = [sys.executable, "-c", program]
        part = Part("one", "", ports, lambda: command, environment=lambda: environment, folder=folder, **more)
        monkeypatch.setattr(parts, "PARTS", {"one": part})
        monkeypatch.setattr(cluster, "PARTS", {"one": part})
        return part

    return make


SERVES = """
import os, signal
open(os.environ["FOLDER"] + "/ready", "w").close()
signal.pause()
"""


def silent(_: str) -> None:
    pass


def test_a_part_is_known_again_and_ended(make_part) -> None:
    make_part(SERVES)
    assert cluster.up(["one"], silent) == ["one"]
    pid = process.running("one")
    assert cluster.up(["one"], silent) == []
    assert process.running("one") == pid
    cluster.down(["one"], silent)
    assert not processes.is_alive(pid)
    assert [state.word for state in cluster.status(["one"])] == ["down"]


@pytest.mark.parametrize("other", [{"started": 1}, {"boot": "a boot before this one"}])
def test_down_ends_nobody_who_has_the_id_of_a_part_now(make_part, mark: str, other: dict) -> None:
    make_part(SERVES)
    cluster.up(["one"], silent)
    processes.end_all([process.running("one")])
    with subprocess.Popen(["sleep", "100"], env={**os.environ, "HARNESS_MARK": mark}) as stranger:
        record = settings.RUN / "one.json"
        record.write_text(json.dumps(introduce.identity(stranger.pid)))
        assert process.running("one") == stranger.pid
        record.write_text(json.dumps({**introduce.identity(stranger.pid), **other}))
        assert process.running("one") is None
        cluster.down(["one"], silent)
        assert stranger.poll() is None
        stranger.kill()


def test_a_part_that_ends_at_once_is_told_with_the_end_of_its_log(make_part) -> None:
    make_part("import sys; sys.exit('no room for me')")
    with pytest.raises(Trouble, match=r"one ended before it was ready; the end of .*\n.*no room for me"):
        cluster.up(["one"], silent)


def test_a_port_that_is_taken_is_told_with_who_has_it(make_part) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        make_part(SERVES, ports=(port,))
        with pytest.raises(Trouble, match=rf"one needs port {port} of 127.0.0.1, which process {os.getpid()} \("):
            cluster.up(["one"], silent)


def test_an_interrupted_up_goes_on_where_it_was(make_part, folder: Path) -> None:
    make_part(SERVES)

    def interrupted() -> bool:
        raise KeyboardInterrupt

    waits = make_part(SERVES, is_ready=interrupted)
    with pytest.raises(KeyboardInterrupt):
        cluster.up(["one"], silent)
    pid = process.running(waits.name)
    assert pid
    make_part(SERVES)
    wait_for((folder / "ready").exists, "the part")
    assert cluster.up(["one"], silent) == []
    assert process.running("one") == pid


def test_what_does_not_end_when_asked_is_killed(make_part) -> None:
    make_part(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES + "\nwhile True: signal.pause()"
    )
    cluster.up(["one"], silent)
    pid = process.running("one")
    assert process.stop("one", signal.SIGTERM, patience_s=0.3).startswith("killed")
    assert not processes.is_alive(pid)


def test_what_tests_started_ends_with_the_last_session(make_part) -> None:
    make_part(SERVES)
    first, second = rig_session.Session(), rig_session.Session()
    with first.use("one"):
        pid = process.running("one")
    with second.use("one"):
        assert process.running("one") == pid
    first.close()
    rig_session.end(patience_s=0.1)
    assert process.running("one") == pid
    second.close()
    rig_session.end()
    assert not processes.is_alive(pid)


def test_what_a_person_started_outlives_the_tests(make_part) -> None:
    make_part(SERVES)
    cluster.up(["one"], silent)
    pid = process.running("one")
    session = rig_session.Session()
    with session.use("one"):
        pass
    session.close()
    rig_session.end()
    assert process.running("one") == pid
    cluster.down(["one"], silent)


def test_what_a_test_alone_ended_is_brought_back(make_part) -> None:
    make_part(SERVES)
    session = rig_session.Session()
    with session.use("one", alone=True):
        processes.end_all([process.running("one")])
    assert process.running("one")
    session.close()
    rig_session.end()
    assert not process.running("one")


def test_who_wants_it_alone_is_not_overtaken(make_part) -> None:
    make_part(SERVES)
    session = rig_session.Session()
    order = []

    def use(who: str, alone: bool) -> threading.Thread:
        def body() -> None:
            with session.use("one", alone=alone):
                order.append(who)

        thread = threading.Thread(target=body)
        thread.start()
        return thread

    with session.use("one"):
        threads = [use("alone", True)]
        turn = settings.HOME / "turn-one"
        wait_for(lambda: is_locked(turn), "the turn to be taken")
        threads.append(use("later", False))
    for thread in threads:
        thread.join()
    assert order == ["alone", "later"]
    session.close()
    rig_session.end()


def is_locked(path: Path) -> bool:
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_parts_bring_what_they_need_and_take_along_what_needs_them() -> None:
    assert parts.with_needs(["nodemanager"]) == ["namenode", "datanode", "resourcemanager", "nodemanager"]
    assert "nodemanager" in parts.with_users(["namenode"])
    assert set(parts.named(["standalone"])) == {"spark-master", "spark-worker", "edge"}
    with pytest.raises(Trouble, match="there is no part nobody; there are: hdfs, yarn"):
        parts.named(["nobody"])


def test_no_two_parts_want_one_port() -> None:
    ports = [port for part in parts.TABLE for port in part.ports]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize(
    ("address", "loopback"), [("127.0.0.1", True), ("0.0.0.0", False), ("::1", True), ("::", False)]
)
def test_listeners_are_seen_with_their_address(address: str, loopback: bool) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:  # no IPv6 on this machine
        assert family == socket.AF_INET6
        return
    with server:
        (found,) = [one for one in sockets.of([os.getpid()]) if one.port == server.getsockname()[1]]
        assert found.is_loopback == loopback


# ---- the cluster -----------------------------------------------------------------------------------------------------


def submit(node: Sshd, script: str, *options: str, name: str = "script.py") -> subprocess.CompletedProcess:
    """spark-submit of a script on a node, as its user would."""
    (node.home / name).write_text(script)
    return node.run("cd; exec spark-submit", *options, name, timeout=300)


def on_yarn(tag: str) -> tuple[str, ...]:
    return (f"--conf spark.yarn.tags={tag}", "--conf spark.yarn.maxAppAttempts=1")


@pytest.mark.cluster
@pytest.mark.smoke
def test_cluster_mode_ends_as_the_script_did(yarn: ModuleType, yarn_node: Sshd, tag: str) -> None:
    done = submit(yarn_node, COUNTS + "import sys\nsys.exit(7)\n", "--deploy-mode cluster", *on_yarn(tag))
    assert (done.returncode, done.stdout) == (1, b"")
    (app,) = yarn.apps(tag)
    assert (app["state"], app["finalStatus"]) == ("FINISHED", "FAILED")
    assert app["diagnostics"] == "User application exited with status 7"


@pytest.mark.cluster
def test_spark_4_ends_as_the_script_did(yarn: ModuleType, yarn_node_new: Sshd, tag: str) -> None:
    version = "assert spark.version.startswith('4.')\n"
    done = submit(yarn_node_new, COUNTS + version + "import sys\nsys.exit(7)\n", "--deploy-mode cluster", *on_yarn(tag))
    assert done.returncode == 1
    (app,) = yarn.apps(tag)
    assert app["diagnostics"] == "User application exited with status 7"


@pytest.mark.cluster
def test_client_mode_ends_as_the_script_did(yarn: ModuleType, yarn_node: Sshd, tag: str) -> None:
    done = submit(yarn_node, COUNTS + "import sys\nsys.exit(7)\n", "--deploy-mode client", *on_yarn(tag))
    assert (done.returncode, done.stdout) == (7, b"sum 4950\n")
    (app,) = yarn.apps(tag)
    assert (app["state"], app["finalStatus"]) == ("FINISHED", "SUCCEEDED")  # YARN does not know


@pytest.mark.cluster
@pytest.mark.usefixtures("standalone")
def test_standalone_ends_as_the_script_did(standalone_node: Sshd) -> None:
    done = submit(standalone_node, COUNTS + "import sys\nsys.exit(7)\n")
    assert (done.returncode, done.stdout) == (7, b"sum 4950\n")


@pytest.mark.cluster
def test_nobody_listens_beyond_loopback(yarn: ModuleType, yarn_node: Sshd, tag: str) -> None:
    done = submit(
        yarn_node,
        WAITS,
        "--deploy-mode cluster --conf spark.yarn.submit.waitAppCompletion=false --conf spark.ui.enabled=true",
        *on_yarn(tag),
    )
    assert done.returncode == 0, done.stderr
    (app,) = yarn.apps(tag)

    def executor() -> list[int]:
        found = yarn.container_processes(app["id"])
        return [pid for pid in found if "ExecutorBackend" in str(processes.command(pid))]

    wait_for(executor, "an executor", 120)
    yarn.wait_app(app["id"], lambda now: now["state"] == "RUNNING")
    daemons = [pid for name in parts.PARTS if (pid := process.running(name))]
    below = [pid for daemon in daemons for pid in processes.descendants(daemon)]
    found = sockets.of([*daemons, *below, *yarn.container_processes(app["id"])])
    assert {port for name in ("namenode", "resourcemanager", "nodemanager") for port in parts.PARTS[name].ports} <= {
        one.port for one in found
    }
    assert not [one for one in found if not one.is_loopback]


@pytest.mark.cluster
def test_an_application_outlives_a_crash_of_the_resource_manager(
    yarn_alone: ModuleType, yarn_node: Sshd, tag: str
) -> None:
    nowait = "--deploy-mode cluster --conf spark.yarn.submit.waitAppCompletion=false"
    assert submit(yarn_node, WAITS, nowait, *on_yarn(tag)).returncode == 0
    (app,) = yarn_alone.apps(tag)
    yarn_alone.wait_app(app["id"], lambda now: now["state"] == "RUNNING")
    before = yarn_alone.container_processes(app["id"])
    yarn_alone.kill("resourcemanager")
    with pytest.raises(OSError):
        yarn_alone.apps(tag)
    yarn_alone.start("resourcemanager")
    yarn_alone.wait_app(app["id"], lambda now: now["state"] == "RUNNING")
    assert set(before) & set(yarn_alone.container_processes(app["id"]))
    yarn_alone.kill_app(app["id"])
    assert yarn_alone.wait_ended(app["id"])["state"] == "KILLED"
    wait_for(lambda: not yarn_alone.container_processes(app["id"]), "the end of its containers")


def ask_livy(gateway: ModuleType, path: str, body: dict | None = None, user: str = "") -> tuple[int, bytes]:
    """Through the gateway, as a client would that trusts its authority."""
    context = ssl.create_default_context(cafile=str(gateway.CA))
    request = urllib.request.Request(gateway.URL + path, data=json.dumps(body).encode() if body else None)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    request.add_header("X-Requested-By", gateway.USER)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def run_batch(gateway: ModuleType, path: str, file: str, name: str) -> tuple[str, bytes]:
    """Through the gateway: a batch from its beginning to its end. Returns its state then, and its log."""
    user = f"{gateway.USER}:{gateway.PASSWORD}"
    status, body = ask_livy(gateway, f"{path}/batches", {"file": file, "name": name}, user)
    assert status == 201, body
    batch = f"{path}/batches/{json.loads(body)['id']}"

    def state() -> str:
        now = json.loads(ask_livy(gateway, f"{batch}/state", user=user)[1])["state"]
        return now if now not in ("starting", "running") else ""

    ended = wait_for(state, "the end of the batch", 300, 0.2)
    return ended, ask_livy(gateway, f"{batch}/log?from=0&size=500", user=user)[1]


def run_local_batch(gateway: ModuleType, path: str, server: Livy, name: str) -> tuple[str, bytes]:
    script = server.files / f"{name}.py"
    script.write_text("print('hello from a batch', flush=True)\nraise SystemExit(7)\n")
    try:
        return run_batch(gateway, path, str(script), f"n{name}")
    finally:
        script.unlink()


@pytest.mark.cluster
@pytest.mark.smoke
def test_a_batch_of_livy_runs_behind_the_gateway(livy: ModuleType, mark: str) -> None:
    assert ask_livy(livy, "/livy/batches")[0] == 401
    state, log = run_local_batch(livy, "/livy", LIVY, mark)
    assert state == "dead"
    assert b"hello from a batch" in log


@pytest.mark.cluster
def test_a_batch_of_the_old_livy_runs_too(livy_old: ModuleType, mark: str) -> None:
    state, log = run_local_batch(livy_old, "/livy-old", OLD, mark)
    assert state == "dead"
    assert b"hello from a batch" in log


@pytest.mark.cluster
def test_a_batch_of_livy_on_yarn_is_an_application(livy_yarn: ModuleType, mark: str) -> None:
    path = f"/tmp/{mark}.py"
    yarn.hdfs_write(path, (COUNTS + "print('unseen by Livy', flush=True)\n").encode())
    state, log = run_batch(livy_yarn, "/livy-yarn", f"hdfs://localhost:{settings.NAMENODE_RPC}{path}", f"n{mark}")
    yarn.hdfs_remove(path)
    assert state == "success"
    assert b"unseen by Livy" not in log
    app_id = re.search(rb"application_\d+_\d+", log)[0].decode()
    assert yarn.app(app_id)["finalStatus"] == "SUCCEEDED"


@pytest.mark.cluster
def test_up_again_does_nothing_and_status_says_ready(yarn: ModuleType) -> None:
    with cluster.alone(silent):
        assert cluster.up(["yarn"], silent) == []
    done = subprocess.run(
        [sys.executable, "-m", "rig", "status", "yarn"],
        cwd=settings.SOURCE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" ready ") == len(parts.GROUPS["yarn"])
    assert str(yarn.pid("resourcemanager")) in done.stdout
