"""Spark's driver on the node: what errand makes of spark-submit, over a Spark without a JVM (spark_standin.py)."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support import processes, spark_standin
from support.projects import write_files
from support.waiting import wait_for


@pytest.fixture
def spark(errand, tmp_path):
    """A Spark in the node's PATH; .told() is what its JVM was told last."""
    home = spark_standin.install(tmp_path / "spark")

    class Spark:
        def __init__(self):
            self.home = home

        def told(self) -> dict:
            return json.loads((home / "told.json").read_text())

        def run(self, *words: str, **keywords):
            return errand.run("run", "--framework", "pyspark", *words, **keywords)

    path = f"{home}/bin:{errand.env()['PATH']}"
    errand.more_env.update(PATH=path, JAVA_HOME=str(home / "java"))
    return Spark()


def test_a_script_runs_as_sparks_driver(errand, spark):
    script = """
import os, sys
import helper
print(helper.WORD, sys.argv[1:], os.environ["ERRAND_EXPERIMENT"], os.getcwd() == os.environ["PWD"])
os.makedirs("outputs", exist_ok=True)
open("outputs/x", "w").write("result")
print("to stderr", file=sys.stderr)
"""
    write_files(errand.cwd, {"jobs/job.py": script, "jobs/helper.py": "WORD = 'helped'\n"})
    result = spark.run("jobs/job.py", "a b", "ü")
    assert result.code == 0, result.errors
    first, *rest = result.out.decode().splitlines()
    assert first.startswith("errand: driver: Python 3.")
    assert rest == [f"helped ['a b', 'ü'] {errand.cwd.name} True", "to stderr"]
    shown = errand.show()
    assert shown["exit"] == {"kind": "exited", "code": 0}
    assert (errand.home / "state" / "runs" / shown["id"] / "outputs" / "x").read_text() == "result"
    told = spark.told()
    assert told["options"]["--master"] == "local[*]"
    assert told["options"]["--deploy-mode"] == "client"
    work = Path(told["cwd"])
    assert told["environment"]["PYTHONPATH"] == f"{work}/jobs:{work}"
    engine = errand.ok("logs", "--engine", shown["id"]).text
    assert "INFO SparkContext: Running Spark version stand-in" in engine


# What py4j is to the driver: a JVM with a SparkContext as soon as there is a file "context".
PY4J = """
import os

class Option:
    def __init__(self, value): self.value = value
    def isDefined(self): return self.value is not None
    def get(self): return self.value

class Context:
    def applicationId(self): return open("context").read()
    def master(self): return "spark://h:7077"
    def uiWebUrl(self): return Option(os.environ["STANDIN_PAGE"])

class Anything:
    def __getattr__(self, name): return self
    def getActive(self): return Option(Context() if os.path.exists("context") else None)

class JavaGateway:
    def __init__(self, **_): self.jvm = Anything()

GatewayParameters = dict
"""


def begin_with_context(errand, spark, gate: Path, page: str) -> str:
    """Submit a script that has a SparkContext with that page, until the gate is there."""
    write_files(spark.home, {"python/py4j/__init__.py": "", "python/py4j/java_gateway.py": PY4J})
    script = "import os\nfrom time import sleep\nopen('new', 'w').write('app-1')\nos.rename('new', 'context')\n"
    script += f"while not os.path.exists({str(gate)!r}): sleep(0.05)\n"
    write_files(errand.cwd, {"job.py": script})
    errand.more_env.update(PYTHONPATH=f"{spark.home}/python", STANDIN_PAGE=page)
    return errand.submit("--framework", "pyspark", "job.py")


