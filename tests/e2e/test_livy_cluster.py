"""Runs through real Livy servers behind their gateway: 0.7.1 with a local master and on YARN, and 0.5.0."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rig import settings
from rig import yarn as rig_yarn
from support.conda import Conda
from support.environments import UV, other_python
from support.errand import ROOT, Errand
from support.projects import write_files
from support.waiting import wait_for

pytestmark = pytest.mark.cluster

JOB = """import os, sys
from lib.tools import double
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("sum", spark.sparkContext.parallelize(range(100), 2).map(double).sum())
os.makedirs("outputs", exist_ok=True)
open("outputs/result.txt", "w").write("42")
sys.exit(7)
"""


def add(errand: Errand, gateway: ModuleType, path: str, base: str = "/user/root/.errand") -> None:
    errand.more_env["LIVY_PASSWORD"] = gateway.PASSWORD
    errand.ok(
        *("target", "add", "web", f"{gateway.URL}{path}", "--user", gateway.USER, "--password-env", "LIVY_PASSWORD"),
        *("--ca", str(gateway.CA), "--webhdfs", f"{gateway.URL}/webhdfs/v1?user.name=root"),
        *("--base", f"hdfs://localhost:{settings.NAMENODE_RPC}{base}"),
    )


EACH = pytest.mark.parametrize(
    ("fixture", "path"), [("livy", "/livy"), ("livy_yarn", "/livy-yarn"), ("livy_old", "/livy-old")]
)


@EACH
def test_a_script_runs_there(errand: Errand, project: Path, request: pytest.FixtureRequest, fixture: str, path: str):
    add(errand, request.getfixturevalue(fixture), path)
    (project / "lib").mkdir()
    (project / "lib" / "tools.py").write_text("def double(x):\n    return 2 * x\n")
    (project / "job.py").write_text(JOB)
    result = errand.run("run", "--target", "web", "job.py", code=7, deadline_s=280)
    assert "sum 9900" in result.text
    assert (errand.home / "state" / "runs" / errand.last_run() / "outputs" / "result.txt").read_text() == "42"


@pytest.fixture
def base(tag: str) -> Iterator[str]:
    """A folder of HDFS that is removed: environments are large."""
    folder = f"/user/root/.errand-{tag}"
    yield folder
    rig_yarn.hdfs_remove(folder)


@EACH
def test_the_example_runs_there_unchanged(
    errand: Errand, project: Path, request: pytest.FixtureRequest, tmp_path: Path, base: str, fixture: str, path: str
):
    """An RDD, a model, numpy and pandas of its requirements.txt where the executors run; built and sent once."""
    add(errand, request.getfixturevalue(fixture), path, base)
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv").symlink_to(UV)
    errand.more_env["PATH"] = f"{tmp_path / 'uv'}:{os.environ['PATH']}"
    shutil.copytree(ROOT / "conf" / "examples" / "spark", project, dirs_exist_ok=True)
    for which in ("first", "again"):
        result = errand.run("run", "--target", "web", "job.py", deadline_s=280)
        run = errand.last_run()
        assert result.code == 0, result
        assert "numpy 1.26.4" in result.text
        assert "mean length of words" in result.text
        assert (errand.home / "state" / "runs" / run / "outputs" / "counts.csv").exists()
        said = (errand.home / "state" / "local" / "runs" / run / "prepare.log").read_text()
        assert ("asking the cluster" in said) == (which == "first")
        assert which == "first" or "sent" not in said
        print(which, f"{result.seconds:.1f} s", said)


@pytest.mark.usefixtures("livy_standalone")
def test_executors_of_a_standalone_cluster_have_project_and_environment(
    errand: Errand, project: Path, tmp_path: Path, base: str
):
    """To which Livy itself gives no archives."""
    errand.ok(
        *("target", "add", "web", f"http://localhost:{settings.LIVY_STANDALONE_HTTP}", "--kind", "livy"),
        *("--auth", "none", "--webhdfs", f"http://localhost:{settings.NAMENODE_HTTP}/webhdfs/v1?user.name=root"),
        *("--base", f"hdfs://localhost:{settings.NAMENODE_RPC}{base}"),
    )
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv").symlink_to(UV)
    errand.more_env["PATH"] = f"{tmp_path / 'uv'}:{os.environ['PATH']}"
    shutil.copytree(ROOT / "conf" / "examples" / "spark", project, dirs_exist_ok=True)
    result = errand.run("run", "--target", "web", "job.py", code=0, deadline_s=280)
    assert "numpy 1.26.4" in result.text
    assert (errand.home / "state" / "runs" / errand.last_run() / "outputs" / "counts.csv").exists()
    (project / "lib").mkdir()
    (project / "lib" / "tools.py").write_text("def double(x):\n    return 2 * x\n")
    (project / "job.py").write_text(JOB)
    result = errand.run("run", "--target", "web", "--environment", "none", "job.py", code=7, deadline_s=280)
    assert "sum 9900" in result.text
    assert "warning" not in result.text


WHOLE = """import sys, tiny
from pyspark.sql import SparkSession
sc = SparkSession.builder.getOrCreate().sparkContext
def say(x):
    import sys, tiny
    return "%d.%d.%d" % sys.version_info[:3], tiny.__file__.startswith(sys.prefix)
