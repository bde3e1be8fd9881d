"""Drivers on the node, in client mode: where their application is while they run, and that none of it stays in YARN."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rig import configuration, headnode
from support import processes
from support.errand import Errand
from support.projects import write_files
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

DEADLINE_S = 400
WAITS = """
from time import sleep
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("waiting", flush=True)
sleep(3600)
"""
# More than a queue gives to applications' masters, beside a small one: nobody of another queue waits with it.
SMALL = ["--queue", "ml"]
LARGE = [*SMALL, "--spark-conf", "spark.yarn.am.memory=7200m"]


class Node:
    """A controller whose local node is a head node of the cluster."""

    def __init__(self, errand: Errand, yarn: ModuleType) -> None:
        self.errand, self.yarn = errand, yarn
        self.runs: list[str] = []

    def submit(self, *options: str, script: str = WAITS, mode: str = "client") -> str:
        write_files(self.errand.cwd, {"job.py": script})
        words = ["--framework", "pyspark", "--deploy-mode", mode, *options]
        self.runs.append(self.errand.submit(*words, "job.py", deadline_s=DEADLINE_S))
        return self.runs[-1]

    def wait_engine(self, run: str, **members: str) -> dict:
        def event() -> dict | None:
            engine = self.errand.show(run)["engine"]
            return engine if engine and members.items() <= engine.items() else None

        return wait_for(event, f"an engine with {members}", DEADLINE_S, 0.5)

    def wait_waiting(self, run: str) -> None:
        def event() -> bool:
            return self.errand.run("logs", run).out.endswith(b"waiting\n")

        wait_for(event, "the script to wait", DEADLINE_S, 0.5)

    def wait_end(self, run: str) -> dict:
        self.errand.run("wait", run, deadline_s=DEADLINE_S)
        return self.errand.show(run)

    def pids(self, run: str, *words: str) -> list[int]:
        """The run's processes with all of these in their commands."""
        return [
            pid
            for pid in processes.everyone()
            if processes.is_alive(pid)
            and all(any(word in argument for argument in processes.command(pid)) for word in (run, *words))
        ]

    def check_gone(self, run: str) -> None:
        """Nothing of it lives in YARN, and no process here."""
        apps = self.yarn.apps(f"errand-{run}-1")
        assert [app for app in apps if app["state"] not in self.yarn.ENDED] == []
        assert self.pids(run) == []


@pytest.fixture
def node(yarn: ModuleType, make_errand: Callable[..., Errand], project: Path) -> Iterator[Node]:
    del project
    variables = {**configuration.environment(), "PATH": f"{headnode.HEAD.folder}/bin:{headnode.STANDARD_PATH}"}
    one = Node(make_errand(**variables), yarn)
    yield one
    for run in one.runs:
        yarn.kill_apps(f"errand-{run}-1")


@pytest.mark.usefixtures("standalone")
@pytest.mark.parametrize(
    ("master", "kind", "form"),
    [
        (["--master", "local[1]"], "local", r"local-\d+"),
        (["--master", "spark://localhost:7077"], "standalone", r"app-\d+-\d+"),
        ([], "yarn", r"application_\d+_\d+"),
    ],
    ids=["local", "standalone", "yarn"],
)
def test_a_driver_tells_its_application_while_it_runs(
    node: Node, tmp_path: Path, master: list[str], kind: str, form: str
) -> None:
    gate = tmp_path / "gate"
    until = f"import os\nwhile not os.path.exists({str(gate)!r}):\n    sleep(0.2)\n"
    run = node.submit(*master, script=WAITS.replace("sleep(3600)\n", until))
    engine = node.wait_engine(run, kind=kind, state="RUNNING")
    assert re.fullmatch(form, engine["application"])
    assert engine["tag"] == f"errand-{run}-1"
    assert engine["tracking_url"].startswith("http://")
    assert node.errand.ok("list").text.splitlines()[1].endswith(engine["application"])
    gate.touch()
    ended = node.wait_end(run)
    assert ended["status"] == "Completed", ended["reason"]
    engine = ended["engine"] | {"tracking_url": engine["tracking_url"] if kind == "yarn" else None}
    assert ended["engine"] == engine, "the driver's own page went with it"
    assert (engine["state"], engine["final_status"]) == ("FINISHED", "SUCCEEDED")
    node.check_gone(run)


def test_a_script_that_never_asked_for_one_is_not_searched_for(node: Node) -> None:
    run = node.submit(script="import no_such_module\n")
    ended = node.wait_end(run)
    assert ended["status"] == "Failed"
    engine = node.errand.home / "state" / "local" / "runs" / run / "engine"
    assert "looking for it by its tag" not in engine.read_text()
    node.check_gone(run)


JOBS = """
from time import sleep
from pyspark.sql import SparkSession
context = SparkSession.builder.getOrCreate().sparkContext
keyed = context.parallelize(range(4000), 400).map(lambda n: (n % 7, sleep(0.2) or n))
keyed.reduceByKey(max).collect()
"""


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_how_far_the_jobs_are_is_asked_through_yarn(node: Node, mode: str) -> None:
    run = node.submit(script=JOBS, mode=mode)
    following = node.errand.follow(run)

    def event() -> re.Match | None:
        progress = (node.errand.show(run)["engine"] or {}).get("progress")
        return re.fullmatch(r"stage 1 of 2, \d+/800 tasks(, \d+ executors?)?", progress or "")

    wait_for(event, "its progress", DEADLINE_S, 0.5)
    node.errand.ok("cancel", run, deadline_s=DEADLINE_S)
    assert b"stage" not in following.finish(DEADLINE_S).err, "on no terminal it is no line"
    node.check_gone(run)


@pytest.mark.parametrize("how", ["cancel", "driver", "all"])
def test_a_driver_that_goes_leaves_no_application(node: Node, how: str) -> None:
    run = node.submit()
    node.wait_engine(run, state="RUNNING")
    node.wait_waiting(run)
    end(node, run, how)


@pytest.mark.parametrize("how", ["cancel", "driver", "all"])
def test_one_that_waits_for_its_turn_is_taken_back(node: Node, how: str) -> None:
    filler = node.submit(*SMALL)
    node.wait_engine(filler, state="RUNNING")
    run = node.submit(*LARGE)
    node.wait_engine(run, state="ACCEPTED")
    end(node, run, how)
    node.errand.ok("cancel", filler, deadline_s=DEADLINE_S)
    node.check_gone(filler)


def test_a_cancel_before_there_is_an_application(node: Node) -> None:
    run = node.submit()
    wait_for(lambda: node.pids(run, "SparkSubmit"), "spark-submit", DEADLINE_S)
    end(node, run, "cancel")


def end(node: Node, run: str, how: str) -> None:
    """End it so, and check what is told of it and what is left."""
    if how == "cancel":
        node.errand.ok("cancel", run, deadline_s=DEADLINE_S)
    elif how == "driver":
        processes.end_all(node.pids(run, "SparkSubmit"))
    else:
        for pid in [*node.pids(run, "SparkSubmit"), *node.pids(run, "launch")]:
            os.kill(pid, signal.SIGKILL)
    shown = node.wait_end(run)
    assert shown["status"] == ("Canceled" if how == "cancel" else "Failed")
    node.check_gone(run)
    if how != "cancel":
        assert shown["engine"]["state"] in node.yarn.ENDED