def test_a_driver_tells_its_application_while_it_runs(errand, spark, tmp_path):
    run = begin_with_context(errand, spark, tmp_path / "gate", "http://node:4040")
    following = errand.follow(run)
    following.wait_output("errand: app-1 is RUNNING; its page is http://node:4040\n", "err")
    engine = {
        "kind": "standalone",
        "application": "app-1",
        "tag": f"errand-{run}-1",
        "queue": None,
        "state": "RUNNING",
        "final_status": None,
        "tracking_url": "http://node:4040",
        "diagnostics": None,
        "progress": None,
    }
    assert errand.show(run)["engine"] == engine
    (tmp_path / "gate").touch()
    assert following.finish().code == 0
    ended = {"state": "FINISHED", "final_status": "SUCCEEDED", "tracking_url": None}
    assert errand.show(run)["engine"] == engine | ended, "the driver's page went with it"


class Page(BaseHTTPRequestHandler):
    """A Spark's page that says of its jobs what the server has as jobs."""

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
        self.server.asked.append(self.path)
        body = json.dumps(self.server.jobs).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def page() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.asked, server.jobs = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_how_far_the_jobs_are_is_asked_only_while_somebody_follows(errand, spark, page, tmp_path):
    def wait_progress(text: str | None) -> None:
        def event() -> bool:
            engine = errand.show(run)["engine"]
            return engine is not None and engine["progress"] == text

        wait_for(event, f"the progress {text}")

    page.jobs = [{"stageIds": [0, 1, 2], "status": "RUNNING", "numTasks": 80, "numCompletedTasks": 7}]
    run = begin_with_context(errand, spark, tmp_path / "gate", f"http://127.0.0.1:{page.server_port}/")
    wait_progress(None)
    assert page.asked == []
    following = errand.follow(run)
    wait_progress("stage 1 of 3, 7/80 tasks")
    assert set(page.asked) == {"/api/v1/applications/app-1/jobs?status=running"}
    page.jobs = [{**page.jobs[0], "numCompletedStages": 1}]
    wait_progress("stage 2 of 3, 7/80 tasks")
    page.jobs = []
    wait_progress(None)
    page.jobs = [{"stageIds": [3], "status": "RUNNING", "numTasks": 9}]
    wait_progress("stage 1 of 1, 0/9 tasks")
    assert b"stage" not in following.kill().err, "on no terminal it is no line"
    wait_progress(None)
    (tmp_path / "gate").touch()
    errand.ok("wait", run)


@pytest.mark.usefixtures("spark")
def test_a_driver_whose_context_nobody_knows_has_no_engine(errand):
    write_files(errand.cwd, {"job.py": ""})
    errand.ok("run", "--framework", "pyspark", "job.py")
    assert errand.show()["engine"] is None


ENDS = [
    ("import sys; sys.exit(7)", 7, {"kind": "exited", "code": 7}),
    ("raise ValueError('no')", 1, {"kind": "exited", "code": 1}),
    ("import sys; sys.exit('text')", 1, {"kind": "exited", "code": 1}),
    ("import os; os._exit(3)", 3, {"kind": "exited", "code": 3}),
    ("import os; os.kill(os.getpid(), 9)", 137, {"kind": "signaled", "signal": "SIGKILL"}),
    ("import os; os._exit(137)", 137, {"kind": "exited", "code": 137}),
]


@pytest.mark.parametrize(("script", "code", "how"), ENDS, ids=[row[0] for row in ENDS])
def test_a_run_ends_as_its_script_does(errand, spark, script, code, how):
    write_files(errand.cwd, {"job.py": script})
    assert spark.run("job.py").code == code
    shown = errand.show()
    assert shown["exit"] == how
    assert shown["status"] == "Failed"


def test_why_a_script_failed_is_said_where_its_words_tell(errand, spark):
    """As in cluster mode. Spark's are two hundred lines."""
    write_files(errand.cwd, {"job.py": "import no_such_module\n"})
    assert spark.run("job.py").code == 1
    assert errand.show()["reason"] == (
        "exited with status 1: Python has no module 'no_such_module' where it was imported; "
        "add it to the run's environment"
    )


def test_a_script_that_ends_well_under_a_spark_that_does_not_has_failed(errand, spark):
    write_files(errand.cwd, {"job.py": "print('done')"})
    result = spark.run("--spark-conf", "spark.standin=fail", "job.py")
    assert result.code == 1
    assert "exited with status 1: the script ended well, but Spark exited with status 1" in errand.show()["reason"]


