"""list, show, logs, wait, cancel, outputs: what a person meets who uses them one after another."""

import json
import os
import re
import shutil
import signal
import sqlite3
import stat

import pytest
from support import inject
from support.errand import Terminal, strip_controls
from support.projects import write_files
from support.waiting import wait_for

SAYS = 'import sys\nfor i in range(int(sys.argv[1])):\n    print("line", i)\nsys.exit(int(sys.argv[2]))\n'
LEAVES = 'import os\nos.makedirs("outputs/deep", exist_ok=True)\nopen("outputs/deep/model", "w").write("weights")\n'
GATED = "import os, sys\nfrom time import sleep\nwhile not os.path.exists(sys.argv[1]):\n    sleep(0.01)\n"


def run_one(errand, text: str, *arguments: str) -> str:
    """A run that ends; its id."""
    write_files(errand.cwd, {"t.py": text})
    errand.run("run", "t.py", *arguments)
    return errand.show()["id"]


# ---- nothing yet ----


def test_without_a_run_each_verb_says_how_to_begin(errand):
    assert errand.ok("list").errors == "errand: no runs yet; begin one with: errand run SCRIPT\n"
    assert errand.json("list") == {"runs": []}
    for verb, code in (("show", 1), ("logs", 1), ("follow", 125), ("wait", 125), ("cancel", 1), ("outputs", 1)):
        said = errand.run(verb, *([] if verb == "show" else ["@"]), code=code)
        assert said.errors == "errand: error: there is no run yet\n  begin one with errand run\n" and said.out == b""


def test_a_list_that_was_narrowed_says_so(errand):
    run_one(errand, "print(1)\n")
    assert "no such runs" in errand.ok("list", "--experiment", "other").errors


# ---- names ----


def test_a_run_is_named_by_id_by_its_beginning_or_by_at(errand):
    first = run_one(errand, SAYS, "1", "0")
    second = run_one(errand, SAYS, "2", "0")
    shared = os.path.commonprefix([first, second])
    for name in (first, first[: len(shared) + 1]):
        assert errand.ok("logs", name).text == "line 0\n"
    assert errand.ok("logs", "@").text == "line 0\nline 1\n"
    assert f"did you mean {first}?" in errand.run("logs", first[:-1] + "1", code=1).errors
    assert errand.run("logs", "nothing-like-it", code=1).errors.startswith(
        'errand: error: there is no run "nothing-like-it"\n'
    )


def test_at_is_the_last_run_that_a_node_may_have(errand, sshd):
    errand.add_target("gone", *sshd.target_arguments())
    sshd.stop()
    errand.run("run", "--target", "gone", "train.py", code=125)
    said = errand.run("logs", "@", code=1).errors
    assert said == (
        "errand: error: no node was given a run yet\n" "  errand list shows what was tried; begin one with errand run\n"
    )
    run = run_one(errand, SAYS, "1", "0")
    errand.run("run", "--target", "gone", "train.py", code=125)
    assert errand.show("@")["id"] == run == errand.json("show")["id"]
    failed, _, _ = (each["id"] for each in errand.json("list")["runs"])
    assert errand.show(failed)["exit"] == {"kind": "could_not_start", "code": 125}


def test_a_beginning_of_several_runs_names_them(errand):
    ids = [run_one(errand, SAYS, "1", "0") for _ in range(2)]
    with sqlite3.connect(errand.home / "state/history.db") as history:
        for table, column in (("runs", "id"), ("states", "run"), ("logs", "run"), ("tags", "run"), ("metrics", "run")):
            for old, new in zip(ids, ("sameone", "sametwo"), strict=True):
                history.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))
    said = errand.run("show", "same", code=1).errors
    assert said == 'errand: error: "same" may be each of: sametwo sameone\n'
    assert errand.ok("show", "sameo", "--offline").text.startswith("run         sameone\n")


# ---- what is sent ----


