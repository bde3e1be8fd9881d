"""Runs on a Livy's cluster: the attendant against a Livy of the tests' own, with what real ones and gateways do."""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support import processes
from support.errand import MARK, Errand
from support.livy import PASSWORD, Livy, add
from support.waiting import wait_for

SECONDS = 60
FOR_EVER = "from time import sleep\nsleep(300)\n"  # lines of a script that is not to end by itself


@pytest.fixture
def livy(make_livy: Callable[..., Livy], errand: Errand) -> Livy:
    """A Livy 0.7.1 behind a gateway with TLS, as the target `web` of errand."""
    return add(errand, make_livy())


def write(project: Path, text: str) -> None:
    (project / "job.py").write_text(text)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file for whose appearance a script waits; see waits_for."""
    return tmp_path / "gate"


def waits_for(gate: Path) -> str:
    """Lines of a script: it goes on once the file is there."""
    return f"import os\nfrom time import sleep\nwhile not os.path.exists({str(gate)!r}):\n    sleep(0.02)\n"


def attendants(run: str) -> list[int]:
    """The pids of its attendants."""
    found = processes.carrying("ERRAND_RUN_ID", run)
    return [pid for pid in found if processes.command(pid)[1:3] == ["attend", "livy"]]


def control_log(errand: Errand, run: str) -> str:
    return (errand.home / "state" / "local" / "runs" / run / "control.log").read_text()


def begun(errand: Errand, run: str, word: bytes = b"begun") -> None:
    """The script has written its first line, and it is here."""
    log = errand.home / "state" / "local" / "runs" / run / "driver.log"
    wait_for(lambda: word in log.read_bytes(), "the script's first line", SECONDS)


def wait_noted(errand: Errand, run: str, words: str) -> None:
    """The attendant has written these words down."""
    log = errand.home / "state" / "local" / "runs" / run / "control.log"
    wait_for(lambda: log.exists() and words in log.read_text(), f"{words!r} in control.log", SECONDS)


# --- a command that copies ------------------------------------------------------------------------------------------

COPY = """#!/bin/sh
echo "$1 $2" >> "$0.log"
case "$2" in *projects/*) test ! -e "$0.hangs" || exec sleep 600 ;; esac
from="${1#file://}" to="${2#file://}"
mkdir -p "${to%/*}" && cp "$from" "$to"
"""


@pytest.fixture
def copier(errand: Errand, make_livy: Callable[..., Livy], tmp_path: Path) -> Path:
    """The target `web`, to which a command copies; what it was asked is in copy.log."""
    path = tmp_path / "copy"
    path.write_text(COPY)
    path.chmod(0o755)
    add(errand, make_livy())
    with (errand.home / "config" / "targets.d" / "web.yaml").open("a") as file:
        file.write(f'livy_upload_command: ["{path}", "{{src}}", "{{dst}}"]\n')
    return path


def test_a_command_carries_files_both_ways(errand: Errand, copier: Path, project: Path):
    write(project, "import os\nprint('hello')\nopen('outputs/m', 'w').write('x')\nos._exit(3)\n")
    result = errand.run("run", "--target", "web", "job.py", code=3)
    assert "hello" in result.text
    assert (errand.home / "state" / "runs" / errand.last_run() / "outputs" / "m").read_text() == "x"
    errand.run("run", "--target", "web", "job.py", code=3)
    sent = [line for line in copier.with_name("copy.log").read_text().splitlines() if "/projects/" in line.split()[1]]
    assert len(sent) == 1


@pytest.mark.usefixtures("copier")
def test_what_a_command_brought_and_is_gone_is_brought_again(errand: Errand, project: Path, tmp_path: Path):
    """Nobody can look; but a batch that could not start is doubt enough."""
    write(project, "print('hello')\n")
    errand.ok("run", "--target", "web", "job.py")
    [sent] = tmp_path.rglob("projects/*.tar")
    sent.unlink()
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "projects/" in result.errors
    assert "the next run sends projects/" in control_log(errand, errand.last_run())
    assert "hello" in errand.ok("run", "--target", "web", "job.py").text


def test_a_cancel_ends_a_command_that_copies(errand: Errand, copier: Path, project: Path):
    copier.with_name("copy.hangs").touch()
    write(project, "print('never')\n")
    run = errand.submit("--target", "web", "job.py")
    log = copier.with_name("copy.log")
    wait_for(lambda: log.exists() and "/projects/" in log.read_text(), "the copying", SECONDS)
    errand.ok("cancel", run)
    assert errand.show(run)["status"] == "Canceled"
    assert not processes.carrying("ERRAND_RUN_ID", run)


# --- a script's whole life ------------------------------------------------------------------------------------------


def test_a_script_runs_there_and_its_outputs_come_home(errand: Errand, livy: Livy, project: Path):
    (project / "lib").mkdir()
    (project / "lib" / "tools.py").write_text("WORD = 'from a module'\n")
    write(
        project,
        "import os, sys\nfrom lib import tools\n"
        "print(tools.WORD, sys.argv[1:], open('data.txt').read(), os.environ['GREETING'])\n"
        "open(os.environ['ERRAND_METRICS'], 'a').write('{\"loss\": 0.5}\\n')\n"
        "os.mkdir('outputs/deep')\nopen('outputs/deep/model', 'wb').write(b'\\0\\xff')\n",
    )
    (project / "data.txt").write_text("data")
    result = errand.ok("run", "--target", "web", "--env", "GREETING=hello", "job.py", "a b", "ü€", "$HOME")
    assert "from a module ['a b', 'ü€', '$HOME'] data hello" in result.text
    assert result.text.startswith("errand: driver: Python 3.")
    notes = re.findall(r"^errand: (batch \d+ .*)", result.errors, re.MULTILINE)
    assert len(notes) == len(set(notes)) and sum("starting" in note for note in notes) <= 1
    run = errand.last_run()
    assert (errand.home / "state" / "runs" / run / "outputs" / "deep" / "model").read_bytes() == b"\0\xff"
    assert errand.json("metrics", run)["metrics"][0]["name"] == "loss"
    (job,) = livy.posts
    assert job["name"] == f"errand-{run}-1"
    assert job["conf"]["spark.yarn.tags"] == job["name"]
    assert not list((livy.files / "errand" / "runs").iterdir())


def test_nothing_but_outputs_comes_into_the_work_tree(errand: Errand, livy: Livy, project: Path):
    """The script leaves an archive of its own where the driver, for want of outputs, leaves none."""
    write(
        project,
        "import glob, tarfile\n"
        f"(folder,) = glob.glob({str(livy.files)!r} + '/errand/runs/*')\n"
        "with tarfile.open(folder + '/outputs.tar', 'w') as archive:\n"
        "    for name in ['more.py', 'outputs/model']:\n"
        "        archive.add('job.py', name)\n",
    )
    errand.ok("run", "--target", "web", "job.py")
    run = errand.last_run()
    assert (errand.home / "state" / "runs" / run / "outputs" / "model").exists()
    assert not (errand.home / "state" / "local" / "runs" / run / "work" / "more.py").exists()


def test_a_project_that_is_there_is_not_sent_again(errand: Errand, livy: Livy, project: Path):
    write(project, "print('once')\n")
    errand.ok("run", "--target", "web", "job.py")
    first = errand.last_run()
    errand.ok("run", "--target", "web", "job.py")
    assert "sent the project" in control_log(errand, first)
    assert "the project is there already" in control_log(errand, errand.last_run())
    assert len(list((livy.files / "errand" / "projects").iterdir())) == 1


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        ("", 0, "exited with status 0"),
        ("import sys; sys.exit(7)", 7, "exited with status 7"),
        ("raise ValueError('no')", 1, "exited with status 1"),
        ("import sys; sys.exit('text')", 1, "exited with status 1"),
        ("import os; os._exit(3)", 3, "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", 137, "was killed by SIGKILL"),
    ],
)
@pytest.mark.usefixtures("livy")
def test_how_a_script_ended_is_told_exactly(errand: Errand, project: Path, script, code, kind):
    write(project, script + "\n")
    result = errand.run("run", "--target", "web", "job.py", code=code)
    assert kind in result.errors


@pytest.mark.usefixtures("livy")
def test_every_byte_of_the_log_comes(errand: Errand, project: Path):
    """Lines by the thousand, one of 4 MB, bytes that are no UTF-8, no newline at the end: each would be lost or do harm
    in Livy's own log."""
    write(
        project,
        "import os, hashlib\n"
        "data = b''.join(b'%d \\xc3\\xbc <&>\\n' % i for i in range(5000)) + b'\\xff\\xfe\\0\\r'\n"
        "data += b'x' * (4 << 20) + b'\\n\\xe2\\x82'\n"
        "at = 0\nwhile at < len(data):\n    at += os.write(1, data[at:at + 99991])\n",
    )
    result = errand.ok("run", "--target", "web", "job.py")
    data = b"".join(b"%d \xc3\xbc <&>\n" % i for i in range(5000)) + b"\xff\xfe\0\r" + b"x" * (4 << 20) + b"\n\xe2\x82"
    log = result.out.split(b"\n", 1)[1]
    assert (len(log), hashlib.sha256(log).hexdigest()) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_secret_reaches_the_script_and_nothing_else(errand: Errand, livy: Livy, project: Path):
    write(project, "import os\nprint('it has', len(os.environ['API_TOKEN']), 'ERRAND_LIVY_PASSWORD' in os.environ)\n")
    errand.more_env["API_TOKEN"] = "token-that-nobody-sees"
    result = errand.ok("run", "--target", "web", "--secret", "API_TOKEN", "job.py")
    assert "it has 22 False" in result.text
    run = errand.last_run()
    for path in [*(errand.home / "state").rglob("*"), *livy.files.rglob("*")]:
        if path.is_file() and "store" not in path.parts:
            text = path.read_bytes()
            assert b"token-that-nobody-sees" not in text, path
            assert PASSWORD.encode() not in text, path
    assert "token" not in str(livy.posts)
    assert run


def test_files_of_the_project_reach_spark_by_their_names(errand: Errand, livy: Livy, project: Path):
    write(project, "pass\n")
    (project / "conf").mkdir()
    (project / "conf" / "lookup.csv").write_text("1,2\n")
    errand.ok("run", "--target", "web", "--files", "conf/lookup.csv", "--jars", "hdfs:///x.jar", "job.py")
    (job,) = livy.posts
    (name,) = job["files"]
    assert re.fullmatch(r"file:.*/runs/errand-\w+-1/file0/lookup.csv", name)
    assert job["jars"] == ["hdfs:///x.jar"]


