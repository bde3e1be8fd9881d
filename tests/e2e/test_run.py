"""The main job: a folder goes to a target, its script runs there, everything comes back."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.projects import write_files
from support.waiting import wait_for

# Prints, waits until the file that is its first argument appears, and goes on.
GATED = """
import os, sys
from time import sleep
print("one", flush=True)
while not os.path.exists(sys.argv[1]):
    sleep(0.01)
print("two")
"""
# The same, and its log is truncated between.
TRUNCATES = """
import os, sys
from time import sleep
print("a" * 5000, flush=True)
while not os.path.exists(sys.argv[1]):
    sleep(0.01)
os.ftruncate(1, 0)
print("after", flush=True)
"""
LISTS = """
import os
for folder, folders, files in sorted(os.walk(".")):
    for name in sorted(folders + files):
        path = os.path.join(folder, name)
        print(path, os.access(path, os.X_OK), os.path.islink(path))
"""
LEAVES_OUTPUT = """
import os, sys
os.makedirs("outputs", exist_ok=True)
open("outputs/a", "w").write("1")
sys.exit(int(sys.argv[1]))
"""
STUBBORN = {
    "plain": """
from time import sleep
print("up", flush=True)
sleep(1000)
""",
    "ignores TERM": """
import signal
from time import sleep
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
sleep(1000)
""",
    "setsid": """
import os
from time import sleep
if os.fork() == 0:
    os.setsid()
    for descriptor in range(3):
        os.close(descriptor)
    sleep(1000)
