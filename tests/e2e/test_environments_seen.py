"""What a person sees while an environment is built, and afterwards: from a node that says what the test says."""

import hashlib

import pytest
from support.errand import strip_controls
from support.forging import Forged

IDENTITY = "3f2a" * 16
LOCK = "six==1.16.0 --hash=sha256:" + "8a" * 32 + "\n"
READY = {
    "kind": "packages",
    "identity": IDENTITY,
    "build": "20261128T061500Z-ab12",
    "builder": "uv 0.5.1",
    "python": "3.11.7",
    "lock": hashlib.sha256(LOCK.encode()).hexdigest(),
    "is_reused": False,
    "spent_ms": 2500,
    "packages": 12,
    "unpinned": 3,
    "size_bytes": 262_000_000,
}
WHAT = "12 packages, 262 MB, built in 2.5 s with uv 0.5.1, Python 3.11.7\n"
SAID = f"errand: environment ready: {WHAT}"


@pytest.fixture
def forged(errand, tmp_path) -> Forged:
    return Forged(errand, tmp_path)


def finish(forged: Forged, **environment) -> None:
    """The environment is there, the script says one line and ends well."""
    forged.write("environment.lock", LOCK)
    forged.say("Running", environment={**READY, **environment}, log_offset=0)
    forged.write("driver.log", "the script's words\n")
    forged.end("Completed", kind="exited", code=0)


def test_elsewhere_than_on_a_terminal_the_build_log_comes_line_by_line(errand, forged):
    follow = errand.follow(forged.id)
    forged.say("Preparing", "building")
    forged.write("prepare.log", "Resolved 12 packages in 1.2s\nDownloading numpy (18.")
    follow.wait_output(b"  | Resolved 12 packages in 1.2s\n", "err")
    assert b"numpy" not in follow.err
    forged.write("prepare.log", "2MiB)\r\n\n\x1b[31mred\n")
    follow.wait_output(b"  | Downloading numpy (18.2MiB)\n  | ^[[31mred\n", "err")
    finish(forged)
    result = follow.finish()
    assert result.code == 0
    assert result.text == "the script's words\n"
    assert SAID in result.errors


def test_on_a_terminal_the_build_is_one_line_that_is_rewritten(errand, forged):
    terminal = errand.terminal("follow", forged.id, columns=120)
    forged.say("Preparing", "building")
    terminal.expect(b"preparing the environment, 0.")
    forged.write("prepare.log", "Resolved 12 packages in 1.2s\nDownloading numpy (18.2MiB)\n")
    terminal.expect(rb"preparing the environment, [\d.]+ s: Downloading numpy \(18\.2MiB\)".decode())
    terminal.expect(rb"preparing the environment, [2-9]\d* s: Downloading".decode())
    finish(forged)
    result = terminal.finish()
    assert result.code == 0
    assert b"Resolved" not in result.out, "a line that another one came behind at once"
    lines = strip_controls(result.out.split(b"\r\x1b[K")[-1]).splitlines(keepends=True)
    assert lines[0] == SAID
    assert lines[1] == "the script's words\n"


def test_verbose_shows_all_of_it_on_a_terminal_too(errand, forged):
    terminal = errand.terminal("follow", "-v", forged.id)
    forged.say("Preparing")
    forged.write("prepare.log", "one\ntwo\n")
    terminal.expect("  [|] one\r\n  [|] two\r\n")
    finish(forged)
    assert b"preparing the environment" not in terminal.finish().out


def test_who_comes_later_sees_what_came_before_once(errand, forged):
    first = errand.follow(forged.id)
    forged.say("Preparing")
    forged.write("prepare.log", "one\n")
    first.wait_output(b"  | one\n", "err")
    first.kill()
    second = errand.follow(forged.id)
    forged.write("prepare.log", "two\n")
    second.wait_output(b"  | one\n  | two\n", "err")
    finish(forged)
    assert second.finish().errors.count("  | one\n") == 1


