"""What executors elsewhere get of project and environment, over a Spark without a JVM (spark_standin.py) and a cluster
whose file system is a folder."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from support import spark_standin
from support.conda import Conda
from support.environments import other_python
from support.projects import write_files


@pytest.fixture
def spark(errand, tmp_path):
    """A Spark in the node's PATH; its cluster's folder is .base."""
    home = spark_standin.install(tmp_path / "spark")
    (home / "conf" / "spark-env.sh").write_text("")

    class Spark:
        base = tmp_path / "cluster"

        def told(self) -> dict:
            return json.loads((home / "told.json").read_text())

        def run(self, *words: str, script: str = "job.py", master: str = "yarn", **keywords):
            options = ["--framework", "pyspark", "--master", master, "--deploy-mode", "client"]
            return errand.run("run", *options, "--spark-base", f"file://{self.base}", *words, script, **keywords)

        def files(self) -> dict[str, int]:
            found = [path for path in self.base.rglob("*") if path.is_file()]
            return {str(path.relative_to(self.base)): path.stat().st_mtime_ns for path in found}

        def has_environment(self) -> bool:
            return any(name.startswith("environments/") for name in self.files())

        def archives(self) -> dict[str, Path]:
            """By alias."""
            words = [word.split("#") for word in self.told()["options"]["--archives"].split(",")]
            return {alias: Path(uri.removeprefix("file://")) for uri, alias in words}

    path = f"{home}/bin:{errand.env()['PATH']}"
    errand.more_env.update(PATH=path, JAVA_HOME=str(home / "java"))
    write_files(errand.cwd, {"job.py": "import helper\n", "helper.py": "", "data/x": "data"})
    return Spark()


def control_log(errand) -> str:
    return errand.ok("logs", "--control", errand.show()["id"]).text


def test_executors_elsewhere_get_the_project_once(errand, spark):
    assert spark.run().code == 0
    project = spark.archives()["project"]
    with tarfile.open(project) as archive:
        assert {"data", "data/x", "helper.py", "job.py"} < set(archive.getnames())
    assert spark.told()["conf"]["spark.executorEnv.PYTHONPATH"] == "./project"
    assert "sent the project, " in control_log(errand)
    before = spark.files()
    assert spark.run().code == 0
    assert spark.files() == before
    assert "sent" not in control_log(errand)


def test_what_vanished_from_the_cluster_is_sent_again(errand, spark):
    assert spark.run().code == 0
    spark.archives()["project"].unlink()
    assert spark.run().code == 0, errand.show()
    assert spark.archives()["project"].exists()


def test_a_link_that_leads_out_of_the_project_is_told(errand, spark):
    (errand.cwd / "elsewhere").symlink_to("/etc")
    assert spark.run().code == 0
    with tarfile.open(spark.archives()["project"]) as archive:
        assert "elsewhere" not in archive.getnames()
    assert "elsewhere is a link to /etc, which is no part of the project" in control_log(errand)


def test_a_local_master_gets_nothing(errand, spark):
    assert errand.run("run", "--framework", "pyspark", "--master", "local[1]", "job.py").code == 0
    assert spark.files() == {}
    assert "--archives" not in spark.told()["options"]


def test_the_environment_goes_once_and_is_on_the_path(errand, spark, index):
    index.wheel("tiny", "1.0")
    write_files(errand.cwd, {"requirements.txt": f"--index-url {index.url}\ntiny\n", "job.py": "import tiny\n"})
    assert spark.run().code == 0, errand.show()
    with tarfile.open(spark.archives()["environment"]) as archive:
        names = archive.getnames()
    assert "tiny/__init__.py" in names or "tiny.py" in names
    assert not [name for name in names if name.startswith("pip/")]
    assert spark.told()["conf"]["spark.executorEnv.PYTHONPATH"] == "./project:./environment"
    prepared = errand.ok("logs", "--prepare", errand.show()["id"]).text
    assert "packed the environment for the cluster" in prepared
    assert "sent the environment" in prepared
    before = spark.files()
    assert spark.run().code == 0
    assert spark.files() == before
    assert errand.run("logs", "--prepare", errand.show()["id"]).text == ""


def test_a_pyspark_of_the_environment_stays_here(errand, spark, index):
    """It is there for a machine without Spark; the cluster has its own, perhaps another version."""
    index.wheel("tiny", "1.0")
    index.wheel("pyspark", "9.0", requires=("py4j",), is_folder=True)
    index.wheel("py4j", "9.0", is_folder=True)
    wish = f"{{packages: [tiny, pyspark], index: '{index.url}', imports: [tiny, pyspark]}}"
    write_files(errand.cwd, {"errand.yaml": f"environment: {wish}\n", "job.py": "import tiny\n"})
    assert spark.run().code == 0, errand.show()
    with tarfile.open(spark.archives()["environment"]) as archive:
        names = {name.split("/")[0] for name in archive.getnames()}
    assert "tiny.py" in names
    assert not [name for name in names if name.startswith(("pyspark", "py4j"))]


def test_an_environment_that_is_new_to_the_cluster_is_sent_in_the_prepare_stage(errand, spark, index):
    """It was built by a run that had nothing to do with a cluster."""
    index.wheel("tiny", "1.0")
    write_files(errand.cwd, {"requirements.txt": f"--index-url {index.url}\ntiny\n", "job.py": "import tiny\n"})
    assert errand.run("run", "--framework", "pyspark", "--master", "local[1]", "job.py").code == 0
    assert spark.run().code == 0
    assert "sent the environment" in errand.ok("logs", "--prepare", errand.show()["id"]).text
    assert "pip" not in errand.ok("logs", "--prepare", errand.show()["id"]).text


def test_a_python_that_is_not_there_is_said_before_anything_is_built(errand, spark, index):
    index.wheel("tiny", "1.0")
    config = "environment:\n  requirements: requirements.txt\n  python: '2.6'\n"
    requirements = f"--index-url {index.url}\ntiny\n"
    write_files(errand.cwd, {"errand.yaml": config, "requirements.txt": requirements})
    result = spark.run()
    assert result.code == 125
    assert "no Python on the node fits ==2.6.*" in result.errors
    assert spark.files() == {}


def test_env_prepare_does_it_beforehand(errand, spark, index):
    index.wheel("tiny", "1.0")
    config = f"framework: pyspark\nspark:\n  master: yarn\n  deploy_mode: client\n  base: file://{spark.base}\n"
    requirements = f"--index-url {index.url}\ntiny\n"
    job = {"errand.yaml": config, "requirements.txt": requirements, "job.py": "import tiny\n"}
    write_files(errand.cwd, job)
    assert "sent the environment" in errand.ok("env", "prepare").errors
    (environment,) = spark.files()
    assert environment.startswith("environments/")
    before = spark.files()
    assert spark.run().code == 0
    assert spark.files().items() >= before.items()
    assert errand.run("logs", "--prepare", errand.show()["id"]).text == ""


def test_many_first_uses_make_and_send_one_environment(errand, make_errand, make_sshd, spark, index):
    """Those of two controllers, which meet on one node."""
    index.wheel("tiny", "1.0")
    server = make_sshd(env={name: errand.more_env[name] for name in ("PATH", "JAVA_HOME")})
    config = f"framework: pyspark\nspark:\n  master: yarn\n  deploy_mode: client\n  base: file://{spark.base}\n"
    job = {"errand.yaml": config, "requirements.txt": f"--index-url {index.url}\ntiny\n"}
    controllers = [errand, make_errand()]
    for one in controllers:
        write_files(one.cwd, job)
        one.add_target("node", *server.target_arguments())
    started = [one.start("env", "prepare", "--target", "node") for one in controllers for _ in range(5)]
    said = [one.finish(280) for one in started]
    assert [one.code for one in said] == [0] * 10, said
    assert sum("sent the environment" in one.errors for one in said) == 1
    (environment,) = spark.files()
    assert environment.startswith("environments/")


# ---- Environments with a Python of their own


@pytest.fixture
def conda(errand, tmp_path) -> Conda:
    """The node has one, and a Python of another version than the cluster's in its channel."""
    found = Conda(tmp_path)
    errand.more_env["PATH"] = f"{found.bin}:{errand.env()['PATH']}"
    executable, version = other_python()
    found.add_python(executable, version)
    found.add_module("tiny")
    return found


