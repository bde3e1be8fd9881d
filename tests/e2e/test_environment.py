"""Environments on the node: built once by content, found in no time, whole or not there."""

import json
from pathlib import Path

import pytest
from support.environments import Environments, definition, environment, give_uv, is_sealed, pin, prepare_log
from support.packages import Index

SHOW = (
    "import json, os, sys, tiny\n"
    "print(json.dumps([tiny.__version__, sys.prefix, sys.executable, os.environ.get('VIRTUAL_ENV'), "
    "os.environ['PATH'].split(':')[0]]))\n"
)


@pytest.fixture
def index(tmp_path):
    one = Index(tmp_path / "index")
    yield one
    one.close()


@pytest.fixture
def envs(node, tmp_path):
    give_uv(node, tmp_path / "uv")
    return Environments(node)


@pytest.fixture(params=["uv", "pip"])
def builder(request):
    return request.param


def run_python(node, code, **changes):
    (node.project / "train.py").write_text(code)
    run = node.accept(framework="python", script="train.py", **changes)
    run.start()
    return run


def test_an_environment_is_built_and_the_next_run_finds_it(node, envs, index, builder):
    index.wheel("tiny", "1.0", requires=("other>=1",))
    index.wheel("other", "2.0")
    wish = environment(definition("tiny", index=index.url, builder=builder))
    first = run_python(node, SHOW, environment=wish)
    assert first.end(120)["state"] == "Completed", prepare_log(first)
    assert first.states() == ["Starting", "Preparing", "Running", "Completed"]
    made = pin(first)
    prefix = Path(made["prefix"])
    assert json.loads(first.log()) == ["1.0", str(prefix), str(prefix / "bin/python"), str(prefix), str(prefix / "bin")]
    assert made["is_reused"] is False
    assert made["unpinned"] == 1
    lock = (first.folder / "environment.lock").read_text()
    assert "tiny==1.0" in lock and "other==2.0" in lock
    assert is_sealed(prefix)
    assert "ready:" in prepare_log(first)
    [ready] = envs.ready()
    assert (ready["identity"], ready["build"]) == (made["identity"], made["build"])
    asked = len(index.asked)
    again = run_python(node, SHOW, environment=wish)
    assert again.end()["state"] == "Completed"
    assert again.states() == ["Starting", "Running", "Completed"]
    assert pin(again) == {**made, "is_reused": True, "spent_ms": 0}
    assert again.log() == first.log()
    assert len(index.asked) == asked
    assert (again.folder / "environment.lock").read_text() == lock


@pytest.mark.usefixtures("envs")
def test_the_running_line_says_which_environment_it_is(node, index):
    index.wheel("tiny")
    run = run_python(node, "import tiny\n", environment=environment(definition("tiny==1.0", index=index.url)))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    [line] = [line for line in run.journal() if line["state"] == "Running"]
    made = pin(run)
    assert line["environment"] == {key: made[key] for key in line["environment"]}
    assert line["environment"]["unpinned"] == 0
    assert line["environment"]["builder"].startswith("uv ")


def test_a_build_that_fails_says_why_and_leaves_its_log(node, envs, index):
    run = run_python(node, "", environment=environment(definition("nosuchpackage", index=index.url)))
    last = run.end(120)
    assert (last["state"], last["exit"]) == ("Failed", {"kind": "environment_failed"})
    assert "no package named nosuchpackage" in last["reason"]
    assert "nosuchpackage was not found" in prepare_log(run)
    [identity] = envs.identities()
    assert "nosuchpackage was not found" in (identity / "failed.log").read_text()
    assert not envs.builds()
    assert not envs.half_made()
