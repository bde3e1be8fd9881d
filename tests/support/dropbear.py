"""A private Dropbear on 127.0.0.1: the SSH server of routers, boards and small images.

It reads the account's own ~/.ssh and nothing else, so that it runs in a mount namespace in which the account's home is
a folder of the node."""

import contextlib
import os
import pwd
import shlex
import socket
import subprocess
from pathlib import Path

from support import inject, processes
from support.sshd import free_port, make_key
from support.waiting import wait_for

PROGRAM = "/usr/sbin/dropbear"


class Dropbear:
    """Life: Dropbear(folder, mark, ...) -> start() -> stop(). mark: variables of every session, which gets its own."""

    def __init__(
        self, folder: Path, mark: dict[str, str], host_key_kind: str = "ed25519", user_key_kind: str = "ed25519"
    ):
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.mark = mark
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.host = "127.0.0.1"
        self.port = free_port()
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        self.home.chmod(0o700)
        self.log = folder / "dropbear.log"
        self.identity = make_key(folder / "user_key", user_key_kind)
        self.allow(self.identity)
        self.host_key = folder / "host_key"
        made = subprocess.run(
            ["dropbearkey", "-t", host_key_kind, "-f", self.host_key], check=True, capture_output=True, text=True
        )
        self.public = next(line for line in made.stdout.splitlines() if line.startswith(("ssh-", "ecdsa-")))
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {' '.join(self.public.split()[:2])}\n")
        self.process: subprocess.Popen | None = None

    def allow(self, identity: Path) -> None:
        """This key, and no other, logs in."""
        authorized = self.home / ".ssh" / "authorized_keys"
        authorized.write_bytes(identity.with_suffix(".pub").read_bytes())
        authorized.chmod(0o600)

    def start(self) -> "Dropbear":
        me = pwd.getpwuid(os.getuid())
        back = [] if me.pw_uid == 0 else ["unshare", "-U", f"--map-user={me.pw_uid}", f"--map-group={me.pw_gid}"]
        mount = f"mount --bind {shlex.quote(str(self.home))} {shlex.quote(me.pw_dir)}"
        words = [PROGRAM, "-F", "-E", "-e", "-m", "-r", self.host_key, "-P", self.folder / "pid"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                inject.in_namespace("-m", mount, [*back, *map(str, words), "-p", f"{self.host}:{self.port}"]),
                env={**os.environ, **self.mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._listens_or_ended, "Dropbear to listen")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def _listens_or_ended(self) -> bool:
        if self.process.poll() is not None:
            return True
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port)):
            return True
        return False

    def stop(self) -> None:
        if not self.process:
            return
        below = processes.descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        processes.end_all(below)
        self.process = None

    def target_arguments(self) -> list[str]:
        """What follows `errand target add NAME` to make this server a target."""
        return [
            f"{self.user}@{self.host}",
            f"--port={self.port}",
            f"--identity={self.identity}",
            f"--known-hosts={self.known_hosts}",
            "--ssh-config=/dev/null",
        ]

    def logins(self) -> int:
        """How many logins succeeded so far (from the server's log)."""
        return self.log.read_bytes().count(b"Pubkey auth succeeded")
