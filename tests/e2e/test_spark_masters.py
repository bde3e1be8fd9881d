"""One job, unchanged, on each master that has its driver on the node: a real Spark, over ssh."""

import pytest
from support.projects import write_files

JOB = """
import os, sys
from pathlib import Path
from pyspark.sql import SparkSession
import helper

spark = SparkSession.builder.getOrCreate()
total = spark.sparkContext.parallelize(range(1000), 4).map(helper.double).sum()
print("sum", total, Path("data/words.txt").read_text().strip(), sys.argv[1:])
Path("outputs").mkdir(exist_ok=True)
Path("outputs/total").write_text(str(total))
spark.stop()
os._exit(7)
"""

# Where the driver is on the node: the fixtures of the cluster and of its node, and what the user says.
MASTERS = {
    "local": ("yarn", "yarn_node", ["--master", "local[2]"]),
    "standalone": ("standalone", "standalone_node", []),
    "yarn": ("yarn", "yarn_node", ["--deploy-mode", "client"]),
}


@pytest.mark.cluster
@pytest.mark.parametrize("master", MASTERS)
def test_a_job_runs_unchanged_on_each_master(errand, request, master):
    cluster, node, words = MASTERS[master]
    request.getfixturevalue(cluster)
    server = request.getfixturevalue(node)
    errand.add_target("node", *server.target_arguments(), "--kind", "spark")
    write_files(errand.cwd, {"jobs/job.py": JOB, "jobs/helper.py": "def double(n):\n    return 2 * n\n"})
    write_files(errand.cwd, {"data/words.txt": "here\n"})
    result = errand.run("run", "--target", "node", *words, "jobs/job.py", "a b", deadline_s=600)
    assert result.code == 7, (result.errors, result.text)
    first, said = result.text.splitlines()
    assert first.startswith("errand: driver: Python 3.")
    assert said == "sum 999000 here ['a b']"
    shown = errand.show()
    assert shown["exit"] == {"kind": "exited", "code": 7}
    assert (errand.home / "state" / "runs" / shown["id"] / "outputs" / "total").read_text() == "999000"
    assert "INFO SparkContext" in errand.ok("logs", "--engine", shown["id"]).text
