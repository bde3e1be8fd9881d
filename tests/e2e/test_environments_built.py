"""What a person sees of environments that are really built, by uv and by pip, here and over ssh."""

import os
import re
import signal
from pathlib import Path

import pytest
from support import processes
from support.environments import UV
from support.projects import write_files
from support.waiting import wait_for

SHOW = "import sys, tiny\nprint(tiny.__version__, sys.prefix)\n"


# Each builder here, and each over a network: what is between them does not depend on the other.
PLACES = {
    "uv-local": ("uv", "local"),
    "pip-local": ("pip", "local"),
    "uv-ssh2": ("uv", "ssh2"),
    "pip-openssh": ("pip", "openssh"),
}


@pytest.fixture(params=PLACES)
def place(request) -> tuple[str, str]:
    return PLACES[request.param]


@pytest.fixture
def transport(place) -> str:
    return place[1]


@pytest.fixture
def builder(request, errand, place) -> str:
    """The node has uv where it looks for it, or only Python."""
    if place[0] == "uv":
        home = errand.user_home if place[1] == "local" else request.getfixturevalue("sshd").home
        (home / ".local" / "bin").mkdir(parents=True, exist_ok=True)
        (home / ".local" / "bin" / "uv").symlink_to(UV)
    return place[0]


@pytest.fixture
def tiny(errand, index):
    """A project whose script needs a package that the index has in two versions."""
    index.wheel("tiny", "1.0")
    index.wheel("tiny", "2.0")
    write_files(errand.cwd, {"t.py": SHOW, "requirements.txt": f"--index-url {index.url}\ntiny<2\n"})
    return index


def run(errand, target, *options, code: int = 0):
    return errand.run("run", "--target", target, *options, "t.py", code=code)


def ids(errand) -> list[str]:
    return [one["id"] for one in errand.json("list")["runs"]]


def test_a_further_index_goes_before_the_nodes_own(errand, target, builder, index, make_index, request):
    """As PyTorch without GPU support needs it: its index has local versions of what the other has, too."""
    index.wheel("tiny", "1.0")
    index.wheel("small", "1.0")
    special = make_index()
    special.wheel("tiny", "1.0+cpu")
    settings = f"[global]\nindex-url = {index.url}\n"
    home = errand.user_home if target == "local" else request.getfixturevalue("sshd").home
    write_files(home, {".config/pip/pip.conf": settings})
    write_files(errand.cwd, {"t.py": "import small\n" + SHOW})
    wish = f"{{packages: [tiny, small], extra_index: ['{special.url}'], builder: {builder}}}"
    assert run(errand, target, "-e", wish).text.startswith("1.0+cpu ")


@pytest.mark.parametrize("package", ["pyspark", "tiny"])
def test_a_pyspark_of_the_environment_finds_no_other_spark(errand, index, package):
    index.wheel("pyspark", "9.0", is_folder=True)
    index.wheel("tiny", "1.0")
    errand.more_env |= {"SPARK_HOME": "/opt/spark-of-the-node", "PYSPARK_PYTHON": "/opt/python"}
    script = (
        "import os\nprint(os.environ.get('SPARK_HOME'), os.environ.get('PYSPARK_PYTHON'), os.environ.get('WORD'))\n"
    )
    write_files(errand.cwd, {"t.py": script})
    wish = f"{{packages: [{package}], index: '{index.url}'}}"
    said = errand.ok("run", "-e", wish, "--env", "WORD=own", "t.py").text
    assert said == ("None None own\n" if package == "pyspark" else "/opt/spark-of-the-node /opt/python own\n")
    said = errand.ok("run", "-e", wish, "--env", "SPARK_HOME=/opt/wanted", "t.py").text
    assert said.startswith("/opt/wanted ")


def test_the_first_run_builds_and_the_second_does_not(errand, target, builder, tiny):
    first = run(errand, target)
    assert first.text.startswith("1.0 ")
    assert "errand: environment: requirements.txt, 1 package, 1 not pinned\n" in first.errors
    assert f" with {builder} " in first.errors
    assert "errand: environment ready: 1 package, " in first.errors
    assert "  | " in first.errors
    asked = len(tiny.asked)
    again = run(errand, target)
    assert again.out == first.out
    assert "errand: environment ready (used before): 1 package, " in again.errors
    assert "  | " not in again.errors
    assert len(tiny.asked) == asked, "no package manager was started"
    listed = errand.ok("env", "list", "--target", target).text.splitlines()[1].split()
    assert listed[1:3] == ["requirements.txt", errand.json("list")["runs"][0]["experiment"]]
    shown = errand.show()["environment"]
    assert (shown["kind"], shown["reused"], shown["packages"]) == ("packages", True, 1)
    listed = errand.json("env", "list", "--target", target)["environments"]
    assert [(one["identity"], one["build"], one["ready"]) for one in listed] == [
        (shown["identity"], shown["build"], True)
    ]
    assert listed[0]["name"] == "requirements.txt"


