"""A private sshd on 127.0.0.1, with keys made for it and a home folder of its own.

Nothing outside its folder is written or read: not ~/.ssh, not /etc/ssh. It runs as the user who starts it, so its
sessions are that user's; HOME is set to a folder of the node (SetEnv), so that ~/.errand lies there.

As a program (./dev demo): `sshd.py --dir DIR` prints the port when it listens and ends when its standard input does.
"""

import argparse
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)] if __name__ == "__main__" else []

from support import processes  # noqa: E402
from support.waiting import wait_for  # noqa: E402

CANDIDATES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd")
# What a session of the node gets from this process, so that a sanitized executor reports where the tests look.
HANDED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH")


def find_sshd() -> str:
    """Path of the sshd program: $ERRAND_SSHD, or where distributions put it."""
    for path in (os.environ.get("ERRAND_SSHD", ""), *CANDIDATES):
        if path and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError("no sshd: install openssh-server, or set ERRAND_SSHD (./dev test does)")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair at path and path.pub. Returns path."""
    bits = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", "errand test", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def is_locked_account() -> bool:
    """Whether sshd without PAM would refuse root because its password field begins with "!"."""
    if os.getuid() != 0:
        return False
    with open("/etc/shadow") as shadow:
        return any(line.startswith("root:!") for line in shadow)


class Sshd:
    """One sshd. Life: Sshd(folder, ...) -> start() -> stop(), or as a context manager. stop() may be called twice,
    and start() again after it: the port, the keys and the node's home stay.

    lines:   further lines of sshd_config, in place of those of the same kind
    shell:   path of the shell that plays the login shell (fish, tcsh, ...); default: the user's own
    env:     further variables of every session
    options: further arguments of sshd
    prefix:  words in front of its command (support.inject: a small disk for the node, say); `{home}` in them is the
             node's home
    """

    def __init__(
        self,
        folder: Path,
        *,
        lines: tuple[str, ...] = (),
        shell: str | None = None,
        env: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        prefix: Sequence[str] = (),
        host_key_kind: str = "ed25519",
        user_key_kind: str = "ed25519",
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.home = self.folder / "home"
        self.home.mkdir(exist_ok=True)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.host = "127.0.0.1"
        self.port = free_port()
        self.lines = lines
        self.shell = shell
        self.options = options
        self.prefix = prefix
        self.env = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
        self.env |= {"HOME": str(self.home), **(env or {})}
        self.log = self.folder / "sshd.log"
        self.host_key = make_key(self.folder / "host_key", host_key_kind)
        self.identity = make_key(self.folder / "user_key", user_key_kind)
        self.authorized_keys = self.folder / "authorized_keys"
        self.authorized_keys.write_bytes(self.identity.with_suffix(".pub").read_bytes())
        self.known_hosts = self.folder / "known_hosts"
        self.ssh_config = self.folder / "ssh_config"
        self.process: subprocess.Popen | None = None
        self.write_known_hosts()

    # -- files ---------------------------------------------------------------------------------------------------

    def write_known_hosts(self) -> None:
        """known_hosts with this server's key under its present port, and a client configuration that uses it."""
        kind, key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {kind} {key}\n")
        self.ssh_config.write_text(
            f"""Host *
HostName {self.host}
Port {self.port}
User {self.user}
IdentityFile "{self.identity}"
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile "{self.known_hosts}"
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
ConnectTimeout 20
"""
        )

    def _write_config(self) -> Path:
        login = self._write_login() if self.shell else None
        home = {"HOME": str(self.folder / "nothing")} if login else {}
        env = " ".join(f'"{name}={value}"' for name, value in (self.env | home).items())
        ours = (
            f"Port {self.port}",
            f"ListenAddress {self.host}",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.authorized_keys}",
            f"PidFile {self.folder}/sshd.pid",
            f"SetEnv {env}",
            f"UsePAM {'yes' if is_locked_account() else 'no'}",
            *((f"ForceCommand {login}",) if login else ()),
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "PrintMotd no",
            "PrintLastLog no",
            "MaxStartups 200",
            "MaxSessions 100",
            "LogLevel VERBOSE",
        )
        # For most of them the first of a kind counts, for some (MaxStartups) the last.
        given = {line.split()[0].lower() for line in self.lines}
        config = self.folder / "sshd_config"
        config.write_text(
            "\n".join((*self.lines, *(line for line in ours if line.split()[0].lower() not in given), ""))
        )
        return config

    def _write_login(self) -> Path:
        # The user's real login shell runs this; it sees an empty home, so that it reads no start-up file of the node.
        # SHLVL 0: bash reads ~/.bashrc under sshd only as the outermost shell.
        login = self.folder / "login"
        shell = shlex.quote(str(self.shell))
        login.write_text(
            f"""#!/bin/sh
HOME={shlex.quote(str(self.home))} SHELL={shell} SHLVL=0
export HOME SHELL SHLVL
cd "$HOME" || exit 1
[ -n "$SSH_ORIGINAL_COMMAND" ] || exec {shell}
exec {shell} -c "$SSH_ORIGINAL_COMMAND"
"""
        )
        login.chmod(0o755)
        return login

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> "Sshd":
        """Start it and wait until it listens. A port that somebody took meanwhile is drawn anew."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for _ in range(5):
            config = self._write_config()
            prefix = [word.replace("{home}", str(self.home)) for word in self.prefix]
            with open(self.log, "ab") as log:
                start = log.tell()
                self.process = subprocess.Popen(
                    [*prefix, find_sshd(), "-D", "-e", "-f", str(config), *self.options],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                )
            if wait_for(lambda start=start: self._listens_or_ended(start), "sshd to listen") == "listens":
                return self
            said = self.log.read_bytes()[start:].decode(errors="replace")
            if "already in use" not in said:
                raise RuntimeError(f"sshd did not start: {said}")
            self.port = free_port()
            self.write_known_hosts()
        raise RuntimeError("sshd found no free port")

    def _listens_or_ended(self, start: int) -> str:
        if b"Server listening on" in self.log.read_bytes()[start:]:
            return "listens"
        return "ended" if self.process.poll() is not None else ""

    def sessions(self) -> list[int]:
        """Every process below the listener: its children of a connection and what runs in them."""
        return processes.descendants(self.process.pid) if self.process else []

    def cut(self) -> None:
        """End every connection at once and abruptly; the listener stays, and so does what detached from it."""
        mine = self.sessions()
        processes.end_all([pid for pid in mine if "sshd" in " ".join(processes.command(pid)[:1])])

    def stop(self) -> None:
        """End listener and connections. What detached itself (a run's supervisors) is left alone."""
        if not self.process:
            return
        below = self.sessions()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        processes.end_all(below)
        self.process = None

    def __enter__(self) -> "Sshd":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- use -----------------------------------------------------------------------------------------------------

    def ssh(self, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """The argument vector of an `ssh` that runs the words on the node (the node's shell sees them joined)."""
        return ["ssh", "-F", str(self.ssh_config), *options, "node", *arguments]

    def run(self, *arguments: str, **keywords) -> subprocess.CompletedProcess:
        """Run the words on the node by the ssh program and wait; output is captured as bytes."""
        keywords = {"capture_output": True, "timeout": 60, "stdin": subprocess.DEVNULL, **keywords}
        if "input" in keywords:
            del keywords["stdin"]
        return subprocess.run(self.ssh(*arguments), check=False, **keywords)

    def target_arguments(self, port: int | None = None) -> list[str]:
        """What follows `errand target add NAME` to make this server a target; `port` is that of a proxy before it."""
        if port not in (None, self.port):
            key = self.host_key.with_suffix(".pub").read_text().split()[:2]
            with open(self.known_hosts, "a") as known_hosts:
                known_hosts.write(" ".join((f"[{self.host}]:{port}", *key)) + "\n")
        return [
            f"{self.user}@{self.host}",
            f"--port={port or self.port}",
            f"--identity={self.identity}",
            f"--known-hosts={self.known_hosts}",
            "--ssh-config=/dev/null",
        ]

    def connections(self) -> int:
        """How many connections were accepted so far (from the server's log)."""
        return self.log.read_bytes().count(b"Connection from ")

    def logins(self) -> int:
        """How many logins succeeded so far (from the server's log)."""
        return self.log.read_bytes().count(b"Accepted publickey for")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True, type=Path, help="folder for keys, configuration, log and home")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for what runs in front of us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Sshd(arguments.dir) as sshd:
        print(sshd.port, flush=True)
        while sys.stdin.buffer.read(4096):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
