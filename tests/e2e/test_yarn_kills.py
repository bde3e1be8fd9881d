"""The kill matrix of runs in YARN's cluster mode: afterwards one application had the tag, the status is true, the log
whole."""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rig import parts, settings
from support import processes
from support.errand import Errand
from support.faultproxy import FaultProxy
from support.managers import Pair
from support.sshd import Sshd
from support.waiting import wait_for
from support.yarnruns import CONTEXT, DEADLINE_S, NUMBERS_LOG, Cluster, Gated, check_gone, make_cluster

pytestmark = pytest.mark.cluster


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It hangs meanwhile, as a machine that swaps."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


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
    processes.end_all(cluster.jvms(cluster.apps(gated.run)[0], driver=True))
    shown = cluster.end(gated.run)
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "signaled", "signal": "SIGKILL"}), shown["reason"]
    assert "its container was killed by SIGKILL" in shown["reason"]
    check_gone(cluster, gated.run)
    assert len(cluster.apps(gated.run)) == 1
    log = cluster.log(gated.run)
    assert log == NUMBERS_LOG[: len(log)]
    assert log.endswith(b"number 500\n")


def test_the_resource_manager_is_killed(cluster_alone: Cluster, tmp_path: Path) -> None:
    gated = Gated(cluster_alone, tmp_path)
    gated.wait_middle()
    cluster_alone.yarn.kill("resourcemanager")
    cluster_alone.wait_control(gated.run, "does not answer")
    cluster_alone.yarn.start("resourcemanager")
    gated.go_on()
    gated.check()


def test_the_node_manager_hangs_for_a_while(cluster_alone: Cluster, tmp_path: Path) -> None:
    """What the script writes meanwhile, and its end, are seen later."""
    gated = Gated(cluster_alone, tmp_path)
    gated.wait_middle()
    with stopped(cluster_alone.yarn.pid("nodemanager")):
        gated.go_on()
        cluster_alone.wait_control(gated.run, "the driver's output cannot be read now")
    gated.check()


def test_a_node_manager_that_forgets_its_containers_is_restarted(cluster_alone: Cluster, tmp_path: Path) -> None:
    """The driver it had is lost, and YARN starts no other: maxAppAttempts is 1."""
    gated = Gated(cluster_alone, tmp_path)
    gated.wait_middle()
    cluster_alone.wait_log(gated.run, b"number 500\n")
    cluster_alone.yarn.kill("nodemanager")
    cluster_alone.yarn.start("nodemanager")
    shown = cluster_alone.end(gated.run)
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "unknown"})
    assert "the node was lost" in shown["reason"]
    log = cluster_alone.log(gated.run)
    assert log == NUMBERS_LOG[: len(log)]
    assert log.endswith(b"number 500\n")
    assert "the end of the driver's output could not be read" in shown["reason"]
    assert len(cluster_alone.apps(gated.run)) == 1