print("script", *say(0))
print("executor", *sc.parallelize([1], 1).map(say).first())
"""


@pytest.mark.parametrize(("fixture", "path"), [("livy", "/livy"), ("livy_yarn", "/livy-yarn")])
def test_a_conda_environment_brings_its_python(
    errand: Errand, project: Path, request: pytest.FixtureRequest, tmp_path: Path, base: str, fixture: str, path: str
):
    """To executors, too, of this machine's threads and of YARN's containers; micromamba is a stand-in."""
    add(errand, request.getfixturevalue(fixture), path, base)
    conda, (python, version) = Conda(tmp_path), other_python()
    conda.add_python(python, version)
    conda.add_module("tiny")
    errand.more_env["PATH"] = f"{conda.bin}:{os.environ['PATH']}"
    write_files(project, {"environment.yml": conda.file(f"python={version}", "tiny"), "job.py": WHOLE})
    result = errand.run("run", "--target", "web", "job.py", deadline_s=280)
    assert result.code == 0, result
    assert f"errand: driver: Python {version}, " in result.text
    assert f"script {version} True" in result.text
    assert f"executor {version} True" in result.text


def test_the_clusters_own_command_carries_files(
    errand: Errand, project: Path, livy: ModuleType, tmp_path: Path, base: str
):
    """Where there is no WebHDFS: here the head node's hdfs."""
    uri = f"hdfs://localhost:{settings.NAMENODE_RPC}{base}"
    script = tmp_path / "copy"
    script.write_text(
        f'#!/bin/sh\nexport HADOOP_CONF_DIR="{settings.HADOOP_CONF}" PATH="{settings.HOME}/head/bin:$PATH"\n'
        'case "$2" in hdfs:*) hdfs dfs -mkdir -p "${2%/*}" && exec hdfs dfs -put -f "$1" "$2" ;;\n'
        '*) exec hdfs dfs -get -f "$1" "$2" ;; esac\n'
    )
    script.chmod(0o755)
    errand.more_env["LIVY_PASSWORD"] = livy.PASSWORD
    errand.ok(
        *("target", "add", "web", f"{livy.URL}/livy", "--user", livy.USER, "--password-env", "LIVY_PASSWORD"),
        *("--ca", str(livy.CA), "--base", uri),
    )
    with (errand.home / "config" / "targets.d" / "web.yaml").open("a") as file:
        file.write(f'livy_upload_command: ["{script}", "{{src}}", "{{dst}}"]\n')
    errand.ok("target", "check", "web", deadline_s=120)
    (project / "job.py").write_text("import os\nopen('outputs/m', 'w').write('x')\nos._exit(7)\n")
    errand.run("run", "--target", "web", "job.py", code=7, deadline_s=280)
    assert (errand.home / "state" / "runs" / errand.last_run() / "outputs" / "m").read_text() == "x"


