"""Environments with a Python of their own on a real cluster: HDFS, YARN and Spark of tests/rig.

micromamba is a stand-in (support/conda_standin.py); the Python that its packages bring is a real one, of another
version than the cluster's where this machine has any.
"""

import subprocess
import uuid

import pytest
from rig import configuration, headnode
from support.conda import Conda
from support.environments import other_python
from support.projects import write_files

pytestmark = pytest.mark.cluster

JOB = """
import os, shutil, sys
from pyspark.sql import SparkSession
import tiny
sc = SparkSession.builder.getOrCreate().sparkContext

def on_executor(x):
    import sys, tiny
    return [sys.prefix, tiny.__file__, "%d.%d.%d" % sys.version_info[:3]]

def say(who, prefix, file, version):
    print(who, version, prefix, os.path.relpath(file, prefix), flush=True)

say("DRIVER", *on_executor(0))
say("EXECUTOR", *sc.parallelize([1], 1).map(on_executor).collect()[0])
print("PROGRAM", shutil.which("short") == os.path.join(sys.prefix, "bin", "short"), flush=True)
"""


@pytest.fixture
def base():
    """A folder in HDFS that is the test's own."""
    folder = f"/tmp/errand-test-{uuid.uuid4().hex}"
    yield folder
    hdfs("-rm", "-r", "-f", "-skipTrash", folder)


def hdfs(*words: str) -> str:
    command = [f"{headnode.HEAD.folder}/bin/hdfs", "dfs", *words]
    environment = {**configuration.environment(), "PATH": headnode.STANDARD_PATH}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def conda(cluster, tmp_path) -> Conda:
    found = Conda(tmp_path)
    cluster.errand.more_env["PATH"] = f"{found.bin}:{cluster.errand.env()['PATH']}"
    found.add_python(*other_python())
    found.add_module("tiny")
    return found


def said(cluster, run: str) -> dict[str, list[str]]:
    words = [line.split() for line in cluster.log(run).decode().splitlines()]
    return {one[0]: one[1:] for one in words if one and one[0] in ("DRIVER", "EXECUTOR", "PROGRAM")}


def test_a_conda_environment_is_built_and_sent_once_and_starts_driver_and_executors(cluster, conda, base):
    version = other_python()[1]
    write_files(cluster.folder, {"environment.yml": conda.file(f"python={version}", "tiny")})
    first = cluster.run(JOB, "--spark-base", base)
    assert first["status"] == "Completed", first["reason"]
    found = said(cluster, first["id"])
    driver, executor = found["DRIVER"], found["EXECUTOR"]
    assert driver[0] == executor[0] == version
    assert driver[1].endswith("/environment") and executor[1].endswith("/environment")
    assert driver[2] == executor[2] == f"lib/python{version.rpartition('.')[0]}/site-packages/tiny.py"
    assert found["PROGRAM"] == ["True"]
    again = cluster.run(JOB, "--spark-base", base)
    assert again["status"] == "Completed", again["reason"]
    assert "sent" not in cluster.errand.ok("logs", "--control", again["id"]).text
    assert cluster.errand.run("logs", "--prepare", again["id"]).text == ""
    assert len(conda.calls()) == 1
    # The driver of client mode is on this node, where the environment was built.
    client = cluster.run(JOB, "--spark-base", base, "--deploy-mode", "client")
    assert client["status"] == "Completed", client["reason"]
    found = said(cluster, client["id"])
    assert found["DRIVER"][0] == found["EXECUTOR"][0] == version
    assert "/envs/" in found["DRIVER"][1]
    assert found["EXECUTOR"][1].endswith("/environment")
