"""What a run says of Spark: options and configuration become the specification; what cannot be meant is a sentence."""

import json
import sqlite3

import pytest
from support.projects import write_files

JOB = "print('job')\n"


@pytest.fixture
def spark_errand(errand):
    """An errand whose target `there` is a Spark on this machine."""
    write_files(errand.cwd, {"job.py": JOB, "lib/tools.zip": "PK", "lib/u.jar": "x", "conf/lookup.csv": "a,b\n"})
    errand.ok("target", "add", "there", "--transport", "local", "--kind", "spark")
    return errand


def spec(errand, *words: str, **keywords) -> dict:
    """The specification that a submission of these words was recorded with, whatever became of the run."""
    run = errand.submit(*words, **keywords)
    with sqlite3.connect(next(errand.home.rglob("history.db"))) as database:
        return json.loads(database.execute("SELECT spec FROM runs WHERE id = ?", (run,)).fetchone()[0])


def test_a_script_on_a_target_of_kind_spark_is_for_spark(spark_errand):
    made = spec(spark_errand, "--target", "there", "job.py", "--spark-conf", "x")
    assert made["framework"] == "pyspark"
    assert made["script"] == "job.py"
    assert made["command"] == ["--spark-conf", "x"]
    assert made["spark"] == {"deploy_mode": "auto"}
    assert "spark" not in spec(spark_errand, "job.py")
    assert "spark" not in spec(spark_errand, "--target", "there", "--framework", "python", "job.py")
    assert "spark" not in spec(spark_errand, "--target", "there", "--", "true")


def test_every_option_reaches_the_specification(spark_errand):
    words = """--framework pyspark --master spark://h:7077 --deploy-mode client --queue ml --spark-conf spark.b=2
        --spark-conf spark.a=1 --packages g:a:1,g:b:2 --packages g:c:3 --repositories https://m/r
        --jars lib/u.jar,hdfs:///x.jar --py-files lib/tools.zip --files conf/lookup.csv#l.csv
        --archives hdfs:///m.tgz#m --driver-memory 2g --executor-memory 4g --executor-cores 3
        --num-executors 5 --spark-base hdfs:///user/me"""
    assert spec(spark_errand, *words.split(), "job.py")["spark"] == {
        "deploy_mode": "client",
        "master": "spark://h:7077",
        "queue": "ml",
        "conf": ["spark.a=1", "spark.b=2"],
        "packages": ["g:a:1", "g:b:2", "g:c:3"],
        "repositories": ["https://m/r"],
        "jars": ["lib/u.jar", "hdfs:///x.jar"],
        "py_files": ["lib/tools.zip"],
        "files": ["conf/lookup.csv#l.csv"],
        "archives": ["hdfs:///m.tgz#m"],
        "driver_memory": "2g",
        "executor_memory": "4g",
        "executor_cores": 3,
        "num_executors": 5,
        "base": "hdfs:///user/me",
    }


def test_a_spark_option_alone_says_what_the_script_is_for(spark_errand):
    assert spec(spark_errand, "--master", "local[2]", "job.py")["framework"] == "pyspark"