def test_a_link_out_of_the_project_brings_no_file_of_this_machine_there(
    errand: Errand, livy: Livy, project: Path, tmp_path: Path
):
    write(project, "pass\n")
    (tmp_path / "private").write_text("private")
    (project / "k").symlink_to(tmp_path / "private")
    (project / "near").symlink_to("job.py")
    result = errand.run("run", "--target", "web", "--files", "k", "job.py", code=125)
    assert "send k: " in result.errors
    assert not [p for p in livy.files.rglob("*") if p.is_file() and p.read_bytes() == b"private"]
    errand.ok("run", "--target", "web", "--files", "near", "job.py")


def test_variables_of_a_login_are_not_asked_for_there(errand: Errand, livy: Livy, project: Path):
    write(project, "pass\n")
    result = errand.run("run", "--target", "web", "--env", "A=${node:HOME}", "job.py", code=125)
    assert "variables: A: ${node:NAME} asks for a login's variables" in result.errors
    assert not livy.posts


# --- answers that are lost or refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["0.5.0-incubating", "0.7.1-incubating", "0.9.0"])
def test_a_lost_answer_makes_no_second_script(
    errand: Errand, make_livy: Callable[..., Livy], project: Path, tmp_path: Path, gate: Path, dialect: str
):
    livy = add(errand, make_livy(dialect=dialect))
    count = tmp_path / "count"
    write(project, f"open({str(count)!r}, 'a').write('x')\n{waits_for(gate)}")
    livy.faults = [("POST", "lost")]
    run = errand.submit("--target", "web", "job.py")
    wait_noted(errand, run, "found the batch that Livy had begun")
    gate.touch()
    errand.ok("wait", run)
    assert count.read_text() == "x"
    assert len(livy.posts) == 1


