"""Environments on a Livy's cluster: built here for a Python that is there, sent once."""

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.conda import Conda
from support.environments import UV, other_python
from support.errand import Errand
from support.livy import Livy, add
from support.packages import Index, make_sdist
from support.projects import write_files
from support.waiting import wait_for

SECONDS = 60
JOB = "import sys, tiny\nprint('tiny', tiny.__version__, 'from', tiny.__file__)\n"
BACKEND = """import os, zipfile
assert "ERRAND_LIVY_PASSWORD" not in os.environ, "the password is none of a build's"
def build_wheel(folder, settings=None, metadata=None):
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, "tiny-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("tiny.py", "__version__ = 'built'")
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return "tiny-1.0-py3-none-any.whl"
"""


@pytest.fixture
def livy(make_livy: Callable[..., Livy], errand: Errand, tmp_path: Path) -> Livy:
    """The target `web` of errand, which has uv."""
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv").symlink_to(UV)
    errand.more_env["PATH"] = f"{tmp_path / 'uv'}:{os.environ['PATH']}"
    return add(errand, make_livy())


def write(project: Path, index: Index, *lines: str, job: str = JOB) -> None:
    (project / "job.py").write_text(job)
    (project / "requirements.txt").write_text("\n".join([f"--index-url {index.url}", *lines, ""]))


def log(errand: Errand, name: str) -> str:
    return (errand.home / "state" / "local" / "runs" / errand.last_run() / name).read_text()


def archives(livy: Livy) -> list[Path]:
    return list((livy.files / "errand" / "environments").iterdir())


def test_packages_reach_the_driver_and_are_sent_once(errand: Errand, livy: Livy, project: Path, index: Index):
    index.wheel("tiny", "1.5", requires=("other",))
    index.wheel("other", "2.0")
    write(project, index, "tiny", job=JOB + "import other\n")
    assert "not known yet" in errand.ok("target", "check", "web").text
    first = errand.ok("run", "--target", "web", "job.py")
    assert "tiny 1.5 from" in first.text
    assert "Python 3.11" in errand.ok("target", "check", "web").text
    assert "asking the cluster which Python it has" in log(errand, "prepare.log")
    assert "sent the environment to the cluster" in log(errand, "prepare.log")
    asked, [sent] = len(index.asked), archives(livy)
    again = errand.ok("run", "--target", "web", "job.py")
    assert "tiny 1.5 from" in again.text
    assert len(index.asked) == asked
    assert archives(livy) == [sent]
    assert "sent" not in log(errand, "prepare.log")
    question, *jobs = livy.posts
    assert question["name"].endswith("-1-python")
    for job in jobs:
        assert job["archives"][1] == f"file://{sent}#environment"
        assert job["conf"]["spark.executorEnv.PYTHONPATH"] == "./project:./environment"
    assert not list((livy.files / "errand" / "runs").iterdir())
    with tarfile.open(sent) as archive:
        assert "other.py" in archive.getnames()


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_cancel_ends_the_batch_that_asks_for_the_python(
    errand: Errand, livy: Livy, project: Path, index: Index, tmp_path: Path, is_answered: bool
):
    """It has the time to, though Livy is slow to delete it and the cancel is in a hurry."""
    index.wheel("tiny")
    write(project, index, "tiny")
    gate = tmp_path / "gate"
    livy.says = f"import os, threading\nwhile not os.path.exists({str(gate)!r}):\n    threading.Event().wait(0.1)\n"
    livy.faults = [("DELETE", 503)] * 4 + ([] if is_answered else [("POST", "silent")])
    run = errand.submit("--target", "web", "job.py")
    wait_for(lambda: livy.batches, "the question", SECONDS)
    if is_answered:
        wait_for(lambda: "batch 0 of Livy" in log(errand, "prepare.log"), "Livy's answer", SECONDS)
    errand.ok("cancel", "--grace", "0s", run)
    assert errand.show(run)["status"] == "Canceled"
    assert not livy.batches
    assert "canceled: Livy has no such batch any more" in log(errand, "prepare.log")
    gate.touch()


def test_the_drivers_machine_unpacks_it_once(errand: Errand, livy: Livy, project: Path, index: Index):
    index.wheel("tiny")
    write(project, index, "tiny", job="import os, tiny\nprint('inode', os.stat(tiny.__file__).st_ino, tiny.__file__)\n")
    first, again = (errand.ok("run", "--target", "web", "job.py").text.partition("inode")[2] for _ in range(2))
    assert first == again
    assert f"{livy.env['HOME']}/.cache/errand/environments/" in first


