"""Runs in containers: as without but for the programs; ended for certain, also where a daemon keeps them.

Against stand-ins for podman and docker (support/engine_standin.py says what of them is verified), and against a real
engine too where ERRAND_TEST_ENGINE names one.
"""

import json
import os
import stat
import subprocess

import pytest
from support import processes
from support.engines import DIGEST, IMAGE, Engine, image, real_engine
from support.environments import environment, pin, prepare_log, run_python

# The script drops its environment: nothing on it tells whose it is, as in a container of another user's.
UNSEEN = "exec env -i /bin/sh -c 'trap \"\" TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 1; done'\n"


@pytest.fixture(params=["podman", "docker"])
def engine(node, tmp_path, request):
    one = Engine(node, tmp_path, request.param)
    with one.service():
        yield one


def contained(node, script: str, **changes):
    changes.setdefault("environment", environment(image()))
    run = node.shell(script, **changes)
    run.start()
    return run


def test_a_script_runs_in_an_image_as_it_would_without(node, engine):
    engine.add("images")
    run = contained(
        node,
        "echo from=$FROM_IMAGE own=$OWN pwd=$(pwd) metrics=$ERRAND_METRICS run=$ERRAND_RUN_ID attempt=$ERRAND_ATTEMPT\n"
        "echo made > outputs/model; umask\n",
        environment={**environment(image()), "variables": {"OWN": "a b"}},
    )
    last = run.end()
    assert last["state"] == "Completed", (last, run.control())
    assert run.states() == ["Starting", "Preparing", "Running", "Finalizing", "Completed"]
    words = f"from=yes own=a b pwd={run.work('')} metrics={run.folder}/metrics run={run.id} attempt=1"
    assert run.log().splitlines()[0] == words.replace("/work/ ", "/work ")
    made = run.work("outputs/model")
    assert made.read_text() == "made\n"
    assert made.stat().st_uid == os.geteuid()
    assert last["outputs"]["files"] == 1
    assert engine.containers() == []
    made = pin(run)
    assert (made["kind"], made["activation"], made["interpreter"]) == ("image", "image", str(engine.program))
    assert made["builder"] == f"{engine.name} 4.3.1"
    assert DIGEST in (run.folder / "environment.lock").read_text()


def test_what_the_engine_is_told_has_all_that_it_needs_and_no_secret(node, engine):
    engine.add("images")
    run = contained(
        node, "echo hello\n", environment={**environment(image()), "variables": {"TOKEN": "not-to-be-seen"}}
    )
    assert run.end()["state"] == "Completed", run.control()
    [call] = engine.calls("run")
    words = {
        f"--name=errand-{run.id}-1",
        "--network=host",
        "--ipc=host",
        "--security-opt=label=disable",
        "--log-driver=none",
        "--interactive",
        "--rm",
        f"--user={os.geteuid()}:{os.getegid()}",
        f"--mount=type=bind,source={run.folder},target={run.folder}",
        f"--workdir={run.folder}/work",
    }
    assert words <= set(call)
    assert call[-5:-2] == [DIGEST, "contained", str(run.folder)]
    assert call[-1] == ("forward" if engine.name == "docker" else "hold")
    assert not any("not-to-be-seen" in word for one in engine.calls() for word in one)
    assert not any(b"not-to-be-seen" in path.read_bytes() for path in engine.state.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("script", "exit"),
    [
        *[(f"exit {code}\n", {"kind": "exited", "code": code}) for code in (1, 125, 126, 127, 137)],
        ("kill -9 $$\n", {"kind": "signaled", "signal": "SIGKILL"}),
        ("kill -TERM $$\n", {"kind": "signaled", "signal": "SIGTERM"}),
    ],
)
def test_the_script_s_end_is_told_exactly(node, engine, script, exit):
    engine.add("images")
    assert contained(node, script).end()["exit"] == exit


def test_an_engine_that_cannot_start_the_container_is_no_script_that_failed(node, engine):
    engine.add("images")
    (engine.state / "broken").touch()
    run = contained(node, "echo never\n")
    last = run.end()
    assert last["exit"]["kind"] == "could_not_start"
    assert last["exit"]["code"] == 125
    assert "could not start the container: Error: crun: the runtime is broken" in last["reason"]
    assert run.states() == ["Starting", "Preparing", "Failed"]
    assert run.log() == ""


