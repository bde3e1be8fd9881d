"""Runs in YARN's cluster mode on the cluster of rig/, from a controller whose local node is a head node."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from rig import configuration, headnode

from support import processes
from support.errand import Errand
from support.waiting import wait_for

CONTEXT = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
WAITS = CONTEXT + "print('waiting', flush=True)\nimport signal\nsignal.pause()\n"
DEADLINE_S = 400


class Cluster:
    """A controller whose local node is a head node of the cluster."""

    def __init__(self, errand: Errand, yarn: ModuleType, folder: Path) -> None:
        self.errand, self.yarn, self.folder = errand, yarn, folder
        self.runs: list[str] = []

    def submit(self, script: str, *options: str) -> str:
        (self.folder / "job.py").write_text(script)
        self.runs.append(self.errand.submit("--framework", "pyspark", "--deploy-mode", "cluster", *options, "job.py"))
        return self.runs[-1]

    def close(self) -> None:
        """What a test that failed left in YARN goes."""
        for run in self.runs:
            self.yarn.kill_apps(f"errand-{run}-1")

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

    def wait_log(self, run: str, end: bytes) -> None:
        """Until what has come of its log ends so."""
        wait_for(lambda: self.errand.ok("logs", run).out.endswith(end), f"{run} to say {end!r}", DEADLINE_S, 0.3)

    def wait_control(self, run: str, words: str) -> None:
        """Until the run's control.log has these words."""
        wait_for(
            lambda: words in self.errand.ok("logs", "--control", run).text, f"{run} to say {words!r}", DEADLINE_S, 0.3
        )

    def jvms(self, app: dict, *, driver: bool) -> list[int]:
        """The Java processes of the application's driver, or of its executors."""
        container = self.yarn.container(app)
        return [
            pid
            for pid in self.yarn.container_processes(app["id"])
            if (processes.environment(pid).get("CONTAINER_ID") == container) == driver
            and processes.command(pid)[0].endswith("java")
        ]

    def wait_pid(self, run: str, *words: str) -> int:
        return wait_for(lambda: self.pids(run, *words), f"{' '.join(words)} of {run}", DEADLINE_S)[0]


def make_cluster(yarn: ModuleType, make_errand: Callable[..., Errand], folder: Path, **variables: str) -> Cluster:
    path = f"{headnode.HEAD.folder}/bin:{headnode.STANDARD_PATH}"
    return Cluster(make_errand(**{**configuration.environment(), "PATH": path, **variables}), yarn, folder)


def canceled(cluster: Cluster, run: str) -> dict:
    """Cancel: it is so, no application with its tag lives, none of its processes does, and no staging folder stays."""
    cluster.errand.ok("cancel", run, deadline_s=DEADLINE_S)
    shown = cluster.errand.wait_status(run, "Canceled", deadline_s=DEADLINE_S)
    check_gone(cluster, run)
    return shown


def check_gone(cluster: Cluster, run: str) -> None:
    assert [app for app in cluster.apps(run) if app["state"] not in cluster.yarn.ENDED] == []
    assert cluster.pids(run) == []
    for app in cluster.apps(run):
        assert cluster.yarn.hdfs_list(f"/user/root/.sparkStaging/{app['id']}") == []


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

    def check(self) -> dict:
        shown = self.cluster.end(self.run)
        assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "exited", "code": 7}), shown["reason"]
        assert len(self.cluster.apps(self.run)) == 1
        assert self.cluster.log(self.run) == NUMBERS_LOG
        return shown
