"""What stays in a Livy's folder, and what goes: by `errand node gc`, `errand env remove`, and by itself."""

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import processes
from support.environments import UV
from support.errand import Errand
from support.livy import Livy, add
from support.packages import Index
from support.waiting import wait_for

SECONDS = 60
DAY_S = 86400
OLD = 40  # days


@pytest.fixture
def livy(make_livy: Callable[..., Livy], errand: Errand) -> Livy:
    """A Livy 0.7.1 behind a gateway with TLS, as the target `web` of errand."""
    return add(errand, make_livy())


@pytest.fixture
def folder(livy: Livy) -> Path:
    """What the cluster and errand share."""
    return livy.files / "errand"


def age(path: Path, days: float) -> Path:
    """It was last used that many days ago."""
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))
    return path


def archive(folder: Path, name: str, days: float = OLD) -> Path:
    """An archive that was last used so many days ago."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1024)
    return age(path, days)


def attempt(folder: Path, tag: str, *needs: str, days: float = 0, files: tuple[str, ...] = ()) -> Path:
    """An attempt's folder, as some errand made it."""
    path = folder / "runs" / tag
    path.mkdir(parents=True)
    for name in needs:
        (path / "uses" / name.replace("/", "+")).mkdir(parents=True)
    for name in files:
        (path / name).write_text("x")
    return age(path, days)


def collect(errand: Errand, *options: str) -> dict:
    return errand.json("node", "gc", "web", *options)