print("up", flush=True)
sleep(1000)
""",
}


def lines_of(result) -> list[str]:
    return result.text.splitlines()


def outputs_of(errand, run: str) -> Path:
    return Path(errand.ok("outputs", run).text.rstrip("\n"))


# ---- what is run ----


def test_log_goes_to_stdout_and_nothing_else_does(errand, target):
    write_files(errand.cwd, {"t.py": "import sys\nprint('out')\nprint('err', file=sys.stderr)\n"})
    result = errand.ok("run", "--target", target, "t.py")
    assert sorted(lines_of(result)) == ["err", "out"]


@pytest.mark.parametrize("status", [0, 1, 3, 124, 255])
def test_exit_status_is_the_scripts_own(errand, target, status):
    write_files(errand.cwd, {"t.py": f"raise SystemExit({status})"})
    assert errand.run("run", "--target", target, "t.py").code == status
    shown = errand.show()
    assert shown["exit"] == {"kind": "exited", "code": status}
    assert shown["status"] == ("Completed" if status == 0 else "Failed")


def test_a_script_killed_by_a_signal_gives_128_and_its_number(errand, target):
    write_files(errand.cwd, {"t.py": "import os, signal\nos.kill(os.getpid(), signal.SIGUSR1)\n"})
    assert errand.run("run", "--target", target, "t.py").code == 128 + signal.SIGUSR1
    assert errand.show()["exit"] == {"kind": "signaled", "signal": "SIGUSR1"}


@pytest.mark.parametrize(("name", "experiment"), [("p", "p"), ("a" + "é" * 100, "a" + "é" * 63)])
def test_an_experiment_without_a_name_has_the_folders(errand, make_project, name, experiment):
    """Cut to 128 bytes between letters; short ones were read beyond their end."""
    errand.cwd = make_project(name=name)
    errand.ok("run", "train.py")
    assert errand.show("@")["experiment"] == experiment


def test_arguments_arrive_byte_for_byte(errand, target):
    write_files(errand.cwd, {"t.py": "import sys, os\nfor a in sys.argv[1:]: print(os.fsencode(a).hex())\n"})
    arguments = ["", " ", "a b", "-x", "--help", "--", "line\nbreak", "'\"$HOME`\\", "ünï", b"\xff\xfe raw", "*"]
    result = errand.ok("run", "--target", target, "t.py", *arguments)
    assert lines_of(result) == [os.fsencode(a).hex() for a in arguments]
    shown = errand.show()["command"]
    assert {"base64": "//4gcmF3"} in shown


def test_options_after_the_script_are_the_scripts(errand, target):
    write_files(errand.cwd, {"t.py": "import sys\nprint(sys.argv[1:])\n"})
    result = errand.ok("run", "--target", target, "t.py", "--target", "x", "--json", "-q")
    assert result.text == "['--target', 'x', '--json', '-q']\n"


def test_a_plain_command_runs_in_the_checkout(errand, target):
    write_files(
        errand.cwd, {"src/Makefile": "all:\n\t@echo made in $$(basename $$(dirname $$PWD))/$$(basename $$PWD)\n"}
    )
    result = errand.ok("run", "--target", target, "--", "make", "-s", "-C", "src", "all")
    assert result.text == "made in work/src\n"


def test_a_script_with_a_hash_bang_starts_itself(errand, target):
    write_files(errand.cwd, {"go.sh": ("#!/bin/sh\necho sh $1\n", 0o755)})
    assert errand.ok("run", "--target", target, "go.sh", "x").text == "sh x\n"


def test_stdin_is_empty_and_output_is_unbuffered(errand, target):
    write_files(errand.cwd, {"t.py": "import sys, os\nprint(repr(sys.stdin.read()), os.environ['PYTHONUNBUFFERED'])\n"})
    assert errand.ok("run", "--target", target, "t.py").text == "'' 1\n"


def test_variables_come_from_configuration_and_command_line(errand, target):
    write_files(
        errand.cwd,
        {
            "errand.yaml": "variables: {A: file, B: file}\n",
            "t.py": "import os\nprint(os.environ['A'], os.environ['B'], os.environ['C'])\n",
        },
    )
    result = errand.ok("run", "--target", target, "--env", "B=line", "--env", "C", "t.py", env={"C": "from here"})
    assert result.text == "file line from here\n"


def test_an_interpreter_can_be_named(errand, target):
    write_files(errand.cwd, {"odd": ('#!/bin/sh\necho odd "$@"\n', 0o755), "t.py": "print(1)\n"})
    result = errand.ok("run", "--target", target, "--interpreter", "/bin/echo", "t.py", "x")
    assert result.text == "t.py x\n"


def test_an_interpreter_in_the_nodes_home_is_found(errand, sshd):
    errand.add_target("homely", "--transport=openssh", *sshd.target_arguments())
    write_files(Path(sshd.home), {"venv/bin/python": ("#!/bin/sh\necho $0 $@\n", 0o755)})
    write_files(errand.cwd, {"t.py": "print(1)\n"})
    said = errand.ok("run", "--target", "homely", "--interpreter", "~/venv/bin/python", "t.py", "x").text
    assert said == f"{sshd.home}/venv/bin/python t.py x\n"
    unset = errand.run("run", "--target", "homely", "--env", "HOME=", "--interpreter", "~/python", "t.py", code=127)
    assert "~/python: HOME is not set on the node" in unset.errors


@pytest.mark.parametrize(
    ("interpreter", "status"), [("/nowhere/python", 127), ("no-such-python", 127), ("/etc/passwd", 126)]
)
def test_an_interpreter_that_cannot_start_is_not_the_scripts_failure(errand, target, interpreter, status):
    result = errand.run("run", "--target", target, "--interpreter", interpreter, "train.py")
    assert result.code == status
    shown = errand.show()
    assert shown["exit"] == {"kind": "could_not_start", "code": status}
    assert interpreter in shown["reason"]


def test_a_scripts_own_127_is_its_own(errand, target):
    write_files(errand.cwd, {"t.py": "raise SystemExit(127)"})
    assert errand.run("run", "--target", target, "t.py").code == 127
    assert errand.show()["exit"] == {"kind": "exited", "code": 127}


# ---- what comes home ----


def test_outputs_come_home_exactly(errand, target):
    script = """
