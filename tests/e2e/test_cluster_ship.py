"""What reaches a real cluster, and what comes home: HDFS, YARN and Spark of tests/rig."""

import hashlib
import os
import subprocess
import time
import uuid

import pytest
from rig import configuration, headnode
from rig import yarn as rig_yarn
from support.projects import write_files
from support.yarnruns import CONTEXT

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


@pytest.fixture
def base():
    """A folder in HDFS that is the test's own."""
    folder = f"/tmp/errand-test-{uuid.uuid4().hex}"
    yield folder
    hdfs("-rm", "-r", "-f", "-skipTrash", folder)


def modes(folder: str) -> list[str]:
    """Of all that is below a folder, and of itself."""
    text = hdfs("-ls", "-R", folder) + hdfs("-ls", "-d", folder)
    return [line.split()[0] for line in text.splitlines() if line[:1] in "d-"]


@pytest.mark.usefixtures("yarn")
def test_project_and_environment_reach_driver_and_executors_once(errand, yarn_node, index, base):
    index.wheel("tiny", "1.0")
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

    run()
    before = listed(base)
    assert sorted(path.split("/")[3] for path in before) == ["environments", "projects"]
    # Nobody else reads what is there, and YARN's nodes do, for this user.
    assert set(modes(base)) == {"drwx------", "-rw-------"}
    first = run()
    assert listed(base) == before
    assert "sent" not in errand.ok("logs", "--control", first).text
    hdfs("-rm", "-r", "-skipTrash", f"{base}/environments", f"{base}/projects")
    run()
    assert sorted(listed(base)) == sorted(before)


OUTPUTS = """
import hashlib, os
from pyspark.sql import SparkSession
SparkSession.builder.getOrCreate()
os.mkdir("outputs/empty")
assert os.environ["ERRAND_OUTPUTS"] == os.path.abspath("outputs")
for step in range(3):
    print('{"loss": %d, "step": %d}' % (step, step), file=open(os.environ["ERRAND_METRICS"], "a"))
with open("outputs/big", "wb") as file:
    for number in range(1 << 20):
        file.write(hashlib.sha512(b"%d" % number).digest())
open(b"outputs/od\\xffd n\\xc3\\xa4me\\n*", "w").write("odd")
"""


def test_outputs_come_home_whole(cluster, base):
    """64 MB, a name of any bytes, an empty folder, metrics; and nothing of them stays in the cluster."""
    shown = cluster.run(OUTPUTS, "--spark-base", base)
    assert shown["status"] == "Completed", shown["reason"]
    outputs = cluster.errand.home / "state" / "runs" / shown["id"] / "outputs"
    digest = hashlib.sha256()
    for number in range(1 << 20):
        digest.update(hashlib.sha512(b"%d" % number).digest())
    assert hashlib.sha256((outputs / "big").read_bytes()).digest() == digest.digest()
    assert {os.fsencode(path.name) for path in outputs.iterdir()} == {b"big", b"empty", b"od\xffd n\xc3\xa4me\n*"}
    assert list((outputs / "empty").iterdir()) == []
    (loss,) = cluster.errand.json("metrics", shown["id"])["metrics"]
    assert (loss["name"], loss["count"]) == ("loss", 3)
    assert "brings the outputs, 67 MB" in (outputs.parent / "engine").read_text(), "whoever waits is told"
    assert [path.split("/")[3] for path in listed(base)] == ["projects"]


SMALL = """
from pyspark.sql import SparkSession
import tiny
SparkSession.builder.getOrCreate()
print(tiny.__file__)
"""


@pytest.mark.usefixtures("yarn")
def test_ten_runs_of_two_controllers_make_and_send_one_environment(errand, make_errand, yarn_node, index, base):
    index.wheel("tiny", "1.0")
    # Three at once have room; the others wait in YARN's queue.
    config = f"framework: pyspark\nspark:\n  deploy_mode: cluster\n  base: {base}\n  driver_memory: 1800m\n"
    project = {"errand.yaml": config, "requirements.txt": f"--index-url {index.url}\ntiny\n", "job.py": SMALL}
    controllers = [errand, make_errand()]
    for one in controllers:
        write_files(one.cwd, project)
        one.add_target("node", *yarn_node.target_arguments())
    runs = [(one, one.submit("--target", "node", "job.py")) for _ in range(5) for one in controllers]
    for one, run in runs:
        one.run("follow", run, deadline_s=600)
    assert {one.show(run)["reason"] for one, run in runs} == {"exited with status 0"}
    assert all("/environment/tiny" in one.ok("logs", run).text for one, run in runs)
    said = [one.ok("logs", log, run).text for one, run in runs for log in ("--prepare", "--control")]
    assert sum(text.count("sent the environment") for text in said) == 1
    assert sum(text.count("sent the project") for text in said) == 1
    assert sorted(path.split("/")[3] for path in listed(base)) == ["environments", "projects"]
    assert len(errand.json("env", "list", "--target", "node")["environments"]) == 1
    assert all(len(rig_yarn.apps(f"errand-{run}-1")) == 1 for _, run in runs)


def test_gc_leaves_what_another_node_uses_and_takes_what_was_left(cluster, yarn, base):
    """An archive's time of access says that somebody uses it, and is not the time by which YARN knows it."""
    day_ms = 24 * 3600 * 1000
    shown = cluster.run(CONTEXT, "--spark-base", base)
    assert shown["status"] == "Completed", shown["reason"]
    ((archive, _),) = listed(base).items()
    changed = yarn.hdfs_list(archive)[0]["modificationTime"]
    left = [
        f"{base}/projects/.tmp.killed.x.tar",
        f"{base}/outputs/killed-1.tar",
        f"{base}/outputs/killed-2.tar.tmp",
    ]
    for path in left:
        yarn.hdfs_write(path, b"half")
    used = int(time.time() * 1000)
    for path in [*left, archive]:
        yarn.hdfs_set_times(path, used - 300 * day_ms)
    node = next((cluster.errand.home / "state" / "local" / "shipped").glob("*/projects+*.tar"))
    os.utime(node, (0, 0))
    # The next run uses it: that is seen there. So another node's garbage collection would leave it.
    cluster.run(CONTEXT, "--spark-base", base)
    assert yarn.hdfs_list(archive)[0]["accessTime"] >= used - day_ms
    assert yarn.hdfs_list(archive)[0]["modificationTime"] == used - 300 * day_ms != changed
    os.utime(node, (0, 0))
    cluster.errand.ok("node", "gc", "local")
    assert list(listed(base)) == [archive]
    yarn.hdfs_set_times(archive, used - 300 * day_ms)
    cluster.errand.ok("node", "gc", "local")
    assert listed(base) == {}


def test_an_environment_that_is_removed_goes_from_the_cluster(cluster, index, base):
    index.wheel("tiny", "1.0")
    write_files(cluster.folder, {"requirements.txt": f"--index-url {index.url}\ntiny\n"})
    (cluster.folder / "errand.yaml").write_text(f"framework: pyspark\nspark:\n  base: {base}\n")
    cluster.errand.ok("env", "prepare", deadline_s=300)
    ((archive, _),) = listed(base).items()
    assert archive.startswith(f"{base}/environments/")
    identity = archive.removeprefix(f"{base}/environments/").partition("-")[0]
    cluster.errand.ok("env", "remove", identity)
    assert listed(base) == {}