@pytest.mark.usefixtures("builder", "tiny")
def test_an_environment_is_prepared_ahead(errand, target):
    prepared = errand.ok("env", "prepare", "--target", target)
    assert "environment ready: 1 package" in prepared.errors
    assert prepared.out == b""
    assert "used before" in run(errand, target).errors
    fresh = errand.ok("env", "prepare", "--target", target, "--refresh")
    assert "environment ready: 1 package" in fresh.errors
    builds = errand.json("env", "list", "--target", target)["environments"]
    assert len({one["build"] for one in builds}) == 2 and len({one["identity"] for one in builds}) == 1
    assert "nothing of the project is sent" in prepared.errors
    assert len(ids(errand)) == 1, "what prepares is not among the runs"
    all_runs = errand.json("list", "--all")["runs"]
    assert len(all_runs) == 3
    assert errand.show("@")["id"] == ids(errand)[0]
    newest, _, oldest = (errand.show(one["id"])["environment"]["build"] for one in all_runs)
    assert {newest, oldest} == {one["build"] for one in builds}
    again = run(errand, target)
    assert "nothing to send" in again.errors, "the next run is still compared with the last one"
    shown = errand.ok("env", "show", "@").text
    assert "tiny" in shown, "the run's own target is asked"


@pytest.mark.usefixtures("builder")
def test_what_is_recorded_is_installed_again(errand, target, tiny):
    """The lock of a run pins what the run had, though the index has moved on."""
    write_files(errand.cwd, {"requirements.txt": f"--index-url {tiny.url}\ntiny\n"})
    run(errand, target)
    errand.ok("env", "lock")
    lock = (errand.cwd / "requirements.lock").read_text()
    assert "tiny==2.0" in lock and "--hash=sha256:" in lock
    tiny.wheel("tiny", "3.0")
    assert run(errand, target, "-e", "requirements.lock").text.startswith("2.0 ")
    assert run(errand, target, "--refresh").text.startswith("3.0 ")
    told = errand.ok("env", "diff", ids(errand)[1], "@")
    assert "- tiny==2.0\n+ tiny==3.0\n" in told.text


@pytest.mark.usefixtures("builder")
def test_a_build_that_fails_says_why_and_where_the_log_is(errand, target, tiny):
    write_files(errand.cwd, {"requirements.txt": f"--index-url {tiny.url}\nnosuch\n"})
    result = run(errand, target, code=125)
    shown = errand.show()
    assert shown["status"] == "Failed"
    assert shown["exit"] == {"kind": "environment_failed"}
    assert "nosuch" in shown["reason"]
    assert shown["reason"] in result.errors
    assert f"errand: all of its build log: errand logs --prepare {shown['id']}\n" in result.errors
    assert "nosuch" in errand.ok("logs", "--prepare", "@").text
    failed = errand.json("env", "list", "--target", target)["environments"]
    assert [one["ready"] for one in failed] == [False]
    assert "nosuch" in errand.ok("env", "show", "--target", target, failed[0]["identity"]).text


MANY = 10
BUILDS = re.compile(rb"run (\w+) builds this environment; its log:")


@pytest.fixture
def first_uses(errand, target, tiny):
    """Ten runs that need one new environment at once: those that wait, and the id of the one that builds, which waits
    for the index's gate."""
    tiny.hang = lambda path: path.startswith("/files/")
    runs = [errand.start("run", "--target", target, "t.py") for _ in range(MANY)]

    def waiting() -> list[bytes]:
        for one in runs:
            one.read(0.01)
        return [found[1] for one in runs if (found := BUILDS.search(one.err))]

    names = wait_for(lambda: waiting() if len(waiting()) == MANY - 1 else None, "nine to wait for one", 90)
    assert len(set(names)) == 1
    wait_for(lambda: any(path.startswith("/files/") for path in tiny.asked), "the builder to fetch", 60)
    return runs, names[0].decode()


@pytest.mark.usefixtures("builder")
def test_of_ten_first_uses_at_once_one_builds_and_all_see_it(errand, target, tiny, first_uses):
    runs, building = first_uses
    tiny.gate.set()
    results = [one.finish(120) for one in runs]
    assert [one.code for one in results] == [0] * MANY, "\n".join(map(str, results))
    assert len({one.out for one in results}) == 1
    said = [one.errors for one in results]
    assert sum("environment ready: 1 package" in one for one in said) == 1
    assert all(re.search(r"  \| .*tiny(==|-)1\.0", one) for one in said), "all see what the builder says"
    assert sorted(one["environment"]["reused"] for one in map(errand.show, ids(errand))) == [False] + [True] * (
        MANY - 1
    )
    assert not errand.show(building)["environment"]["reused"]
    assert len(errand.json("env", "list", "--target", target)["environments"]) == 1


