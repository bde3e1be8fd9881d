"""What comes along for an environment: uv, and wheels for a node without a network; and what is known before that."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from support.environments import UV
from support.inject import in_namespace
from support.packages import make_sdist, make_wheel
from support.projects import write_files

SHOW = "import tiny, other, sys\nprint(tiny.__version__, other.__version__, sys.prefix)\n"
REQUIREMENTS = "--index-url {url}\ntiny<2\n"


@pytest.fixture
def offline(errand, tmp_path) -> str:
    """A target whose node has no network at all: behind an `ssh` that starts commands in a namespace without one."""
    ssh = tmp_path / "ssh"
    apart = shlex.join(in_namespace("-n", "true"))
    ssh.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do\n  [ "$word" = -G ] && echo hostname nowhere && exit\n  last=$word\ndone\n'
        "export PATH=/usr/local/bin:/usr/bin:/bin\n"
        f'export HOME={shlex.quote(str(tmp_path / "node-home"))}\nexec {apart} sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    (tmp_path / "node-home").mkdir()
    errand.configure(ssh=str(ssh))
    return errand.add_target("offline", "nowhere", "--transport", "openssh")


@pytest.fixture
def tiny(errand, index):
    index.wheel("tiny", "1.0", requires=("other>=1",))
    index.wheel("other", "1.5")
    write_files(errand.cwd, {"t.py": SHOW, "requirements.txt": REQUIREMENTS.format(url=index.url)})
    return index


@pytest.fixture(params=["uv", "pip"])
def builder(request, tmp_path) -> str:
    if request.param == "uv":
        folder = tmp_path / "node-home" / ".local" / "bin"
        folder.mkdir(parents=True)
        (folder / "uv").symlink_to(UV)
    return request.param


def uv_in(folder: Path) -> Path:
    """A uv that a node looks for nowhere."""
    folder.mkdir(exist_ok=True)
    (folder / "uv").symlink_to(UV)
    return folder / "uv"


def root_of(errand, target: str) -> Path:
    return Path(errand.json("target", "check", target)["node"]["root"])


# wheels

# A python that ends the link errand has when it is called the first time, and waits; later it is one.
BREAKS = """#!/bin/sh
if [ ! -e {flag} ]; then
    : > {flag}
    for child in $(cat /proc/$PPID/task/$PPID/children); do
        [ "$child" = $$ ] || kill -s KILL -- -"$child"
    done
    sleep 60