def test_it_can_be_prepared_before(errand: Errand, livy: Livy, project: Path, index: Index):
    index.wheel("tiny")
    write(project, index, "tiny")
    errand.ok("env", "prepare", "--target", "web")
    assert len(archives(livy)) == 1
    asked = len(index.asked)
    assert "tiny 1.0" in errand.ok("run", "--target", "web", "job.py").text
    assert len(index.asked) == asked
    assert [one["name"].endswith("-python") for one in livy.posts] == [True, False]


def test_it_is_built_for_the_clusters_python(errand: Errand, livy: Livy, project: Path, index: Index):
    """Which nothing on this machine is: another version, an older C library."""
    for tag in ("cp37-cp37m-manylinux_2_17_x86_64", "cp37-cp37m-manylinux_2_28_x86_64", "cp311-cp311-linux_x86_64"):
        index.wheel("tiny", tag=tag, code=f"tag = {tag!r}\n")
    livy.pretend("3.7.9", "glibc 2.27")
    write(project, index, "tiny; python_version < '3.8'", job="import tiny\nprint(tiny.tag)\n")
    result = errand.ok("run", "--target", "web", "job.py")
    assert "cp37-cp37m-manylinux_2_17_x86_64" in result.text
    shown = errand.show(errand.last_run())
    assert shown["environment"]["python"] == "3.7.9"
    assert shown["environment"]["packages"] == 1


def test_a_lock_is_built_for_the_clusters_python_too(errand: Errand, livy: Livy, project: Path, index: Index):
    index.wheel("tiny", tag="cp37-cp37m-manylinux_2_17_x86_64", code="tag = 'for 3.7'\n")
    (project / "job.py").write_text("import tiny\nprint(tiny.tag)\n")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "job"\nversion = "1"\nrequires-python = ">=3.7"\ndependencies = ["tiny"]\n'
        f'[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
    )
    subprocess.run([UV, "lock", "-q", "--no-python-downloads"], cwd=project, check=True)
    livy.pretend("3.7.9", "glibc 2.27")
    result = errand.ok("run", "--target", "web", "job.py")
    assert "for 3.7" in result.text
    assert errand.show(errand.last_run())["environment"]["packages"] == 1


def test_a_cluster_that_changed_its_python_is_told_and_built_for(
    errand: Errand, livy: Livy, project: Path, index: Index
):
    index.wheel("tiny")
    write(project, index, "tiny")
    errand.ok("run", "--target", "web", "job.py")
    livy.pretend("3.7.9", "glibc 2.27")
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "was built for Python 3.11, and the cluster's driver has Python 3.7.9" in result.errors
    assert "run it again" in result.errors
    assert "tiny 1.0" in errand.ok("run", "--target", "web", "job.py").text


def test_a_python_that_is_named_need_not_be_asked_for(errand: Errand, livy: Livy, project: Path, index: Index):
    index.wheel("tiny")
    write(project, index, "tiny")
    (project / "errand.yaml").write_text("environment: {requirements: requirements.txt, python: '3.9'}\n")
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "was built for Python 3.9, and the cluster's driver has Python 3.11" in result.errors
    assert "`python`" in result.errors
    assert len(livy.posts) == 1
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "the environment is for Python ==3.9.*" in result.errors
    assert len(livy.posts) == 1


@pytest.mark.parametrize("wish", ["3", "3.7.9"])
def test_a_python_that_is_named_too_shortly_or_exactly_is_asked_for(
    errand: Errand, livy: Livy, project: Path, index: Index, wish: str
):
    """Neither says which Python the cluster has: its series, or its patch level, is still to be known."""
    index.wheel("tiny")
    write(project, index, "tiny")
    (project / "errand.yaml").write_text(f"environment: {{requirements: requirements.txt, python: '{wish}'}}\n")
    livy.pretend("3.7.9", "glibc 2.27")
    assert "tiny 1.0" in errand.ok("run", "--target", "web", "job.py").text
    assert errand.show(errand.last_run())["environment"]["python"] == "3.7.9"
    assert [one["name"].endswith("-python") for one in livy.posts] == [True, False]


def test_the_question_goes_to_the_python_that_comes_in_an_archive(
    errand: Errand, livy: Livy, project: Path, index: Index
):
    index.wheel("tiny")
    write(project, index, "tiny")
    archive = "hdfs:///envs/py.tar.gz#env"
    (project / "errand.yaml").write_text("environment: {requirements: requirements.txt}\n")
    words = ["--archives", archive, "--interpreter", "./env/bin/python"]
    assert "tiny 1.0" in errand.ok("run", "--target", "web", *words, "job.py").text
    question, job = livy.posts
    assert question["archives"] == [archive]
    assert question["conf"]["spark.pyspark.python"] == "./env/bin/python"
    assert job["archives"][0] == archive