def test_what_nobody_needs_goes_from_hdfs(errand: Errand, project: Path, livy: ModuleType, base: str):
    """Times, as HDFS keeps them, and what runs of any machine say they need."""
    add(errand, livy, "/livy", base)
    (project / "job.py").write_text("import os\nos._exit(0)\n")
    errand.ok("run", "--target", "web", "job.py", deadline_s=280)
    run = errand.last_run()
    [entry] = rig_yarn.hdfs_list(f"{base}/projects")
    archive = f"{base}/projects/{entry['pathSuffix']}"
    old = int((time.time() - 40 * 86400) * 1000)
    rig_yarn.hdfs_set_times(archive, old)
    errand.ok("run", "--target", "web", "job.py", deadline_s=280)
    [used] = rig_yarn.hdfs_list(f"{base}/projects")
    assert used["accessTime"] > (time.time() - 600) * 1000
    assert used["modificationTime"] == old
    assert errand.json("node", "gc", "web")["kept_roots"] == 1
    rig_yarn.hdfs_set_times(archive, old)
    rig_yarn.hdfs_write(f"{base}/runs/errand-elsewhere-1/uses/projects+{entry['pathSuffix']}", b"")
    rig_yarn.hdfs_write(f"{base}/runs/errand-{run}-1/claim", b"")
    rig_yarn.hdfs_set_times(f"{base}/runs/errand-{run}-1", old)
    report = errand.json("node", "gc", "web")
    assert (report["kept_roots"], report["kept_runs"], report["leftovers"], report["warnings"]) == (1, 1, 1, [])
    rig_yarn.hdfs_remove(f"{base}/runs/errand-elsewhere-1")
    report = errand.json("node", "gc", "web")
    assert (report["roots"], report["bytes"], report["warnings"]) == (1, entry["length"], [])
    assert rig_yarn.hdfs_list(f"{base}/projects") == rig_yarn.hdfs_list(f"{base}/runs") == []
    errand.ok("run", "--target", "web", "job.py", deadline_s=280)


def test_every_byte_of_the_log_comes(errand: Errand, project: Path, livy: ModuleType):
    """Of which Livy's own log would lose nearly all."""
    add(errand, livy, "/livy")
    (project / "job.py").write_text(
        "import os\n"
        "data = b''.join(b'%d \\xc3\\xbc <&>\\n' % i for i in range(5000)) + b'\\xff\\xfe\\0\\r'\n"
        "data += b'x' * (4 << 20) + b'\\n\\xe2\\x82'\n"
        "at = 0\nwhile at < len(data):\n    at += os.write(1, data[at:at + 99991])\nos._exit(3)\n",
    )
    result = errand.run("run", "--target", "web", "job.py", code=3, deadline_s=280)
    data = b"".join(b"%d \xc3\xbc <&>\n" % i for i in range(5000)) + b"\xff\xfe\0\r" + b"x" * (4 << 20) + b"\n\xe2\x82"
    log = result.out.split(b"\n", 1)[1]
    assert hashlib.sha256(log).hexdigest() == hashlib.sha256(data).hexdigest()


def test_what_yarn_misses_is_sent_again(errand: Errand, project: Path, livy_yarn: ModuleType, base: str):
    """Somebody removes it when Livy has taken the batch, and spark-submit has not looked yet."""
    add(errand, livy_yarn, "/livy-yarn", base)
    (project / "job.py").write_text(JOB.replace("from lib.tools import double\n", "double = abs\n"))
    run = errand.submit("--target", "web", "job.py")
    log = errand.home / "state" / "local" / "runs" / run / "control.log"
    wait_for(lambda: log.exists() and "asking Livy for the batch" in log.read_text(), "the batch", 100)
    rig_yarn.hdfs_remove(f"{base}/projects")
    result = errand.run("follow", run, code=7, deadline_s=280)
    assert "once again" in log.read_text()
    assert result.text.count("sum 4950") == 1
    assert [entry["type"] for entry in rig_yarn.hdfs_list(f"{base}/projects")] == ["FILE"]


TICKS = """from time import sleep
for i in range(600):
    print("tick", i, flush=True)
    sleep(1)
"""


def watch_and_cancel(errand: Errand, project: Path) -> str:
    """A run whose lines come while it writes them, and stay; its id."""
    (project / "job.py").write_text(TICKS)
    run = errand.submit("--target", "web", "job.py")
    log = errand.home / "state" / "local" / "runs" / run / "driver.log"
    for tick in (0, 3, 6):
        wait_for(lambda tick=tick: b"tick %d\n" % tick in log.read_bytes(), f"line {tick} of the script", 200)
        assert b"tick 500\n" not in log.read_bytes()
    errand.ok("cancel", run, deadline_s=200)
    assert errand.show(run)["status"] == "Canceled"
    assert b"".join(b"tick %d\n" % i for i in range(7)) in log.read_bytes()
    return run


def test_a_log_is_live_and_stays(errand: Errand, project: Path, livy: ModuleType):
    add(errand, livy, "/livy")
    watch_and_cancel(errand, project)


def test_cancel_ends_the_application(errand: Errand, project: Path, livy_yarn: ModuleType):
    add(errand, livy_yarn, "/livy-yarn")
    run = watch_and_cancel(errand, project)
    (app,) = rig_yarn.apps(f"errand-{run}-1")
    assert app["state"] in ("KILLED", "FAILED")  # by Livy's hand, or by the driver's, which was faster