@pytest.mark.usefixtures("builder")
def test_the_builder_is_killed_and_one_of_nine_that_wait_builds(errand, target, tiny, first_uses):
    runs, building = first_uses
    (prepare,) = [pid for pid in processes.everyone() if {"prepare", building} <= set(processes.command(pid))]
    os.kill(prepare, signal.SIGKILL)
    wait_for(lambda: errand.show(building)["status"] == "Failed", "the builder's run to fail", 60)
    assert "was killed by SIGKILL" in errand.show(building)["reason"]
    tiny.gate.set()
    results = [one.finish(120) for one in runs]
    assert sorted(one.code for one in results) == [0] * (MANY - 1) + [125], "\n".join(map(str, results))
    others = [errand.show(one)["environment"] for one in ids(errand) if one != building]
    assert sorted(one["reused"] for one in others) == [False] + [True] * (MANY - 2)
    assert [one["ready"] for one in errand.json("env", "list", "--target", target)["environments"]] == [True]


@pytest.mark.usefixtures("builder")
def test_a_build_is_canceled_and_leaves_nothing(errand, target, tiny):
    tiny.hang = lambda path: path.startswith("/files/")
    building = errand.start("run", "--target", target, "t.py")
    building.wait_output(b"  | ", "err")
    errand.ok("cancel", *ids(errand))
    assert building.finish().code == 143
    assert errand.show()["status"] == "Canceled"
    assert [one["ready"] for one in errand.json("env", "list", "--target", target)["environments"]] in ([], [False])
    tiny.gate.set()
    assert run(errand, target).text.startswith("1.0 ")


@pytest.mark.usefixtures("builder")
def test_a_follower_that_is_ended_loses_nothing_of_the_build(errand, target, tiny):
    tiny.hang = lambda path: path.startswith("/files/")
    first = errand.start("run", "--target", target, "t.py")
    first.wait_output(b"  | ", "err")
    os.kill(first.pid, signal.SIGKILL)
    first.finish()
    (run_id,) = ids(errand)
    second = errand.follow(run_id)
    second.wait_output(b"  | ", "err")
    tiny.gate.set()
    result = second.finish()
    assert result.code == 0 and result.text.startswith("1.0 ")
    log = errand.ok("logs", "--prepare", run_id).text
    assert [f"  | {line}" for line in log.splitlines() if line.strip()] == [
        line.rstrip() if not line.strip("| ") else line
        for line in result.errors.splitlines()
        if line.startswith("  | ")
    ]


@pytest.mark.usefixtures("builder", "tiny")
def test_an_export_works_in_another_project(errand, make_project, target):
    run(errand, target)
    errand.ok("env", "export", "@", errand.cwd / "away")
    folder = errand.cwd / "away"
    text = (folder / "requirements.lock").read_text()
    assert "tiny==1.0" in text
    other: Path = make_project({"t.py": SHOW}, name="other")
    write_files(other, {"environments/away.yaml": (folder / "environment.yaml").read_text()})
    write_files(other, {"environments/requirements.lock": (folder / "requirements.lock").read_text()})
    result = errand.ok("run", "--target", target, "-e", "away", "t.py", cwd=other)
    assert result.text.startswith("1.0 ")


@pytest.mark.usefixtures("builder")
def test_an_environment_is_kept_under_a_name(errand, target, tiny):
    run(errand, target)
    said = errand.ok("env", "save", "mine").errors
    assert "errand run --environment mine" in said
    tiny.wheel("tiny", "1.5")
    assert run(errand, target, "-e", "mine").text.startswith("1.0 ")
    assert "is no name" in errand.run("env", "save", "../mine", code=2).errors
    (errand.cwd / "environments" / "mine.yaml").write_text("packages: [six]\n")
    (errand.cwd / "environments" / "mine.lock").unlink()
    assert "errand did not write it" in errand.run("env", "save", "mine", code=1).errors
    assert not (errand.cwd / "environments" / "mine.lock").exists(), "half of it was written"


@pytest.mark.usefixtures("builder")
def test_what_files_here_come_to_is_told_without_a_node(errand, target, tiny):
    shown = errand.ok("env", "show").text
    assert "name        requirements.txt\n" in shown
    assert f"  requirement tiny<2\n  option      --index-url {tiny.url}\n" in shown
    assert errand.json("list")["runs"] == []
    assert errand.json("env", "show", "--target", target)["there"] is None
    assert f"{target} does not have it yet" in errand.ok("env", "show", "--target", target).errors
    run(errand, target)
    there = errand.json("env", "show", "--target", target, "requirements.txt")["there"]
    assert there["identity"] == errand.show()["environment"]["identity"]
    assert "\n  tiny==1.0\n" in errand.ok("env", "show", "--target", target).text
    write_files(errand.cwd, {"same.txt": f"# why\n-i {tiny.url}\nTiny < 2\n", "other.txt": "tiny<3\n"})
    assert errand.json("env", "diff", "requirements.txt", "same.txt")["definition"] == []
    assert "- requirement tiny<2\n+ requirement tiny<3\n" in errand.ok("env", "diff", "@", "other.txt").text


def test_a_folder_in_the_project_counts_by_its_content(errand):
    write_files(errand.cwd, {"requirements.txt": "./lib\n", "lib/pyproject.toml": "[project]\nname='x'\nversion='1'\n"})
    first = errand.json("env", "show")["definition_digest"]
    assert errand.json("env", "show")["definition_digest"] == first
    write_files(errand.cwd, {"lib/more.py": ""})
    assert errand.json("env", "show")["definition_digest"] != first
