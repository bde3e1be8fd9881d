"""Environments on the node: built once by content, found in no time, whole or not there."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.environments import (
    UV,
    Environments,
    definition,
    environment,
    is_sealed,
    other_pythons,
    pin,
    prepare_log,
    run_python,
)
from support.errand import MARK
from support.packages import make_wheel
from support.supervision import EXECUTOR, Node, Run
from support.waiting import wait_for
from support.wire import Snapshot

SHOW = (
    "import json, os, sys, tiny\n"
    "print(json.dumps([tiny.__version__, sys.prefix, sys.executable, os.environ.get('VIRTUAL_ENV'), "
    "os.environ['PATH'].split(':')[0]]))\n"
)


@pytest.fixture(params=["uv", "pip"])
def builder(request):
    return request.param


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
    digests = {
        path.name.split("-")[0]: hashlib.sha256(path.read_bytes()).hexdigest() for path in index.folder.iterdir()
    }
    assert lock == (
        f"other==2.0 \\\n    --hash=sha256:{digests['other']}\ntiny==1.0 \\\n    --hash=sha256:{digests['tiny']}\n"
    )
    assert made["packages"] == 2
    assert is_sealed(prefix)
    assert "ready:" in prepare_log(first)
    [ready] = envs.ready()
    assert (ready["identity"], ready["build"]) == (made["identity"], made["build"])
    asked = len(index.asked)
    again = run_python(node, SHOW, environment=wish)
    assert again.end()["state"] == "Completed"
    assert again.states() == ["Starting", "Running", "Completed"]
    found = pin(again)
    assert found == {**made, "is_reused": True, "spent_ms": found["spent_ms"]}
    assert 0 <= found["spent_ms"] < made["spent_ms"]
    assert again.log() == first.log()
    assert len(index.asked) == asked
    assert (again.folder / "environment.lock").read_text() == lock


@pytest.mark.usefixtures("envs")
def test_what_pip_warns_of_is_no_package(node, index):
    """What its Python says on standard error stood in the lock, and was counted."""
    wheel = index.wheel("tiny")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(
            "noise.pth", "import sys; sys.stderr.write('WARNING: Ignoring invalid distribution -umpy\\n')\n"
        )
    run = run_python(node, "", environment=environment(definition("tiny", index=index.url, builder="pip")))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (run.folder / "environment.lock").read_text() == f"tiny==1.0 \\\n    --hash=sha256:{digest}\n"
    assert pin(run)["packages"] == 1


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
    assert "no package nosuchpackage" in last["reason"]
    assert "nosuchpackage was not found" in prepare_log(run)
    [identity] = envs.identities()
    assert "nosuchpackage was not found" in (identity / "failed.log").read_text()
    assert not envs.builds()
    assert not envs.half_made()


# ---- an environment that is there already


def make_venv(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def existing(**location: str) -> dict:
    return definition(kind="existing", source=next(iter(location.values())), location=location)


def test_a_virtual_environment_of_the_users_is_used_as_it_is(node, tmp_path):
    venv = make_venv(tmp_path / "own")
    before = sorted(venv.rglob("*"))
    code = "import os, sys\nprint(sys.prefix, os.environ['VIRTUAL_ENV'], os.environ['PATH'].split(':')[0])\n"
    for states in (["Starting", "Preparing", "Running", "Completed"], ["Starting", "Running", "Completed"]):
        run = run_python(node, code, environment=environment(existing(venv=str(venv))))
        assert run.end()["state"] == "Completed"
        assert run.states() == states
        assert run.log().split() == [str(venv), str(venv), str(venv / "bin")]
        assert pin(run)["kind"] == "existing"
        assert pin(run)["is_reused"] is True
    assert sorted(venv.rglob("*")) == before


def test_an_interpreter_of_the_nodes_is_used_by_path_and_checked(node):
    python = os.path.realpath(sys.executable)
    code = "import sys\nprint(sys.executable)\n"
    run = run_python(node, code, environment=environment(existing(interpreter=python)))
    assert run.end()["state"] == "Completed"
    assert run.log().strip() == python
    wish = existing(interpreter=python) | {"python": "==3.4.*"}
    last = run_python(node, code, environment=environment(wish)).end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "which does not fit ==3.4.*" in last["reason"]


@pytest.mark.parametrize("kind", ["interpreter", "venv", "conda"])
def test_an_environment_that_is_not_there_is_told(node, tmp_path, kind):
    last = run_python(node, "", environment=environment(existing(**{kind: str(tmp_path / "none")}))).end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert str(tmp_path / "none") in last["reason"]


def test_modules_that_cannot_be_imported_are_told_before_the_script(node, envs, index):
    index.wheel("tiny", code="import missing_thing\n")
    wish = environment(definition("tiny", index=index.url), imports=["tiny"])
    last = run_python(node, "print('started')", environment=wish).end(120)
    assert last["exit"] == {"kind": "environment_failed"}
    assert "tiny cannot be imported: ModuleNotFoundError: No module named 'missing_thing'" in last["reason"]
    assert not envs.builds()


def test_a_ready_environment_is_tried_with_modules_that_it_was_not_tried_with_yet(node, envs, index):
    index.wheel("tiny")
    wish = definition("tiny", index=index.url)

    def end(*imports: str) -> tuple[Run, dict]:
        run = run_python(node, SHOW, environment=environment(wish, imports=list(imports)))
        return run, run.end(120)

    assert end("tiny")[1]["state"] == "Completed"
    run, last = end("tiny", "absent_thing")
    assert last["exit"] == {"kind": "environment_failed"}
    assert "absent_thing cannot be imported: ModuleNotFoundError" in last["reason"]
    assert len(envs.builds()) == 1
    run, last = end("json", "tiny")
    assert last["state"] == "Completed", prepare_log(run)
    assert prepare_log(run), "the prepare stage tried it"
    run, last = end("json", "tiny")
    assert last["state"] == "Completed"
    assert not prepare_log(run), "it was tried before: nothing is started"


# ---- who builds, and what an interrupted build leaves


def test_of_ten_first_uses_one_builds(node, envs, index):
    index.wheel("tiny", padding=1 << 20)
    (node.project / "train.py").write_text(SHOW)
    wish = environment(definition("tiny", index=index.url))
    runs = [node.accept(framework="python", script="train.py", environment=wish) for _ in range(10)]
    for run in runs:
        run.start()
    for run in runs:
        assert run.end(180)["state"] == "Completed", prepare_log(run)
    assert len(envs.ready()) == 1
    assert len({(pin(run)["identity"], pin(run)["build"]) for run in runs}) == 1
    assert index.asked.count("/simple/tiny/") == 1
    for run in runs:
        if "Preparing" in run.states() and "builds this environment" in prepare_log(run):
            assert "Installed 1 package" in prepare_log(run), "who waits sees the builder's log"


def test_those_that_wait_take_the_failure_too(node, envs, index):
    index.hang = lambda path: "nosuch" in path
    (node.project / "train.py").write_text("")
    wish = environment(definition("nosuchpackage", index=index.url))
    runs = [node.accept(framework="python", script="train.py", environment=wish) for _ in range(3)]
    for run in runs:
        run.start()
    wait_for(lambda: sum("builds this environment" in prepare_log(run) for run in runs) == 2, "two runs to wait")
    index.gate.set()
    reasons = {run.end(120)["reason"] for run in runs}
    assert len(reasons) == 1
    assert "no package nosuchpackage" in reasons.pop()
    assert len(index.asked) <= 2, "one asked, once or again"
    assert not envs.half_made()


def test_after_a_cancel_of_the_builder_the_next_one_builds(node, envs, index):
    index.wheel("tiny")
    index.hang = lambda path: path == "/simple/tiny/"
    (node.project / "train.py").write_text(SHOW)
    wish = environment(definition("tiny", index=index.url))
    first, second = (node.accept(framework="python", script="train.py", environment=wish) for _ in range(2))
    first.start()
    wait_for(lambda: index.asked, "the index to be asked")
    second.start()
    wait_for(lambda: "builds this environment" in prepare_log(second), "the second run to wait")
    first.cancel(1000)
    assert first.end()["exit"] == {"kind": "canceled"}
    index.gate.set()
    assert second.end(120)["state"] == "Completed", prepare_log(second)
    assert len(envs.ready()) == 1
    assert not envs.half_made()


def test_a_cancel_ends_a_build_and_leaves_nothing(node, envs, index, builder):
    index.hang = lambda path: "tiny" in path
    run = run_python(node, "", environment=environment(definition("tiny", index=index.url, builder=builder)))
    wait_for(lambda: index.asked, "the index to be asked", 60)
    run.cancel(600_000)  # nobody waits for the grace to pass
    last = run.end(120)
    assert (last["state"], last["exit"], last["survivors"]) == ("Canceled", {"kind": "canceled"}, 0)
    assert not envs.builds()
    assert not envs.half_made()
    assert not any((one / "failed").exists() for one in envs.identities())


@contextlib.contextmanager
def looked_through(envs: Environments) -> Iterator[None]:
    """Meanwhile somebody looks through all runs for environments that nobody needs."""
    envs.folder.mkdir(parents=True, exist_ok=True)
    with (envs.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


LOOKED_THROUGH = "waiting: the node's environments are being looked through"


def test_a_run_that_is_held_up_by_a_collection_is_canceled(node, envs):
    """It waited for envs/lock without an ear for the end."""
    with looked_through(envs):
        run = run_python(node, "", environment=environment(definition("tiny")))
        wait_for(lambda: LOOKED_THROUGH in prepare_log(run), "the run to say that it waits")
        run.cancel(60000)
        assert run.end()["exit"] == {"kind": "canceled"}


def test_a_build_is_not_lost_to_a_collection(node, envs, index):
    """A good one failed where envs/lock was held for 10 s as it became ready."""
    index.wheel("tiny")
    index.hang = lambda path: path == "/simple/tiny/"
    run = run_python(node, SHOW, environment=environment(definition("tiny", index=index.url)))
    wait_for(lambda: index.asked, "the index to be asked")
    with looked_through(envs):
        index.gate.set()
        wait_for(lambda: LOOKED_THROUGH in prepare_log(run), "the run to say that it waits", 60)
        assert [one["packages"] for one in envs.ready()] == [1]
    assert run.end(60)["state"] == "Completed", prepare_log(run)


def test_a_cancel_ends_the_asking_of_interpreters(node, envs, tmp_path):
    """One that hangs was waited for, 10 s each."""
    for minor in range(12, 21):
        path = tmp_path / "uv" / f"python3.{minor}"
        path.write_text(f"#!/bin/sh\necho > {tmp_path}/asked\nexec sleep 600\n")
        path.chmod(0o755)
    run = run_python(node, "", environment=environment(definition("tiny", python=">=3.6")))
    wait_for((tmp_path / "asked").exists, "an interpreter to be asked")
    run.cancel(60000)
    assert run.end()["exit"] == {"kind": "canceled"}
    assert not envs.identities()


@pytest.mark.usefixtures("envs")
def test_an_index_that_hangs_is_given_up_with_a_sentence(node, index):
    index.hang = lambda _path: True
    variables = {"UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0"}
    wish = environment(definition("tiny", index=index.url), variables=variables)
    last = run_python(node, "", environment=wish).end(60)
    assert last["exit"] == {"kind": "environment_failed"}
    assert "did not answer in time" in last["reason"]


def test_only_so_many_builds_go_on_at_once(node, envs, index):
    for name in ("one", "two"):
        index.wheel(name)
    index.hang = lambda path: path == "/simple/one/"
    wish = [environment(definition(name, index=index.url), slots=1) for name in ("one", "two")]
    first = run_python(node, "", environment=wish[0])
    wait_for(lambda: index.asked, "the index to be asked")
    second = run_python(node, "", environment=wish[1])
    wait_for(lambda: "waiting: 1 other environment is being built" in prepare_log(second), "the second run to wait")
    index.gate.set()
    for run in (first, second):
        assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert len(envs.ready()) == 2


def test_a_refresh_builds_anew_and_others_keep_theirs(node, envs, index):
    index.wheel("tiny", "1.0")
    wish = definition("tiny", index=index.url)
    first = run_python(node, SHOW, environment=environment(wish))
    assert first.end(120)["state"] == "Completed", prepare_log(first)
    index.wheel("tiny", "2.0")
    fresh = {"UV_REFRESH": "1"}  # the index's pages are remembered for ten minutes
    second = run_python(node, SHOW, environment=environment(wish, is_refresh=True, variables=fresh))
    assert second.end(120)["state"] == "Completed", prepare_log(second)
    third = run_python(node, SHOW, environment=environment(wish))
    assert third.end()["state"] == "Completed"
    assert [json.loads(run.log())[0] for run in (first, second, third)] == ["1.0", "2.0", "2.0"]
    assert pin(first)["identity"] == pin(second)["identity"]
    assert pin(first)["build"] != pin(second)["build"] == pin(third)["build"]
    assert len(envs.ready()) == 2


# ---- what goes into it


def oid(content: bytes) -> str:
    return hashlib.sha256(b"c" + content).hexdigest()


def local(node, path: str, **changes) -> dict:
    """A file of the project as a requirement."""
    if "digest" not in changes:
        changes["digest"] = oid((node.project / path).read_bytes())
    return {
        "path": path, "name": Path(path).name, "kind": "f", "extras": "", "marker": "", "is_editable": False, **changes,
    }  # fmt: skip


def folder_oid(folder: Path) -> str:
    """The digest of a folder of files."""
    return Snapshot({path.name: path.read_bytes() for path in folder.iterdir()}).root


@pytest.mark.usefixtures("envs")
def test_a_wheel_of_the_project_is_installed(node, index, builder):
    make_wheel(node.project / "wheels", "tiny", "3.0", requires=("other",))
    index.wheel("other")
    wish = definition(index=index.url, builder=builder, requirements=[local(node, "wheels/tiny-3.0-py3-none-any.whl")])
    run = run_python(node, SHOW, environment=environment(wish))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert json.loads(run.log())[0] == "3.0"
    assert pin(run)["unpinned"] == 0


@pytest.mark.usefixtures("envs")
def test_wheels_that_came_with_the_project_need_no_index(node, builder):
    for name, requires in (("tiny", ("other",)), ("other", ())):
        make_wheel(node.project / "wheels", name, requires=requires)
    wish = definition(
        "tiny", builder=builder, options=["--no-index"],
        find_links=[local(node, "wheels", kind="d", digest=folder_oid(node.project / "wheels"))],
    )  # fmt: skip
    run = run_python(node, SHOW, environment=environment(wish))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    lock = (run.folder / "environment.lock").read_text()
    assert "tiny==1.0" in lock
    assert "other==1.0" in lock


@pytest.mark.usefixtures("envs")
def test_projects_are_imported_from_the_runs_own_folder(node, index):
    (node.project / "src").mkdir()
    (node.project / "src" / "mine.py").write_text("name = 'mine'\n")
    index.wheel("tiny")
    node.environment |= {"PYTHONPATH": "/elsewhere", "PYTHONHOME": "/nowhere"}
    code = "import os, mine, tiny\nprint(mine.__file__, os.environ['PYTHONPATH'])\n"
    wish = environment(definition("tiny", index=index.url, paths=["src", ""]))
    run = run_python(node, code, environment=wish)
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    work = run.folder / "work"
    assert run.log() == f"{work}/src/mine.py {work}/src:{work}\n"


@pytest.mark.usefixtures("envs")
def test_a_private_index_gets_its_password_and_nobody_else_sees_it(node, index, builder):
    index.wheel("tiny")
    index.wants_login = ("alice", "s3cret-word")
    url = index.url.replace("http://", "http://${ERRAND_CREDENTIALS_1}@")
    code = "import os, tiny\nassert 'ERRAND_CREDENTIALS_1' not in os.environ\nprint(os.environ['MINE'])\n"
    (node.project / "train.py").write_text(code)
    wish = environment(definition("tiny", index=url, builder=builder))
    names = ["ERRAND_CREDENTIALS_1", "MINE"]
    run = node.accept(framework="python", script="train.py", environment=wish, secrets=names)
    secrets = {"ERRAND_CREDENTIALS_1": "alice:s3cret-word", "MINE": "for the script"}
    node.mkrun("start", run.id, data=json.dumps(secrets).encode())
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert run.log() == "for the script\n"
    for folder in (run.folder, node.root / "envs"):
        for path in folder.rglob("*"):
            if path.is_file() and "cache" not in path.parts:
                assert b"s3cret-word" not in path.read_bytes(), path


@pytest.mark.usefixtures("envs")
@pytest.mark.parametrize(("credential", "word"), [("nosuchpackage", "nosuchpackage"), ("alice:tiny", "tiny")])
def test_what_a_builder_says_of_secrets_is_masked(node, index, credential, word):
    node.project.joinpath("train.py").write_text("")
    index.wants_login = ("alice", "another-word")
    wish = environment(definition("tiny", index=index.url.replace("http://", "http://${ERRAND_CREDENTIALS_1}@")))
    run = node.accept(framework="python", script="train.py", environment=wish, secrets=["ERRAND_CREDENTIALS_1"])
    node.mkrun("start", run.id, data=json.dumps({"ERRAND_CREDENTIALS_1": credential}).encode())
    assert run.end(120)["exit"] == {"kind": "environment_failed"}
    assert word not in prepare_log(run) + run.journal()[-1]["reason"]


def test_a_lock_is_installed_as_it_is(node, envs, index):
    index.wheel("tiny", "1.0")
    index.wheel("tiny", "2.0")
    index.wheel("extra")
    (node.project / "app").mkdir()
    (node.project / "app" / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["tiny==1.0"]\n'
        f'[dependency-groups]\nmore = ["extra"]\n[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
    )
    subprocess.run(
        [UV, "lock", "-q", "--cache-dir", node.root.parent / "cache"],
        cwd=node.project / "app", env=node.environment, check=True,
    )  # fmt: skip
    files = [
        {"path": f"app/{name}", "digest": oid((node.project / "app" / name).read_bytes())}
        for name in ("pyproject.toml", "uv.lock")
    ]
    lock = {"project": "app", "files": files, "groups": ["more"], "extras": []}
    wish = environment(definition(kind="lock", source="app/uv.lock", lock=lock))
    code = "import extra, tiny\nprint(tiny.__version__)\n"
    run = run_python(node, code, environment=wish)
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert run.log() == "1.0\n"
    assert "app" not in (run.folder / "environment.lock").read_text()
    assert run_python(node, code, environment=wish).end()["state"] == "Completed"
    assert len(envs.ready()) == 1


# ---- which Python


@pytest.mark.usefixtures("envs")
def test_two_pythons_make_two_environments(node, index):
    pythons = other_pythons()
    if not pythons:
        warnings.warn("this machine has one Python alone: two were not tried", stacklevel=1)
    index.wheel("tiny")
    code = "import sys, tiny\nprint('%d.%d' % sys.version_info[:2])\n"
    made = {}
    for version in [*pythons, ".".join(map(str, sys.version_info[:2]))]:
        wish = environment(definition("tiny", index=index.url, python=f"=={version}.*"))
        run = run_python(node, code, environment=wish)
        assert run.end(120)["state"] == "Completed", prepare_log(run)
        assert run.log().strip() == version
        made[version] = pin(run)["identity"]
    assert len(set(made.values())) == len(made)


def test_a_python_that_no_node_has_is_told_with_those_that_it_has(node):
    last = run_python(node, "", environment=environment(definition("tiny", python=">=3.99"))).end(60)
    assert last["exit"] == {"kind": "environment_failed"}
    assert "no Python on the node fits >=3.99; it has " in last["reason"]
    assert ".".join(map(str, sys.version_info[:3])) in last["reason"]


@pytest.mark.usefixtures("envs")
def test_the_interpreter_that_a_run_names_is_the_base(node, index):
    index.wheel("tiny")
    python = os.path.realpath(sys.executable)
    code = "import os, sys, tiny\nprint(os.path.realpath(sys.executable))\n"
    run = run_python(node, code, interpreter=python, environment=environment(definition("tiny", index=index.url)))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert run.log().strip() == python


# ---- environments of others


@pytest.mark.parametrize("is_below_home", [False, True])
def test_a_folder_that_an_administrator_keeps_is_used(node, envs, index, tmp_path, is_below_home):
    index.wheel("tiny")
    wish = definition("tiny", index=index.url)
    first = run_python(node, SHOW, environment=environment(wish))
    assert first.end(120)["state"] == "Completed", prepare_log(first)
    other = Node(tmp_path / "other", node.project, node.environment[MARK])
    other.environment = {**node.environment, "HOME": str(envs.folder.parent)}
    named = f"~/{envs.folder.name}" if is_below_home else str(envs.folder)
    run = run_python(other, SHOW, environment=environment(wish, shared=[named]))
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert pin(run)["prefix"] == pin(first)["prefix"]
    assert pin(run)["is_reused"] is True
    assert not Environments(other).identities()
    envs.folder.chmod(0o777)
    third = run_python(other, SHOW, environment=environment(wish, shared=[named]))
    assert third.end(120)["state"] == "Completed", prepare_log(third)
    assert pin(third)["prefix"].startswith(str(other.root)), "one that everybody may write is not trusted"


def test_a_build_that_is_not_there_any_more_is_told(node):
    wish = {"pin": {"identity": "ab" * 32, "build": "20261128T061500Z-3f2a"}, "variables": {}}
    last = run_python(node, "", environment=wish).end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "abababababab, build 20261128T061500Z-3f2a is not on the node" in last["reason"]


# ---- who may write into it


WRITES = """
import os, tiny
print(os.path.exists(tiny.__cached__))
for path in (tiny.__file__, os.path.join(os.path.dirname(tiny.__file__), "more.py")):
    try:
        open(path, "a")
        print("written")
    except PermissionError:
        print("refused")
"""


@pytest.fixture
def users_node(mark):
    """A node whose user is not root, where we are; accepts as root, runs as the user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "project").mkdir()
    (folder / "home").mkdir()
    shutil.copy(EXECUTOR, folder / "errand-executor")
    shutil.copy(UV, folder / "uv")
    one = Node(folder / "root", folder / "project", mark)
    one.environment |= {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder / "home")}
    one.environment.pop("PYTHONDONTWRITEBYTECODE", None)
    yield one
    shutil.rmtree(folder)


def test_a_script_cannot_write_into_its_environment_but_what_it_compiles(users_node, index):
    index.wheel("tiny")
    (users_node.project / "train.py").write_text(WRITES)
    folder = users_node.root.parent
    wish = environment(definition("tiny", index=index.url))
    run = users_node.accept(framework="python", script="train.py", environment=wish)
    prefix = []
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        subprocess.run(["chown", "-R", "65534:65534", folder], check=True)
    argv = [*prefix, folder / "errand-executor", "supervise", "--root", users_node.root, "--run", run.id]
    subprocess.run(argv, env=users_node.environment, check=True, timeout=60)
    assert run.end(120)["state"] == "Completed", prepare_log(run)
    assert run.log().split() == ["True", "refused", "refused"]
