"""Records what people's usual mistakes look like on YARN: `python3 -m rig.record_failures [CASE...]`.

Of each case: what spark-submit said and how it ended, the ResourceManager's object where there is an application, and
the driver's two streams (cluster mode), all but the lines of level INFO.
"""

import re
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from rig import session, settings, web, yarn
from rig.recorder import Recorder
from rig.spark import SPARK

FIXTURES = settings.SOURCE.parent / "fixtures" / "failures"

CONTEXT = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\nsc = spark.sparkContext\n"
COUNT = CONTEXT + "print(sc.parallelize(range(100), 2).map(lambda x: x + 1).sum(), flush=True)\n"
HDFS = f"hdfs://localhost:{settings.NAMENODE_RPC}"
NOWHERE = "localhost:9"


@dataclass(frozen=True)
class Failure:
    """options: of spark-submit; variables: more of its environment."""

    script: str = COUNT
    options: tuple[str, ...] = ()
    deploy_mode: str = "cluster"
    variables: dict[str, str] = field(default_factory=dict)


FAILURES = {
    "no_permission": Failure(variables={"HADOOP_USER_NAME": "stranger"}),
    "input_missing": Failure(CONTEXT + f"spark.read.text('{HDFS}/no/such/input').show()\n"),
    "module_missing": Failure("import a_module_that_is_not_there\n"),
    "module_missing_on_executors": Failure(
        CONTEXT + "def use(x):\n    import a_module_that_is_not_there\n    return x\n"
        "print(sc.parallelize(range(4), 1).map(use).sum())\n"
    ),
    # As where the driver's Python is another than the executors': the version is what the driver says of itself.
    "python_mismatch": Failure(
        CONTEXT + "sc.pythonVer = '3.9'\nprint(sc.parallelize(range(4), 1).map(str).collect())\n"
    ),
    "interpreter_missing_on_driver": Failure(
        options=("--conf=spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python",)
    ),
    "interpreter_missing_on_executors": Failure(
        options=(
            "--conf=spark.pyspark.python=./environment/bin/python",
            f"--conf=spark.pyspark.driver.python={SPARK.python}",
        ),
        deploy_mode="client",
    ),
    "driver_out_of_memory": Failure(CONTEXT + "sc._gateway.new_array(sc._jvm.long, 500000000)\n"),
    "executor_out_of_memory": Failure(
        CONTEXT + "spark.range(1).selectExpr(\"length(repeat('a', 1900000000)) as n\").collect()\n",
        (
            "--conf=spark.task.maxFailures=1",
            "--conf=spark.sql.optimizer.excludedRules=" "org.apache.spark.sql.catalyst.optimizer.ConstantFolding",
        ),
    ),
    "result_too_large": Failure(
        CONTEXT + "sc.parallelize(range(8), 2).map(lambda x: bytes(10 ** 6)).collect()\n",
        ("--conf=spark.driver.maxResultSize=1m",),
    ),
    "context_too_late": Failure(
        "import threading\nthreading.Event().wait(20)\n" + COUNT, ("--conf=spark.yarn.am.waitTime=5s",)
    ),
    "address_in_use": Failure(
        options=(f"--conf=spark.driver.port={settings.RM_HTTP}", "--conf=spark.port.maxRetries=0"),
        deploy_mode="client",
    ),
    "class_missing": Failure(CONTEXT + "spark.read.format('org.example.nothing').load('/tmp').show()\n"),
    "executor_memory_above_maximum": Failure(options=("--executor-memory=100g",)),
    "resource_manager_away": Failure(
        options=(
            f"--conf=spark.hadoop.yarn.resourcemanager.address={NOWHERE}",
            "--conf=spark.hadoop.yarn.resourcemanager.connect.max-wait.ms=3000",
            "--conf=spark.hadoop.yarn.resourcemanager.connect.retry-interval.ms=1000",
        )
    ),
    "namenode_away": Failure(options=(f"--conf=spark.hadoop.fs.defaultFS=hdfs://{NOWHERE}",)),
}


def record(recorder: Recorder, folder: Path, name: str, failure: Failure) -> None:
    script = folder / f"{name}.py"
    script.write_text(failure.script)
    tag = f"rig-{name}-{folder.name}"
    recorder.command(
        f"{name}.submit",
        [
            "spark-submit",
            "--master=yarn",
            f"--deploy-mode={failure.deploy_mode}",
            f"--conf=spark.yarn.tags={tag}",
            "--conf=spark.yarn.maxAppAttempts=1",
            *failure.options,
            str(script),
        ],
        variables=failure.variables,
    )
    for app in yarn.apps(tag):
        recorder.http(f"{name}.app", settings.RM_HTTP, f"/ws/v1/cluster/apps/{app['id']}")
        if failure.deploy_mode == "cluster":
            record_driver(recorder, name, app["id"])


def record_driver(recorder: Recorder, name: str, app_id: str) -> None:
    ended = yarn.wait_app(app_id, lambda now: now["logAggregationStatus"] == "SUCCEEDED")
    for stream in ("stdout", "stderr"):
        path = f"/ws/v1/history/containerlogs/{yarn.container(ended)}/{stream}"
        text = web.request(web.url(settings.HISTORY_HTTP, path)).text
        content = text.partition("LogContents:\n")[2].partition("\nEnd of LogType:")[0]
        lines = [line for line in content.splitlines() if not re.match(r"\S+ \S+ INFO ", line)]
        if lines:
            recorder.keep(f"{name}.driver.{stream}", ("\n".join(lines) + "\n").encode())


def record_safe_mode(recorder: Recorder, folder: Path) -> None:
    """Nobody else writes meanwhile."""
    with session.Session().use("yarn", alone=True):
        recorder.command("safe_mode.enter", ["hdfs", "dfsadmin", "-safemode", "enter"])
        try:
            record(recorder, folder, "safe_mode", Failure())
        finally:
            recorder.command("safe_mode.leave", ["hdfs", "dfsadmin", "-safemode", "leave"])


def main() -> None:
    # So that safe mode is left again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    recorder = Recorder(FIXTURES)
    with tempfile.TemporaryDirectory(dir=settings.TMP, prefix="record") as folder:
        for name in sys.argv[1:] or [*FAILURES, "safe_mode"]:
            print(f"recording {name}", file=sys.stderr)
            if name == "safe_mode":
                record_safe_mode(recorder, Path(folder))
            else:
                record(recorder, Path(folder), name, FAILURES[name])
            recorder.close()


if __name__ == "__main__":
    main()