def test_two_projects_in_turn_send_nothing_twice(errand, target, make_project):
    other = make_project({"t.py": "print('other')\n", "data": "x" * 5000}, name="other")
    write_files(errand.cwd, {"t.py": "print('one')\n", "data": "y" * 5000})
    for folder in (errand.cwd, other):
        assert "sent the project's" in errand.ok("run", "--target", target, "t.py", cwd=folder).errors
    for folder in (errand.cwd, other, errand.cwd):
        said = errand.ok("run", "--target", target, "t.py", cwd=folder).errors
        assert "nothing to send: the project's" in said, said
    write_files(other, {"data": "z" * 5000})
    said = errand.ok("run", "--target", target, "t.py", cwd=other).errors
    assert "sent 1 of the project's 2 files, 5.0 KB of 5.0 KB" in said, said


# ---- logs ----


def test_the_last_lines_of_a_log(errand):
    run_one(errand, SAYS, "5", "0")
    assert errand.ok("logs", "@", "--tail", "0").out == b""
    assert errand.ok("logs", "@", "--tail", "2").text == "line 3\nline 4\n"
    assert (
        errand.ok("logs", "@", "--tail=5").text
        == errand.ok("logs", "@", "-n", "99").text
        == errand.ok("logs", "@").text
    )
    assert errand.run("logs", "@", "--tail", "-1", code=2).errors.startswith(
        "errand: error: --tail -1: it takes a number of lines"
    )


def test_a_last_line_without_an_end_counts(errand):
    run_one(errand, "import sys\nsys.stdout.write('a\\nb\\nc')\n")
    assert errand.ok("logs", "@", "--tail", "1").text == "c"
    assert errand.ok("logs", "@", "--tail", "2").text == "b\nc"


# ---- what is at home needs nobody ----


def test_a_run_at_home_needs_neither_its_node_nor_its_target(errand, sshd, tmp_path):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": LEAVES + "print('said')\n"})
    errand.ok("run", "--target", "gone", "t.py")
    run = errand.show()["id"]
    sshd.stop()
    errand.ok("target", "remove", "gone")
    assert errand.ok("logs", run).text == "said\n"
    assert errand.ok("follow", run).text == "said\n"
    assert errand.ok("wait", run).errors.count("Completed") == 1
    assert errand.json("wait", run)["runs"][0]["status"] == "Completed"
    errand.ok("outputs", run, "--to", tmp_path / "copy")
    errand.ok("follow", run, "--to", tmp_path / "another")
    for folder in ("copy", "another"):
        assert (tmp_path / folder / "deep/model").read_text() == "weights"
    assert errand.show(run)["status"] == "Completed"


def test_a_log_that_was_removed_here_comes_again(errand):
    run = run_one(errand, SAYS, "3", "0")
    shutil.rmtree(errand.home / "state/runs" / run)
    assert errand.ok("follow", run).text == "line 0\nline 1\nline 2\n"


def test_outputs_that_are_neither_here_nor_to_be_had_are_said(errand, sshd, tmp_path):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": LEAVES})
    errand.ok("run", "--target", "gone", "t.py")
    for root in (errand.home / "state/store/roots").iterdir():
        root.unlink()
    errand.ok("target", "remove", "gone")
    said = errand.run("outputs", "@", "--to", tmp_path / "copy", "--json", code=1).json()["error"]
    assert said["code"] == "not_found" and "gone, is not configured any more" in said["message"]
    assert not (tmp_path / "copy").exists()


# ---- outputs ----


def test_a_run_without_outputs_says_so_where_they_were_wanted(errand, tmp_path):
    for verb in (("run",), ("follow",)):
        said = errand.ok(*verb, "--to", tmp_path / "new", *(["train.py"] if verb == ("run",) else ["@"]))
        assert f"no outputs: nothing was put in {tmp_path}/new\n" in said.errors
    assert not (tmp_path / "new").exists()
    assert "outputs" not in errand.ok("run", "train.py").errors


