"""How the executor gets to a node, whatever the node is like, over every network transport."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support import inject
from support.errand import BIN, Errand
from support.faultproxy import Fault
from support.sshd import Sshd
from support.waiting import wait_for

SHELLS = ("/bin/sh", "/bin/dash", "/bin/bash", "/bin/csh", "/bin/tcsh", "/usr/bin/fish", "/bin/zsh")
HOME = Path("{home}")  # filled in by Sshd


def installed(server: Sshd, root: str = ".errand") -> list[Path]:
    return sorted((server.home / root / "bin").iterdir())


# ---- where nothing is in the way ----


def test_the_executor_comes_with_the_first_login_and_once(errand, sshd, reach):
    target = reach(sshd)
    assert errand.ok("run", "--target", target, "train.py").out == b"hello\n"
    assert sshd.logins() == 1
    (executor,) = installed(sshd)
    assert executor.read_bytes() == (BIN / "errand-executor").read_bytes()
    assert stat.S_IMODE(executor.stat().st_mode) == 0o700
    assert stat.S_IMODE(executor.parent.parent.stat().st_mode) == 0o700
    inode = executor.stat().st_ino
    assert "install" not in [step["step"] for step in errand.json("target", "check", target)["steps"]]
    assert sshd.logins() == 2
    assert executor.stat().st_ino == inode


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_takes_it(errand, make_sshd, reach, shell):
    server = make_sshd(shell=shell)
    target = reach(server)
    assert errand.ok("run", "--target", target, "train.py").out == b"hello\n"
    assert errand.ok("run", "--target", target, "train.py").out == b"hello\n"
    assert server.logins() == 2
    assert len(installed(server)) == 1


def test_a_shell_that_is_restricted(make_sshd, reach, refused, tmp_path):
    rbash = tmp_path / "rbash"
    rbash.symlink_to("/bin/bash")
    step = refused(reach(make_sshd(shell=str(rbash))))
    assert step["step"] == "bootstrap"
    assert "restricted" in step["detail"]


@pytest.mark.parametrize("root", ["~/deep/er/errand", "{home}/else.where+1_2-3"])
def test_the_root_may_be_elsewhere(errand, sshd, reach, root):
    target = reach(sshd, f"--root={root.format(home=sshd.home)}")
    assert errand.ok("run", "--target", target, "train.py").out == b"hello\n"
    assert not (sshd.home / ".errand").exists()


@pytest.mark.parametrize("root", ["relative", "/with a blank", "/quo'te", "/$HOME", "~other/x"])
def test_a_root_that_no_shell_should_see(errand, sshd, reach, refused, root):
    refusal = errand.run("target", "add", "other", *sshd.target_arguments(), f"--root={root}")
    assert refusal.code == 2
    assert root in refusal.errors
    target = reach(sshd, "--root=/REPLACED")
    file = errand.home / f"config/targets.d/{target}.yaml"
    file.write_text(file.read_text().replace("/REPLACED", json.dumps(root)))
    step = refused(target)
    assert root in step["detail"]
    assert sshd.connections() == 0


def test_two_first_connections_at_once(make_errand, sshd, network):
    controllers = [make_errand() for _ in range(3)]
    for one in controllers:
        one.add_target("node", f"--transport={network}", *sshd.target_arguments())
    running = [one.start("run", "--target", "node", "train.py") for one in controllers]
    for one in running:
        ended = one.finish()
        assert (ended.code, ended.out) == (0, b"hello\n"), ended
    assert len(installed(sshd)) == 1


def test_an_interrupted_upload_leaves_nothing_and_is_made_again(errand, sshd, network, proxy, refused):
    link = proxy(sshd.port, faults=[Fault("rst", "up", 1_000_000, connection=1)])
    errand.add_target("node", f"--transport={network}", *sshd.target_arguments(link.port))
    step = refused("node")
    assert f"port {link.port}" in step["detail"]
    wait_for(lambda: not installed(sshd), "the shell on the node to clear away")
    errand.ok("run", "--target", "node", "train.py")
    assert len(installed(sshd)) == 1


# ---- where something is ----


def test_a_home_that_cannot_be_written(make_sshd, reach, refused):
    server = make_sshd(prefix=inject.on_read_only_disk(HOME))
    step = refused(reach(server))
    assert step["step"] == "bootstrap"
    assert f"{server.home}/.errand cannot be written" in step["detail"]
    assert f"port {server.port}" in step["detail"]
    assert "set root: in " in step["hint"] and "/targets.d/" in step["hint"]


def test_a_home_that_is_not_there(make_sshd, reach, refused):
    server = make_sshd(env={"HOME": "/proc/nowhere"})
    step = refused(reach(server))
    assert step["step"] == "bootstrap"
    assert "/proc/nowhere/.errand cannot be written" in step["detail"]


def test_another_root_helps_where_home_cannot_be_written(errand, make_sshd, reach, tmp_path):
    server = make_sshd(env={"HOME": "/proc/nowhere"})
    target = reach(server, f"--root={tmp_path}/root")
    assert errand.ok("run", "--target", target, "train.py").out == b"hello\n"


def test_a_disk_without_room(make_sshd, reach, refused):
    server = make_sshd(prefix=inject.on_small_disk(HOME, 1 << 20))
    step = refused(reach(server))
    assert step["step"] == "bootstrap"
    assert "no room" in step["detail"]
    assert "set root: in " in step["hint"] and "/targets.d/" in step["hint"]


def test_a_disk_without_a_single_inode(make_sshd, reach, refused):
    server = make_sshd(prefix=inject.on_small_disk(HOME, 1 << 20, inodes=1))
    step = refused(reach(server))
    assert "cannot be written" in step["detail"]


def test_a_disk_on_which_nothing_may_be_executed(make_sshd, reach, refused):
    mount = "mount -t tmpfs -o noexec,size=16m none {home}"
    server = make_sshd(prefix=inject.in_namespace("-m", mount))
    step = refused(reach(server))
    assert step["step"] == "bootstrap"
    assert "noexec" in step["detail"]
    assert f"{server.home}/.errand" in step["detail"]


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., str]:
    """programs("mkdir", ..., uname="Linux armv7l"): a PATH that has nothing but these, and a uname of that kind."""

    def make(*names: str, uname: str | None = None) -> str:
        folder = tmp_path / "programs"
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(shutil.which(name))
        if uname is not None:
            system, machine = uname.split()
            (folder / "uname").write_text(
                f'#!/bin/sh\ncase $1 in -s) echo "{system}" ;; -m) echo "{machine}" ;; esac\n'
            )
            (folder / "uname").chmod(0o755)
        return str(folder)

    return make


TOOLS = ("sh", "bash", "mkdir", "rm", "head", "wc", "chmod", "cat")


def test_a_node_without_uname(make_sshd, reach, refused, programs):
    step = refused(reach(make_sshd(env={"PATH": programs(*TOOLS)})))
    assert step["step"] == "bootstrap"
    assert "uname" in step["detail"]
    assert "PATH" in step["hint"]


def test_a_node_without_any_program(make_sshd, reach, refused):
    step = refused(reach(make_sshd(env={"PATH": "/nowhere"})))
    assert step["step"] == "bootstrap"
    assert "sh: not found" in step["detail"] or "sh: No such file" in step["detail"]


@pytest.mark.parametrize(
    ("uname", "words"),
    [
        ("Linux aarch64", "the node is Linux on aarch64, and there is no errand-executor-linux-aarch64 here"),
        ("Linux riscv64", "errand-executor-linux-riscv64"),
        ("FreeBSD amd64", "the node runs FreeBSD; the executor is for Linux"),
        ("../../x /etc", "uname on the node does not say what it is"),
    ],
)
def test_a_node_of_another_architecture(make_sshd, reach, refused, programs, uname, words):
    server = make_sshd(env={"PATH": programs(*TOOLS, uname=uname)})
    step = refused(reach(server))
    assert words in step["detail"]
    assert f"port {server.port}" in step["detail"]
    wait_for(lambda: not installed(server), "the shell on the node to clear away")


@pytest.fixture
def packed(tmp_path: Path, make_errand: Callable[..., Errand]) -> Errand:
    """A controller whose programs lie in a folder of its own, with an executor for i686: what `uname -m` says under
    `setarch i686`. It is ours with a few bytes behind it, so that it runs and has another digest."""
    folder = tmp_path / "programs-i686"
    folder.mkdir()
    for name in ("errand", "errand-executor"):
        shutil.copy(BIN / name, folder)
    other = folder / "errand-executor-linux-i686"
    shutil.copy(BIN / "errand-executor", other)
    with open(other, "ab") as file:
        file.write(b"i686")
    controller = make_errand()
    controller.program = str(folder / "errand")
    return controller


def test_each_node_gets_the_executor_of_its_architecture(packed, make_sshd, network):
    folder = Path(packed.program).parent
    for name, prefix, file in (
        ("old", ["setarch", "i686"], "errand-executor-linux-i686"),
        ("new", [], "errand-executor"),
    ):
        server = make_sshd(prefix=prefix)
        packed.add_target(name, f"--transport={network}", *server.target_arguments())
        for _ in range(2):
            assert packed.ok("run", "--target", name, "train.py").out == b"hello\n"
        (executor,) = installed(server)
        assert executor.read_bytes() == (folder / file).read_bytes()


def test_executors_of_other_architectures_may_lie_in_a_folder_of_their_own(packed, make_sshd, network, tmp_path):
    elsewhere = tmp_path / "executors"
    elsewhere.mkdir()
    name = "errand-executor-linux-i686"
    (Path(packed.program).parent / name).rename(elsewhere / name)
    packed.configure(executors=str(elsewhere))
    packed.add_target("old", f"--transport={network}", *make_sshd(prefix=["setarch", "i686"]).target_arguments())
    assert packed.ok("run", "--target", "old", "train.py").out == b"hello\n"


def test_a_controller_without_executor_says_so(packed, sshd, network):
    folder = Path(packed.program).parent
    packed.add_target("node", f"--transport={network}", *sshd.target_arguments())
    for executor in folder.glob("errand-executor*"):
        executor.unlink()
    result = packed.run("run", "--target", "node", "train.py", code=125)
    assert "errand-executor is not beside errand" in result.errors
    assert sshd.connections() == 0
