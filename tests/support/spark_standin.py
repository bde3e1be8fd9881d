"""A Spark of which all but the JVM is as it is: its scripts in bash, spark-defaults.conf, jars/. In the JVM's place is
this program. It reads spark-submit's options, starts the driver as Spark's PythonRunner does, with a pipe that it
passes on, and ends with the driver's status.

`spark.standin` among the settings says what else it does: "refuse" ends before the driver, "fail" ends with 1 after it,
"die" kills itself once the driver has begun to write.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

# What spark-class asks for the command line of the JVM that it becomes.
JAVA = """#!/bin/sh
case "$*" in *--version*) : > "$(dirname "$0")/../../probed";; esac
printf 'java\\0'
"""
SUBMIT = """#!/usr/bin/env bash
if [ -z "${SPARK_HOME}" ]; then
  SPARK_HOME="$(cd "$(dirname "$(readlink -f "$0")")"/..; pwd)"
  export SPARK_HOME
fi
exec "${SPARK_HOME}"/bin/spark-class org.apache.spark.deploy.SparkSubmit "$@"
"""
CLASS = """#!/usr/bin/env bash
export SPARK_CONF_DIR="${SPARK_CONF_DIR:-"${SPARK_HOME}"/conf}"
[ ! -f "${SPARK_CONF_DIR}/spark-env.sh" ] || { set -a; . "${SPARK_CONF_DIR}/spark-env.sh"; set +a; }
if [ -n "${JAVA_HOME}" ]; then RUNNER="${JAVA_HOME}/bin/java"
elif [ "$(command -v java)" ]; then RUNNER="java"
else echo "JAVA_HOME is not set" >&2; exit 1; fi
build_command() {
  "$RUNNER" -cp "${SPARK_HOME}/jars/*" org.apache.spark.launcher.Main "$@"
}
CMD=()
while IFS= read -d "" -r ARG; do CMD+=("$ARG"); done < <(build_command "$@")
[ "${#CMD[@]}" -gt 0 ] || exit 1
exec %(python)s %(jvm)s "$@"
"""


def install(home: Path, version: str = "3.5.9") -> Path:
    """A Spark in this folder, whose Java is java/bin/java in it."""
    files = {
        "bin/spark-submit": SUBMIT,
        "bin/spark-class": CLASS % {"python": sys.executable, "jvm": Path(__file__)},
        "java/bin/java": JAVA,
        f"jars/spark-core_2.12-{version}.jar": "",
        "conf/spark-defaults.conf": "",
    }
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return home


def read_arguments(words: list[str]) -> tuple[dict, dict, list[str]]:
    """Options, --conf's settings, and the program with its arguments."""
    options, conf, rest = {}, {}, list(words)
    while rest and rest[0].startswith("--"):
        name, value = rest.pop(0), rest.pop(0)
        if name == "--conf":
            key, _, value = value.partition("=")
            conf[key] = value
        else:
            options[name] = value
    return options, conf, rest


def main() -> int:
    home = Path(os.environ["SPARK_HOME"])
    options, conf, program = read_arguments(sys.argv[2:])
    environment = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYSPARK_PYTHON", "SPARK_HOME")}
    told = {"argv": sys.argv[2:], "options": options, "conf": conf, "environment": environment, "cwd": str(Path.cwd())}
    (home / "told.json").write_text(json.dumps(told))
    mode = conf.get("spark.standin", "")
    print("26/11/28 10:00:00 INFO SparkContext: Running Spark version stand-in", file=sys.stderr, flush=True)
    if mode == "refuse":
        print('Exception in thread "main" org.apache.spark.SparkException: no such queue: ml', file=sys.stderr)
        print("\tat org.apache.spark.deploy.SparkSubmit$.main(SparkSubmit.scala:1)", file=sys.stderr)
        return 1
    for archive in filter(None, options.get("--archives", "").split(",")):
        path = archive.partition("#")[0].removeprefix("file://")
        if not Path(path).exists():
            print(f"java.io.FileNotFoundException: File file:{path} does not exist", file=sys.stderr)
            return 1
    python = conf.get("spark.pyspark.driver.python") or os.environ["PYSPARK_PYTHON"]
    driver = subprocess.Popen(
        [python, *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYSPARK_GATEWAY_PORT": "25333"},
    )
    if mode == "die":
        while not Path("begun").exists():
            pass
        os.kill(os.getpid(), 9)
    while data := driver.stdout.read1(65536):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    status = driver.wait()
    return 1 if mode == "fail" else status


if __name__ == "__main__":
    sys.exit(main())
