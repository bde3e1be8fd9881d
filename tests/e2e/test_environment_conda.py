"""Conda environments by micromamba, mamba or conda; against a stand-in (support/conda_standin.py)."""

import hashlib
from pathlib import Path

import pytest
from support.conda import Conda
from support.environments import definition, environment, is_sealed, pin, prepare_log, run_python

SHOW = (
    "import os, sys\n"
    "print(sys.prefix, os.environ['CONDA_PREFIX'], os.environ['PATH'].split(':')[0], 'VIRTUAL_ENV' in os.environ)\n"
)


class NodeConda(Conda):
    """The node has it."""

    def __init__(self, node, folder: Path) -> None:
        super().__init__(folder)
        node.environment["PATH"] = f"{self.bin}:{node.environment['PATH']}"

    def wish(self, *specs: str, **changes) -> dict:
        channels = [f"file://{self.channel}", "nodefaults"]
        return definition(
            kind="conda",
            source="environment.yml",
            conda=sorted(specs),
            channels=channels,
            builder="micromamba",
            **changes,
        )


@pytest.fixture
def conda(node, tmp_path) -> NodeConda:
    return NodeConda(node, tmp_path)


def test_conda_packages_make_an_environment_that_the_next_run_finds(node, envs, conda):
    wish = environment(conda.wish("python=3.11", "tinyapp"))
    first = run_python(node, SHOW, environment=wish)
    assert first.end(120)["state"] == "Completed", prepare_log(first)
    made = pin(first)
    prefix = made["prefix"]
    assert first.log().split() == [prefix, prefix, f"{prefix}/bin", "False"]
    assert (made["kind"], made["activation"], made["packages"], made["python"]) == ("conda", "conda", 2, "3.11.7")
    assert made["builder"] == "micromamba 2.8.1"
    lines = [
        f"file://{conda.channel / name}#{hashlib.md5(name.encode()).hexdigest()}"
        for name in ("python-3.11.7", "tinyapp-1.0")
    ]
    assert (first.folder / "environment.lock").read_text().splitlines() == ["@EXPLICIT", *lines]
    assert is_sealed(Path(prefix))
    [[argv, variables]] = conda.calls()
    head = ["create", "-y", "-p", prefix, "--no-rc", "--override-channels", "-c", f"file://{conda.channel}"]
    assert argv == [*head, "python=3.11", "tinyapp"]
    assert variables["MAMBA_ROOT_PREFIX"].startswith(str(node.root / "envs/cache"))
    assert variables["CONDA_PREFIX"] is None
    again = run_python(node, SHOW, environment=wish)
    assert again.end()["state"] == "Completed"
    assert again.states() == ["Starting", "Running", "Completed"]
    assert len(conda.calls()) == 1
    assert len(envs.ready()) == 1


def test_the_pip_part_is_installed_beside_and_recorded(node, index, conda):
    index.wheel("tiny")
    wish = conda.wish("python", "pip", requirements=["tiny==1.0"], options=[f"--index-url {index.url}"])
    run = run_python(node, "import tiny\nprint(tiny.__version__)\n", environment=environment(wish))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert run.log() == "1.0\n"
    assert "# pip: tiny==1.0" in (run.folder / "environment.lock").read_text().splitlines()
    assert pin(run)["packages"] >= 3


@pytest.mark.usefixtures("envs")
def test_a_pip_part_without_pip_is_told(node, index, conda):
    index.wheel("tiny")
    wish = conda.wish("python", requirements=["tiny==1.0"], options=[f"--index-url {index.url}"])
    last = run_python(node, "", environment=environment(wish)).end(120)
    assert last["exit"] == {"kind": "environment_failed"}
    assert "has no pip" in last["reason"]
    assert "add pip to the conda dependencies" in last["reason"]


def test_a_package_that_no_channel_has_is_told(node, envs, conda):
    run = run_python(node, "", environment=environment(conda.wish("python", "nosuchpkg")))
    last = run.end(120)
    assert last["exit"] == {"kind": "environment_failed"}
    assert "no conda channel has a package nosuchpkg" in last["reason"]
    assert "nosuchpkg =* * does not exist" in prepare_log(run)
    assert not envs.builds()


def test_what_a_failed_solver_left_half_built_is_removed(node, envs, conda):
    conda.add("huge-1.0", "broken")
    last = run_python(node, "", environment=environment(conda.wish("huge", "python"))).end(120)
    assert "the node's disk is full" in last["reason"]
    assert not envs.builds()
    assert not envs.half_made()
    conda.add("huge-1.0", "whole")
    again = run_python(node, "print(1)\n", environment=environment(conda.wish("huge", "python")))
    assert again.end(120)["state"] == "Completed", prepare_log(again)


def test_packages_without_python_are_told(node, conda):
    last = run_python(node, "", environment=environment(conda.wish("tinyapp"))).end(120)
    assert "the conda packages bring no Python" in last["reason"]


def test_a_node_without_conda_says_what_to_install(node, conda):
    (conda.bin / "micromamba").unlink()
    node.environment["HOME"] = str(conda.bin)
    last = run_python(node, "", environment=environment(conda.wish("python"))).end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "install micromamba" in last["reason"]
