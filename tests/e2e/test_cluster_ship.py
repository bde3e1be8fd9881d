"""What reaches a real cluster, and what comes home: HDFS, YARN and Spark of tests/rig."""

import subprocess

import pytest
from rig import configuration, headnode
from support.projects import write_files

pytestmark = pytest.mark.cluster

JOB = """
import os, sys
from pyspark.sql import SparkSession
import helper, tiny
sc = SparkSession.builder.getOrCreate().sparkContext

def on_executor(x):
    import os
    import helper, tiny
    return [helper.twice(x), tiny.__file__, os.getcwd()]

print("DRIVER", open("data/x.txt").read(), tiny.__file__, os.environ["WORD"], flush=True)
print("EXECUTOR", sc.parallelize([21], 1).map(on_executor).collect(), flush=True)
os.makedirs("outputs/deep", exist_ok=True)
open("outputs/deep/model", "w").write("weights")
os.symlink("deep/model", "outputs/latest")
open("helper.py", "a").write("# the driver works in its own copy")
"""


def hdfs(*words: str) -> str:
    command = [f"{headnode.HEAD.folder}/bin/hdfs", "dfs", *words]
    environment = {**configuration.environment(), "PATH": headnode.STANDARD_PATH}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def listed(folder: str) -> dict[str, str]:
    """Path and modification time of each file below a folder."""
    lines = [line.split() for line in hdfs("-ls", "-R", folder).splitlines() if line.startswith("-")]
    return {words[-1]: f"{words[5]} {words[6]}" for words in lines}


@pytest.mark.usefixtures("yarn")
def test_project_and_environment_reach_driver_and_executors_once(errand, yarn_node, index, tmp_path):
    index.wheel("tiny", "1.0")
    base = f"/tmp/errand-test-{tmp_path.name}"
    project = {"jobs/job.py": JOB, "jobs/helper.py": "def twice(x):\n    return 2 * x\n", "data/x.txt": "data"}
    write_files(errand.cwd, {**project, "requirements.txt": f"--index-url {index.url}\ntiny\n"})
    errand.add_target("node", *yarn_node.target_arguments())
    errand.more_env["WORD"] = "s3cret-word"
    options = ["--framework", "pyspark", "--master", "yarn", "--deploy-mode", "cluster", "--spark-base", base]

    def run() -> str:
        result = errand.run("run", "--target", "node", "--secret", "WORD", *options, "jobs/job.py", deadline_s=600)
        assert result.code == 0, result
        shown = errand.show()
        assert (errand.home / "state" / "runs" / shown["id"] / "outputs" / "deep" / "model").read_text() == "weights"
        assert "DRIVER data" in result.text
        assert "s3cret-word" in result.text
        assert "/environment/tiny" in result.text.split("EXECUTOR")[1]
        assert "[42, " in result.text
        return shown["id"]

    try:
        run()
        before = listed(base)
        assert sorted(path.split("/")[3] for path in before) == ["environments", "projects"]
        first = run()
        assert listed(base) == before
        assert "sent" not in errand.ok("logs", "--control", first).text
        hdfs("-rm", "-r", "-skipTrash", f"{base}/environments", f"{base}/projects")
        run()
        assert sorted(listed(base)) == sorted(before)
    finally:
        hdfs("-rm", "-r", "-f", "-skipTrash", base)