import os
os.makedirs('outputs/deep/er'); os.makedirs('outputs/empty')
open('outputs/model.bin', 'wb').write(bytes(range(256)) * 1000)
open('outputs/deep/er/run.sh', 'w').write('#!/bin/sh\\n'); os.chmod('outputs/deep/er/run.sh', 0o755)
os.symlink('model.bin', 'outputs/latest')
open(b'outputs/\\xff name\\n', 'w').write('odd')
"""
    write_files(errand.cwd, {"t.py": script})
    result = errand.ok("run", "--target", target, "t.py")
    home = outputs_of(errand, "@")
    assert (home / "model.bin").read_bytes() == bytes(range(256)) * 1000
    assert os.access(home / "deep/er/run.sh", os.X_OK)
    assert (home / "latest").readlink() == Path("model.bin")
    assert (home / "empty").is_dir()
    assert Path(os.fsdecode(os.fsencode(home) + b"/\xff name\n")).read_text() == "odd"
    assert result.errors.rstrip().splitlines()[-1].endswith(str(home))
    shown = errand.show()
    assert shown["outputs"]["files"] == 4
    assert shown["outputs"]["size_bytes"] == 256000 + 10 + len("model.bin") + 3


def test_outputs_to_never_overwrites(errand, target, tmp_path):
    write_files(errand.cwd, {"t.py": LEAVES_OUTPUT})
    errand.ok("run", "--target", target, "t.py", "0")
    errand.ok("outputs", "@", "--to", tmp_path / "there")
    assert (tmp_path / "there" / "a").read_text() == "1"
    again = errand.run("outputs", "@", "--to", tmp_path / "there")
    assert again.code == 1
    assert "not empty" in again.errors


def test_a_failed_run_brings_its_outputs_home_too(errand, target):
    write_files(errand.cwd, {"t.py": LEAVES_OUTPUT})
    assert errand.run("run", "--target", target, "t.py", "5").code == 5
    assert (outputs_of(errand, "@") / "a").read_text() == "1"


def test_work_tree_is_the_snapshot(errand, target):
    write_files(
        errand.cwd,
        {
            ".gitignore": "secret\n",
            "secret": "no",
            "data/x": b"\0\1",
            "tool.sh": ("#!/bin/sh\n", 0o755),
            "empty/": None,
            "link": Path("data/x"),
            "t.py": LISTS,
        },
    )
    seen = lines_of(errand.ok("run", "--target", target, "t.py"))
    assert "./tool.sh True False" in seen
    assert "./link False True" in seen
    assert "./empty True False" in seen
    assert not [line for line in seen if "secret" in line and "ignore" not in line]


def test_second_run_sends_only_what_changed(errand, target):
    write_files(errand.cwd, {f"data/{i}": f"{i}" * 1000 for i in range(100)})
    errand.ok("run", "--target", target, "train.py")
    first = errand.show()["snapshot"]
    write_files(errand.cwd, {"data/7": "changed"})
    errand.ok("run", "--target", target, "train.py")
    second = errand.show()["snapshot"]
    assert first["sent_files"] == 101
    assert second["sent_files"] == 1
    assert second["sent_bytes"] < 10000
    errand.ok("run", "--target", target, "train.py")
    assert errand.show()["snapshot"]["sent_files"] == 0


def test_what_was_sent_is_never_more_than_there_is(errand):
    """Folders' own bytes were counted with the files': "227 bytes of 76 bytes"."""
    write_files(errand.cwd, {"one/a": "12345", "two/b": "1234567"})
    errand.ok("run", "--target", "local", "train.py")
    write_files(errand.cwd, {"one/a": "54321", "two/b": "7654321"})
    said = errand.ok("run", "--target", "local", "train.py").errors
    assert "sent 2 of the project's 3 files, 12 bytes of 27 bytes" in said


def test_a_first_push_larger_than_any_buffer_arrives(errand, target):
    write_files(errand.cwd, {f"data/{i}": os.urandom(200_000) for i in range(150)})
    write_files(errand.cwd, {"data/large": os.urandom(12_000_000)})
    errand.ok("run", "--target", target, "train.py")
    shown = errand.show()["snapshot"]
    assert shown["sent_files"] == shown["files"] == 152
    write_files(
        errand.cwd,
        {
            "data/large": (errand.cwd / "data/large").read_bytes()[:6_000_000]
            + b"inserted"
            + (errand.cwd / "data/large").read_bytes()[6_000_000:]
        },
    )
    errand.ok("run", "--target", target, "train.py")
    assert errand.show()["snapshot"]["sent_bytes"] < 9_000_000


# ---- machine-readable ----


def test_show_json_has_the_names_that_hold_for_good(errand, target):
    errand.ok("run", "--target", target, "--experiment", "e1", "train.py", "x")
    shown = errand.show()
    assert set(shown) >= {
        "id",
        "experiment",
        "target",
        "node",
        "status",
        "attempt",
        "exit",
        "reason",
        "states",
        "snapshot",
        "command",
        "log",
        "outputs",
        "created",
        "started",
        "ended",
    }
    assert set(shown["node"]) >= {"id", "store"}
    assert set(shown["snapshot"]) >= {"root", "files", "size_bytes", "sent_files", "sent_bytes"}
    assert (shown["experiment"], shown["target"], shown["attempt"]) == ("e1", target, 1)
    assert [s["state"] for s in shown["states"]][0] == "Starting"
    assert [s["state"] for s in shown["states"]][-1] == "Completed"
    assert shown["log"]["size_bytes"] == len("hello\n")
    assert shown["created"].endswith("Z") and len(shown["created"]) == len("2026-11-23T23:59:59.123Z")


def test_run_json_prints_one_document(errand, target):
    document = errand.ok("run", "--json", "--target", target, "train.py").json()
    assert document["status"] == "Completed"
    assert errand.json("list")["runs"][0]["id"] == document["id"]


def test_errors_with_json_are_documents(errand):
    result = errand.run("run", "--json", "nothing.py")
    assert result.code == 125
    assert set(json.loads(result.out)["error"]) == {"code", "message", "hint"}


# ---- life of a run ----


def test_submit_prints_the_id_and_wait_gives_the_exit_status(errand, target):
    write_files(errand.cwd, {"t.py": "raise SystemExit(9)"})
    run = errand.submit("--target", target, "t.py")
    assert errand.run("wait", run).code == 9
    assert errand.run("wait", run).code == 9


def test_who_cannot_be_told_the_id_hears_of_the_run(errand):
    """It ended with status 1 and not a word, and the run went on."""
    write_files(errand.cwd, {"t.py": "print('hello')"})
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            errand.argv("submit", "t.py"),
            cwd=errand.cwd,
            env=errand.env(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "write to the standard output: No space left on device" in said
    assert f"{errand.last_run()} was accepted and goes on" in said
    errand.ok("wait", "@")


def test_follow_shows_the_whole_log_while_it_grows(errand, target, tmp_path):
    gate = tmp_path / "gate"
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.submit("--target", target, "t.py", gate)
    first = errand.follow(run)
    second = errand.follow(run)
    first.wait_output(b"one\n")
    second.wait_output(b"one\n")
    gate.touch()
    assert first.finish().out == b"one\ntwo\n"
    assert second.finish().out == b"one\ntwo\n"
    assert errand.ok("logs", run).out == b"one\ntwo\n"
    assert errand.ok("logs", run, "--tail", "1").out == b"two\n"


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_an_output_that_nobody_reads_holds_nothing_up(errand, where):
    """The whole log comes home, and the run is known to have ended, while stdout takes nothing."""
    write_files(errand.cwd, {"t.py": "for number in range(100000):\n    print('line', number)\n"})
    command = errand.start("run", "t.py") if where == "pipe" else errand.terminal("run", "t.py")
    runs = errand.home / "state" / "runs"
    size = sum(len(f"line {number}\n") for number in range(100000))
    wait_for(lambda: [path for path in runs.glob("*/driver.log") if path.stat().st_size == size], "the log at home")
    wait_for(lambda: errand.show()["status"] == "Completed", "the run's end in the history")
    shown = command.finish().out
    assert shown.count(b"line ") == 100000


def test_ctrl_c_leaves_the_run_alone(errand, target, tmp_path):
    gate = tmp_path / "gate"
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.start("run", "--target", target, "t.py", gate)
    run.wait_output(b"one\n")
    run.interrupt()
    ended = run.finish()
    assert ended.code == 130
    assert "errand follow" in ended.errors
    gate.touch()
    assert errand.ok("follow", "@").out == b"one\ntwo\n"


@pytest.mark.parametrize("script", STUBBORN.values(), ids=STUBBORN.keys())
def test_cancel_ends_the_whole_tree(errand, target, script):
    from support import processes

    write_files(errand.cwd, {"t.py": script})
    following = errand.start("run", "--target", target, "--grace", "1s", "t.py")
    following.wait_output(b"up\n")
    run = errand.show()["id"]
    errand.ok("cancel", run)
    assert following.finish().code == 143
    shown = errand.show(run)
    assert shown["status"] == "Canceled"
    assert shown["exit"] == {"kind": "canceled"}
    wait_for(lambda: not processes.carrying("ERRAND_RUN_ID", run), "the supervisors to leave")


def test_a_background_child_does_not_keep_a_run_open(errand, target):
    from support import processes

    write_files(errand.cwd, {"t.py": "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nprint('done')\n"})
    assert errand.ok("run", "--target", target, "t.py").out == b"done\n"
    run = errand.show()["id"]
    wait_for(lambda: not processes.carrying("ERRAND_RUN_ID", run), "the child and the supervisors to end")


def test_time_limit_gives_124(errand, target):
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    assert errand.run("run", "--target", target, "--time-limit", "1s", "--grace", "1s", "t.py").code == 124
    assert errand.show()["exit"] == {"kind": "timed_out"}


def test_a_name_is_a_prefix_an_id_or_at(errand, target):
    run = errand.submit("--target", target, "train.py")
    errand.ok("wait", "@")
    assert errand.show(run[:6])["id"] == run
    missing = errand.run("show", "zzzz-no-such-run")
    assert missing.code == 1
    assert "zzzz-no-such-run" in missing.errors


# ---- bad input ----


def test_a_missing_script_names_the_nearest(errand):
    result = errand.run("run", "trian.py")
    assert result.code == 125
    assert "trian.py" in result.errors
    assert "train.py" in result.errors


def test_a_folder_is_no_script(errand):
    write_files(errand.cwd, {"src/x.py": ""})
    result = errand.run("run", "src")
    assert result.code == 125
    assert "folder" in result.errors


def test_a_script_outside_the_project_is_refused(errand, tmp_path):
    write_files(tmp_path, {"elsewhere.py": ""})
    result = errand.run("run", tmp_path / "elsewhere.py")
    assert result.code == 125
    assert "outside" in result.errors


def test_an_ignored_script_names_the_rule(errand):
    write_files(errand.cwd, {".gitignore": "train.py\n"})
    result = errand.run("run", "train.py")
    assert result.code == 125
    assert ".gitignore" in result.errors


def test_an_unknown_target_names_the_nearest(errand):
    result = errand.run("run", "--target", "locla", "train.py")
    assert result.code == 125
    assert "local" in result.errors


def test_home_is_refused_unless_forced(errand):
    write_files(errand.user_home, {"t.py": "print(1)"})
    result = errand.run("run", "t.py", cwd=errand.user_home)
    assert result.code == 125
    assert "--force" in result.errors
    assert errand.ok("run", "--force", "t.py", cwd=errand.user_home).out == b"1\n"


def test_control_sequences_do_not_reach_a_terminal(errand):
    write_files(errand.cwd, {"t.py": "print('\\x1b]0;title\\x07\\x1b[31mred\\x1b[0m\\x1b[2J')\n"})
    screen = errand.terminal("run", "t.py")
    shown = screen.finish()
    assert b"\x1b[31mred" in shown.out
    assert b"\x1b]0;" not in shown.out
    assert b"\x1b[2J" not in shown.out


def test_binary_output_arrives_as_it_is(errand, target):
    write_files(errand.cwd, {"t.py": "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 4096)\n"})
    assert errand.ok("run", "--target", target, "t.py").out == bytes(range(256)) * 4096


def test_a_line_of_100_mb_arrives(errand, target):
    write_files(errand.cwd, {"t.py": "import sys\nfor _ in range(100): sys.stdout.write('x' * 1000000)\n"})
    result = errand.ok("run", "--target", target, "t.py")
    assert len(result.out) == 100_000_000


def test_a_script_that_truncates_its_log_is_told(errand, target, tmp_path):
    gate = tmp_path / "gate"
    write_files(errand.cwd, {"t.py": TRUNCATES})
    run = errand.start("run", "--target", target, "t.py", gate)
    run.wait_output(b"a" * 5000 + b"\n")
    gate.touch()
    ended = run.finish()
    assert ended.code == 0
    assert ended.out.endswith(b"after\n")
