"""Runs in YARN's cluster mode on a real cluster: how they end, what their log has, and who may be killed meanwhile."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rig import configuration, headnode
from support import processes
from support.errand import Errand
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

CONTEXT = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
DEADLINE_S = 400


class Cluster:
    """A controller whose local node is a head node of the cluster."""

    def __init__(self, errand: Errand, yarn: ModuleType, folder: Path) -> None:
        self.errand, self.yarn, self.folder = errand, yarn, folder

    def submit(self, script: str, *options: str) -> str:
        (self.folder / "job.py").write_text(script)
        return self.errand.submit("--framework", "pyspark", "--deploy-mode", "cluster", *options, "job.py")

    def end(self, run: str) -> dict:
        done = self.errand.run("follow", run, deadline_s=DEADLINE_S)
        shown = self.errand.show(run)
        assert shown["ended"], done
        return shown

    def run(self, script: str, *options: str) -> dict:
        return self.end(self.submit(script, *options))

    def log(self, run: str) -> bytes:
        """The script's output, without the line that says which Python the driver has."""
        whole = self.errand.ok("logs", run).out
        first, _, rest = whole.partition(b"\n")
        assert first.startswith(b"errand: driver: Python "), whole[:200]
        return rest

    def apps(self, run: str) -> list[dict]:
        return self.yarn.apps(f"errand-{run}-1")

    def wait_app(self, run: str, *states: str) -> dict:
        def event() -> dict | None:
            return next((app for app in self.apps(run) if app["state"] in states), None)

        return wait_for(event, f"the application of {run} to be {' or '.join(states)}", DEADLINE_S, 0.2)

    def pids(self, run: str, *words: str) -> list[int]:
        """This run's processes on the node whose command has these words."""
        return [
            pid
            for pid in processes.everyone()
            if processes.is_alive(pid)
            and all(any(word in argument for argument in processes.command(pid)) for word in words)
            and any(run in argument for argument in processes.command(pid))
        ]

    def wait_pid(self, run: str, *words: str) -> int:
        return wait_for(lambda: self.pids(run, *words), f"{' '.join(words)} of {run}", DEADLINE_S)[0]


@pytest.fixture
def cluster(yarn: ModuleType, make_errand: Callable[..., Errand], project: Path) -> Cluster:
    variables = {**configuration.environment(), "PATH": f"{headnode.HEAD.folder}/bin:{headnode.STANDARD_PATH}"}
    return Cluster(make_errand(**variables), yarn, project)


@pytest.fixture
def cluster_alone(yarn_alone: ModuleType, make_errand: Callable[..., Errand], project: Path) -> Cluster:
    variables = {**configuration.environment(), "PATH": f"{headnode.HEAD.folder}/bin:{headnode.STANDARD_PATH}"}
    return Cluster(make_errand(**variables), yarn_alone, project)


# ---- how a run ends


@pytest.mark.smoke
def test_a_run_tells_where_it_was(cluster: Cluster) -> None:
    shown = cluster.run(CONTEXT + "print(spark.sparkContext.parallelize(range(100), 2).sum())\n")
    assert (shown["status"], shown["exit"]) == ("Completed", {"kind": "exited", "code": 0})
    engine = shown["engine"]
    assert engine["kind"] == "yarn"
    assert engine["application"].startswith("application_")
    assert (engine["state"], engine["final_status"], engine["queue"]) == ("FINISHED", "SUCCEEDED", "default")
    assert engine["tag"] == f"errand-{shown['id']}-1"
    assert cluster.log(shown["id"]) == b"4950\n"


@pytest.mark.parametrize(
    ("script", "end", "words"),
    [
        ("import sys\nsys.exit(7)\n", {"kind": "exited", "code": 7}, ""),
        ("raise ValueError('no')\n", {"kind": "exited", "code": 1}, ""),
        ("import sys\nsys.exit('a text')\n", {"kind": "exited", "code": 1}, ""),
        ("import os\nos._exit(3)\n", {"kind": "exited", "code": 3}, ""),
        ("import os\nos.kill(os.getpid(), 9)\n", {"kind": "signaled", "signal": "SIGKILL"}, ""),
    ],
)
def test_the_end_is_the_scripts_own(cluster: Cluster, script: str, end: dict, words: str) -> None:
    shown = cluster.run(CONTEXT + script)
    assert (shown["status"], shown["exit"]) == ("Failed", end)
    assert words in shown["reason"]
    assert len(cluster.apps(shown["id"])) == 1


