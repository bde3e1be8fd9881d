"""Runs in YARN's cluster mode on a real cluster: how they end, and what their log has."""

import hashlib
import os
from pathlib import Path

import pytest
from support.yarnruns import CONTEXT, WAITS, Cluster, canceled, check_gone

pytestmark = pytest.mark.cluster


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


def test_a_script_that_makes_no_context_in_time_is_told_so(cluster: Cluster) -> None:
    script = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"
    shown = cluster.run(script, "--spark-conf", "spark.yarn.am.waitTime=5s")
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "timed_out"})
    assert shown["reason"].startswith("the script made no SparkContext within 5 s, and YARN waits no longer")
    assert cluster.log(shown["id"]) == b"begun\n"


def test_a_run_that_reaches_its_time_limit_has_timed_out(cluster: Cluster) -> None:
    run = cluster.submit(WAITS, "--time-limit", "45s")
    shown = cluster.end(run)
    assert (shown["status"], shown["exit"]) == ("Failed", {"kind": "timed_out"})
    assert shown["reason"] == "reached its time limit of 45 s"
    assert [app["state"] for app in cluster.apps(run)] == ["KILLED"]
    check_gone(cluster, run)


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
    cluster.wait_log(run, b"waiting\n")
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
