"""Machines of the cluster that people log in to: an sshd each, whose sessions have the cluster's commands.

Nothing of ~/.ssh or /etc/ssh is read or written. A session's HOME is a folder of the node's: ~/.errand lies there.
"""

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.sshd import find_sshd, is_locked_account, make_key

from rig import configuration, settings

STANDARD_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class HeadNode:
    """host is what the client's configuration, ssh_config, calls it."""

    host: str
    folder: Path
    ports: tuple[int, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its addresses, by their names in ssh_config."""
        return (self.host, *(f"{self.host}-{number}" for number in range(2, len(self.ports) + 1)))

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def identity(self) -> Path:
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    # -- the server ----------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        return [find_sshd(), "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def prepare(self, variables: dict[str, str]) -> None:
        """Keys, once, and the configurations. variables: what each session has, beside HOME and PATH."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        for key in (self.identity, self.folder / "host_key"):
            # The public half is written last.
            if not key.with_suffix(".pub").exists():
                key.unlink(missing_ok=True)
                make_key(key)
        public = self.identity.with_suffix(".pub").read_text()
        configuration.write_file(self.folder / "authorized_keys", public)
        configuration.write_file(self.folder / "sshd_config", self._sshd_config(variables))
        self._write_client()

    def _sshd_config(self, variables: dict[str, str]) -> str:
        path = {"HOME": str(self.home), "PATH": f"{self.folder}/bin:{STANDARD_PATH}"}
        given = " ".join(f'"{name}={value}"' for name, value in (variables | path).items())
        listen = "".join(f"ListenAddress {settings.HOST}:{port}\n" for port in self.ports)
        return f"""\
{listen}\
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
SetEnv {given}
UsePAM {"yes" if is_locked_account() else "no"}
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
PrintLastLog no
MaxStartups 100
MaxSessions 100
"""

    def _write_client(self) -> None:
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        configuration.write_file(
            self.known_hosts, "".join(f"[{settings.HOST}]:{port} {kind} {key}\n" for port in self.ports)
        )
        hosts = "".join(f"Host {name}\n    Port {port}\n" for name, port in zip(self.hosts, self.ports))
        configuration.write_file(
            self.ssh_config,
            f"""\
{hosts}Host *
    HostName {settings.HOST}
    User {settings.USER}
    IdentityFile "{self.identity}"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{self.known_hosts}"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
""",
        )

    # -- its use -------------------------------------------------------------------------------------------------

    def ssh(self, *words: str) -> list[str]:
        """The argument vector of an `ssh` that runs these words there, each as it is."""
        return ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", self.host, shlex.join(words)]

    def run(self, *words: str, **keywords) -> subprocess.CompletedProcess:
        """Run them there and wait; what they print is captured as bytes."""
        keywords = {"stdin": subprocess.DEVNULL, "timeout": 300, **keywords}
        return subprocess.run(self.ssh(*words), check=False, capture_output=True, **keywords)

    def target_arguments(self, port: int | None = None) -> list[str]:
        """What follows `errand target add NAME` to make it a target."""
        return [
            f"{settings.USER}@{settings.HOST}",
            f"--port={port or self.ports[0]}",
            f"--identity={self.identity}",
            f"--known-hosts={self.known_hosts}",
            "--ssh-config=/dev/null",
        ]


HEAD = HeadNode("head", settings.HEAD, settings.HEAD_SSH)
EDGE = HeadNode("edge", settings.EDGE, (settings.EDGE_SSH,))
HEAD_NEW = HeadNode("head-new", settings.HEAD_NEW, (settings.HEAD_NEW_SSH,))
