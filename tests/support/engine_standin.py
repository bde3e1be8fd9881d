#!/usr/bin/env python3
"""A stand-in for podman and docker: takes the argument vectors that errand gives them, and writes each one down.

Real podman 4.3.1 was seen to behave alike (exit statuses, `ps --filter name=`, `image inspect --format`), and the tests
run with a real engine too where ERRAND_TEST_ENGINE names one (and ERRAND_TEST_IMAGE an image with sh and python3).
Docker's side was written after its documentation: no docker daemon has run these vectors; nor has rootless podman, nor
a GPU been given to a container. What a container is here: the entry point with the image's few variables, without
namespaces, so that what it sees of files and networks is not tested.

As `docker` its containers are a daemon's children (`serve`), as docker's are; as `podman` they are the caller's. State
lies in the folder ENGINE_STANDIN: calls, images/, registry/, containers/, socket.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(os.environ.get("ENGINE_STANDIN", "/nonexistent"))
NAME = Path(sys.argv[0]).name
IMAGE_VARIABLES = {"PATH": os.environ.get("ENGINE_STANDIN_PATH", os.defpath), "FROM_IMAGE": "yes"}
VALUES = ("--user", "--group-add", "--mount", "--name", "--workdir", "--entrypoint", "--security-opt", "--log-driver")
FLAGS = ("--network=host", "--ipc=host", "--interactive", "--rm", "--userns=keep-id", "--network=none")


def refuse(text: str, status: int = 125) -> None:
    print(f"Error: {text}", file=sys.stderr)
    sys.exit(status)


def file_of(folder: str, name: str) -> Path:
    return STATE / folder / name.replace("/", "%")


def find_image(name: str) -> dict | None:
    for path in (STATE / "images").iterdir():
        image = json.loads(path.read_text())
        if name in (image["name"], image["id"], *image["digests"]):
            return image
    return None


def children(pid: int) -> list[int]:
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((one / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found += [int(one.name), *children(int(one.name))]
    return found


def end_all(pid: int) -> None:
    """A container's first process has ended, or is to: nothing in it outlives that."""
    for one in [pid, *children(pid)]:
        with contextlib.suppress(OSError):
            os.kill(one, signal.SIGKILL)


# ---- a container


def start(options: dict[str, str], words: list[str], inputs: tuple[int, int]) -> subprocess.Popen:
    child = subprocess.Popen(
        [options["--entrypoint"], *words], stdin=inputs[0], stdout=inputs[1], stderr=subprocess.DEVNULL, close_fds=True,
        env=IMAGE_VARIABLES, cwd=options.get("--workdir", "/"), start_new_session=True,
    )  # fmt: skip
    file_of("containers", options["--name"]).write_text(str(child.pid))
    return child


def finish(options: dict[str, str], child: subprocess.Popen) -> int:
    status = child.wait()
    file_of("containers", options["--name"]).unlink(missing_ok=True)
    return 128 - status if status < 0 else status


def serve() -> None:
    """The daemon: each connection brings one container, with its standard input and output."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(STATE / "socket"))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 2)
                request = json.loads(data)
                child = start(request["options"], request["words"], (fds[0], fds[1]))
                for fd in fds:
                    os.close(fd)
                connection.send(str(child.pid).encode())
                with contextlib.suppress(OSError):
                    connection.send(str(finish(request["options"], child)).encode())
                os._exit(0)
            connection.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)


def run_by_daemon(options: dict[str, str], words: list[str]) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(str(STATE / "socket"))
        except OSError:
            refuse("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
        socket.send_fds(connection, [json.dumps({"options": options, "words": words}).encode()], [0, 1])
        pid = int(connection.recv(64))
        signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
        return int(connection.recv(64) or b"137")


def run_by_caller(options: dict[str, str], words: list[str]) -> int:
    reading, writing = os.pipe()
    if os.fork() == 0:  # conmon: a process of its own, which the caller's end does not end
        if os.fork() == 0:
            os.setsid()
            child = start(options, words, (0, 1))
            for fd in (0, 1):
                os.close(fd)
            os.write(writing, str(finish(options, child)).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    return int(os.read(reading, 64) or b"137")


def run(arguments: list[str]) -> int:
    options: dict[str, str] = {}
    at = 0
    while arguments[at].startswith("-"):
        name, _, value = arguments[at].partition("=")
        if arguments[at] not in FLAGS and (name not in VALUES or not value):
            refuse(f"unknown flag: {arguments[at]}")
        options[name] = value
        at += 1
    if find_image(arguments[at]) is None:
        refuse(f"{arguments[at]}: image not known")
    if "--name" not in options:
        return subprocess.run(
            [options["--entrypoint"], *arguments[at + 1 :]], env=IMAGE_VARIABLES, check=False
        ).returncode
    if file_of("containers", options["--name"]).exists():
        refuse(f"the container name {options['--name']} is already in use")
    if (STATE / "broken").exists():
        refuse("crun: the runtime is broken: OCI runtime error", 126)
    by = run_by_daemon if NAME == "docker" else run_by_caller
    status = by(options, arguments[at + 1 :])
    (STATE / "lingering").exists() and time.sleep(3600)
    return int((STATE / "status").read_text()) if (STATE / "status").exists() else status


# ---- the other verbs


def ps(arguments: list[str]) -> int:
    (STATE / "hung").exists() and time.sleep(3600)
    wanted = arguments[-1].removeprefix("name=^").removesuffix("$")
    assert arguments[:-1] == ["--all", "--quiet", "--filter"], arguments
    if file_of("containers", wanted).exists():
        print("0123456789ab")
    return 0


def kill(arguments: list[str]) -> int:
    path = file_of("containers", arguments[0])
    if not path.exists():
        refuse(f"no such container {arguments[0]}", 1)
    end_all(int(path.read_text()))
    return 0


def remove(arguments: list[str]) -> int:
    assert arguments[0] == "--force", arguments
    file_of("containers", arguments[1]).unlink(missing_ok=True)
    return 0


def inspect(arguments: list[str]) -> int:
    word = "errand-image "
    assert arguments[:3] == ["inspect", "--format", word + "{{.Id}}{{range .RepoDigests}} {{.}}{{end}}"], arguments
    image = find_image(arguments[3])
    if image is None:
        refuse(f"{arguments[3]}: image not known")
    print(word + " ".join([image["id"], *image["digests"]]))
    return 0


def pull(arguments: list[str]) -> int:
    source = file_of("registry", arguments[0])
    print(f"Trying to pull {arguments[0]}...", file=sys.stderr)
    if not source.exists():
        refuse(f"reading manifest of {arguments[0]}: manifest unknown")
    file_of("images", arguments[0]).write_text(source.read_text())
    return 0


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        serve()
    if sys.argv[1:] == ["--version"]:
        print(f"{NAME} version 4.3.1")
        return 0
    with (STATE / "calls").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    if (STATE / "warning").exists():
        print('time="2026-11-28T10:00:00Z" level=warning msg="\\"/\\" is not a shared mount"', file=sys.stderr)
    verbs = {"run": run, "ps": ps, "kill": kill, "rm": remove, "image": inspect, "pull": pull}
    if len(sys.argv) < 2 or sys.argv[1] not in verbs:
        refuse(f"unknown command {sys.argv[1:]}")
    return verbs[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