def test_a_script_without_a_context_is_told_what_yarn_wants(cluster: Cluster) -> None:
    shown = cluster.run("print('done')\n")
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "exited", "code": 13})
    assert "the script never made a SparkContext" in shown["reason"]
    assert cluster.log(shown["id"]) == b"done\n"


def test_what_yarn_refuses_is_a_sentence(cluster: Cluster) -> None:
    shown = cluster.run(CONTEXT, "--queue", "nobody")
    assert shown["exit"]["kind"] == "could_not_start"
    assert "there is no queue nobody" in shown["reason"]


# ---- the log

FLOOD = """
import sys
out = sys.stdout.buffer
for number in range(600):
    out.write(("<&> line %d \\u00fc\\u20ac\\U0001f600\\n" % number).encode() * 4000)
    out.write(b"\\n\\nerrand-driver not this token {}\\n\\xff\\xfe\\x00")
out.write(b"x" * 4_000_000)
out.write("\\u20ac".encode()[:2])
out.write(b"\\nthe end, without a newline")
out.flush()
"""


def test_every_byte_comes_and_none_twice(cluster: Cluster, tmp_path: Path) -> None:
    shown = cluster.run(CONTEXT + FLOOD)
    assert shown["status"] == "Completed", shown["reason"]
    printed = tmp_path / "printed"
    (tmp_path / "flood.py").write_text(FLOOD)
    assert os.system(f"python3 {tmp_path}/flood.py > {printed}") == 0
    assert printed.stat().st_size > 50_000_000
    found = cluster.log(shown["id"])
    assert hashlib.sha256(found).hexdigest() == hashlib.sha256(printed.read_bytes()).hexdigest()


# ---- cancel

WAITS = CONTEXT + "print('waiting', flush=True)\nimport signal\nsignal.pause()\n"


def canceled(cluster: Cluster, run: str) -> dict:
    """Cancel: it is so, no application with its tag lives, none of its processes does, and no staging folder stays."""
    cluster.errand.ok("cancel", run, deadline_s=DEADLINE_S)
    shown = cluster.errand.wait_status(run, "Canceled", deadline_s=DEADLINE_S)
    assert [app for app in cluster.apps(run) if app["state"] not in cluster.yarn.ENDED] == []
    assert cluster.pids(run) == []
    for app in cluster.apps(run):
        assert cluster.yarn.hdfs_list(f"/user/root/.sparkStaging/{app['id']}") == []
    return shown


def test_a_cancel_before_the_application_is_known(cluster: Cluster) -> None:
    run = cluster.submit(WAITS)
    cluster.wait_pid(run, "SparkSubmit")
    canceled(cluster, run)


def test_a_cancel_while_it_waits_in_its_queue(cluster: Cluster) -> None:
    run = cluster.submit(WAITS, "--driver-memory", "7000m")
    filler = None
    cluster.wait_app(run, "ACCEPTED", "RUNNING")
    filler = cluster.submit(WAITS, "--driver-memory", "7000m")
    cluster.wait_app(filler, "ACCEPTED")
    shown = canceled(cluster, filler)
    assert shown["engine"]["state"] == "KILLED"
    canceled(cluster, run)


def test_a_cancel_while_it_runs(cluster: Cluster) -> None:
    run = cluster.submit(WAITS)
    cluster.wait_app(run, "RUNNING")
    wait_for(lambda: cluster.errand.ok("logs", run).out.endswith(b"waiting\n"), "the script to wait", DEADLINE_S)
    shown = canceled(cluster, run)
    assert shown["engine"]["final_status"] == "KILLED"
    assert cluster.log(run) == b"waiting\n"


def test_who_is_killed_by_another_is_told_so(cluster: Cluster) -> None:
    run = cluster.submit(WAITS)
    app = cluster.wait_app(run, "RUNNING")
    cluster.yarn.kill_app(app["id"])
    shown = cluster.end(run)
    assert shown["status"] == "Failed"
    assert "somebody ended it in YARN" in shown["reason"]