def names(folder: Path) -> list[str]:
    """The archives there."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*") if path.parent.name != "runs")


def run_once(errand: Errand, project: Path, text: str = "print('hello')\n") -> str:
    (project / "job.py").write_text(text)
    errand.ok("run", "--target", "web", "job.py")
    return errand.last_run()


def test_what_nobody_used_for_long_goes(errand: Errand, folder: Path):
    archive(folder, "projects/old.tar")
    archive(folder, "projects/young.tar", 20)
    archive(folder, "environments/old-1.tar")
    archive(folder, "environments/young-1.tar", 2)
    archive(folder, "projects/half.tar.tmp-00ff", 2)
    archive(folder, "projects/arriving.tar.tmp-00fe", 0)
    archive(folder, "projects/somebody-elses.txt")
    archive(folder, ".try-1", 2)
    before = names(folder)
    said = errand.ok("node", "gc", "--dry-run", "web").text
    assert names(folder) == before
    assert said.startswith("web: would free 4.0 KB: 1 snapshot, 1 environment, 2 leftovers\n")
    said = errand.ok("node", "gc", "web").text
    assert said.startswith("web: freed 4.0 KB: 1 snapshot, 1 environment, 2 leftovers\n")
    assert "web: kept 1 snapshot of 1.0 KB, 1 environment of 1.0 KB\n" in said
    assert names(folder) == [
        "environments/young-1.tar",
        "projects/arriving.tar.tmp-00fe",
        "projects/somebody-elses.txt",
        "projects/young.tar",
    ]
    assert not list(folder.glob(".try*"))
    again = collect(errand)
    assert (again["roots"], again["environments"], again["leftovers"], again["bytes"]) == (0, 0, 0, 0)
    assert (again["runs"], again["is_dry"], again["warnings"]) == (0, False, [])


def test_where_nothing_was_ever_sent_nothing_is_made(errand: Errand, livy: Livy):
    assert errand.ok("node", "gc", "web").text == "web: freed 0 bytes\n"
    assert not list(livy.files.iterdir())


def test_days_are_those_that_were_asked_for_and_a_day_is_kept_always(errand: Errand, folder: Path):
    archive(folder, "projects/week.tar", 7)
    archive(folder, "environments/week-1.tar", 7)
    archive(folder, "projects/hours.tar", 0.5)
    collect(errand, "--keep-days", "0")
    assert names(folder) == ["environments/week-1.tar", "projects/hours.tar"]
    collect(errand, "--keep-environments", "5")
    assert names(folder) == ["projects/hours.tar"]


def test_what_a_run_of_any_machine_needs_stays(errand: Errand, folder: Path):
    archive(folder, "projects/needed.tar")
    archive(folder, "environments/needed-1.tar")
    archive(folder, "projects/free.tar")
    attempt(folder, "errand-elsewhere-1", "projects/needed.tar", "environments/needed-1.tar", days=30)
    attempt(folder, "errand-elsewhere-1-python", days=30)
    report = collect(errand)
    assert names(folder) == ["environments/needed-1.tar", "projects/needed.tar"]
    assert (report["roots"], report["kept_roots"], report["kept_environments"], report["kept_runs"]) == (1, 1, 1, 2)


def test_where_a_run_does_not_say_what_it_needs_nothing_goes(errand: Errand, folder: Path):
    """An errand that was here before made its folder."""
    archive(folder, "projects/old.tar")
    attempt(folder, "errand-elsewhere-1", days=1)
    result = errand.ok("node", "gc", "web")
    assert "errand-elsewhere-1 does not say what it needs" in result.errors
    assert names(folder) == ["projects/old.tar"]


def test_what_an_interrupted_collection_put_aside_comes_back_or_goes(errand: Errand, folder: Path):
    archive(folder, "projects/.gone.needed.tar")
    archive(folder, "projects/.gone.sent-again.tar")
    archive(folder, "projects/sent-again.tar", 0)
    archive(folder, "projects/.gone.free.tar")
    attempt(folder, "errand-elsewhere-1", "projects/needed.tar", "projects/sent-again.tar")
    collect(errand)
    assert names(folder) == ["projects/needed.tar", "projects/sent-again.tar"]


def test_a_run_that_goes_on_keeps_what_it_needs_and_its_folder(
    errand: Errand, livy: Livy, folder: Path, project: Path, tmp_path: Path
):
    gate = tmp_path / "gate"
    (project / "job.py").write_text(
        "import os\nfrom time import sleep\nprint('begun', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}):\n    sleep(0.02)\n"
    )
    run = errand.submit("--target", "web", "job.py")
    log = errand.home / "state" / "local" / "runs" / run / "driver.log"
    wait_for(lambda: b"begun" in log.read_bytes(), "the script's first line", SECONDS)
    [sent] = (folder / "projects").iterdir()
    age(sent, OLD)
    report = collect(errand, "--keep-days", "0")
    assert (report["roots"], report["leftovers"], report["kept_runs"], report["warnings"]) == (0, 0, 1, [])
    assert sent.exists()
    gate.touch()
    errand.ok("follow", run)
    assert collect(errand, "--keep-days", "0")["roots"] == 1
    assert livy.batches


def test_a_use_is_noted_and_counts(errand: Errand, livy: Livy, folder: Path, project: Path):
    """As a time of access: that of the last change stays, which YARN knows an archive by."""
    run_once(errand, project)
    [sent] = (folder / "projects").iterdir()
    changed = age(sent, OLD).stat().st_mtime_ns
    run_once(errand, project)
    assert len(livy.posts) == 2
    assert time.time() - sent.stat().st_atime < SECONDS
    assert sent.stat().st_mtime_ns == changed
    assert collect(errand)["roots"] == 0


def test_folders_of_attempts_that_nobody_looks_after_go(errand: Errand, livy: Livy, folder: Path, project: Path):
    run = run_once(errand, project)
    ended = attempt(folder, f"errand-{run}-1", "projects/a.tar", days=2)
    question = attempt(folder, f"errand-{run}-1-python", days=2, files=("claim",))
    results = attempt(folder, f"errand-{run}-2", "projects/a.tar", days=2, files=("outputs.tar",))
    fresh = attempt(folder, f"errand-{run}-3", "projects/a.tar", days=0.5)
    elsewhere = attempt(folder, "errand-elsewhere-1", "projects/a.tar", days=80)
    forgotten = attempt(folder, "errand-elsewhere-2", "projects/a.tar", days=100)
    assert collect(errand, "--dry-run")["leftovers"] == 3
    report = collect(errand)
    assert (report["leftovers"], report["kept_runs"]) == (3, 3)
    assert not ended.exists()
    assert not question.exists()
    assert not forgotten.exists()
    assert results.exists()
    assert fresh.exists()
    assert collect(errand, "--keep-uncollected", "0")["leftovers"] == 1
    assert not elsewhere.exists()
    assert results.exists()
    assert livy.posts


def test_a_canceled_run_leaves_no_folder(errand: Errand, folder: Path, project: Path):
    """Once it is proven that nothing of it goes on; what it had put out is here."""
    (project / "job.py").write_text(
        "from time import sleep\nopen('outputs/part', 'w').write('x')\nprint('begun', flush=True)\nsleep(300)\n"
    )
    run = errand.submit("--target", "web", "job.py")
    log = errand.home / "state" / "local" / "runs" / run / "driver.log"
    wait_for(lambda: b"begun" in log.read_bytes(), "the script's first line", SECONDS)
    errand.ok("cancel", run)
    assert errand.show(run)["status"] == "Canceled"
    assert not list((folder / "runs").iterdir())
    errand.run("follow", run)
    assert (errand.home / "state" / "runs" / run / "outputs" / "part").exists()


def test_a_batch_that_an_ended_run_left_is_deleted(
    errand: Errand, livy: Livy, folder: Path, project: Path, tmp_path: Path
):
    """Its prepare stage was killed when it had asked the cluster for its Python."""
    gate = tmp_path / "gate"
    livy.says = f"import os, threading\nwhile not os.path.exists({str(gate)!r}):\n    threading.Event().wait(0.1)\n"
    (project / "job.py").write_text("print('hello')\n")
    (project / "requirements.txt").write_text("tiny\n")
    run = errand.submit("--target", "web", "job.py")
    wait_for(lambda: livy.batches, "the question", SECONDS)
    local = errand.home / "state" / "local" / "runs" / run
    wait_for(lambda: "batch 0 of Livy" in (local / "prepare.log").read_text(), "Livy's answer", SECONDS)
    assert collect(errand)["leftovers"] == 0
    for pid in processes.carrying("ERRAND_RUN_ID", run):
        if "prepare" in processes.command(pid) or processes.command(pid)[1:3] == ["attend", "livy"]:
            os.kill(pid, 9)
    errand.wait_status(run, "Failed")
    errand.run("follow", run)
    assert [batch.state() for batch in livy.batches.values()] == ["running"]
    [left] = (folder / "runs").iterdir()
    age(left, 2)
    assert collect(errand)["leftovers"] == 2
    assert not livy.batches
    assert not left.exists()
    gate.touch()


def test_an_environment_that_is_removed_goes_there_too(
    errand: Errand, livy: Livy, folder: Path, project: Path, index: Index, tmp_path: Path
):
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv").symlink_to(UV)
    errand.more_env["PATH"] = f"{tmp_path / 'uv'}:{os.environ['PATH']}"
    index.wheel("tiny")
    (project / "requirements.txt").write_text(f"--index-url {index.url}\ntiny\n")
    run_once(errand, project)
    identity = errand.show(errand.last_run())["environment"]["identity"]
    [sent] = (folder / "environments").iterdir()
    assert sent.name.startswith(identity)
    older = archive(folder, f"environments/{identity}-older.tar", 0)
    other = archive(folder, f"environments/{'f' * 64}-1.tar", 0)
    attempt(folder, "errand-elsewhere-1", f"environments/{sent.name}")
    result = errand.run("env", "remove", "--target", "web", identity[:8], code=1)
    assert f"but not in the cluster: a run needs environment {identity[:12]}" in result.errors
    assert (sent.exists(), older.exists(), other.exists()) == (True, False, True)
    run_once(errand, project)
    errand.ok("env", "remove", "--target", "web", "--force", identity[:8])
    assert list((folder / "environments").iterdir()) == [other]
    assert len(livy.posts) == 3


def test_a_command_that_copies_removes_nothing(errand: Errand, livy: Livy):
    with (errand.home / "config" / "targets.d" / "web.yaml").open("a") as file:
        file.write('livy_upload_command: ["cp", "{src}", "{dst}"]\n')
    result = errand.run("node", "gc", "web", code=1)
    assert "can neither list nor remove" in result.errors
    assert not list(livy.files.iterdir())


def test_options_of_a_nodes_disk_are_refused(errand: Errand, livy: Livy):
    result = errand.run("node", "gc", "web", "--max-store", "1GB", code=2)
    assert "web is a Livy server" in result.errors
    assert not livy.batches


def test_what_is_lost_between_the_look_and_the_batchs_is_sent_again(
    errand: Errand, livy: Livy, folder: Path, project: Path
):
    """Somebody removed it by hand, as nobody who asks what is needed does."""
    run_once(errand, project)
    livy.is_losing = True
    (project / "job.py").write_text("print('hello')\nraise SystemExit(7)\n")
    result = errand.run("run", "--target", "web", "job.py", code=7)
    assert "the cluster does not have any more what it was sent: once again" in result.errors
    assert result.text.count("hello") == 1
    run = errand.last_run()
    assert [job["name"] for job in livy.posts[1:]] == [f"errand-{run}-1"] * 2
    assert not list((folder / "runs").iterdir())
    assert "FileNotFoundException" in errand.ok("logs", "--engine", run).text


# --- by itself ------------------------------------------------------------------------------------------------------


def records(errand: Errand) -> list[Path]:
    return list((errand.home / "state" / "livy").glob("*.tidied"))


def wait_for_round(errand: Errand) -> dict:
    [record] = records(errand)

    def ended() -> dict | None:
        try:
            said = json.loads(record.read_text())
        except json.JSONDecodeError:
            return None
        return said if "ended" in said else None

    return wait_for(ended, "the end of a round", SECONDS)


def test_a_run_is_followed_by_a_round_once_a_day(errand: Errand, livy: Livy, folder: Path, project: Path):
    archive(folder, "projects/old.tar")
    run_once(errand, project)
    [record] = records(errand)
    assert record.read_text() == ""
    assert "projects/old.tar" in names(folder)
    age(record, 2)
    run_once(errand, project)
    said = wait_for_round(errand)
    assert (said["target"], said["report"]["roots"], said["report"]["warnings"]) == ("web", 1, [])
    assert "projects/old.tar" not in names(folder)
    assert len(names(folder)) == 1
    steps = {step["step"]: step["detail"] for step in errand.json("target", "check", "web")["steps"]}
    assert steps["tidied"] == f"at {said['ended']}, 1.0 KB freed"
    before = record.stat().st_mtime_ns
    run_once(errand, project)
    assert record.stat().st_mtime_ns == before
    assert len(livy.posts) == 3


def test_no_command_waits_for_a_round(errand: Errand, livy: Livy, folder: Path, project: Path):
    """Somebody else has its record, and it waits for none; then no answer comes, and the command has ended."""
    archive(folder, "projects/old.tar")
    run_once(errand, project)
    [record] = records(errand)
    age(record, 2)
    with record.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        run_once(errand, project)
    assert record.read_text() == ""
    (project / "job.py").write_text("print('hello')\n")
    run = errand.submit("--target", "web", "job.py")
    wait_for_round(errand)
    assert "projects/old.tar" not in names(folder)
    errand.ok("follow", run)
    assert len(livy.posts) == 3