def test_the_configuration_counts_where_no_option_does(spark_errand):
    config = """
spark:
  master: local[2]
  conf: {spark.a: 1, spark.b: 1}
  jars: [lib/u.jar]
  executor_cores: 2
  max_attempts: 3
  submit_timeout: 1m
  exclude_packages: ["g:*"]
  principal: me@EXAMPLE.COM
  keytab: /home/me/k
"""
    write_files(spark_errand.cwd, {"errand.yaml": config, "sub/other.jar": "x", "sub/job.py": JOB})
    made = spec(spark_errand, "--framework", "pyspark", "job.py")["spark"]
    assert made == {
        "deploy_mode": "auto",
        "master": "local[2]",
        "conf": ["spark.a=1", "spark.b=1"],
        "jars": ["lib/u.jar"],
        "executor_cores": 2,
        "max_attempts": 3,
        "submit_timeout_ms": 60000,
        "exclude_packages": ["g:*"],
        "principal": "me@EXAMPLE.COM",
        "keytab": "/home/me/k",
    }
    words = ["--framework", "pyspark", "--spark-conf", "spark.b=2", "--jars", "other.jar", "--executor-cores", "4"]
    made = spec(spark_errand, *words, "job.py", cwd=spark_errand.cwd / "sub")["spark"]
    assert made["conf"] == ["spark.a=1", "spark.b=2"]
    assert made["jars"] == ["sub/other.jar"]
    assert made["executor_cores"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--framework", "python", "--queue", "ml", "job.py"],
            "--queue is for the framework pyspark, and this run's is python",
        ),
        (["--queue", "ml", "--", "true"], "Spark starts a Python script, not a command"),
        (["--spark-conf", "executor.memory=4g", "job.py"], "did you mean spark.executor.memory=4g?"),
        (["--spark-conf", "spark.yarn.tags=x", "job.py"], "spark.yarn.tags is set by errand itself"),
        (["--master", "yarn-cluster", "job.py"], "say yarn, and the deploy mode apart"),
        (["--master", "local[2]", "--deploy-mode", "cluster", "job.py"], "in client mode alone"),
        (["--deploy-mode", "remote", "--master", "yarn", "job.py"], '--deploy-mode: "remote" is no deploy mode'),
        (["--packages", "g:a", "job.py"], '--packages: "g:a" is no Maven coordinate'),
        (["--driver-memory", "lots", "job.py"], '--driver-memory: "lots" is no size of memory'),
        (["--jars", "lib/none.jar", "job.py"], "--jars: there is no file lib/none.jar in the project"),
        (["--jars", "/etc/hostname", "job.py"], "is outside the project"),
        (["--py-files", "lib", "job.py"], "lib is a folder, and Spark takes files alone"),
        (["--jars", "lib/u.jar,", "job.py"], "--jars: a name is empty"),
        (["--conf", "spark.a=1", "job.py"], "say --spark-conf spark.K=V"),
        (["--total-executor-cores", "2", "job.py"], "say --spark-conf spark.cores.max=N"),
        (["--files", "left/out.csv", "job.py"], "left/out.csv is not in the snapshot"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_meant_is_a_sentence(spark_errand, words, said):
    write_files(spark_errand.cwd, {".gitignore": "left/\n", "left/out.csv": "1\n"})
    result = spark_errand.run("submit", *words)
    assert result.code in (1, 2)
    assert said in result.errors
    assert spark_errand.json("list")["runs"] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("conf: {executor.memory: 4g}", "spark.conf: executor.memory: Spark drops keys"),
        ("executor_memory: lots", 'spark.executor_memory: "lots" is no size of memory'),
        ("submit_timeout: 2d", "spark.submit_timeout: it is not between 1s and 1d"),
        ("jars: [lib/none.jar]", "spark.jars: there is no file lib/none.jar"),
        ("deploy_mode: remote", '"spark.deploy_mode" must be auto, client or cluster'),
        ("max_attempts: 0", "not a number from 1 to 100"),
        ("quue: ml", 'did you mean "queue"?'),
    ],
)
def test_what_a_file_cannot_mean_is_said_with_its_place(spark_errand, line, said):
    write_files(spark_errand.cwd, {"errand.yaml": f"spark:\n  {line}\n"})
    result = spark_errand.run("submit", "--framework", "pyspark", "job.py")
    assert result.code == 1
    assert said in result.errors
    assert "errand.yaml:2" in result.errors


def test_a_target_has_its_own_spark(spark_errand):
    words = ["--transport", "local", "--kind", "spark", "--spark-home", "/opt/spark-3.5"]
    spark_errand.ok("target", "add", "other", *words)
    made = spec(spark_errand, "--target", "other", "job.py")["spark"]
    assert made["home"] == "/opt/spark-3.5"
    result = spark_errand.run("target", "add", "x", "h", "--kind", "sprak")
    assert result.code == 2
    assert '"sprak" is no kind of target' in result.errors
