"""What is seen of a run's job in an engine outside the node, while it goes on. The script stands in for its attendant:
it writes the run's file `engine` itself, as attendants do."""

import json
from pathlib import Path

from support.projects import write_files
from support.waiting import wait_for

ID = "application_1_0002"
URL = "http://rm:8088/proxy/application_1_0002/"
SAY = """
import json, os, sys
from time import sleep

def say(seq, event, text, attempt=1, **members):
    line = {"seq": seq, "time": "2026-11-28T10:00:00.000Z", "attempt": attempt, "event": event, "text": text, **members}
    with open("../engine", "a") as engine:
        engine.write(json.dumps(line) + chr(10))

def gate(name):
    while not os.path.exists(name):
        sleep(0.02)

"""
SEEN = {
    "final_status": "UNDEFINED",
    "kind": "yarn",
    "application": ID,
    "tag": "t",
    "queue": "default",
    "state": "RUNNING",
    "tracking_url": URL,
}


def gates(errand) -> Path:
    """A folder for the files that scripts wait for."""
    folder = errand.cwd.parent / "gates"
    folder.mkdir(exist_ok=True)
    return folder


def begin(errand, *steps: str, **files: str) -> str:
    """Submit a script of these steps; {gates} in them is the folder of gates(). Its id."""
    text = SAY + "\n".join(steps).replace("{gates}", str(gates(errand)))
    write_files(errand.cwd, {"job.py": text, **files})
    return errand.submit("job.py")


def show(errand, run: str, *options: str) -> dict:
    """The run's engine."""
    return json.loads(errand.ok("show", "--json", run, *options).out)["engine"]


def wait_engine(errand, run: str, *options: str, **members: str) -> dict:
    """The run's engine, once it has these members."""

    def look():
        engine = show(errand, run, *options)
        return engine if engine and members.items() <= engine.items() else None

    return wait_for(look, f"an engine with {members}")


def column(errand, *options: str) -> list[str]:
    """The last column of the list."""
    return [line.split()[-1] for line in errand.ok("list", *options).text.splitlines()]


def test_a_run_that_goes_on_tells_where_its_job_is(errand):
    nothing = {"diagnostics": None}
    running = f"say(1, 'state', 'it runs', **{SEEN!r})"
    ended = f"say(2, 'ended', 'over', **{SEEN | {'state': 'FINISHED', 'final_status': 'SUCCEEDED'}!r})"
    run = begin(errand, running, "gate('{gates}/end')", ended)
    engine = wait_engine(errand, run, application=ID)
    assert {name: value for name, value in engine.items() if name in nothing or name in SEEN} == SEEN | nothing
    assert f"engine      {ID} on yarn, queue default: RUNNING\n" in errand.ok("show", run).text
    assert json.loads(errand.ok("list", "--json").out)["runs"][0]["engine"] == engine
    assert column(errand) == ["APPLICATION", ID]
    assert show(errand, run, "--offline") == engine, "what was seen once is kept"
    (gates(errand) / "end").touch()
    errand.ok("wait", run)
    engine = show(errand, run)
    assert (engine["state"], engine["final_status"], engine["application"]) == ("FINISHED", "SUCCEEDED", ID)
    assert column(errand) == ["APPLICATION", ID]


def test_what_a_follower_hears_is_kept_for_who_asks_meanwhile(errand):
    first = f"say(1, 'state', 'it waits', **{SEEN | {'state': 'ACCEPTED'}!r})"
    run = begin(errand, first, "gate('{gates}/go')", f"say(2, 'state', 'it runs', **{SEEN!r})", "gate('{gates}/end')")
    following = errand.follow(run)
    following.wait_output("errand: it waits", "err")
    assert show(errand, run, "--offline")["state"] == "ACCEPTED"
    (gates(errand) / "go").touch()
    following.wait_output("errand: it runs", "err")
    wait_engine(errand, run, "--offline", state="RUNNING")
    (gates(errand) / "end").touch()
    assert following.finish().code == 0


def test_what_an_attempt_before_had_is_not_told_of_this_one(errand):
    run = begin(errand, f"say(1, 'state', 'it runs', **{SEEN!r})", "gate('{gates}/go')",
                f"say(2, 'note', 'anew', attempt=2, **{SEEN!r})", "gate('{gates}/end')")  # fmt: skip
    wait_engine(errand, run, application=ID)
    (gates(errand) / "go").touch()
    wait_for(lambda: b"anew" in (errand.home / f"state/local/runs/{run}/engine").read_bytes(), "the second line")
    assert show(errand, run)["application"] == ID, "this is attempt 1, whatever the file says of another"
    (gates(errand) / "end").touch()
    errand.ok("wait", run)


def test_progress_is_a_line_of_the_terminal_and_nowhere_a_note(errand):
    line = f"say(1, 'state', 'it runs', **{SEEN!r})"
    steps = [
        line,
        "print('up', flush=True)",
        "gate('{gates}/go')",
        f"say(2, 'progress', '', progress='stage 3 of 7, 120/400 tasks', **{SEEN!r})",
        "gate('{gates}/less')",
        f"say(3, 'progress', '', **{SEEN!r})",
        "gate('{gates}/end')",
        f"say(4, 'ended', '', **{SEEN!r})",
    ]
    run = begin(errand, *steps)
    following = errand.follow(run)
    following.wait_output("errand: it runs", "err")
    terminal = errand.terminal("follow", run)
    terminal.expect(b"up")
    (gates(errand) / "go").touch()
    terminal.expect(f"{ID}: stage 3 of 7, 120/400 tasks".encode())
    assert wait_engine(errand, run, progress="stage 3 of 7, 120/400 tasks")["application"] == ID
    assert "\n            stage 3 of 7, 120/400 tasks\n" in errand.ok("show", run).text
    (gates(errand) / "less").touch()
    wait_engine(errand, run, progress=None)
    (gates(errand) / "end").touch()
    assert b"stage" not in following.finish().err
    terminal.finish()


def test_a_scripts_own_unended_line_is_left_alone(errand):
    progress = f"say(2, 'progress', '', progress='stage 3 of 7', **{SEEN!r})"
    run = begin(errand, "gate('{gates}/go')", "print(' 50%', end='', flush=True)", "gate('{gates}/say')", progress,
                "gate('{gates}/more')", "print(' 60%')", "gate('{gates}/end')")  # fmt: skip
    errand.wait_status(run, "Running")
    terminal = errand.terminal("follow", run)
    (gates(errand) / "go").touch()
    terminal.expect(b" 50%")
    (gates(errand) / "say").touch()
    wait_engine(errand, run, "--offline", progress="stage 3 of 7")
    (gates(errand) / "more").touch()
    terminal.expect(b" 50% 60%")
    (gates(errand) / "end").touch()
    terminal.finish()


def test_a_run_without_a_job_elsewhere_has_no_engine_and_no_column_for_it(errand):
    run = begin(errand, "gate('{gates}/end')")
    errand.wait_status(run, "Running")
    assert show(errand, run) is None
    assert column(errand)[0] == "TOOK"
    (gates(errand) / "end").touch()
    errand.ok("wait", run)
    assert show(errand, run) is None