def test_outputs_go_where_nothing_is(errand, tmp_path):
    run_one(errand, LEAVES)
    assert errand.ok("outputs", "@", "--to", tmp_path / "new").text == f"{tmp_path}/new\n"
    assert (tmp_path / "new/deep/model").read_text() == "weights"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o777 & ~mask
    said = errand.run("outputs", "@", "--to", tmp_path / "new", code=1).errors
    assert "new is there already and is not empty\n  choose another folder" in said
    (tmp_path / "empty").mkdir()
    errand.ok("outputs", "@", "--to", f"{tmp_path}/empty/")  # as a shell completes it
    assert (tmp_path / "empty/deep/model").exists()
    errand.ok("outputs", "@", "--to", f"{tmp_path}/made/")
    said = errand.run("outputs", "@", "--to", tmp_path / "not/there", code=1).errors
    assert "make it with mkdir -p" in said
    assert sorted(path.name for path in tmp_path.glob("*.errand-*")) == []


def test_outputs_that_cannot_be_written_are_said(errand, tmp_path):
    run_one(errand, LEAVES)
    (tmp_path / "file").touch()
    assert "file/new: Not a directory" in errand.run("outputs", "@", "--to", tmp_path / "file/new", code=1).errors


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("full", "full is there already and is not empty"),
        ("full/", "full is there already and is not empty"),
        ("full/file", "file is there already and is no folder"),
        ("full/file/new", "Not a directory"),
        ("not/there", "make it with mkdir -p"),
        (".", "is no name for a new folder"),
        ("/", "is no name for a new folder"),
        ("/proc/new", "make a folder beside /proc/new"),
    ],
)
def test_where_outputs_cannot_go_is_said_before_anything_is_sent(errand, tmp_path, place, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    write_files(errand.cwd, {"t.py": LEAVES})
    place = place if place[0] in "/." else f"{tmp_path}/{place}"  # with its slash
    result = errand.run("run", "--to", place, "t.py", code=125)
    assert said in result.errors and result.errors.count("\n") <= 2
    assert errand.json("list") == {"runs": []}
    run = errand.submit("t.py")
    for verb, code in (("follow", 125), ("outputs", 1)):
        assert said in errand.run(verb, run, "--to", place, code=code).errors
    assert sorted(path.name for path in tmp_path.glob("*.errand-*")) == []


@pytest.mark.skipif(not inject.is_possible("mount"), reason="no mount namespaces here")
def test_a_disk_where_outputs_cannot_go_is_said_before_anything_is_sent(errand, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    small = inject.on_small_disk(folder, 1 << 20)
    assert (
        "disk is there already and is a mount point"
        in errand.run("run", "--to", folder, "train.py", code=125, prefix=small).errors
    )
    readonly = inject.on_read_only_disk(folder)
    assert (
        "Read-only file system"
        in errand.run("run", "--to", folder / "new", "train.py", code=125, prefix=readonly).errors
    )
    assert errand.json("list") == {"runs": []}


def test_outputs_that_cannot_go_there_any_more_are_at_home(errand, tmp_path):
    write_files(errand.cwd, {"t.py": LEAVES + GATED})
    following = errand.start("run", "--to", tmp_path / "new", "t.py", tmp_path / "gate")
    wait_for(
        lambda: errand.run("show", "--json").code == 0 and errand.show()["status"] == "Running", "the run to begin"
    )
    (tmp_path / "new").write_text("meanwhile")
    (tmp_path / "gate").touch()
    result = following.finish()
    assert result.code == 125 and "new: Not a directory" in result.errors
    home = errand.home / "state/runs" / errand.show()["id"] / "outputs"
    assert f"they are at home, in {home};" in result.errors
    assert (home / "deep/model").read_text() == "weights"
    assert (tmp_path / "new").read_text() == "meanwhile"


# ---- wait and cancel ----


def test_wait_gives_the_first_status_that_is_not_0_in_the_order_given(errand):
    good, bad, worse = (run_one(errand, SAYS, "0", status) for status in ("0", "4", "5"))
    assert errand.run("wait", good, bad, worse).code == 4
    assert errand.run("wait", worse, good, bad).code == 5
    assert errand.run("wait", good).code == 0


def test_nothing_is_done_where_one_of_several_names_is_wrong(errand, tmp_path):
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.submit("t.py", tmp_path / "gate")
    for verb, code in (("cancel", 1), ("wait", 125)):
        result = errand.run(verb, run, "nope", "--json", code=code)
        assert result.json()["error"]["code"] == "not_found"
    assert errand.show(run)["status"] == "Running"
    errand.ok("cancel", run)


def test_one_document_also_where_some_of_several_fail(errand, sshd):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    lost = errand.submit("--target", "gone", "t.py")
    good = run_one(errand, "print(1)\n")
    sshd.stop()
    errand.run("target", "disconnect", "gone")
    waited = errand.run("wait", good, lost, "--give-up-after", "1s", "--json", code=125).json()
    assert [run["id"] for run in waited["runs"]] == [good] and waited["error"]["message"]
    canceled = errand.run("cancel", lost, good, "--json", code=1).json()
    assert [run["id"] for run in canceled["runs"]] == [good] and canceled["error"]["message"]


def test_to_cancel_an_ended_run_is_no_failure_and_changes_nothing(errand):
    run = run_one(errand, SAYS, "0", "3")
    said = errand.ok("cancel", run)
    assert said.errors == f"errand: {run} had ended before\nerrand: {run} Failed: exited with status 3\n"
    assert errand.show(run)["exit"] == {"kind": "exited", "code": 3}


def test_no_grace_and_no_time_limit_are_taken_at_their_word(errand):
    """Not for want of one, for which the project's count."""

    def planned(run: str) -> list:
        spec = json.loads((errand.home / "state/local/runs" / run / "spec.json").read_text())
        return [spec["time_limit_ms"], spec["grace_ms"]]

    (errand.cwd / "errand.yaml").write_text("time_limit: 1h\ngrace: 5s\n")
    assert planned(run_one(errand, SAYS, "0", "0")) == [3600000, 5000]
    errand.ok("run", "--time-limit", "0s", "--grace", "0s", "t.py", "0", "0")
    assert planned(errand.show()["id"]) == [None, 0]


def test_a_grace_that_no_node_takes_is_refused_at_once(errand):
    run = run_one(errand, SAYS, "0", "0")
    for words in (("submit", "--grace", "25h", "t.py"), ("cancel", "--grace", "25h", run)):
        said = errand.run(*words)
        assert said.code != 0 and said.errors.startswith("errand: error: --grace: longer than 1 d: 25h\n"), said.errors
    (errand.cwd / "errand.yaml").write_text("grace: 25h\n")
    assert "errand.yaml:1: grace: longer than one day: 25h" in errand.run("submit", "t.py", "0", "0").errors
    assert [one["id"] for one in errand.json("list")["runs"]] == [run]


def test_cancel_says_what_it_waits_for_and_ctrl_c_ends_the_waiting(errand, tmp_path):
    stubborn = "import os, signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('begun', 'w')\n"
    write_files(errand.cwd, {"t.py": stubborn + GATED})
    run = errand.submit("--grace", "1h", "t.py", tmp_path / "gate")
    wait_for(lambda: (errand.home / "state/local/runs" / run / "work/begun").exists(), "the script begins")
    waiting = errand.start("cancel", run)
    waiting.wait_output(b"has not proved yet", stream="err")
    waiting.interrupt()
    assert waiting.finish().code == 130
    (tmp_path / "gate").touch()
    ended = errand.ok("cancel", run)
    assert re.search(rf"{run} Canceled: .*; processes: \d+ ended, 0 could not be, proof: (cgroup|tree)", ended.errors)


def test_a_run_whose_target_was_forgotten_can_be_given_up(errand, sshd):
    errand.add_target("gone", "--transport=openssh", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    run = errand.submit("--target", "gone", "t.py")
    errand.ok("target", "remove", "gone")
    assert 'there is no target "gone"' in errand.run("cancel", run, code=1).errors
    given_up = errand.ok("cancel", "--force", run)
    assert "may still go on there" in given_up.errors
    shown = errand.show(run)
    assert shown["status"] == "Canceled" and shown["exit"]["kind"] == "unknown"


# ---- remove ----


def test_a_run_that_cannot_be_forgotten_keeps_its_log_and_outputs(errand):
    """They were put aside, for errand gc to take."""
    run = run_one(errand, LEAVES)
    with sqlite3.connect(errand.home / "state/history.db") as history:
        history.execute("PRAGMA user_version = 99")  # a newer errand's, which is only read
    refused = errand.run("remove", run, code=1)
    assert "written by a newer errand" in refused.errors
    assert (errand.home / "state/runs" / run / "outputs/deep/model").read_text() == "weights"


# ---- sent, and no answer came ----


@pytest.fixture
def on_its_way(errand, tmp_path):
    """A run that was sent by an errand that was ended, and has not arrived; it does when what is returned is called."""
    run = run_one(errand, SAYS, "3", "0")
    with sqlite3.connect(errand.home / "state/history.db") as history:
        history.execute(
            "UPDATE runs SET store = '', accepted = NULL, state = 'Starting', exit_kind = NULL, ended = NULL"
        )
        history.execute("DELETE FROM states")
        for table in ("tags", "git", "environments"):
            history.execute(f"UPDATE {table} SET store = ''")  # noqa: S608
    there = errand.home / "state/local/runs" / run
    there.rename(tmp_path / "on its way")
    return run, lambda: (tmp_path / "on its way").rename(there)


def make_old(errand, run: str) -> None:
    """As if it was made yesterday; when it was sent is another matter."""
    with sqlite3.connect(errand.home / "state/history.db") as history:
        history.execute("UPDATE runs SET created = created - 86400000 WHERE id = ?", (run,))


def test_a_run_that_was_canceled_on_its_way_and_arrives_is_told_of(errand, on_its_way):
    """It was Failed here for good, and ran there."""
    run, arrive = on_its_way
    canceled = errand.ok("cancel", run)
    assert f"local does not have {run}; what was sent of it may still arrive" in canceled.errors
    assert f"{run} Canceled: canceled before it was accepted, as far as is known" in canceled.errors
    assert errand.show(run)["status"] == "Canceled"
    arrive()
    assert errand.show(run)["status"] == "Completed"


def test_a_run_that_was_sent_just_now_may_still_arrive_however_old_it_is(errand, on_its_way):
    """One that tried for hours to reach its node is no older than its last try."""
    run, arrive = on_its_way
    make_old(errand, run)
    assert errand.show(run)["status"] == "Starting"
    arrive()
    assert errand.show(run)["status"] == "Completed"


def test_a_run_that_was_sent_long_ago_and_did_not_arrive_never_was_accepted(errand, on_its_way):
    run, _ = on_its_way
    make_old(errand, run)
    os.utime(errand.home / "state/runs" / run / "lock", (0, 0))
    assert errand.show(run)["status"] == "Failed"
    canceled = errand.ok("cancel", run)
    assert canceled.errors.endswith("never accepted: errand was ended while it sent it\n")


def test_a_run_that_was_canceled_on_its_way_is_not_asked_about_for_ever(errand, on_its_way):
    run, _ = on_its_way
    errand.ok("cancel", run)
    make_old(errand, run)
    os.utime(errand.home / "state/runs" / run / "lock", (0, 0))
    assert errand.show(run)["status"] == "Failed"


# ---- errand is asked to end ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["run", "follow"])
def test_to_end_errand_is_told_apart_from_a_run_that_was_ended(errand, tmp_path, verb, number):
    write_files(errand.cwd, {"t.py": "print('begun')\n" + GATED})
    if verb == "run":
        following = errand.start("run", "t.py", tmp_path / "gate")
    else:
        following = errand.follow(errand.submit("t.py", tmp_path / "gate"))
    following.wait_output(b"begun")
    following.signal(number)
    result = following.finish()
    assert result.code == 130, "143 would be a run that was canceled"
    assert f"the run goes on; come back with: errand follow {errand.show()['id']}" in result.errors
    (tmp_path / "gate").touch()
    assert errand.run("follow", "@").code == 0


# ---- on a terminal, and without one ----


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lists_are_the_same_at_any_width_and_have_no_colours(errand, columns):
    run_one(errand, SAYS, "1", "0")
    for verb in (("list", "--offline"), ("show",), ("target", "list"), ("help",), ("help", "run")):
        shown = errand.terminal(*verb, columns=columns, env={"NO_COLOR": "1"}).finish()
        assert b"\x1b" not in shown.out
        plain = errand.ok(*verb).text
        if verb[0] != "list":  # ages change
            assert strip_controls(shown.out) == plain


def test_help_fits_80_columns_and_every_verb_has_it(errand):
    overview = errand.ok("help").text
    assert max(len(line) for line in overview.splitlines()) <= 80
    verbs = [line[2:].partition("  ")[0] for line in overview.splitlines() if line.startswith("  ")]
    assert len(verbs) > 20
    for verb in verbs:
        text = errand.ok("help", *verb.split()).text
        assert text == errand.ok(*verb.split(), "--help").text and text.startswith(f"usage: errand {verb}")
        assert max(len(line) for line in text.splitlines()) <= 80


def test_a_verb_that_is_not_there_has_a_nearest_one(errand):
    assert errand.run("rnu", code=2).errors == 'errand: error: there is no command "rnu"\n  did you mean "run"?\n'
    assert 'did you mean "target"?' in errand.run("tarket", code=2).errors
    assert 'did you mean "target list"?' in errand.run("target", "lsit", code=2).errors
    assert errand.run("--verison", code=2).errors == (
        "errand: error: there is no option --verison\n  did you mean --version?\n"
    )
    assert errand.run("cancel", code=2).errors == (
        "errand: error: cancel: RUN is missing\n  usage: errand cancel RUN... [options]\n"
    )
    assert errand.ok("version").out == errand.ok("--version").out == errand.ok("-V").out


# ---- a project's own words ----


def test_what_was_typed_before_a_question_is_no_answer(errand):
    write_files(errand.cwd, {"errand.yaml": "targets: {other: {host: other.example.com}}\n", "t.py": "print(1)\n"})
    # The shell takes the first line; the second waits in the terminal when errand begins.
    words = ["sh", "-c", 'read first; exec "$0" "$@"', errand.program, "run", "t.py"]
    asked = Terminal(words, errand.env(), errand.cwd)
    errand.started.append(asked)
    asked.send(b"go\ny\n")
    asked.expect(b"[y/N]")
    asked.send(b"n\n")
    assert asked.finish().code == 125


def test_what_a_project_says_of_this_machine_counts_once_it_was_seen(errand):
    write_files(errand.cwd, {"errand.yaml": "targets: {other: {host: other.example.com}}\n", "t.py": "print(1)\n"})
    said = errand.run("run", "--json", "t.py", code=125).json()["error"]
    assert said["code"] == "untrusted" and "targets.other.host: other.example.com" in said["message"]
    asked = errand.terminal("run", "t.py")
    asked.expect(b"targets.other.host: other.example.com")
    asked.expect(b"[y/N]")
    asked.send(b"n\r")
    assert asked.finish().code == 125
    asked = errand.terminal("run", "t.py")
    asked.expect(b"[y/N]")
    asked.send(b"y\r")
    assert asked.finish().code == 0
    errand.ok("run", "t.py")
    write_files(errand.cwd, {"errand.yaml": "targets: {other: {host: evil.example.com}}\nexperiment: mine\n"})
    assert errand.run("run", "t.py", code=125).errors.count("evil.example.com") == 1
    refused = errand.run("trust", code=1).errors
    assert "evil.example.com" in refused and "errand trust --yes" in refused
    asked = errand.terminal("trust")
    asked.expect(b"[y/N]")
    asked.send(b"n\r")
    assert asked.finish().code == 1
    errand.run("run", "t.py", code=125)
    errand.ok("trust", "--yes")
    write_files(errand.cwd, {"errand.yaml": "targets: {other: {host: evil.example.com}}\nexperiment: yours\n"})
    errand.ok("run", "t.py")
    errand.ok("trust", "--remove")
    errand.run("run", "t.py", code=125)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n", 'errand.yaml:1: unknown key "a"'),
        ("\ntargat: x\n", 'errand.yaml:2: unknown key "targat"; did you mean "target"?'),
        ("targets:\n  g:\n    hst: x\n", 'errand.yaml:3: unknown key "hst"; did you mean "host"?'),
        ("target: [a]\n", 'errand.yaml:1: "target" must be a text'),
        ("attempts: many\n", 'errand.yaml:1: attempts: not a number: "many"'),
        ("\ttarget: x\n", "errand.yaml:1: a tab before the first word"),
        ("target: a\n\ntarget: b\n", 'errand.yaml:3: the key "target" is there already, in line 1'),
        ("tags: " + "[" * 40 + "\n", "errand.yaml:1: nested too deep"),
        ("#" * 300000, "errand.yaml: larger than 256 KiB"),
        ("a: &x 1\n", "errand.yaml:1: anchors (&name) are not taken here"),
        ("- a\n", "errand.yaml:1: keys are expected"),
    ],
    ids=range(11),
)
def test_a_wrong_configuration_is_said_with_file_and_line(errand, text, said):
    write_files(errand.cwd, {"errand.yaml": text})
    for verb in (("run", "train.py"), ("config", "show")):
        assert said in errand.run(*verb).errors
    assert json.loads(errand.run("run", "--json", "train.py", code=125).out)["error"]["code"] == "config"


def test_init_writes_a_file_that_changes_nothing_and_never_twice(errand):
    errand.ok("init")
    assert errand.json("config", "show")["values"] == errand.json("config", "show", cwd=errand.folder)["values"]
    assert "is there already" in errand.run("init", code=1).errors


def test_a_run_that_was_given_up_is_canceled_in_truth_once_its_node_is_back(errand, sshd):
    """Its node's words were refused then: "Running after Canceled"."""
    errand.add_target("away", "--transport=openssh", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": "from time import sleep\nprint('up', flush=True)\nsleep(1000)\n"})
    run = errand.submit("--target", "away", "t.py")
    errand.wait_status(run, "Running")
    sshd.stop()
    errand.run("target", "disconnect", "away")
    errand.run("cancel", run, code=1)
    errand.ok("cancel", "--force", run)
    assert errand.show(run)["exit"]["kind"] == "unknown"
    sshd.start()
    assert errand.ok("logs", run).text == "up\n"
    errand.ok("cancel", run)
    shown = errand.show(run)
    assert shown["status"] == "Canceled" and shown["exit"] == {"kind": "canceled"}


def test_a_run_that_was_given_up_is_asked_about_again(errand, sshd, tmp_path):
    errand.add_target("gone", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": GATED})
    run = errand.submit("--target", "gone", "t.py", tmp_path / "gate")
    sshd.stop()
    errand.ok("cancel", "--force", run)
    shown = errand.show(run)
    assert shown["status"] == "Canceled"
    assert re.fullmatch(r"given up: .*; asked again: node not reached: gone .*refused", shown["reason"])
    (listed,) = errand.json("list")["runs"]
    assert (listed["status"], listed["reason"]) == (shown["status"], shown["reason"])
    sshd.start()
    (listed,) = errand.json("list")["runs"]
    assert listed["status"] == "Running" and listed["exit"] is None
    (tmp_path / "gate").touch()
    assert errand.wait_status(run, "Completed")["exit"] == {"kind": "exited", "code": 0}


def test_what_is_shown_of_a_node_that_is_away_says_how_old_it_is(errand, sshd):
    errand.add_target("gone", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    run = errand.submit("--target", "gone", "t.py")
    errand.wait_status(run, "Running")
    sshd.stop()
    shown = errand.show(run)
    assert shown["status"] == "NotResponding"
    assert re.match(r"Running as of [0-9.]+ (ms|s) ago; node not reached: gone .*refused$", shown["reason"])
    listed = errand.ok("list").text.splitlines()[1]
    assert re.search(r"  NotResponding, Running as of [0-9.]+ (ms|s) ago  -  .*  -$", listed), listed
    with sqlite3.connect(errand.home / "state/history.db") as history:
        history.execute("UPDATE targets SET seen = seen - 7200000")
        history.execute('UPDATE states SET line = replace(line, \'"time":"20\', \'"time":"19\')')
    assert re.match(r"Running as of (2 h|2\.0 h)", errand.show(run)["reason"]), errand.show(run)["reason"]


def test_a_run_that_its_node_does_not_have_any_more_is_said(errand, sshd):
    errand.add_target("gone", *sshd.target_arguments())
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    run = errand.submit("--target", "gone", "t.py")
    errand.wait_status(run, "Running")
    errand.ok("target", "remove", "gone")
    errand.add_target("gone", *sshd.target_arguments(), "--root", str(errand.folder / "other"))
    shown = errand.show(run)
    assert shown["status"] == "NotResponding" and "gone does not have it" in shown["reason"]


def test_nodes_are_asked_at_once_and_not_for_long(errand, sshd, bad_server):
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    silent = {}
    for name in ("one", "two", "three"):
        errand.add_target(name, *sshd.target_arguments())
        errand.submit("--target", name, "t.py")
        errand.ok("target", "remove", name)
        silent[name] = bad_server("silent")
        errand.add_target(name, "me@127.0.0.1", f"--port={silent[name].port}", "--transport=ssh2")
    result = errand.ok("list")
    assert result.text.count("NotResponding, ") == 3
    for name, server in silent.items():
        assert f"errand: warning: {name} did not answer within 10 s" in result.errors
        assert server.connections, f"{name} was never asked: the others had taken the time"


def test_a_run_whose_target_leads_elsewhere_can_be_given_up(errand, make_sshd):
    errand.add_target("moved", "--transport=openssh", *make_sshd().target_arguments())
    write_files(errand.cwd, {"t.py": "from time import sleep\nsleep(1000)\n"})
    run = errand.submit("--target", "moved", "t.py")
    errand.add_target("moved", "--force", "--transport=openssh", *make_sshd().target_arguments())
    said = errand.run("cancel", run, code=1).errors
    assert "leads to another node or root" in said and f"errand cancel --force {run}" in said
    assert "was given up here" in errand.ok("cancel", "--force", run).errors
    assert errand.show(run)["status"] == "Canceled"


def test_tags_are_shown(errand):
    write_files(errand.cwd, {"errand.yaml": "tags: {team: vision, stage: early}\n", "t.py": "print(1)\n"})
    run = errand.submit("--tag", "note=a=b c", "--tag", "stage=late", "t.py")
    assert errand.show(run)["tags"] == {"note": "a=b c", "stage": "late", "team": "vision"}
    shown = errand.ok("show", run, "--offline").text
    begin = shown.index("\ntags        ") + 1
    lines = sorted(line[12:] for line in shown[begin:].splitlines()[:3])
    assert lines == ["note=a=b c", "stage=late", "team=vision"]
    errand.ok("wait", run)


@pytest.mark.parametrize("words", [("--attempts", "0"), ("--attempts=1001",), ("--attempts=many",)])
def test_attempts_are_at_least_one(errand, words):
    said = errand.run("submit", *words, "train.py", code=2).errors
    assert "--attempts: " in said and "is not a number from 1 to 1000" in said
    write_files(errand.cwd, {"errand.yaml": "attempts: 0\n"})
    said = errand.run("submit", "train.py", code=1).errors
    assert 'errand.yaml:1: attempts: "0" is not a number from 1 to 1000' in said