@pytest.fixture
def recovering_node(cluster_alone: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Its NodeManager takes up the containers of the one before it, as clusters for long jobs have it."""
    part = parts.PARTS["nodemanager"]
    option = "-Dyarn.nodemanager.recovery.enabled=true"
    monkeypatch.setitem(parts.PARTS, part.name, dataclasses.replace(part, command=lambda: [*part.command(), option]))
    cluster_alone.yarn.stop(part.name)
    cluster_alone.yarn.start(part.name)
    yield cluster_alone
    monkeypatch.undo()
    cluster_alone.yarn.stop(part.name)
    cluster_alone.yarn.start(part.name)


def test_a_node_manager_that_recovers_its_containers_is_restarted(recovering_node: Cluster, tmp_path: Path) -> None:
    gated = Gated(recovering_node, tmp_path)
    gated.wait_middle()
    recovering_node.yarn.kill("nodemanager")
    gated.go_on()
    recovering_node.wait_control(gated.run, "the driver's output cannot be read now")
    recovering_node.yarn.start("nodemanager")
    gated.check()


def test_a_second_attempt_is_told_from_the_first(cluster: Cluster, tmp_path: Path) -> None:
    (cluster.folder / "errand.yaml").write_text("spark:\n  max_attempts: 2\n")
    gated = Gated(cluster, tmp_path)
    gated.wait_middle()
    first = cluster.apps(gated.run)[0]
    processes.end_all(cluster.jvms(first, driver=True))
    os.close(gated.end_of_gate)
    second = cluster.yarn.container(first).replace("_01_000001", "_02_000001")
    wait_for(lambda: second in cluster.apps(gated.run)[0].get("amContainerLogs", ""), "the second driver", DEADLINE_S)
    gated.wait_middle()
    gated.go_on()
    shown = cluster.end(gated.run)
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "exited", "code": 7}), shown["reason"]
    assert len(cluster.apps(gated.run)) == 1
    marker = (
        b"errand: YARN started the driver anew (its attempt 2): what follows is from the script's beginning\n"
        b"errand: driver: Python "
    )
    before, _, after = cluster.log(gated.run).partition(marker)
    assert before == b"".join(NUMBERS_LOG.splitlines(keepends=True)[:501])
    assert after.partition(b"\n")[2] == NUMBERS_LOG


LOSES = """
import os
def work(number):
    if number == 1 and not os.path.exists({begun!r}):
        open({begun!r}, "w").close()
        os.open({go!r}, os.O_RDONLY)
    return number
print(spark.sparkContext.parallelize(range(4), 2).map(work).sum(), flush=True)
"""


class Losing:
    """A run one of whose executors is killed while a stage runs."""

    def __init__(self, cluster: Cluster, folder: Path, *options: str) -> None:
        begun, go = folder / "begun", folder / "go"
        os.mkfifo(go)
        self.run = cluster.submit(CONTEXT + LOSES.format(begun=str(begun), go=str(go)), *options)
        wait_for(begun.exists, "a task to begin", DEADLINE_S)
        executors = cluster.jvms(cluster.apps(self.run)[0], driver=False)
        assert executors
        processes.end_all(executors)
        with contextlib.suppress(OSError):  # its Python may have ended with it
            os.close(os.open(go, os.O_WRONLY | os.O_NONBLOCK))


def test_an_executor_is_lost_and_the_job_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    losing = Losing(cluster, tmp_path)
    shown = cluster.end(losing.run)
    assert (shown["status"], shown["exit"]) == ("Completed", {"kind": "exited", "code": 0}), shown["reason"]
    assert cluster.log(losing.run) == b"6\n"
    assert len(cluster.apps(losing.run)) == 1


def test_executors_are_lost_too_often(cluster: Cluster, tmp_path: Path) -> None:
    losing = Losing(cluster, tmp_path, "--spark-conf", "spark.yarn.max.executor.failures=1")
    shown = cluster.end(losing.run)
    assert shown["status"] == "Failed"
    assert "Spark gave up as executors kept failing (limit: 1)" in shown["reason"]
    assert len(cluster.apps(losing.run)) == 1


def test_a_cancel_while_it_is_finishing(cluster_alone: Cluster, tmp_path: Path) -> None:
    """The script has ended, and its container has not yet: a kill is too late, and what it ended with is told."""
    gated = Gated(cluster_alone, tmp_path)
    gated.wait_middle()
    with stopped(cluster_alone.yarn.pid("nodemanager")):
        gated.go_on()
        wait_for(lambda: cluster_alone.apps(gated.run)[0]["finalStatus"] == "FAILED", "the driver's end", DEADLINE_S)
        cluster_alone.errand.ok("cancel", "--no-wait", gated.run)
        cluster_alone.errand.wait_status(gated.run, "CancelRequested", deadline_s=DEADLINE_S)
    shown = cluster_alone.errand.wait_status(gated.run, "Canceled", deadline_s=DEADLINE_S)
    assert "its driver had ended before: exited with status 7" in shown["reason"]
    assert (shown["engine"]["state"], shown["engine"]["final_status"]) == ("FINISHED", "FAILED")
    assert len(cluster_alone.apps(gated.run)) == 1
    assert cluster_alone.log(gated.run) == NUMBERS_LOG
    check_gone(cluster_alone, gated.run)


def test_the_active_manager_changes(
    yarn: ModuleType, make_errand: Callable[..., Errand], project: Path, tmp_path: Path
) -> None:
    """First the second answers for the first, then none is active, then the first."""
    pair = Pair(settings.HADOOP_CONF, f"{settings.HOST}:{settings.RM_HTTP}", tmp_path / "conf")
    try:
        pair.switch(1)
        variables = {"HADOOP_CONF_DIR": str(pair.conf), "YARN_CONF_DIR": str(pair.conf)}
        cluster = make_cluster(yarn, make_errand, project, **variables)
        gated = Gated(cluster, tmp_path)
        gated.wait_middle()
        pair.switch(None)
        cluster.wait_control(gated.run, "no ResourceManager is active right now")
        pair.switch(0)
        cluster.wait_control(gated.run, "YARN answers again")
        gated.go_on()
        gated.check()
        assert all(manager.asked > 0 for manager in pair.managers)
    finally:
        pair.close()


def test_the_link_is_cut_while_it_runs(
    yarn: ModuleType, errand: Errand, yarn_node: Sshd, proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    link = proxy(yarn_node.port)
    errand.add_target("node", *yarn_node.target_arguments(link.port))
    cluster = Cluster(errand, yarn, errand.cwd)
    gated = Gated(cluster, tmp_path, "--target", "node", "--master", "yarn")
    follower = errand.start("follow", gated.run)
    gated.wait_middle()
    wait_for(lambda: follower.read() and b"number 500\n" in follower.out, "the log to come", DEADLINE_S)
    link.refuse()
    link.cut("rst")
    gated.go_on()
    wait_for(lambda: cluster.apps(gated.run)[0]["state"] in yarn.ENDED, "the application to end", DEADLINE_S)
    link.accept_again()
    follower.finish(DEADLINE_S)
    assert follower.out.endswith(NUMBERS_LOG)
    gated.check()
