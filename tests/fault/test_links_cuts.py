"""The link is cut at every place of a run: it is started at most once, nothing of it is lost, nothing comes twice.

By default a few places of each part are tried, with --soak all.
"""

import hashlib
import os
import shutil

import pytest
from support.faultproxy import Fault
from support.links import Link, log_of
from support.projects import write_files
from support.waiting import wait_for

KINDS = ("rst", "close", "half")
MEGABYTE = 1_000_000
FILE = 100_000
# A pack is sent once it has 2 MiB (PACK_TARGET of common/transfer_push.c): of such files, 21.
PACK = ((2 << 20) // FILE + 1) * FILE
# What ssh or sshd may hold of a stream, and loses where its connection is reset: the window of a session, 64 packets of
# 32 KiB (CHAN_SES_WINDOW_DEFAULT of OpenSSH's channels.h).
WINDOW = 2 << 20
# Three connections' beginnings, and what packets, frames and packs put around 12 MB.
AROUND = 250_000


def places(end: int, step: int, few: int, begin: int = 0) -> list:
    """Every step-th byte from begin to end: all with --soak, else about `few` of them."""
    all_of_them = range(begin, end, step)
    stride = max(1, len(all_of_them) // few)
    return [
        at if i % stride == stride // 2 else pytest.param(at, marks=pytest.mark.soak)
        for i, at in enumerate(all_of_them)
    ]


def cut(direction: str, at: int, step: int) -> Fault:
    """The kinds take turns, so that all of them happen in all parts."""
    return Fault(KINDS[at // step % len(KINDS)], direction, at, connection=1)


def run_until_it_works(link: Link, **how) -> str:
    """A link that breaks before the executor has said a word is an error of the command; the next one works."""
    result = link.run(**how)
    if result.code == 125:
        assert link.starts() == [], str(result)
        shown = link.errand.show()
        assert (shown["status"], shown["exit"]["kind"]) == ("Failed", "could_not_start")
        result = link.run(**how)
    run = link.check(result)
    assert link.starts() == [run]
    return run


@pytest.fixture
def warm(make_link):
    """A node that has the executor and the project, whose link was not cut yet."""

    def make(*faults: Fault, **how) -> Link:
        link = make_link(**how)
        link.check(link.run(lines=10))
        link.marks.unlink()
        for fault in faults:
            link.break_next(fault)
        return link

    return make


# Handshake and login, the shell's line, two megabytes of executor.
@pytest.mark.parametrize("at", places(2_060_000, 34_000, 4))
def test_a_first_connection_is_cut_on_the_way_up(make_link, at):
    link = make_link(faults=[cut("up", at, 34_000)])
    run_until_it_works(link, lines=200)
    assert link.proxy.connections == 2


@pytest.mark.parametrize("at", places(7_000, 125, 4))
def test_a_first_connection_is_cut_on_the_way_down(make_link, at):
    link = make_link(faults=[cut("down", at, 125)])
    run_until_it_works(link, lines=200)
    assert link.proxy.connections == 2


# From login over SUBMIT, ACCEPTED, FOLLOW, FETCH, GOT to COLLECTED: 6,400 bytes up, 12,000 down. Over a connection that
# is kept there is no login: a third of it.
@pytest.mark.kept_too
@pytest.mark.parametrize("at", places(6_500, 52, 8))
def test_a_small_run_is_cut_on_the_way_up(warm, network, at):
    at = at // 3 if network == "kept" else at
    link = warm(cut("up", at, 52))
    run = run_until_it_works(link, lines=100, output_bytes=2000)
    assert link.is_collected(run)


@pytest.mark.kept_too
@pytest.mark.parametrize("at", places(12_500, 100, 8))
def test_a_small_run_is_cut_on_the_way_down(warm, network, at):
    at = at // 3 if network == "kept" else at
    link = warm(cut("down", at, 100))
    run = run_until_it_works(link, lines=100, output_bytes=2000)
    assert link.is_collected(run)


@pytest.mark.parametrize("at", places(12 * MEGABYTE, 400_000, 2, begin=6_900_000))
def test_a_push_goes_on_where_it_was(warm, at):
    """What arrived before the cut is not sent again, but for what sshd held, the pack that was under way, and the one
    that the old connection's end on the node was still about to store when the new one asked."""
    link = warm(cut("up", at, 400_000))
    write_files(link.errand.cwd, {f"data/{i}": os.urandom(FILE) for i in range(120)})
    before = link.proxy.count().up
    link.check(link.run(lines=100))
    assert link.proxy.connections == 3
    assert link.proxy.count().up - before < 12 * MEGABYTE + AROUND + WINDOW + 2 * PACK


@pytest.mark.parametrize("at", places(2_600_000, 100_000, 4, begin=100_000))
def test_a_log_is_whole_and_has_nothing_twice(warm, at):
    link = warm(cut("down", at, 100_000))
    run = link.check(link.run(lines=50_000))
    assert link.log_at_home(run) == log_of(50_000)
    assert link.proxy.connections == 3


# By default each time a little after a pack's end, where most is lost if that has not been taken.
@pytest.mark.parametrize("at", places(12 * MEGABYTE, PACK // 5, 5, begin=PACK // 5 * 3 + 250_000))
def test_outputs_go_on_where_they_were(warm, network, at):
    """All that has come before the cut is taken: the pack that was under way comes again, and nothing else. What lay in
    libssh2's queue or in the socket was lost when a read found the end, or a write that nothing can be sent."""
    link = warm(cut("down", at, PACK // 5))
    before = link.proxy.count().down
    link.check(link.run(lines=100, output_bytes=12 * MEGABYTE, output_files=12 * MEGABYTE // FILE))
    assert link.proxy.connections == 3
    held = WINDOW if network == "openssh" else 0
    assert link.proxy.count().down - before < 12 * MEGABYTE + AROUND + held + PACK


@pytest.mark.parametrize("at", places(5_500, 100, 3, begin=4_700))
def test_a_submission_that_comes_late_starts_nothing_twice(warm, network, at):
    """The link falls silent while a run is sent, which is from byte 4,400 on, or 2,150 with libssh2's shorter
    handshake; it is sent again over another one; then the first comes to life."""
    at -= 2250 if network == "ssh2" else 0
    link = warm(Fault("freeze", "up", at), settings={"idle_timeout": "4s"})
    run = link.check(link.run(lines=100, output_bytes=2000))
    assert link.proxy.connections == 3
    before = link.serving()
    assert len(before) == 1
    link.proxy.thaw()
    wait_for(lambda: not link.serving(), "the first connection's executor to leave")
    assert link.starts() == [run]
    assert [entry["id"] for entry in link.errand.json("list")["runs"]].count(run) == 1


# ---- one large file ----

GIGABYTE = 1_000 * MEGABYTE
DIGEST = """
import hashlib, sys
with open("large.bin", "rb") as file:
    print(hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest")
          else hashlib.sha256(file.read()).hexdigest())
"""


@pytest.fixture
def large_file(project):
    """large_file(bytes): a project with a file of that size that nothing compresses; its digest. What lies about of it
    is removed at once, since pytest keeps folders."""

    def make(size: int) -> str:
        digest = hashlib.sha256()
        with open(project / "large.bin", "wb") as file:
            for at in range(0, size, 16 * MEGABYTE):
                piece = os.urandom(min(16 * MEGABYTE, size - at))
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    yield make
    (project / "large.bin").unlink()


@pytest.mark.parametrize(
    "size", [64 * MEGABYTE, pytest.param(5 * GIGABYTE, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_a_large_file_goes_on_where_it_was_however_often_it_is_cut(make_link, large_file, size):
    link = make_link()
    link.check(link.run(lines=10))
    digest = large_file(size)
    write_files(link.errand.cwd, {"digest.py": DIGEST})
    before, first = link.proxy.count().up, link.proxy.connections + 1
    link.proxy.faults = [
        Fault("rst", "up", size // 2, connection=first),
        Fault("close", "up", size // 4, connection=first + 1),
    ]
    try:
        ended = link.errand.start("run", "-y", "--target", link.target, "digest.py").finish(3000)
        assert (ended.code, ended.out) == (0, digest.encode() + b"\n"), ended
        assert link.proxy.connections == first + 2
        sent = link.proxy.count().up - before
        assert size < sent < 1.2 * size, sent
    finally:
        shutil.rmtree(link.errand.home / "state" / "store", ignore_errors=True)
        shutil.rmtree(link.sshd.home / ".errand", ignore_errors=True)