def test_a_program_that_the_image_lacks_is_told(node, engine):
    engine.add("images")
    run = node.accept(command=["no-such-program"], environment=environment(image()))
    run.start()
    last = run.end()
    assert (last["exit"]["kind"], last["exit"]["code"]) == ("could_not_start", 127)
    assert "no-such-program: not found in PATH in the container" in last["reason"]


def test_a_python_script_is_started_by_the_images_python(node, engine):
    engine.add("images")
    run = run_python(node, "import os\nprint(os.environ['FROM_IMAGE'])\n", environment=environment(image()))
    assert run.end()["state"] == "Completed", run.control()
    assert run.log() == "yes\n"


def test_an_image_is_pulled_once_and_named_by_digest(node, engine, envs):
    engine.add("registry")
    first = contained(node, "echo 1\n")
    assert first.end()["state"] == "Completed", prepare_log(first)
    assert f"Trying to pull {IMAGE}" in prepare_log(first)
    again = contained(node, "echo 2\n")
    assert again.end()["state"] == "Completed"
    assert again.states()[:2] == ["Starting", "Running"]
    assert len(engine.calls("pull")) == 1
    assert len(engine.calls("image")) == 2
    assert pin(again)["is_reused"] is True
    assert len(envs.ready()) == 1


@pytest.mark.usefixtures("engine")
def test_an_image_that_no_registry_has_is_told(node, envs):
    last = contained(node, "echo never\n").end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "the registry has no such image" in last["reason"]
    assert not envs.builds()


def test_modules_that_the_image_lacks_are_told(node, engine):
    engine.add("images")
    last = contained(node, "", environment=environment(image(), imports=["no_such_module"])).end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "no_such_module cannot be imported" in last["reason"]


@pytest.mark.parametrize(
    ("script", "exit"),
    [("exit 0\n", {"kind": "exited", "code": 0}), ("exit 7\n", {"kind": "exited", "code": 7})],
)
def test_an_engine_that_stays_when_its_container_is_gone_keeps_no_run(node, engine, script, exit):
    """podman run was seen to wait 20 s for an exit status that nobody had noted; a run waited for it without end."""
    engine.add("images")
    (engine.state / "lingering").touch()
    last = contained(node, script).end()
    assert (last["exit"], last["survivors"]) == (exit, 0)
    assert engine.containers() == []


@pytest.mark.parametrize("status", [0, 1, 255])
def test_an_engine_that_loses_its_container_tells_no_end(node, engine, status):
    """It was said that the script had ended well where the engine's status was 0 or 255."""
    engine.add("images")
    (engine.state / "status").write_text(str(status))
    run = contained(node, "echo on > on\nwhile :; do sleep 1; done\n")
    run.wait_file("on")
    subprocess.run([engine.program, "kill", f"errand-{run.id}-1"], env=engine.environment, check=True)
    last = run.end()
    assert last["exit"] == {"kind": "unknown"}
    assert f"{engine.name} exited with status {status} without a word of how the script ended" in last["reason"]


def test_what_the_engine_says_beside_its_answers_is_no_image(node, engine):
    engine.add("images")
    (engine.state / "warning").touch()
    run = contained(node, "echo hello\n")
    assert run.end()["state"] == "Completed", run.control()
    assert engine.calls("run")[0][-5] == DIGEST


# ---- how it is ended


def test_a_cancel_reaches_the_script_and_its_clean_up_is_waited_for(node, engine):
    engine.add("images")
    run = contained(
        node, "trap 'echo cleaned up; exit 3' TERM\necho on > on\nwhile :; do sleep 0.1; done\n", grace_ms=30000
    )
    run.wait_file("on")
    run.cancel()
    last = run.end()
    assert last["state"] == "Canceled"
    assert run.log().count("cleaned up") == 1
    assert last["survivors"] == 0
    assert last["proof"] in ("tree", "cgroup")
    assert engine.containers() == []


