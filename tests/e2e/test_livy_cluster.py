"""Runs through real Livy servers behind their gateway: 0.7.1 with a local master and on YARN, and 0.5.0."""

import hashlib
from pathlib import Path
from types import ModuleType

import pytest
from rig import settings
from rig import yarn as rig_yarn
from support.errand import Errand
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


def add(errand: Errand, gateway: ModuleType, path: str) -> None:
    errand.more_env["LIVY_PASSWORD"] = gateway.PASSWORD
    errand.ok(
        *("target", "add", "web", f"{gateway.URL}{path}", "--user", gateway.USER, "--password-env", "LIVY_PASSWORD"),
        *("--ca", str(gateway.CA), "--webhdfs", f"{gateway.URL}/webhdfs/v1?user.name=root"),
        *("--base", f"hdfs://localhost:{settings.NAMENODE_RPC}/user/root/.errand"),
    )


@pytest.mark.parametrize(
    ("fixture", "path"), [("livy", "/livy"), ("livy_yarn", "/livy-yarn"), ("livy_old", "/livy-old")]
)
def test_a_script_runs_there(errand: Errand, project: Path, request: pytest.FixtureRequest, fixture: str, path: str):
    add(errand, request.getfixturevalue(fixture), path)
    (project / "lib").mkdir()
    (project / "lib" / "tools.py").write_text("def double(x):\n    return 2 * x\n")
    (project / "job.py").write_text(JOB)
    result = errand.run("run", "--target", "web", "job.py", code=7, deadline_s=280)
    assert "sum 9900" in result.text
    assert (errand.home / "state" / "runs" / errand.last_run() / "outputs" / "result.txt").read_text() == "42"


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


def test_cancel_ends_the_application(errand: Errand, project: Path, livy_yarn: ModuleType):
    add(errand, livy_yarn, "/livy-yarn")
    (project / "job.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run = errand.submit("--target", "web", "job.py")
    log = errand.home / "state" / "local" / "runs" / run / "driver.log"
    wait_for(lambda: b"begun" in log.read_bytes(), "the script's first line", 200)
    errand.ok("cancel", run, deadline_s=200)
    assert errand.show(run)["status"] == "Canceled"
    (app,) = rig_yarn.apps(f"errand-{run}-1")
    assert app["state"] in ("KILLED", "FAILED")  # by Livy's hand, or by the driver's, which was faster