# ---- the kill matrix: afterwards one application had the tag, the status is true, the log whole

NUMBERS = """
import os, sys
for number in range(1000):
    print("number", number, flush=True)
    if number == 500:
        os.read(os.open({gate!r}, os.O_RDONLY), 1)
spark.stop()
sys.exit(7)
"""
NUMBERS_LOG = b"".join(b"number %d\n" % number for number in range(1000))


class Gated:
    """A run that stands in the middle of its output until it is let go on."""

    def __init__(self, cluster: Cluster, folder: Path, *options: str) -> None:
        self.cluster, self.gate = cluster, folder / "gate"
        os.mkfifo(self.gate)
        self.run = cluster.submit(CONTEXT + NUMBERS.format(gate=str(self.gate)), *options)

    def wait_middle(self) -> None:
        self.cluster.wait_app(self.run, "RUNNING")
        # A writer can open it only when the script is there to read.
        self.end_of_gate = wait_for(self._open, "the script to reach its gate", DEADLINE_S)

    def _open(self) -> int | None:
        try:
            return os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    def go_on(self) -> None:
        os.write(self.end_of_gate, b"x")
        os.close(self.end_of_gate)

    def check(self, attempts: int = 1) -> dict:
        shown = self.cluster.end(self.run)
        assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "exited", "code": 7}), shown["reason"]
        assert len(self.cluster.apps(self.run)) == attempts
        assert self.cluster.log(self.run) == NUMBERS_LOG
        return shown


def test_the_attendant_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster, tmp_path)
    gated.wait_middle()
    processes.end_all([cluster.wait_pid(gated.run, "attend", "yarn")])
    gated.go_on()
    gated.check()


def test_supervisors_and_attendant_are_killed(cluster: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster, tmp_path)
    gated.wait_middle()
    processes.end_all(cluster.pids(gated.run, "supervise") + cluster.pids(gated.run, "attend", "yarn"))
    gated.go_on()
    gated.check()


def test_spark_submit_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster, tmp_path)
    pid = cluster.wait_pid(gated.run, "SparkSubmit")
    os.kill(pid, signal.SIGKILL)
    shown = wait_for(
        lambda: cluster.apps(gated.run) or cluster.errand.show(gated.run)["ended"],
        "an end or an application",
        DEADLINE_S,
    )
    if isinstance(shown, str):  # it was killed before YARN had it
        ended = cluster.errand.show(gated.run)
        assert ended["exit"]["kind"] == "could_not_start"
        assert cluster.apps(gated.run) == []
        return
    gated.wait_middle()
    gated.go_on()
    gated.check()


def test_attendant_killed_while_it_submits(cluster: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster, tmp_path)
    cluster.wait_pid(gated.run, "SparkSubmit")
    processes.end_all([cluster.wait_pid(gated.run, "attend", "yarn")])
    gated.wait_middle()
    gated.go_on()
    gated.check()


def test_the_application_master_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster, tmp_path)
    gated.wait_middle()
    app = cluster.apps(gated.run)[0]
    driver = cluster.yarn.container(app)
    processes.end_all(
        [
            pid
            for pid in cluster.yarn.container_processes(app["id"])
            if processes.environment(pid).get("CONTAINER_ID") == driver and "java" in processes.command(pid)[0]
        ]
    )
    shown = cluster.end(gated.run)
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "signaled", "signal": "SIGKILL"}), shown["reason"]
    assert "its container was killed by SIGKILL" in shown["reason"]
    assert len(cluster.apps(gated.run)) == 1
    log = cluster.log(gated.run)
    assert log == NUMBERS_LOG[: len(log)]
    assert log.endswith(b"number 500\n")


def test_the_resource_manager_is_killed(cluster_alone: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster_alone, tmp_path)
    gated.wait_middle()
    cluster_alone.yarn.kill("resourcemanager")
    wait_for(
        lambda: "does not answer" in cluster_alone.errand.ok("logs", "--control", gated.run).text,
        "the run to say that YARN does not answer",
        DEADLINE_S,
    )
    cluster_alone.yarn.start("resourcemanager")
    gated.go_on()
    gated.check()