def said_by(*words: Path | str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


def test_a_conda_environment_goes_whole_and_works_where_it_is_unpacked(errand, spark, conda, tmp_path):
    executable, version = other_python()
    job = "import sys, tiny\nprint('driver', sys.prefix, '%d.%d.%d' % sys.version_info[:3])\n"
    write_files(errand.cwd, {"environment.yml": conda.file(f"python={version}", "tiny"), "job.py": job})
    result = spark.run()
    assert result.code == 0, errand.show()
    _, prefix, driver = next(line for line in result.text.splitlines() if line.startswith("driver ")).split()
    assert driver == version
    told = spark.told()
    assert told["conf"]["spark.pyspark.python"] == told["environment"]["PYSPARK_PYTHON"] == "./environment/bin/python"
    assert told["conf"]["spark.executorEnv.PYTHONPATH"] == "./project"
    before = spark.files()
    assert spark.run().code == 0
    assert spark.files() == before
    # Of another node, which has nothing but the archive.
    unpacked = tmp_path / "environment"
    with tarfile.open(spark.archives()["environment"]) as archive:
        assert [one.name for one in archive if one.issym() and one.linkname.startswith("/")] == []
        archive.extractall(unpacked)
    Path(prefix).rename(tmp_path / "away")
    assert said_by(unpacked / "bin" / "python", "-c", "import sys, tiny\nprint(sys.prefix)") == str(unpacked)
    assert said_by(unpacked / "bin" / "short") == said_by(unpacked / "bin" / "long") == str(unpacked)


def test_a_conda_environment_whose_python_lies_elsewhere_is_refused_before_anything_starts(errand, spark, conda):
    conda.add("python-2.9.9")  # a virtual environment's
    write_files(errand.cwd, {"environment.yml": conda.file("python=2.9.9", "tiny")})
    result = spark.run()
    assert result.code == 125
    assert "bin/python is a link that leads out of it" in result.errors
    assert not spark.has_environment()


def test_what_works_only_where_it_was_built_is_refused(errand, spark, conda):
    conda.add_module("bound", "import sys\nassert '/envs/' in sys.prefix, 'lost ' + sys.prefix\n")
    text = conda.file(f"python={other_python()[1]}", "bound")
    config = "environment: {conda: environment.yml, imports: [bound]}\n"
    write_files(errand.cwd, {"environment.yml": text, "errand.yaml": config})
    result = spark.run()
    assert result.code == 125
    assert "the environment does not work once it is moved" in result.errors
    assert "bound cannot be imported: AssertionError: lost" in result.errors
    assert not spark.has_environment()


def test_on_one_machine_a_conda_environment_stays_where_it_is(errand, spark, conda):
    write_files(errand.cwd, {"environment.yml": conda.file("python", "tiny"), "job.py": "import tiny\n"})
    assert errand.run("run", "--framework", "pyspark", "--master", "local[1]", "job.py").code == 0
    assert spark.files() == {}
    assert "/envs/" in spark.told()["environment"]["PYSPARK_PYTHON"]
    # Spark's own unpacking, which all masters but YARN have, leaves nothing that can be executed.
    assert spark.run(master="spark://localhost:7077").code == 0
    assert not spark.has_environment()
    assert "/envs/" in spark.told()["environment"]["PYSPARK_PYTHON"]


def test_an_interpreter_in_an_archive_is_for_executors(errand, spark, tmp_path):
    """In client mode: on this node it is not unpacked, and the driver has the cluster's Python."""
    (tmp_path / "py.tar.gz").touch()
    archive = f"file://{tmp_path}/py.tar.gz#env"
    write_files(errand.cwd, {"job.py": "import sys\nprint(sys.executable)\n"})
    result = spark.run("--archives", archive, "--interpreter", "./env/bin/python")
    told = spark.told()
    assert told["conf"]["spark.pyspark.python"] == told["environment"]["PYSPARK_PYTHON"] == "./env/bin/python"
    assert archive in told["options"]["--archives"].split(",")
    assert result.code == 0, result