def test_why_the_question_could_not_start_is_told(errand: Errand, livy: Livy, project: Path, index: Index):
    write(project, index, "tiny")
    livy.says = "raise SystemExit('Error: the queue ml takes nobody')\n"
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "Error: the queue ml takes nobody" in result.errors
    assert "takes nobody" in log(errand, "question.log")


def test_why_an_environment_cannot_be_put_there_is_told(
    errand: Errand, livy: Livy, project: Path, index: Index, tmp_path: Path
):
    """It is not taken for one that has to be packed first."""
    index.wheel("tiny")
    write(project, index, "tiny")
    (livy.files / "errand").mkdir()
    (livy.files / "errand" / "environments").symlink_to(tmp_path / "nowhere")
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "/environments/" in result.errors
    assert "No such file or directory" in result.errors


@pytest.mark.usefixtures("livy")
def test_what_a_build_starts_does_not_see_the_password(errand: Errand, project: Path, index: Index):
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    about = '[project]\nname = "tiny"\nversion = "1.0"\n'
    make_sdist(index.folder, "tiny", "1.0", {"pyproject.toml": about + system, "backend.py": BACKEND})
    write(project, index, "tiny")
    assert "tiny built" in errand.ok("run", "--target", "web", "job.py").text


def test_what_cannot_reach_a_cluster_is_refused_before_anything_is_sent(errand: Errand, livy: Livy, project: Path):
    (project / "job.py").write_text("")
    (project / "errand.yaml").write_text("environment: {image: python}\n")
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "kind image does not reach a Livy's cluster" in result.errors
    assert not livy.posts


# ---- Environments with a Python of their own


@pytest.fixture
def conda(errand: Errand, tmp_path: Path) -> Conda:
    """This machine has one, and its channel a Python of another version than the cluster's."""
    found = Conda(tmp_path)
    found.add_python(*other_python())
    found.add_module("tiny")
    errand.more_env["PATH"] = f"{found.bin}:{errand.env()['PATH']}"
    return found


WHOLE = """
import os, shutil, subprocess, sys, tiny
print("script", "%d.%d.%d" % sys.version_info[:3], sys.prefix == os.environ["CONDA_PREFIX"], "/envs/" in sys.prefix)
print("executors", os.environ["PYSPARK_PYTHON"], shutil.which("short") == sys.prefix + "/bin/short")
"""


def test_a_conda_environment_brings_its_python(errand: Errand, livy: Livy, project: Path, conda: Conda):
    version = other_python()[1]
    livy.pretend("3.7.9", "glibc 2.27")
    write_files(project, {"environment.yml": conda.file(f"python={version}", "tiny"), "job.py": WHOLE})
    result = errand.ok("run", "--target", "web", "job.py")
    assert f"script {version} True False" in result.text
    assert "executors ./environment/bin/python True" in result.text
    assert f"errand: driver: Python {version}, " in result.text
    asked, job = livy.posts
    assert asked["name"].endswith("-1-python")
    assert job["archives"][1] == f"file://{archives(livy)[0]}#environment"
    assert job["conf"]["spark.executorEnv.PYTHONPATH"] == "./project"
    [[_, variables]] = conda.calls()
    assert variables["CONDA_OVERRIDE_GLIBC"] == "2.27"
    # The cluster's own Python may change: it has no part in the script.
    livy.pretend("3.9.1", "glibc 2.27")
    assert f"script {version} True False" in errand.ok("run", "--target", "web", "job.py").text
    assert len(conda.calls()) == len(archives(livy)) == 1


def test_conda_s_wheels_for_a_newer_c_library_do_not_reach_a_cluster(
    errand: Errand, livy: Livy, project: Path, index: Index, conda: Conda
):
    index.wheel("small")
    conda.add("python-2.9.9")
    livy.pretend("3.7.9", "glibc 2.2")
    pip = f"  - pip:\n    - --index-url {index.url}\n    - small\n"
    files = {"environment.yml": conda.file("python=2.9.9", "pip", "tiny") + pip, "job.py": ""}
    write_files(project, files)
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "pip's packages are for this machine's glibc " in result.errors
    assert "and the cluster's is 2.2" in result.errors
    assert not (livy.files / "errand" / "environments").exists()


def test_conda_s_packages_are_for_a_cluster_with_glibc(errand: Errand, livy: Livy, project: Path, conda: Conda):
    livy.pretend("3.7.9", None)  # musl has no such word
    write_files(project, {"environment.yml": conda.file("python", "tiny"), "job.py": ""})
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "a conda environment is for the machine that it is built on" in result.errors
    assert not conda.calls()
