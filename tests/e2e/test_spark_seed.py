"""The example for Spark as it is shipped, on each master: RDDs, an ml model, and numpy, pandas and pyarrow of its own
environment in a function on the executors."""

import csv
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from rig import configuration, headnode, settings
from support.environments import UV
from support.errand import ROOT

pytestmark = pytest.mark.cluster

LOCAL = "local[2]"
STANDALONE = f"spark://{settings.HOST}:{settings.SPARK_MASTER}"
# Each: the fixtures of the cluster and of its node (None: this machine), what the user says, the master that counts.
MASTERS = {
    "local": ("yarn", None, ["--framework", "pyspark", "--master", LOCAL], LOCAL),
    "local on a node": ("yarn", "yarn_node", ["--target", "node", "--master", LOCAL], LOCAL),
    "standalone": ("standalone", "standalone_node", ["--target", "node"], STANDALONE),
    "YARN client": ("yarn", "yarn_node", ["--target", "node", "--deploy-mode", "client"], "yarn"),
    "YARN cluster": ("yarn", "yarn_node", ["--target", "node"], "yarn"),
}
SAID = """\
most frequent: the 16, what 5, is 4
the model knows 12 of 12 lines
mean length of words: 4.09
"""
QUICKEST = "local on a node"
DEADLINE_S = 600


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all nodes here, so that the environment is built once."""
    return tmp_path_factory.mktemp("root")


def counted(project: Path) -> dict[str, str]:
    """The words of the example's lines, counted without Spark."""
    with open(project / "data" / "lines.csv", newline="") as file:
        lines = [row["line"].lower() for row in csv.DictReader(file)]
    return {word: str(n) for word, n in Counter(word for line in lines for word in re.findall("[a-z]+", line)).items()}


def cases() -> list:
    marks = {QUICKEST: [pytest.mark.smoke]}
    return [pytest.param(name, id=name.replace(" ", "-"), marks=marks.get(name, [])) for name in MASTERS]


@pytest.mark.parametrize("name", cases())
def test_the_example_runs_unchanged_on_each_master(errand, request, root, name):
    cluster, node, options, master = MASTERS[name]
    request.getfixturevalue(cluster)
    project = errand.cwd
    shutil.copytree(ROOT / "conf" / "examples" / "spark", project, dirs_exist_ok=True)
    errand.configure(bootstrap_uv=str(UV))
    if node:
        server = request.getfixturevalue(node)
        errand.add_target("node", *server.target_arguments(), "--kind", "spark", "--root", str(root))
    else:
        path = f"{headnode.HEAD.folder}/bin:{errand.env()['PATH']}"
        errand.more_env |= {**configuration.environment(), "PATH": path}
    result = errand.run("run", *options, "job.py", deadline_s=DEADLINE_S)
    assert result.code == 0, result
    driver, versions, rest = result.text.split("\n", 2)
    assert driver.startswith("errand: driver: Python 3."), result
    assert f", master {master}, " in versions
    assert versions.endswith(", numpy 1.26.4"), result
    assert rest == SAID
    shown = errand.show()
    assert shown["status"] == "Completed"
    assert shown["environment"]["kind"] == "packages"
    with open(errand.home / "state" / "runs" / shown["id"] / "outputs" / "counts.csv", newline="") as file:
        assert dict(csv.reader(file)) == counted(project)