def test_a_spark_that_refuses_never_began_the_script(errand, spark):
    write_files(errand.cwd, {"job.py": "print('never')"})
    result = spark.run("--spark-conf", "spark.standin=refuse", "job.py")
    assert result.code == 125
    shown = errand.show()
    assert shown["exit"] == {"kind": "could_not_start", "code": 125}
    said = "Spark exited with status 1 before the script began: Exception in thread"
    assert said in shown["reason"]
    assert "no such queue: ml" in shown["reason"]
    assert result.out == b""


def test_a_spark_that_dies_takes_the_script_with_it_and_is_named(errand, spark):
    write_files(errand.cwd, {"job.py": "from time import sleep\nopen('begun', 'w').close()\nwhile True: sleep(1)"})
    result = spark.run("--spark-conf", "spark.standin=die", "job.py")
    assert result.code == 137
    shown = errand.show()
    assert shown["exit"] == {"kind": "signaled", "signal": "SIGKILL"}
    assert "Spark was killed by SIGKILL before the script had ended" in shown["reason"]


@pytest.mark.usefixtures("spark")
def test_cancel_ends_driver_and_script(errand):
    script = "import os\nfrom time import sleep\nprint('pid %d.' % os.getpid(), flush=True)\nwhile True: sleep(1)"
    write_files(errand.cwd, {"job.py": script})
    run = errand.submit("--framework", "pyspark", "job.py")
    following = errand.follow(run)
    following.wait_output(r"pid \d+\.\n")
    errand.ok("cancel", run)
    assert following.finish().code == 143
    shown = errand.show(run)
    assert shown["status"] == "Canceled"
    assert not processes.is_alive(int(re.search(rb"pid (\d+)\.", following.out)[1]))


def test_options_become_spark_submits(errand, spark):
    write_files(errand.cwd, {"job.py": "", "lib/u.jar": "x", "a.csv": "1"})
    words = """--master spark://h:7077 --spark-conf spark.a=x=y --packages g:a:1 --repositories https://m
        --jars lib/u.jar,hdfs:///b.jar --files a.csv#b.csv --driver-memory 2g --executor-memory 3g
        --executor-cores 2 --num-executors 4"""
    assert spark.run(*words.split(), "job.py", "--master", "mine").code == 0
    told = spark.told()
    work = told["cwd"]
    assert told["options"].pop("--archives").endswith(".tar#project"), "for the executors, which are elsewhere"
    assert told["options"] == {
        "--master": "spark://h:7077",
        "--deploy-mode": "client",
        "--name": f"{errand.cwd.name} {errand.last_run()}",
        "--packages": "g:a:1",
        "--repositories": "https://m",
        "--jars": f"{work}/lib/u.jar,hdfs:///b.jar",
        "--files": f"{work}/a.csv#b.csv",
        "--driver-memory": "2g",
        "--executor-memory": "3g",
        "--executor-cores": "2",
        "--num-executors": "4",
    }
    assert told["conf"]["spark.a"] == "x=y"
    assert told["argv"][-1].endswith("/errand_driver.py"), "nothing of the user's stands behind the program"


def test_the_nodes_own_defaults_decide(errand, spark):
    write_files(spark.home, {"conf/spark-defaults.conf": "# ours\nspark.master  spark://own:7077\n"})
    write_files(errand.cwd, {"job.py": ""})
    assert spark.run("job.py").code == 0
    assert spark.told()["options"]["--master"] == "spark://own:7077"
    write_files(spark.home, {"conf/spark-defaults.conf": "spark.master=k8s://https://x\n"})
    result = spark.run("job.py")
    assert result.code == 125
    assert "set to the master k8s://https://x, which errand does not know" in errand.show()["reason"]


