"""Runs with Spark 4: a driver on the node, on the Python that came with it, ends as its script did, and is seen."""

import re

import pytest
from support.projects import write_files

pytestmark = pytest.mark.cluster

SCRIPT = """
import sys
from pyspark.sql import SparkSession
import helper

spark = SparkSession.builder.getOrCreate()
assert spark.version.startswith("4."), spark.version
print("sum", spark.sparkContext.parallelize(range(1000), 4).map(helper.double).sum())
{end}
"""
ENDS = [
    ("spark.stop()", 0, {"kind": "exited", "code": 0}),
    ("sys.exit(7)", 7, {"kind": "exited", "code": 7}),
    ("raise ValueError('no')", 1, {"kind": "exited", "code": 1}),
]


@pytest.mark.usefixtures("yarn")
@pytest.mark.parametrize(("end", "code", "exit"), ENDS, ids=["0", "7", "exception"])
def test_a_driver_of_spark_4_ends_as_its_script(errand, yarn_node_new, end, code, exit):
    errand.add_target("new", *yarn_node_new.target_arguments(), "--kind", "spark")
    write_files(errand.cwd, {"job.py": SCRIPT.format(end=end), "helper.py": "def double(n):\n    return 2 * n\n"})
    result = errand.run("run", "--target", "new", "--master", "local[2]", "job.py", deadline_s=600)
    assert result.code == code, (result.errors, result.text)
    assert result.text.splitlines()[1] == "sum 999000"
    shown = errand.show()
    assert shown["exit"] == exit
    assert ("ValueError: no" in result.text) == (code == 1)
    engine = shown["engine"]
    assert (engine["kind"], engine["state"]) == ("local", "FINISHED")
    assert re.fullmatch(r"local-\d+", engine["application"]), "Spark 4 says as Spark 3 which it is"