def test_a_second_driver_of_an_attempt_starts_nothing(
    errand: Errand, livy: Livy, project: Path, tmp_path: Path, gate: Path
):
    """Where a server without names is asked twice after all."""
    count = tmp_path / "count"
    write(project, f"open({str(count)!r}, 'a').write('x')\nprint('begun', flush=True)\n{waits_for(gate)}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    driver = livy.posts[0]["file"].removeprefix("file://")
    again = subprocess.run(["python3", driver], env=livy.env, check=False, capture_output=True)
    assert again.returncode == 125
    gate.touch()
    errand.ok("wait", run)
    assert count.read_text() == "x"


def test_a_zombie_is_removed_and_the_reason_told(errand: Errand, livy: Livy, project: Path):
    write(project, "pass\n")
    livy.faults = [("POST", "zombie")]
    result = errand.run("run", "--target", "web", "job.py", code=125)
    assert "Livy did not take the batch: Local path /x cannot be added to user sessions." in result.errors
    assert "local-dir-whitelist" in result.errors
    assert not livy.batches


def test_a_crowded_server_and_a_gateway_in_trouble_are_waited_for(
    errand: Errand, livy: Livy, project: Path, gate: Path
):
    write(project, f"print('well', flush=True)\n{waits_for(gate)}")
    livy.faults = [("POST", 502), ("POST", "crowded"), *[("GET", 503)] * 4]
    run = errand.submit("--target", "web", "job.py")
    wait_for(lambda: not livy.faults, "an answer to each request", SECONDS)
    gate.touch()
    result = errand.ok("follow", run)
    assert "well" in result.text
    assert len(livy.posts) == 1
    assert "Livy starts as many batches as it may" in control_log(errand, run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"LIVY_PASSWORD": "wrong"}, "401 Unauthorized"),
        ({"LIVY_PASSWORD": None}, "the password's variable LIVY_PASSWORD is not set"),
    ],
)
def test_a_login_that_fails_says_so(errand: Errand, livy: Livy, project: Path, change: dict, said: str):
    write(project, "pass\n")
    result = errand.run("run", "--target", "web", "job.py", env=change, code=125)
    assert said in result.errors
    assert not livy.posts