@pytest.mark.parametrize(
    "environment, said",
    [
        (
            {"is_reused": True, "spent_ms": 3},
            "environment ready (used before): 12 packages, 262 MB, Python 3.11.7",
        ),
        (
            {"is_reused": True, "spent_ms": 4200},
            "environment ready after 4.2 s (another run built it): 12 packages, 262 MB, Python 3.11.7",
        ),
        (
            {"kind": "existing", "identity": None, "build": None, "packages": None, "size_bytes": None},
            "environment: Python 3.11.7",
        ),
    ],
)
def test_how_the_environment_came_about_is_said(errand, forged, environment, said):
    follow = errand.follow(forged.id)
    finish(forged, **environment)
    assert f"errand: {said}\n" in follow.finish().errors


def test_quiet_and_json_say_nothing_of_the_build(errand, forged):
    quiet, json = errand.follow(forged.id, "--quiet"), errand.follow(forged.id, "--json")
    forged.say("Preparing")
    forged.write("prepare.log", "one\n")
    finish(forged)
    assert b"|" not in quiet.finish().err
    result = json.finish()
    assert result.err == b""
    assert result.json()["environment"] == {
        "kind": "packages",
        "identity": IDENTITY,
        "build": READY["build"],
        "python": "3.11.7",
        "reused": False,
        "spent_ms": 2500,
        "packages": 12,
    }


def test_the_build_log_and_the_lock_come_home(errand, forged):
    follow = errand.follow(forged.id)
    forged.say("Preparing")
    forged.write("prepare.log", "one\ntwo\nthree\n")
    finish(forged)
    follow.finish()
    home = errand.home / "state" / "runs" / forged.id
    assert (home / "environment.lock").read_text() == LOCK
    assert errand.ok("logs", "--prepare", forged.id).text == "one\ntwo\nthree\n"
    assert errand.ok("logs", "--prepare", "-n", "1", forged.id).text == "three\n"
    assert errand.ok("logs", forged.id).text == "the script's words\n"
    shown = errand.ok("show", forged.id).text
    assert f"environment packages {IDENTITY[:12]}, {WHAT}" in shown


def test_a_run_without_a_build_has_no_build_log_and_no_files_for_one(errand):
    run = errand.submit("--", "true")
    errand.ok("wait", run)
    result = errand.run("logs", "--prepare", run, code=1)
    assert f"{run} has no build log" in result.errors
    assert not (errand.home / "state" / "runs" / run / "prepare.log").exists()
    assert not (errand.home / "state" / "runs" / run / "environment.lock").exists()
    assert errand.show(run)["environment"] is None
    assert "name one" in errand.run("logs", "--prepare", "--control", run, code=2).errors


WHY = "its environment could not be made: no version of nosuchpkg is on the index; see the spelling"
LOG = "".join(f"line {number}\n" for number in range(1, 31))


def fail(forged: Forged) -> None:
    forged.say("Preparing")
    forged.write("prepare.log", LOG)
    forged.end("Failed", WHY, kind="environment_failed")


def test_a_build_that_fails_ends_with_its_sentence_and_the_end_of_its_log(errand, forged):
    terminal = errand.terminal("follow", forged.id)
    fail(forged)
    result = terminal.finish()
    assert result.code == 125
    shown = strip_controls(result.out.split(b"\r\x1b[K")[-1])
    expected = "the end of the build log:\n" + "".join(f"  | line {number}\n" for number in range(19, 31))
    assert shown.startswith(expected)
    assert f": {WHY}\nerrand: all of its build log: errand logs --prepare {forged.id}\n" in shown


def test_lines_that_were_shown_are_not_shown_again_when_it_fails(errand, forged):
    follow = errand.follow(forged.id)
    fail(forged)
    result = follow.finish()
    assert result.code == 125
    assert result.errors.count("  | line 30\n") == 1
    assert WHY in result.errors
    again = errand.run("follow", forged.id, code=125)
    assert "  | line 30\n" in again.errors
    assert errand.show(forged.id)["exit"] == {"kind": "environment_failed"}
