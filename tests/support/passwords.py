"""An SSH server that takes a password, as a login without keys does: paramiko's, since an sshd asks for the password
of an account, and no test makes accounts on the machine it runs on."""

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import paramiko

from support.sshd import make_key


class _Session(paramiko.ServerInterface):
    def __init__(self, server: "PasswordServer"):
        self.server = server

        self.key_checks = 0  # first whether the key would do, then its signature

    @property
    def wants_key(self) -> bool:
        return self.server.first_key is not None and self.key_checks < 2

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "publickey" if self.wants_key else self.server.method

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002
        if not self.wants_key or key != self.server.first_key:
            return paramiko.AUTH_FAILED
        self.key_checks += 1
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL

    def _judge(self, password: str) -> int:
        if self.wants_key:
            return paramiko.AUTH_FAILED
        self.server.tried.append(password)
        return paramiko.AUTH_SUCCESSFUL if password == self.server.password else paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002
        return self._judge(password)

    def check_auth_interactive(self, username: str, submethods: str):  # noqa: ARG002
        return paramiko.InteractiveQuery("Node's login", "", ("Password of the node: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return self._judge(responses[0])

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self.server.execute, args=(channel, command), daemon=True).start()
        return True


class PasswordServer:
    """Life: PasswordServer(folder, ...) -> start() -> stop(). method: "password" or "keyboard-interactive".

    With first_key a login with that private key's public half comes first, and is not enough."""

    def __init__(self, folder: Path, mark: dict[str, str], method: str = "password", password: str = "open sesame"):
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.home = folder / "home"
        self.home.mkdir()
        self.mark = mark
        self.method = method
        self.password = password
        self.first_key: paramiko.PKey | None = None
        self.tried: list[str] = []
        self.key = make_key(folder / "host_key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.known_hosts = folder / "known_hosts"
        kind, key = self.key.with_suffix(".pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        self.transports: list[paramiko.Transport] = []

    def start(self) -> "PasswordServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for transport in self.transports:
            transport.close()

    def target_arguments(self) -> list[str]:
        return [
            "somebody@127.0.0.1",
            f"--port={self.port}",
            f"--known-hosts={self.known_hosts}",
            "--ssh-config=/dev/null",
        ]

    def _accept(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while True:
                connection, _ = self.listener.accept()
                transport = paramiko.Transport(connection)
                transport.add_server_key(paramiko.Ed25519Key(filename=str(self.key)))
                self.transports.append(transport)
                transport.start_server(event=threading.Event(), server=_Session(self))

    def execute(self, channel: paramiko.Channel, command: bytes) -> None:
        """Run the command in the node's home, and carry its bytes until both sides have ended."""
        child = subprocess.Popen(
            ["/bin/sh", "-c", command.decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**self.mark, "HOME": str(self.home), "PATH": os.environ["PATH"]},
            cwd=self.home,
        )

        def up() -> None:
            with contextlib.suppress(OSError):
                while data := channel.recv(65536):
                    child.stdin.write(data)
                    child.stdin.flush()
            with contextlib.suppress(OSError):
                child.stdin.close()

        threading.Thread(target=up, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := os.read(child.stdout.fileno(), 65536):
                channel.sendall(data)
        status = child.wait()
        if status >= 0:  # who was ended by a signal has no status, and sshd sends none then
            channel.send_exit_status(status)
        channel.close()