fi
exec /usr/bin/python3 "$@"
"""


@pytest.mark.usefixtures("tiny")
def test_a_link_that_is_lost_while_pip_is_looked_for_is_made_again(errand, offline, tmp_path):
    """errand crashed over it."""
    programs = tmp_path / "programs"
    for name in ["python3", *(f"python3.{minor}" for minor in range(7, 20))]:
        write_files(programs, {name: BREAKS.format(flag=tmp_path / "flag")})
        (programs / name).chmod(0o755)
    errand.more_env["PATH"] = f"{programs}:{errand.env()['PATH']}"
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=0)
    assert result.text.startswith("1.0 1.5 ")
    assert re.search(r"the connection was lost: [^;]+; trying again in ", result.errors)


def test_a_node_without_a_network_gets_wheels_from_here(errand, offline, builder, tiny):
    (errand.user_home / "unused").mkdir()
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=0)
    assert result.text.startswith("1.0 1.5 ")
    assert "errand: wheels: 2 files, " in result.errors
    assert ", collected by pip " in result.errors
    assert f" with {builder} " in result.errors
    asked = len(tiny.asked)
    again = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=0)
    assert again.out == result.out
    assert "environment ready (used before)" in again.errors
    assert ", collected before\n" in again.errors
    assert " of what the environment is built from" in result.errors
    assert " of what the environment is built from" not in again.errors, "nothing was sent again"
    assert len(tiny.asked) == asked, "nothing was asked for again"


@pytest.mark.usefixtures("tiny")
def test_without_wheels_the_same_node_cannot_build(errand, offline):
    result = errand.run("run", "--target", offline, "t.py", code=125)
    assert "environment_failed" in errand.ok("show", "@", "--json").text, str(result)


@pytest.mark.usefixtures("tiny")
def test_a_target_says_that_its_wheels_come_from_here(errand, offline):
    file = errand.home / "config" / "targets.d" / "offline.yaml"
    file.write_text(file.read_text() + "wheels_from: controller\n")
    assert errand.run("run", "--target", offline, "t.py", code=0).text.startswith("1.0 1.5 ")
    told = errand.run("run", "--target", offline, "--wheels-from", "index", "--refresh", "t.py", code=125)
    assert "wheels:" not in told.errors


@pytest.mark.usefixtures("tiny")
def test_a_local_wheel_and_an_address_of_one_come_along(errand, offline, index):
    make_wheel(errand.cwd / "wheels", "other", "1.7")
    address = f"tiny @ http://{index.host}/files/tiny-1.0-py3-none-any.whl"
    write_files(
        errand.cwd, {"requirements.txt": f"--index-url {index.url}\n{address}\n./wheels/other-1.7-py3-none-any.whl\n"}
    )
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=0)
    assert result.text.startswith("1.0 1.7 ")


def test_what_exists_as_source_only_is_said_before_anything_is_sent(errand, offline, index):
    make_sdist(index.folder, "tiny", "1.0", {"setup.py": "raise SystemExit('built')\n"})
    write_files(errand.cwd, {"t.py": SHOW, "requirements.txt": REQUIREMENTS.format(url=index.url)})
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=125)
    assert "wheels: none of tiny<2 fits Python 3." in result.errors
    assert "pip wheel" in result.errors
    assert errand.json("list")["runs"] == []


def test_nothing_is_built_here_whatever_a_list_says(errand, offline, index, tmp_path):
    built = tmp_path / "built"
    make_sdist(index.folder, "tiny", "1.0", {"setup.py": f"open({str(built)!r}, 'w')\n"})
    lines = f"--index-url {index.url}\n--no-binary tiny\ntiny<2\n"
    write_files(errand.cwd, {"t.py": SHOW, "requirements.txt": lines})
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=125)
    assert "wheels: none of tiny<2 fits Python 3." in result.errors
    assert not built.exists()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("requirements.txt", "tiny @ git+http://127.0.0.1:1/tiny.whl"),
        ("c.txt", "tiny @ http://127.0.0.1:1/tiny-1.0.tar.gz"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_an_address_of_what_is_no_wheel_is_refused(errand, offline, name, line):
    write_files(errand.cwd, {"requirements.txt": "-c c.txt\ntiny\n", "c.txt": ""} | {name: line + "\n"})
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=125)
    assert "wheels from here: tiny is no wheel: it has to be built" in result.errors


@pytest.mark.usefixtures("tiny")
def test_a_folder_that_has_to_be_built_is_refused(errand, offline):
    write_files(errand.cwd, {"lib/setup.py": "", "requirements.txt": "./lib\n"})
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=125)
    assert "wheels from here: lib has to be built on the node" in result.errors
    assert errand.json("list")["runs"] == []


@pytest.mark.usefixtures("tiny")
def test_without_a_tool_here_it_says_which(errand, offline, tmp_path):
    here = {"PATH": str(tmp_path / "nothing")}
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=125, env=here)
    assert "this machine has no pip" in result.errors


@pytest.mark.usefixtures("tiny")
def test_another_word_than_controller_is_refused(errand):
    result = errand.run("run", "--wheels-from", "controler", "t.py", code=125)
    assert '"controler" is no place where wheels come from' in result.errors


def test_a_password_of_the_index_is_used_here_and_stays_here(errand, offline, tiny):
    tiny.wants_login = ("me", "pass-word-77")
    wish = f"{{packages: [tiny<2], index: 'http://me:pass-word-77@{tiny.host}/simple/'}}"
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "-e", wish, "t.py", code=0)
    assert result.text.startswith("1.0 ")
    found = subprocess.run(
        ["grep", "-rlaF", "pass-word-77", errand.home, root_of(errand, offline)], check=False, capture_output=True
    )
    assert found.stdout == b""


@pytest.mark.usefixtures("tiny")
def test_a_project_cannot_tell_the_programs_here_what_to_run(errand, offline, tmp_path):
    ran = tmp_path / "ran"
    spoiled = tmp_path / "spoiled"
    code = f"import os\nif not os.environ['HOME'].endswith('/node-home'):\n    open({str(ran)!r}, 'w')\n"
    write_files(spoiled, {"sitecustomize.py": code})
    write_files(errand.cwd, {"errand.yaml": f"variables: {{PYTHONPATH: {spoiled}}}\n"})
    result = errand.run("run", "--target", offline, "--wheels-from", "controller", "t.py", code=0)
    assert ", collected by pip " in result.errors
    assert not ran.exists()


# uv


def test_a_node_without_uv_gets_one_once(errand, target, tiny, tmp_path):
    errand.configure(bootstrap_uv=str(uv_in(tmp_path / "away")))
    first = errand.run("run", "--target", target, "t.py", code=0)
    assert " with uv " in first.errors
    assert "of what the environment is built from" in first.errors
    assert "uv came along and is in " in first.errors
    assert os.access(root_of(errand, target) / "bin" / "uv", os.X_OK)
    write_files(errand.cwd, {"requirements.txt": f"--index-url {tiny.url}\ntiny\nother\n"})
    again = errand.run("run", "--target", target, "t.py", code=0)
    assert " with uv " in again.errors
    assert "came along" not in again.errors and "built from" not in again.errors
    assert [path.name for path in (root_of(errand, target) / "bin").iterdir() if path.name.startswith(".")] == []


def test_where_an_environment_is_ready_no_uv_is_sent(errand, tiny, tmp_path):
    errand.run("run", "t.py", code=0)
    errand.configure(bootstrap_uv=str(uv_in(tmp_path / "away")))
    result = errand.run("run", "-e", "{packages: [tiny<2], index: '" + tiny.url + "'}", "t.py", code=0)
    assert "used before" in result.errors and "built from" not in result.errors


def test_a_uv_for_another_machine_stays_here(errand, tiny, tmp_path):
    other = tmp_path / "uv"
    head = bytearray(UV.read_bytes()[:4096])
    head[18:20] = (243 if head[18] != 243 else 62).to_bytes(2, "little")
    other.write_bytes(head)
    other.chmod(0o755)
    errand.configure(bootstrap_uv=str(other))
    result = errand.run("run", "t.py", code=0)
    assert "it is for another kind of machine than the node's" in result.errors
    assert " with pip " in result.errors
    other.write_text("#!/bin/sh\nexit 0\n")
    assert (
        "it is no program file"
        in errand.run(
            "run", "--refresh", "-e", "{packages: [tiny<2, other], index: '" + tiny.url + "'}", "t.py", code=0
        ).errors
    )


@pytest.mark.usefixtures("tiny")
def test_a_uv_that_does_not_start_there_leaves_it_to_pip(errand, tmp_path):
    broken = tmp_path / "uv"
    broken.write_bytes(UV.read_bytes()[:4096])
    broken.chmod(0o755)
    errand.configure(bootstrap_uv=str(broken))
    result = errand.run("run", "t.py", code=0)
    assert "the uv that came along is of no use: " in result.errors
    assert " with pip " in result.errors
    assert not (root_of(errand, "local") / "bin" / "uv").exists()


# before anything is sent


@pytest.mark.usefixtures("tiny")
def test_a_python_that_the_node_lacks_is_said_before_anything_is_sent(errand, target):
    result = errand.run("run", "--target", target, "-e", "{packages: [tiny], python: '3.99'}", "t.py", code=125)
    assert "no Python on the node fits ==3.99.*; it has 3." in result.errors
    assert errand.json("list")["runs"] == []
    assert list((root_of(errand, target) / "runs").iterdir()) == []


@pytest.mark.usefixtures("tiny")
def test_a_builder_that_the_node_lacks_is_said_before_anything_is_sent(errand, target):
    result = errand.run("run", "--target", target, "-e", "{packages: [tiny], builder: uv}", "t.py", code=125)
    assert "the node has nothing to build the environment with" in result.errors
    assert "install uv" in result.errors
    assert "; looked for in PATH, /usr" in result.errors
    assert errand.json("list")["runs"] == []


@pytest.mark.usefixtures("tiny")
def test_an_interpreter_that_the_node_lacks_is_said_before_anything_is_sent(errand, target):
    result = errand.run("run", "--target", target, "-e", "/opt/nosuch/bin/python3", "t.py", code=125)
    assert "/opt/nosuch/bin/python3" in result.errors
    assert errand.json("list")["runs"] == []
