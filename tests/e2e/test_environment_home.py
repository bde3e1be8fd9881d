"""From a project's own files to the environment that its run gets: what is found, said, refused and sent."""

import json
from pathlib import Path

import pytest

SHOW = "import json, os, sys, tiny\nprint(json.dumps([tiny.__version__, os.environ.get('LEVEL'), sys.prefix]))\n"


def write(project: Path, name: str, text: str) -> None:
    (project / name).write_text(text)


@pytest.fixture
def wheels(index):
    index.wheel("tiny", "1.0")
    index.wheel("tiny", "2.0")
    return index


def test_requirements_beside_the_script_are_found_and_built_once(errand, project, wheels):
    write(project, "train.py", SHOW)
    write(project, "requirements.txt", f"--index-url {wheels.url}\ntiny==1.0\n")
    first = errand.ok("run", "train.py")
    assert b"environment: requirements.txt, 1 package\n" in first.err
    version, _, prefix = json.loads(first.out)
    assert version == "1.0" and "/envs/" in prefix
    again = errand.ok("run", "train.py")
    assert again.out == first.out
    assert b"used before" in again.err
    write(project, "requirements.txt", f"# changed, and says the same\n-i {wheels.url}\nTiny == 1.0 \n")
    assert errand.ok("run", "train.py").out == first.out
    write(project, "requirements.txt", f"--index-url {wheels.url}\ntiny==2.0\n")
    assert json.loads(errand.ok("run", "train.py").out)[0] == "2.0"


def test_none_is_the_node_s_own_python(errand, project):
    write(project, "train.py", "import sys; print(sys.prefix)")
    write(project, "requirements.txt", "no-such-package-there\n")
    result = errand.ok("run", "-e", "none", "train.py")
    assert b"environment:" not in result.err
    assert b"/envs/" not in result.out


def test_an_environment_of_the_configuration_has_variables_that_a_run_may_change(errand, project, wheels):
    write(project, "train.py", SHOW)
    write(
        project,
        "errand.yaml",
        f"environment:\n  packages: [tiny==1.0]\n  index: {wheels.url}\n  variables: {{LEVEL: low}}\n",
    )
    assert json.loads(errand.ok("run", "train.py").out)[:2] == ["1.0", "low"]
    changed = errand.ok("run", "--env", "LEVEL=high", "train.py")
    assert json.loads(changed.out)[:2] == ["1.0", "high"]


def test_a_malformed_pyproject_is_told_and_not_passed_over(errand, project):
    write(project, "train.py", "print('ran')\n")
    write(project, "requirements.txt", "")
    write(project, "pyproject.toml", '[project\nname = "x"\ndependencies = ["six"]\n')
    result = errand.run("run", "train.py", code=125)
    assert b"pyproject.toml:1: " in result.err and b"sent" not in result.err


def test_a_local_wheel_is_sent_with_the_project(errand, project, wheels):
    (project / "dist").mkdir()
    name = wheels.wheel("tiny", "1.0").rename(project / "dist" / "tiny-1.0-py3-none-any.whl").name
    write(project, "train.py", SHOW)
    write(project, "requirements.txt", f"--no-index\n./dist/{name}\n")
    assert json.loads(errand.ok("run", "train.py").out)[0] == "1.0"
    write(project, ".errandignore", "dist/\n")
    result = errand.run("run", "train.py")
    assert result.code == 125
    assert b"is not in the snapshot" in result.err and b".errandignore" in result.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"six\nnumpy=1.2\n", b'requirements.txt:2: "=1.2": = is no comparison\n  did you mean ==1.2?'),
        (b"six==1\nsix==2\n", b"requirements.txt:2: six==2 contradicts requirements.txt:1"),
        (b"--indx-url x\n", b"did you mean --index-url?"),
        (b"-i https://${TOKEN}@h/s\n", b"${TOKEN} is neither a variable nor a secret"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_before_anything_is_sent(errand, project, text, said):
    write(project, "train.py", "print(1)")
    (project / "requirements.txt").write_bytes(text)
    result = errand.run("run", "train.py", code=125)
    assert said in result.err
    assert errand.json("list")["runs"] == []


def test_a_password_in_a_file_reaches_the_index_and_is_kept_nowhere(errand, project, wheels):
    write(project, "train.py", SHOW)
    write(project, "deps.txt", f"--index-url http://me:hunter22@{wheels.host}/simple/\ntiny==1.0\n")
    write(project, ".errandignore", "deps.txt\n")
    wheels.wants_login = ("me", "hunter22")
    result = errand.ok("run", "-e", "deps.txt", "train.py")
    assert json.loads(result.out)[0] == "1.0"
    assert b"hunter22" not in result.out + result.err
    kept = [path for path in errand.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in kept if b"hunter22" in path.read_bytes()] == []