def test_what_is_known_of_the_node_is_asked_once(errand, spark):
    write_files(errand.cwd, {"job.py": ""})
    assert spark.run("job.py").code == 0
    kept = errand.home / "state" / "local" / "spark.json"
    first = kept.stat().st_ino
    assert spark.run("job.py").code == 0
    assert kept.stat().st_ino == first
    write_files(spark.home, {"conf/spark-env.sh": "SPARK_X=1\n"})
    assert spark.run("job.py").code == 0
    assert kept.stat().st_ino != first
    assert not (spark.home / "probed").exists(), "no JVM was started for it"


def test_the_environments_python_is_the_drivers_and_the_executors(errand, spark, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    write_files(errand.cwd, {"job.py": "import sys; print(sys.prefix)"})
    result = spark.run("--environment", f"{{venv: {tmp_path / 'venv'}}}", "job.py")
    assert result.code == 0, result.errors
    python = f"{tmp_path / 'venv'}/bin/python"
    assert result.text.splitlines()[-1] == str(tmp_path / "venv")
    told = spark.told()
    assert told["conf"]["spark.pyspark.python"].startswith(python)
    assert told["conf"]["spark.pyspark.driver.python"].startswith(python)
    assert told["environment"]["PYSPARK_PYTHON"].startswith(python)


def test_a_node_without_spark_is_told_with_what_to_do(errand):
    write_files(errand.cwd, {"job.py": ""})
    result = errand.run("run", "--framework", "pyspark", "job.py", env={"PATH": "/usr/bin:/bin"})
    assert result.code == 125
    reason = errand.show()["reason"]
    assert "there is no Spark on the node: no spark-submit in PATH, SPARK_HOME, " in reason
    assert "targets.NAME.spark_home" in reason


@pytest.mark.usefixtures("spark")
def test_a_spark_home_that_was_named_and_is_none_is_told(errand, tmp_path):
    errand.ok("target", "add", "x", "--transport", "local", "--kind", "spark", "--spark-home", str(tmp_path / "none"))
    write_files(errand.cwd, {"job.py": ""})
    assert errand.run("run", "--target", "x", "job.py").code == 125
    assert f"there is no Spark in {tmp_path}/none on the node" in errand.show()["reason"]


def test_a_node_without_java_is_told(errand, spark):
    write_files(errand.cwd, {"job.py": ""})
    assert spark.run("job.py", env={"JAVA_HOME": "/no/java"}).code == 125
    assert "finds no Java" in errand.show()["reason"]


def test_what_is_installed_later_is_found(errand, spark):
    """What was not there was remembered as well, and not looked for again: a Java, or a Spark in front of this one."""
    write_files(errand.cwd, {"job.py": ""})
    (spark.home / "java").rename(spark.home / "later")
    assert spark.run("job.py").code == 125
    (spark.home / "later").rename(spark.home / "java")
    result = spark.run("job.py")
    assert result.code == 0, result.errors


# Answers as a ResourceManager that has no application.
CURL = """#!/bin/sh
echo "$KRB5CCNAME" >> {asked}
cat > /dev/null
printf '{{"apps":null}}\\napplication/json\\n\\n200'
"""


def test_whoever_asks_the_cluster_has_the_runs_ticket(errand, spark, tmp_path):
    """That was spark-submit alone: the node asked with the login's, also when it was to end what the driver left."""
    asked = tmp_path / "asked"
    manager = "<property><name>yarn.resourcemanager.webapp.address</name><value>rm:8088</value></property>"
    write_files(tmp_path, {"bin/curl": CURL.format(asked=asked)})
    write_files(tmp_path, {"hadoop/yarn-site.xml": f"<configuration>{manager}</configuration>"})
    (tmp_path / "bin/curl").chmod(0o755)
    write_files(errand.cwd, {"job.py": "import os; os.kill(os.getpid(), 9)"})
    errand.more_env["PATH"] = f"{tmp_path}/bin:{errand.more_env['PATH']}"
    errand.more_env["HADOOP_CONF_DIR"] = str(tmp_path / "hadoop")
    words = ("--master", "yarn", "--deploy-mode", "client", "--env", "KRB5CCNAME=FILE:/the/runs")
    assert spark.run(*words, "job.py").code == 137, errand.show()
    assert "looking for it by its tag" in errand.ok("logs", "--control", errand.last_run()).text
    assert set(asked.read_text().split()) == {"FILE:/the/runs"}


@pytest.mark.usefixtures("spark")
def test_a_record_of_the_engine_that_cannot_be_read_proves_nothing(errand):
    """It was taken for one that says that all has ended."""
    script = "import os\nwith open(os.environ['ERRAND_RUN_DIR'] + '/engine', 'w') as engine: engine.write('{}\\n')"
    write_files(errand.cwd, {"job.py": script})
    errand.run("run", "--framework", "pyspark", "job.py")
    journal = errand.home / "state" / "local" / "runs" / errand.last_run() / "journal"
    last = json.loads(journal.read_text().splitlines()[-1])
    assert (last["proof"], last["survivors"]) == ("none", 1)
    said = errand.ok("logs", "--control", errand.last_run()).text
    assert "whether an application of the run goes on in YARN is not known: " in said


def test_a_run_without_spark_has_no_engine_log(errand):
    write_files(errand.cwd, {"job.py": ""})
    errand.ok("run", "job.py")
    result = errand.run("logs", "--engine", errand.last_run())
    assert result.code == 1
    assert "only a run of the framework pyspark has one" in result.errors


def steps(errand, *words: str) -> dict[str, tuple[bool, str]]:
    found = json.loads(errand.run("target", "check", *words, "--json").out)["steps"]
    return {step["step"]: (step["ok"], step["detail"]) for step in found}


def test_a_check_tells_what_spark_the_node_has(errand, spark):
    errand.ok("target", "add", "there", "--transport", "local", "--kind", "spark")
    write_files(spark.home, {"conf/spark-defaults.conf": "spark.master yarn\n"})
    found = steps(errand, "there")
    assert found["spark"] == (True, f"Spark 3.5.9 for Scala 2.12 in {spark.home}, by {spark.home}/bin/spark-submit")
    assert found["master"] == (True, "yarn (from spark-defaults.conf); scripts run in the cluster")
    assert found["spark_python"][0]
    assert found["hadoop"] == (False, "no configuration of Hadoop is there")
    assert not found["yarn"][0]


def test_a_check_of_another_target_hints_at_the_nodes_spark(errand, spark):
    assert steps(errand, "local")["spark"] == (True, f"{spark.home}/bin/spark-submit is there")
    assert "errand target add NAME HOST --kind spark" in errand.ok("target", "check", "local").text
    errand.more_env.update(PATH="/usr/bin:/bin")
    assert "spark" not in steps(errand, "local")
    errand.more_env.update(SPARK_HOME=str(spark.home))
    assert steps(errand, "local")["spark"] == (True, f"{spark.home}/bin/spark-submit is there")


def test_a_check_tells_that_there_is_none(errand, tmp_path):
    words = ["--transport", "local", "--kind", "spark", "--spark-home", str(tmp_path / "none")]
    errand.ok("target", "add", "there", *words)
    assert steps(errand, "there")["spark"][0] is False
    assert f"there is no Spark in {tmp_path}/none" in errand.run("target", "check", "there").text


def test_a_deep_check_runs_a_job(errand, spark):
    errand.ok("target", "add", "there", "--transport", "local", "--kind", "spark")
    # What pyspark is to the job, without a JVM.
    fake = """
class SparkContext:
    def parallelize(self, items, _): self.items = items; return self
    def map(self, f): self.items = [f(i) for i in self.items]; return self
    def collect(self): return self.items
    def stop(self): pass
"""
    write_files(spark.home, {"python/pyspark.py": fake})
    write_files(
        errand.home,
        {
            "config/targets.d/there.yaml": f"""
transport: local
kind: spark
variables: {{PYTHONPATH: {spark.home}/python}}
"""
        },
    )
    is_ok, detail = steps(errand, "there", "--deep")["job"]
    assert is_ok, detail
    assert detail.startswith("driver Python 3.")
    assert "executor Python 3." in detail
