"""Results come home whole, once, and the node hears of it only then; a full disk here is a sentence."""

import os
import re
import shutil
import subprocess

import pytest
from support import inject
from support.errand import BIN
from support.faultproxy import Fault
from support.links import Link, log_of
from support.projects import write_files
from support.untrue_executor import end_after
from support.waiting import wait_for

needs_mount = pytest.mark.skipif(not inject.is_possible("mount"), reason="this machine does not let us mount")
LINES = 500
OUTPUTS = 4_000_000


@pytest.fixture
def ended(make_link):
    """A run that ended on the node, of which nothing is at home but that it did."""

    def make(**how) -> tuple[Link, str]:
        link = make_link(**how)
        run = link.submit(lines=LINES, output_bytes=OUTPUTS)
        link.errand.wait_status(run, "Completed")
        return link, run

    return make


def test_outputs_alone_bring_the_log_home_before_the_node_may_forget_it(ended):
    link, run = ended()
    link.errand.ok("outputs", run)
    assert link.is_collected(run)
    link.check_home(run)
    link.sshd.stop()
    assert link.errand.ok("logs", run).out == log_of(LINES)


def test_several_errands_bring_one_runs_outputs_home(ended):
    """Whoever is first does it; the others wait, and all of them end well."""
    link, run = ended()
    followers = [link.errand.follow(run) for _ in range(4)]
    for follower in followers:
        link.check(follower.finish())


def test_a_node_that_cannot_be_told_changes_nothing_of_what_is_at_home(ended):
    """Here it hears it from a stranger: only the submitter may say that all is at home."""
    link, run = ended()
    (link.errand.home / "state" / "controller").write_text("0123456789abcdef" * 2 + "\n")
    result = link.errand.run("follow", run)
    link.check(result)
    assert re.search(r"errand: warning: node was not told that all is at home, and keeps the run", result.errors)
    assert not link.is_collected(run)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_node_that_ends_before_all_has_come_has_brought_nothing(errand, tmp_path, is_told):
    """It was believed: the run had left no outputs."""
    write_files(errand.cwd, {"t.py": "open('outputs/model', 'w').write('m' * 1000)\n"})
    run = errand.submit("t.py")
    errand.wait_status(run, "Completed")
    end_after(errand, tmp_path / "bin", "OFFER", is_told)
    result = errand.run("follow", run)
    assert result.code == 125, result
    assert "END came before all of the outputs did" in result.errors
    errand.program = str(BIN / "errand")
    errand.ok("follow", run)
    assert (errand.home / "state" / "runs" / run / "outputs" / "model").read_text() == "m" * 1000


@pytest.mark.skipif(not inject.is_possible("strace"), reason="strace may not trace here")
@pytest.mark.usefixtures("traced")
def test_the_node_hears_of_it_when_all_is_on_the_disk(errand, tmp_path):
    """The name of the outputs' folder, and that all is at home, were not."""
    write_files(errand.cwd, {"t.py": "open('outputs/model', 'w').write('m' * 1000)\n"})
    run = errand.submit("t.py")
    errand.wait_status(run, "Completed")
    calls = tmp_path / "calls"
    errand.ok("follow", run, prefix=["strace", "-y", "-s", "300", "-e", "rename,fsync,fdatasync,write", "-o", calls])
    lines = calls.read_text().splitlines()

    def where(pattern: str, after: int = 0) -> int:
        return next(i for i, line in enumerate(lines) if i >= after and re.search(pattern, line))

    is_named = where(r'^rename\(.*/outputs"\)')
    is_told = where(r"^write\(\d+<pipe.*sizes")
    assert where(rf"^fsync\(\d+<.*/runs/{run}>", is_named) < is_told
    assert where(r"^fdatasync\(\d+<.*history\.db-wal>", is_named) < is_told


# ---- no room at home ----


def full_home(link: Link, size_bytes: int, command: str) -> subprocess.CompletedProcess:
    """Run shell text in which $ERRAND is errand, with the controller's state on a disk of that size."""
    state = link.errand.home / "state"
    kept = link.folder / "kept"
    shutil.copytree(state, kept, symlinks=True)
    setup = f'cp -a {kept}/. {state}; ERRAND="{link.errand.program}"; {command}; cp -a {state}/. {kept}'
    done = subprocess.run(
        [*inject.on_small_disk(state, size_bytes), "sh", "-c", setup],
        cwd=link.errand.cwd,
        env=link.errand.env(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    shutil.rmtree(state)
    kept.rename(state)
    return done


@needs_mount
def test_no_room_for_a_log_is_a_sentence_and_the_rest_comes_later(make_link):
    link = make_link()
    run = link.submit(lines=40_000)
    link.errand.wait_status(run, "Completed")
    done = full_home(link, 1_500_000, f'"$ERRAND" follow {run} >{link.folder}/out; echo status $?')
    said = done.stderr.decode()
    assert b"status 125" in done.stdout, said
    assert re.search(r"errand: .*No space left on device", said), said
    log = link.log_at_home(run)
    assert log == log_of(40_000)[: len(log)]
    assert not link.is_collected(run)
    link.check(link.errand.run("follow", run))
    assert link.is_collected(run)


@needs_mount
def test_no_room_for_outputs_is_a_sentence_and_leaves_nothing_half_done(ended):
    link, run = ended()
    done = full_home(link, 6_000_000, f'"$ERRAND" follow {run} >{link.folder}/out; echo status $?')
    said = done.stderr.decode()
    assert b"status 125" in done.stdout, said
    assert re.search(r"errand: .*No space left on device", said), said
    assert f"errand outputs {run}" in said
    assert sorted(path.name for path in link.home(run).iterdir() if path.name.startswith("outputs")) == []
    assert not link.is_collected(run)
    link.check(link.errand.run("follow", run))
    assert link.is_collected(run)


@needs_mount
def test_no_room_for_a_snapshot_starts_nothing(make_link):
    link = make_link()
    link.check(link.run(lines=10))
    link.marks.unlink()
    write_files(link.errand.cwd, {"data/large": os.urandom(6_000_000)})
    words = " ".join(link.script(lines=10)[:-1])
    done = full_home(link, 3_000_000, f'"$ERRAND" run --target node {words} ""; echo status $?')
    said = done.stderr.decode()
    assert b"status 125" in done.stdout, said
    assert re.search(r"errand: .*No space left on device", said), said
    assert link.starts() == []
    link.check(link.run(lines=10))


# ---- the executor's side of the link ----


@pytest.mark.kept_too
@pytest.mark.parametrize("part", ["push", "follow", "fetch"])
def test_serve_killed_on_the_node_is_a_lost_link(make_link, part):
    link = make_link()
    link.check(link.run(lines=10))
    link.marks.unlink()
    if part == "push":
        write_files(link.errand.cwd, {"data/large": os.urandom(8_000_000)})
    direction = "up" if part == "push" else "down"
    end = getattr(link.proxy.count(), direction) + 3_000_000
    link.break_next(Fault("freeze", direction, 3_000_000))
    followed = link.start(lines=60_000 if part == "follow" else 100, output_bytes=8_000_000 if part == "fetch" else 0)
    wait_for(lambda: getattr(link.proxy.count(), direction) >= end, part)
    link.kill_serve()
    link.proxy.thaw()
    result = followed.finish()
    assert re.search(r"errand: node: the connection was lost: .*; trying again in", result.errors), str(result)
    link.check(result)
