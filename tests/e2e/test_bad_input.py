"""What people, nodes and terminals do wrong, and the sentence that they get for it."""

import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.errand import Errand, strip_controls
from support.projects import write_files
from support.sshd import Sshd
from support.waiting import wait_for

GATED = """
import os, sys
from time import sleep
print("one", flush=True)
while not os.path.exists(sys.argv[1]):
    sleep(0.01)
print("two")
"""

# ---- scripts and projects ----


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([""], "empty"),
        (["src/trian.py"], "did you mean src/train.py?"),
        (["nothing-like-it"], "a command goes behind two hyphens: errand run -- nothing-like-it"),
        (["src"], "is a folder"),
        (["/etc/hostname"], "is outside the project"),
        (["../outside.py"], "is outside the project"),
        (["--env", "=x", "train.py"], '"" is no name of an environment variable'),
        (["--env", "A-B=x", "train.py"], '"A-B" is no name of an environment variable'),
        (["--time-limit", "soon", "train.py"], "not a length of time"),
        (["--frob", "train.py"], "no option --frob"),
        (["--target", "", "train.py"], 'no target ""'),
        ([], "SCRIPT is missing"),
        (["--"], "COMMAND is missing"),
    ],
    ids=repr,
)
def test_a_command_line_that_cannot_be_meant(errand, tmp_path, verb, words, said):
    write_files(errand.cwd, {"src/train.py": "print(1)\n"})
    write_files(tmp_path, {"outside.py": "print(1)\n"})
    result = errand.run(verb, *words)
    assert result.code in ((125,) if verb == "run" else (1, 2))
    assert said in result.errors
    assert result.out == b""
    assert errand.json("list")["runs"] == []


def test_the_root_of_all_files_is_no_project(errand):
    result = errand.run("run", "--", "true", cwd=Path("/"))
    assert result.code == 125
    assert "--force" in result.errors


@pytest.mark.parametrize("verb", ["show", "logs", "outputs", "cancel", "follow", "wait"])
def test_a_run_that_does_not_exist(errand, verb):
    errand.ok("run", "train.py")
    result = errand.run(verb, "no-such-run")
    assert result.code in (1, 125)
    assert 'there is no run "no-such-run"' in result.errors
    assert "errand list" in result.errors


def test_a_prefix_that_two_runs_have_names_both(errand):
    run = errand.submit("train.py")
    errand.ok("wait", run)
    other = run[:8] + ("a" if run[8] != "a" else "b") * 8
    with sqlite3.connect(next(errand.home.rglob("history.db"))) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        values = ", ".join("?" if name == "id" else name for name in columns)
        database.execute(f"INSERT INTO runs SELECT {values} FROM runs WHERE id = ?", (other, run))
    result = errand.run("show", run[:8], code=1)
    assert run in result.errors
    assert other in result.errors
    assert errand.show(run[:9])["id"] == run


# ---- what a script says ----


def test_binary_output_is_harmless_on_a_terminal(errand):
    write_files(errand.cwd, {"t.py": "import sys\nsys.stdout.buffer.write(bytes(range(256)) + b'\\nend\\n')\n"})
    screen = errand.terminal("run", "t.py", columns=200)
    ended = screen.finish()
    shown = ended.out[ended.out.index(b"^@") : ended.out.index(b"end")]
    assert set(shown) <= set(b"\r\n\t") | set(range(0x20, 0x7F))


@pytest.mark.parametrize("where", ["log", "name of an output", "reason"])
def test_control_sequences_reach_no_terminal(errand, where):
    evil = "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202e"
    script = {
        "log": f"print('{evil}')\n",
        "name of an output": f"import os\nos.mkdir('outputs')\nopen('outputs/{evil}', 'w').close()\n",
        "reason": "",
    }[where]
    write_files(errand.cwd, {"t.py": script})
    arguments = ["--interpreter", "/no/\x1b[2Jpython", "t.py"] if where == "reason" else ["t.py"]
    for words in (["run", *arguments], ["show", "@"], ["list"], ["outputs", "@"]):
        screen = errand.terminal(*words, columns=200)
        shown = screen.finish().out
        for bad in (b"\x1b]", b"\x1b[2J", b"\x07", b"\x9b", "\u202e".encode()):
            assert bad not in shown, words