def test_a_certificate_of_an_unknown_authority_is_refused(errand: Errand, livy: Livy, project: Path):
    write(project, "pass\n")
    arguments = livy.target_arguments()
    del arguments[arguments.index("--ca") :]
    errand.ok("target", "add", "other", *arguments)
    result = errand.run("target", "check", "other", "--json", code=1)
    (failed,) = [step for step in result.json()["steps"] if not step["ok"]]
    assert "certificate" in failed["detail"]
    assert "PEM" in failed["hint"]
    assert "PEM" in errand.run("run", "--target", "other", "job.py", code=125).errors  # at once: no waiting helps


# --- Livy goes away -------------------------------------------------------------------------------------------------


def test_a_run_outlives_a_server_that_forgets_it(errand: Errand, livy: Livy, project: Path, gate: Path):
    write(project, f"print('begun', flush=True)\n{waits_for(gate)}print('to the end')\nraise SystemExit(4)\n")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    livy.restart()
    wait_noted(errand, run, "Livy knows batch 0 no more")
    gate.touch()
    result = errand.run("follow", run, code=4)
    assert "to the end" in result.text
    assert len(livy.posts) == 1


@pytest.mark.usefixtures("livy")
def test_a_driver_that_dies_without_a_word_is_not_said_to_be_well(errand: Errand, project: Path):
    write(project, f"import os\nprint('begun', flush=True)\nos.kill(os.getppid(), 9)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    result = errand.run("follow", run, deadline_s=90)
    assert result.code not in (0, 1)
    assert "the driver left no word of how the script ended" in errand.ok("show", run).text


def test_an_older_attempts_log_is_no_reason(errand: Errand, livy: Livy, project: Path, gate: Path):
    write(project, f"print('begun', flush=True)\n{waits_for(gate)}os.kill(os.getppid(), 9)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    with (errand.home / "state" / "local" / "runs" / run / "engine.log").open("a") as file:
        file.write("Error: what another attempt met\n")
    (pid,) = attendants(run)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: attendants(run) not in ([], [pid]), "another attendant", SECONDS)
    wait_for(lambda: control_log(errand, run).count("batch 0 of Livy") == 2, "its look", SECONDS)
    gate.touch()
    errand.run("follow", run, deadline_s=90)
    shown = errand.ok("show", run).text
    assert "the driver left no word of how the script ended" in shown
    assert "what another attempt met" not in shown
    assert livy.batches


# --- cancel, and attendants that die --------------------------------------------------------------------------------


def test_cancel_ends_the_script_and_the_batch(errand: Errand, livy: Livy, project: Path, mark: str):
    write(project, f"print('begun', flush=True)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    errand.ok("cancel", run)
    assert errand.show(run)["status"] == "Canceled"
    assert not livy.batches
    wait_for(lambda: not scripts(mark), "the end of the script", SECONDS)


def test_yarn_says_why_a_batch_waits(errand: Errand, make_livy: Callable[..., Livy], project: Path):
    livy = make_livy()
    livy.yarn = lambda _tag: {"diagnostics": "Queue's AM resource limit exceeded."}
    add(errand, livy, "--yarn", livy.yarn_url)
    write(project, "import time\nprint('begun', flush=True)\ntime.sleep(4)\n")
    errand.ok("target", "check", "web")
    errand.ok("run", "--target", "web", "job.py")
    run = errand.last_run()
    assert "waits in queue ml" in control_log(errand, run)
    engine = errand.show(run)["engine"]
    assert engine["application"] == "application_1795870357304_0007"
    assert engine["queue"] == "ml"


def test_a_cancel_waits_until_yarn_has_nothing_of_it_alive(
    errand: Errand, make_livy: Callable[..., Livy], project: Path
):
    livy = make_livy()
    left = ["RUNNING", "RUNNING", "KILLED"]
    livy.yarn = lambda _tag: {"state": left.pop(0) if livy.deleted and left[1:] else left[0]}
    add(errand, livy, "--yarn", livy.yarn_url)
    write(project, "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    errand.ok("cancel", run)
    assert errand.show(run)["engine"]["state"] == "deleted"
    assert left == ["KILLED"]
    assert "canceled: Livy has no such batch any more, and the driver has ended" in control_log(errand, run)


def test_that_yarn_knows_of_nothing_is_believed_when_it_says_so_for_a_while(
    errand: Errand, make_livy: Callable[..., Livy], project: Path
):
    """Livy's batch was deleted while it submitted its application, which comes after all."""
    livy = make_livy()
    left = [None, None, {"state": "RUNNING"}, {"state": "KILLED"}]
    livy.yarn = lambda _tag: left.pop(0) if livy.deleted and left[1:] else left[0]
    add(errand, livy, "--yarn", livy.yarn_url)
    write(project, f"print('begun', flush=True)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    errand.ok("cancel", run)
    assert left == [{"state": "KILLED"}]


def test_a_silent_yarn_does_not_hold_up_the_log(
    errand: Errand, make_livy: Callable[..., Livy], project: Path, tmp_path: Path
):
    livy = make_livy()
    asked = []

    def hang(tag: str) -> None:
        asked.append(tag)
        livy.is_over.wait(30)

    livy.yarn = hang
    add(errand, livy, "--yarn", livy.yarn_url)
    gates = [tmp_path / f"gate{i}" for i in range(8)]
    write(project, "".join(f"{waits_for(gate)}print({gate.name!r}, flush=True)\n" for gate in gates))
    run = errand.submit("--target", "web", "job.py")
    for gate in gates:
        gate.touch()
        begun(errand, run, gate.name.encode())
    errand.ok("follow", run)
    assert len(asked) < len(gates)


def scripts(mark: str) -> list[int]:
    """The pids of scripts and drivers that Livy's batches left."""
    found = processes.carrying(MARK, mark)
    return [pid for pid in found if any("job.py" in word for word in processes.command(pid))]


def test_cancel_ends_a_batch_whose_post_was_not_answered(errand: Errand, livy: Livy, project: Path, mark: str):
    write(project, FOR_EVER)
    livy.faults = [("POST", "silent")]
    run = errand.submit("--target", "web", "job.py")
    wait_for(lambda: scripts(mark), "the script", SECONDS)
    errand.ok("cancel", run)
    assert errand.show(run)["status"] == "Canceled"
    assert not livy.batches
    assert "Livy has no such batch any more" in control_log(errand, run)
    wait_for(lambda: not scripts(mark), "the end of the script", SECONDS)


def test_cancel_ends_a_script_that_livy_forgot(errand: Errand, livy: Livy, project: Path, mark: str):
    write(project, f"print('begun', flush=True)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    livy.restart()
    errand.ok("cancel", run)
    assert errand.show(run)["status"] == "Canceled"
    wait_for(lambda: not scripts(mark), "the end of the script", SECONDS)


@pytest.mark.parametrize("which", ["attendant", "stage"])
def test_an_attendant_that_was_killed_is_followed_by_another(
    errand: Errand, livy: Livy, project: Path, gate: Path, which: str
):
    write(
        project,
        "for i in range(6):\n    print('line', i, flush=True)\n" + waits_for(gate) + "for i in range(6, 80):\n"
        "    print('line', i, flush=True)\n    sleep(0.01)\nraise SystemExit(5)\n",
    )
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run, b"line 5\n")
    (pid,) = attendants(run)
    os.kill(pid if which == "attendant" else processes.stat(pid)[1], signal.SIGKILL)
    wait_for(lambda: attendants(run) not in ([], [pid]), "another attendant", SECONDS)
    gate.touch()
    result = errand.run("follow", run, code=5)
    lines = re.findall(r"line \d+", errand.ok("logs", run).text)
    assert lines == [f"line {i}" for i in range(80)]
    assert len(livy.posts) == 1
    assert not livy.deleted
    assert result.code == 5


def test_a_verdict_that_was_written_down_outlives_its_attendant(errand: Errand, livy: Livy, project: Path):
    """The folder that tells how the script ended is removed by then."""
    write(project, f"print('begun', flush=True)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    (pid,) = attendants(run)
    folder = errand.home / "state" / "local" / "runs" / run
    (folder / "driver.result.1").write_text('{"kind":"exited","code":5}\n')
    os.kill(processes.stat(pid)[1], signal.SIGKILL)
    errand.run("follow", run, code=5)
    assert len(livy.posts) == 1


@pytest.mark.usefixtures("livy")
def test_a_verdict_that_it_could_not_start_is_not_asked_for_again(errand: Errand, project: Path):
    """It is the attendant's own word, and none that a further start failed."""
    write(project, f"print('begun', flush=True)\n{FOR_EVER}")
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    (pid,) = attendants(run)
    folder = errand.home / "state" / "local" / "runs" / run
    (folder / "driver.result.1").write_text('{"kind":"could_not_start","text":"the cluster has no room"}\n')
    os.kill(processes.stat(pid)[1], signal.SIGKILL)
    assert "the cluster has no room" in errand.run("follow", run, code=125).errors
    assert errand.show(run)["status"] == "Failed"
    assert control_log(errand, run).count("it is started again") == 1


@pytest.mark.usefixtures("livy")
def test_metrics_that_were_half_brought_are_not_there_twice(errand: Errand, project: Path, gate: Path):
    line = '{"name":"loss","value":0.5,"step":1}\n'
    write(
        project,
        f"import os\nopen(os.environ['ERRAND_METRICS'], 'w').write({line!r})\nprint('begun', flush=True)\n"
        + waits_for(gate),
    )
    run = errand.submit("--target", "web", "job.py")
    begun(errand, run)
    folder = errand.home / "state" / "local" / "runs" / run
    (folder / "livy.metrics").write_text("1 0\n")
    (folder / "metrics").write_text(line[:20])
    gate.touch()
    errand.ok("follow", run)
    assert (folder / "metrics").read_text() == line


def test_metrics_that_cannot_be_brought_are_said_and_stay_there(errand: Errand, livy: Livy, project: Path):
    """They were gone without a word, with the folder that had them."""
    write(
        project,
        "import glob, os\n"
        f"(folder,) = glob.glob({str(livy.files)!r} + '/errand/runs/*')\n"
        "open(os.environ['ERRAND_METRICS'], 'a').write('{\"loss\": 0.5}\\n')\n"
        "os.symlink('elsewhere', folder + '/.tmp.metrics')\n",  # what the driver copies them to
    )
    errand.ok("run", "--target", "web", "job.py")
    assert "the metrics could not be brought: read " in control_log(errand, errand.last_run())
    (folder,) = (livy.files / "errand" / "runs").iterdir()
    assert (folder / "metrics").read_text() == '{"loss": 0.5}\n'


# --- targets --------------------------------------------------------------------------------------------------------


def test_check_tells_what_is_there(errand: Errand, livy: Livy):
    document = errand.json("target", "check", "web")
    steps = {step["step"]: step["detail"] for step in document["steps"]}
    assert document["ok"]
    assert "0.7.1-incubating" in steps["livy"]
    assert "can be written (local); 0 projects and 0 environments, 0 bytes" in steps["folder"]
    assert not list((livy.files / "errand").rglob(".try*"))


class Forbidding(BaseHTTPRequestHandler):
    """A WebHDFS whose home folders nobody has made, for whom it does not know."""

    def answer(self) -> None:
        is_home = "op=GETHOMEDIRECTORY" in self.path
        said = {"RemoteException": {"message": "Permission denied: user=dr.who, access=WRITE, inode=/user"}}
        data = json.dumps({"Path": "/user/dr.who"} if is_home else said).encode()
        self.send_response(200 if is_home else 403)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = answer  # noqa: N815 (http.server's)


def test_a_folder_of_somebody_else_says_how_to_be_another(errand: Errand, livy: Livy, project: Path):
    write(project, "pass\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/webhdfs/v1"
        errand.ok("target", "remove", "web")
        add(errand, livy, "--webhdfs", address)
        steps = errand.run("target", "check", "web", "--json", code=1).json()["steps"]
        failed = errand.run("run", "--target", "web", "job.py", code=125)
        server.shutdown()
    (step,) = (step for step in steps if step["step"] == "folder")
    assert "user=dr.who" in step["detail"] and "?user.name=NAME" in step["hint"]
    assert "user=dr.who" in failed.errors and "?user.name=NAME" in failed.errors


def test_a_password_is_not_sent_unencrypted_to_another_machine(errand: Errand):
    result = errand.run("target", "add", "x", "http://cluster.example.net/livy", "--user", "me", code=2)
    assert "unencrypted" in result.errors


def test_a_target_of_kind_livy_needs_an_address(errand: Errand):
    result = errand.run("target", "add", "x", "cluster.example.net", "--kind", "livy", code=2)
    assert "begins with https://" in result.errors


def test_what_livy_cannot_do_is_refused_before_anything_is_sent(errand: Errand, livy: Livy, project: Path):
    write(project, "pass\n")
    for words, said in [
        (["--framework", "python", "job.py"], "starts PySpark scripts alone"),
        (["--", "true"], "starts PySpark scripts alone"),
        (["--master", "yarn", "job.py"], "the master is Livy's own choice"),
    ]:
        result = errand.run("run", "--target", "web", *words, code=125)
        assert said in result.errors
    assert not livy.posts