@pytest.mark.parametrize("how", ["cancel", "limit"])
def test_a_container_that_nothing_on_the_node_tells_of_is_ended_by_its_name(node, engine, how):
    engine.add("images")
    run = contained(node, UNSEEN, grace_ms=300, time_limit_ms=1500 if how == "limit" else None)
    pid = int(run.wait_file("pid"))
    if how == "cancel":
        run.cancel()
    last = run.end()
    assert last["exit"]["kind"] == ("canceled" if how == "cancel" else "timed_out")
    assert not processes.is_alive(pid)
    assert engine.containers() == []
    assert (last["survivors"], last["proof"] in ("tree", "cgroup")) == (0, True)
    if engine.name == "docker":
        assert engine.calls("kill") == [["kill", f"errand-{run.id}-1"]]


def test_supervisors_that_both_died_leave_no_container(node, engine):
    engine.add("images")
    run = contained(node, UNSEEN, grace_ms=300)
    pid = int(run.wait_file("pid"))
    run.kill("guardian", "shim")
    run.adopt()
    run.cancel()
    assert run.end()["state"] == "Canceled"
    assert not processes.is_alive(pid)
    assert engine.containers() == []


def test_an_engine_that_does_not_answer_proves_nothing(node, engine):
    engine.add("images")
    run = contained(node, "echo on > on\nread -r _ < /dev/zero\n", attempts=2)
    run.wait_file("on")
    engine.program.write_text("#!/bin/sh\necho no answer >&2; exit 1\n")
    run.cancel(100)
    last = run.end(120)
    assert last["state"] == "Canceled"
    assert (last["proof"], last["survivors"]) == ("none", 1)
    assert "does not say which containers there are: no answer" in run.control()


def test_without_its_daemon_docker_says_so(node, tmp_path):
    engine = Engine(node, tmp_path, "docker")
    engine.add("images")
    last = contained(node, "echo never\n").end()
    assert last["exit"]["kind"] == "could_not_start"
    assert "Cannot connect to the Docker daemon" in last["reason"]


def test_a_node_without_an_engine_says_what_to_install(node, tmp_path):
    node.environment["PATH"] = str(tmp_path)
    last = contained(node, "echo never\n").end()
    assert last["exit"] == {"kind": "environment_failed"}
    assert "install podman" in last["reason"]


# ---- a real engine, where there is one


def test_the_same_with_a_real_engine(node, tmp_path):
    found = real_engine(node)
    if found is None:  # the stand-in once more, so that this test says the same everywhere
        engine = Engine(node, tmp_path, "podman")
        engine.add("images")
        found = ("podman", IMAGE)
    wish = environment(image(found[1], builder=found[0].split("-")[0]))
    run = contained(node, "pwd; id -u; echo 1 > outputs/x; exit 125\n", environment=wish)
    last = run.end(300)
    assert last["exit"] == {"kind": "exited", "code": 125}, (last, run.control(), prepare_log(run))
    assert run.log().split() == [str(run.folder / "work"), str(os.geteuid())]
    assert stat.S_ISREG(run.work("outputs/x").stat().st_mode)
    slow = contained(
        node, "trap 'echo cleaned up; exit' TERM\necho on > on\nwhile :; do sleep 0.1; done\n", environment=wish
    )
    slow.wait_file("on", 120)
    slow.cancel(20000)
    last = slow.end(120)
    assert (last["state"], last["survivors"], slow.log().count("cleaned up")) == ("Canceled", 0, 1), json.dumps(last)
    deaf = contained(node, UNSEEN, environment=wish, grace_ms=300)
    deaf.wait_file("pid", 120)
    deaf.cancel()
    last = deaf.end(120)
    assert (last["state"], last["survivors"], last["proof"] in ("tree", "cgroup")) == (
        "Canceled",
        0,
        True,
    ), deaf.control()


@pytest.mark.parametrize("works", [True, False])
def test_a_node_tells_whether_its_engine_works(connect, tmp_path, works):
    folder = tmp_path / "bin"
    folder.mkdir()
    text = "echo podman version 4.3.1" if works else "exit 125"
    (folder / "podman").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "podman").chmod(0o755)
    [report], _ = connect(env={"PATH": f"{folder}:/bin"}).ask("CHECK", {"deep": False})
    check = next(one for one in report["checks"] if one["step"] == "containers")
    assert check["ok"] is True
    assert ("podman version 4.3.1" if works else "does not answer") in check["detail"]
    assert (report["node"]["containers"] is not None) == works
