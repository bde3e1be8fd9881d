"""Livy that knows its users by Kerberos: a real KDC, real tickets."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from rig import settings
from rig.livy import WITH_KERBEROS
from support.errand import Errand
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

WAITS = """import os, threading
print("begun", flush=True)
gate = threading.Event()
"""
JOB = """import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("sum", spark.sparkContext.parallelize(range(100), 2).sum())
sys.exit(7)
"""


@pytest.fixture
def web(errand: Errand, project: Path, livy_kerberos: ModuleType, tmp_path: Path) -> ModuleType:
    """A target; nobody has a ticket yet."""
    errand.more_env.update(KRB5_CONFIG=str(livy_kerberos.CONF), KRB5CCNAME=f"FILE:{tmp_path}/nothing")
    address = f"http://localhost:{settings.LIVY_KERBEROS_HTTP}"
    folder = ("--base", f"file://{WITH_KERBEROS.files}")
    errand.ok("target", "add", "web", address, "--auth", "negotiate", *folder)
    (project / "job.py").write_text(JOB)
    return livy_kerberos


def test_who_has_a_ticket_runs(errand: Errand, web: ModuleType, tmp_path: Path):
    errand.more_env.update(web.log_in(tmp_path / "tickets"))
    assert "Livy 0.7.1" in errand.ok("target", "check", "web").text
    result = errand.run("run", "--target", "web", "job.py", code=7, deadline_s=280)
    assert "sum 4950" in result.text
    assert re.search(r"^errand: warning: the Kerberos ticket ends in \d+ m\b", result.errors, re.M)


def test_a_ticket_that_ends_meanwhile_loses_nothing(errand: Errand, project: Path, web: ModuleType, tmp_path: Path):
    """It is told, and another one is taken up."""
    gate = tmp_path / "gate"
    (project / "job.py").write_text(WAITS + f"while not os.path.exists({str(gate)!r}):\n    gate.wait(0.1)\n" + JOB)
    tickets = tmp_path / "tickets"
    errand.more_env.update(web.log_in(tickets, "30s"))
    run = errand.submit("--target", "web", "job.py")
    notes = errand.home / "state" / "local" / "runs" / run / "engine"
    wait_for(lambda: notes.exists() and "ticket may be missing or over" in notes.read_text(), "the ticket's end", 200)
    web.log_in(tickets)
    gate.touch()
    result = errand.run("follow", run, code=7, deadline_s=280)
    assert "sum 4950" in result.text


@pytest.mark.usefixtures("web")
def test_who_has_none_is_told_so(errand: Errand):
    assert (
        "the Kerberos ticket may be missing or over (kinit gets one)"
        in errand.run("target", "check", "web", code=1).text
    )
    result = errand.run("run", "--target", "web", "job.py", code=125, deadline_s=100)
    assert "the Kerberos ticket may be missing or over (kinit gets one)" in result.errors