# ---- terminals that go away ----


def test_a_terminal_that_goes_away_leaves_the_run_alone(errand, target, tmp_path):
    gate = tmp_path / "gate"
    write_files(errand.cwd, {"t.py": GATED})
    screen = errand.terminal("run", "--target", target, "t.py", gate)
    screen.expect(b"one")
    run = errand.show()["id"]
    screen.hang_up()
    wait_for(lambda: screen.process.poll() is not None, "errand to notice")
    assert screen.process.returncode in (130, -signal.SIGHUP)
    gate.touch()
    followed = errand.ok("follow", run)
    assert followed.out == b"one\ntwo\n"
    wait_for(lambda: not processes.carrying("ERRAND_RUN_ID", run), "the run's processes to leave")


def test_a_reader_that_goes_away_leaves_the_run_alone(errand, target, tmp_path):
    gate = tmp_path / "gate"
    write_files(errand.cwd, {"t.py": GATED})
    command = errand.start("run", "--target", target, "t.py", gate)
    command.wait_output(b"one\n")
    command.process.stdout.close()
    gate.touch()
    command.wait_output(b"nobody reads the log any more; the run goes on", stream="err")
    assert command.finish().code == 128 + 13
    run = errand.wait_status("@", "Completed")["id"]
    assert errand.ok("logs", run).out == b"one\ntwo\n"


# ---- clocks that differ ----

# In the executor's place: it starts the real one, whose clock is three hours behind in what it says of itself.
LATE = """#!/usr/bin/python3
import os, re, subprocess, sys, threading
from datetime import datetime, timedelta
child = subprocess.Popen(["REAL", *sys.argv[1:]], stdin=0, stdout=subprocess.PIPE)
first = b""
while b'"time":' not in first or not first.endswith(b"\\n"):
    first += os.read(child.stdout.fileno(), 1)
def earlier(found):
    time = datetime.strptime(found[1].decode(), "%Y-%m-%dT%H:%M:%S.%fZ") - timedelta(hours=3)
    return b'"time":"' + time.isoformat(timespec="milliseconds").encode() + b'Z"'
os.write(1, re.sub(rb'"time":"([^"]*)"', earlier, first))
while data := os.read(child.stdout.fileno(), 65536):
    while data:
        data = data[os.write(1, data):]
sys.exit(child.wait())
"""


@pytest.fixture
def late_node(errand: Errand, sshd: Sshd, reach: Callable[..., str], tmp_path: Path) -> str:
    """A target whose clock is three hours behind ours."""
    target = reach(sshd)
    errand.ok("target", "check", target)
    (executor,) = (sshd.home / ".errand/bin").iterdir()
    shutil.move(executor, tmp_path / "real")
    executor.write_text(LATE.replace("REAL", str(tmp_path / "real")))
    executor.chmod(0o755)
    return target


def test_a_clock_that_differs_by_hours_is_told(errand, late_node):
    steps = {step["step"]: step for step in errand.json("target", "check", late_node)["steps"]}
    # 3 h, less what it took to say so.
    assert steps["clock"]["detail"].startswith(("2 h 59 m", "3 h"))
    assert "behind ours" in steps["clock"]["detail"]
    assert "set-ntp" in steps["clock"]["hint"]
    assert steps["clock"]["ok"] is True


def test_a_clock_that_differs_by_hours_changes_nothing(errand, late_node):
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(0.3)\nprint('done')\n"})
    result = errand.ok("run", "--target", late_node, "--time-limit", "1m", "t.py")
    assert result.out == b"done\n"
    assert "after 0." in strip_controls(result.err) or "after 1." in strip_controls(result.err)
    assert errand.show()["status"] == "Completed"
