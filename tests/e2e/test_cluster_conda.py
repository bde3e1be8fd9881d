"""Environments with a Python of their own on a real cluster: HDFS, YARN and Spark of tests/rig.

micromamba is a stand-in (support/conda_standin.py); the Python that its packages bring is a real one, of another
version than the cluster's where this machine has any.
"""

import platform
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import pytest
from rig import configuration, headnode
from support import conda_standin
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


def pack(python: str, version: str, path: Path, base: str) -> str:
    """A Python with tiny as conda-pack leaves it: an archive in HDFS; its URI."""
    folder = path / f"python-{version}"
    conda_standin.copy_python(Path(python), folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "tiny.py").touch()
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("python3")
    with tarfile.open(path / f"{version}.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(folder, "")
    hdfs("-mkdir", "-p", base)
    hdfs("-put", str(path / f"{version}.tar.gz"), f"{base}/py.tar.gz")
    return f"hdfs://{base}/py.tar.gz"


def test_an_archive_of_the_user_s_brings_the_python(cluster, base, tmp_path):
    python, version = other_python()
    uri = pack(python, version, tmp_path, base)
    options = ["--spark-base", base, "--archives", f"{uri}#env"]
    first = cluster.run(JOB, *options, "--interpreter", "./env/bin/python")
    assert first["status"] == "Completed", first["reason"]
    found = said(cluster, first["id"])
    assert found["DRIVER"][0] == found["EXECUTOR"][0] == version
    assert found["DRIVER"][1].endswith("/env") and found["EXECUTOR"][1].endswith("/env")
    missing = cluster.run(JOB, *options, "--interpreter", "/nowhere/bin/python")
    assert missing["status"] == "Failed"
    assert "a node has no Python /nowhere/bin/python" in missing["reason"]


PREFIXES = """
import sys
from pyspark.sql import SparkSession
sc = SparkSession.builder.getOrCreate().sparkContext
print("DRIVER", sys.prefix, flush=True)
print("EXECUTOR", sc.parallelize([1], 1).map(lambda _: __import__("sys").prefix).first())
"""


def test_in_client_mode_an_archive_is_for_executors(cluster, base, tmp_path):
    """The driver on the node has the cluster's own Python, so that has to be of the same version."""
    uri = pack(sys.executable, platform.python_version(), tmp_path, base)
    options = ["--spark-base", base, "--deploy-mode", "client", "--archives", f"{uri}#env", "--interpreter"]
    shown = cluster.run(PREFIXES, *options, "./env/bin/python")
    assert shown["status"] == "Completed", shown["reason"]
    found = said(cluster, shown["id"])
    assert found["EXECUTOR"][0].endswith("/env")
    assert found["DRIVER"][0] != found["EXECUTOR"][0]
    missing = cluster.run(PREFIXES, *options, "./env/bin/nothing")
    assert missing["exit"] == {"kind": "exited", "code": 1}
    assert "exited with status 1: a node has no Python ./env/bin/nothing; it must be there" in missing["reason"]
