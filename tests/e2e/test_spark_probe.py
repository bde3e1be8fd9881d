"""What a node says of its Spark, YARN and HDFS: the program that asks it, alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import spark_standin
from support.projects import write_files

PROBE = Path(__file__).resolve().parents[2] / "executor" / "spark_probe.py"
PYTHONS = [sys.executable, *sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python")))]


def site(properties: dict[str, str]) -> str:
    rows = (f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items())
    return f"<?xml version='1.0'?><configuration>{''.join(rows)}</configuration>"


@pytest.fixture
def node(tmp_path):
    """A node with a Spark; .ask() is what the probe says of it."""
    home = spark_standin.install(tmp_path / "spark")

    class Node:
        folder = tmp_path
        spark = home
        variables = {"PATH": f"{home}/bin:/usr/bin:/bin", "JAVA_HOME": str(home / "java"), "HADOOP_USER_NAME": "hu"}

        def hadoop(self, **files: dict) -> None:
            texts = {f"hadoop/{name}-site.xml": site(properties) for name, properties in files.items()}
            write_files(tmp_path, texts)
            self.variables = {**self.variables, "HADOOP_CONF_DIR": str(tmp_path / "hadoop")}

        def ask(self, python: str = sys.executable, home: str = "", fallback: str = "") -> dict:
            wish = json.dumps({"home": home, "fallback": fallback})
            done = subprocess.run(
                [python, "-c", PROBE.read_text(), wish], env=self.variables, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

    return Node()


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_finds_the_same(node, python):
    write_files(node.spark, {"conf/spark-defaults.conf": "spark.master yarn\n"})
    answer = node.ask(python)
    assert answer["home"] == str(node.spark)
    assert answer["version"] == "3.5.9"
    assert answer["scala"] == "2.12"
    assert answer["master"] == "yarn"
    assert answer["user"] == "hu"
    assert answer["java"] == f"{node.spark}/java/bin/java"
    assert [str(node.spark / "bin/spark-submit")] == [f[0] for f in answer["files"] if f[0].endswith("spark-submit")]
    assert answer == node.ask(), "what one Python wrote down another one would have written"


def test_a_script_that_stands_before_spark_submit_is_seen_through(node):
    exports = f"export HADOOP_CONF_DIR={node.folder}/hadoop JAVA_HOME={node.spark}/java"
    wrapper = f'#!/bin/sh\n{exports}\nexec {node.spark}/bin/spark-submit "$@"\n'
    write_files(node.folder, {"usr/bin/spark-submit": (wrapper, 0o755)})
    node.hadoop(core={"fs.defaultFS": "hdfs://nn:8020"})
    node.variables = {"PATH": f"{node.folder}/usr/bin:/usr/bin:/bin"}
    answer = node.ask()
    assert answer["submit"] == f"{node.folder}/usr/bin/spark-submit"
    assert answer["home"] == str(node.spark)
    assert answer["hadoop_conf_dir"] == f"{node.folder}/hadoop"
    assert answer["fs"] == "hdfs://nn:8020"
    assert answer["java"] == f"{node.spark}/java/bin/java"


def test_what_spark_env_sets_counts_as_it_does_for_spark(node):
    python = "/opt/cluster/bin/python"
    write_files(node.spark, {"conf/spark-env.sh": f"export PYSPARK_PYTHON=${{PYSPARK_PYTHON:-{python}}}\n"})
    assert node.ask()["python"] == python
    node.variables["PYSPARK_PYTHON"] = "/mine"
    assert node.ask()["python"] == "/mine"
    write_files(node.spark, {"conf/spark-defaults.conf": "spark.pyspark.python=/default\n"})
    assert node.ask()["python"] == "/default"


def test_the_users_own_bash_env_is_read_too(node):
    write_files(node.folder, {"env.sh": "export HADOOP_CONF_DIR=/\n"})
    node.variables["BASH_ENV"] = f"{node.folder}/env.sh"
    assert node.ask()["hadoop_conf_dir"] == "/"


def test_one_resource_manager_and_its_name_node(node):
    node.hadoop(
        core={"fs.defaultFS": "hdfs://${host}:8020", "host": "nn.example"},
        hdfs={"dfs.namenode.http-address": "nn.example:9870"},
        yarn={"yarn.resourcemanager.hostname": "rm.example", "yarn.log.server.url": "http://jhs:19888/jobhistory/logs"},
    )
    answer = node.ask()
    assert answer["fs"] == "hdfs://nn.example:8020"
    assert answer["webhdfs"] == ["http://nn.example:9870"]
    assert answer["rm"] == ["http://rm.example:8088"]
    assert answer["log_server"] == "http://jhs:19888/jobhistory/logs"
    assert answer["security"] == "simple"


def test_two_of_each_with_tls_and_kerberos(node):
    node.hadoop(
        core={"fs.defaultFS": "hdfs://mycluster", "hadoop.security.authentication": "kerberos"},
        hdfs={
            "dfs.http.policy": "HTTPS_ONLY",
            "dfs.ha.namenodes.mycluster": "nn1, nn2",
            "dfs.namenode.https-address.mycluster.nn1": "h0:9871",
            "dfs.namenode.https-address.mycluster.nn2": "h1:9871",
        },
        yarn={
            "yarn.http.policy": "HTTPS_ONLY",
            "yarn.resourcemanager.ha.enabled": "true",
            "yarn.resourcemanager.ha.rm-ids": "rm1,rm2",
            "yarn.resourcemanager.hostname.rm1": "h0",
            "yarn.resourcemanager.webapp.https.address.rm2": "h1:8190",
        },
    )
    answer = node.ask()
    assert answer["rm"] == ["https://h0:8090", "https://h1:8190"]
    assert answer["webhdfs"] == ["https://h0:9871", "https://h1:9871"]
    assert answer["security"] == "kerberos"


def test_xml_that_is_none_says_nothing(node):
    write_files(node.folder, {"hadoop/core-site.xml": "<configuration><property>", "hadoop/yarn-site.xml": ""})
    node.variables["HADOOP_CONF_DIR"] = f"{node.folder}/hadoop"
    answer = node.ask()
    assert answer["fs"] == ""
    assert answer["rm"] == []


def test_the_order_in_which_spark_is_looked_for(node):
    other = spark_standin.install(node.folder / "other", "2.4.8")
    third = spark_standin.install(node.folder / "third", "4.0.1")
    assert node.ask(home=str(other))["version"] == "2.4.8"
    node.variables["SPARK_HOME"] = str(third)
    assert node.ask()["version"] == "4.0.1"
    assert node.ask(home=str(other))["version"] == "2.4.8"
    node.variables = {"PATH": "/usr/bin:/bin", "JAVA_HOME": str(node.spark / "java")}
    assert node.ask(fallback=f"{other}/bin/spark-submit")["version"] == "2.4.8"
    assert node.ask() == {"submit": "", "named": ""}
    assert node.ask(home="/none") == {"submit": "", "named": "/none"}


def test_what_was_looked_for_in_vain_is_depended_on_too(node):
    before = node.folder / "before"
    node.variables["PATH"] = f"{before}:{node.variables['PATH']}"
    files = node.ask()["files"]
    for name in ("spark-submit", "python3", "hadoop", "hdfs", "yarn", "curl"):
        assert [str(before / name)] in files
    node.variables["JAVA_HOME"] = "/none"
    assert ["/none/bin/java"] in node.ask()["files"]


def test_without_java_it_says_so(node):
    node.variables["JAVA_HOME"] = "/none"
    assert node.ask()["java"] == ""
