"""Container engines for the tests: stand-ins for podman and docker (engine_standin.py), or a real one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.environments import definition
from support.supervision import Node
from support.waiting import wait_for

STANDIN = Path(__file__).parent / "engine_standin.py"
IMAGE = "registry.example.org/team/tools:1"
DIGEST = "registry.example.org/team/tools@sha256:" + "ab" * 32


def image(name: str = IMAGE, **changes) -> dict:
    return definition(kind="image", source=name, image=name, **changes)


class Engine:
    """A stand-in in front of the node's PATH."""

    def __init__(self, node: Node, folder: Path, name: str) -> None:
        self.name, self.state, self.program = name, folder / "engine", folder / "engine-bin" / name
        for one in ("images", "registry", "containers"):
            (self.state / one).mkdir(parents=True)
        self.program.parent.mkdir()
        self.program.write_text(f"#!{sys.executable}\n" + STANDIN.read_text())
        self.program.chmod(0o755)
        node.environment["PATH"] = f"{self.program.parent}:{node.environment['PATH']}"
        node.environment["ENGINE_STANDIN"] = str(self.state)
        node.environment["ENGINE_STANDIN_PATH"] = os.environ["PATH"]
        self.environment = node.environment

    def add(self, folder: str, name: str = IMAGE, digests: tuple[str, ...] = (DIGEST,)) -> None:
        """An image in `images` (the engine has it) or `registry` (it can be pulled)."""
        found = {"name": name, "id": "sha256:" + "cd" * 32, "digests": digests}
        (self.state / folder / name.replace("/", "%")).write_text(json.dumps(found))

    def calls(self, verb: str | None = None) -> list[list[str]]:
        path = self.state / "calls"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in found if verb in (None, call[0])]

    def containers(self) -> list[str]:
        return [path.name for path in (self.state / "containers").iterdir()]

    @contextmanager
    def service(self) -> Iterator[None]:
        """The daemon, as docker has one."""
        if self.name != "docker":
            yield
            return
        with subprocess.Popen([self.program, "serve"], env=self.environment, start_new_session=True) as daemon:
            wait_for((self.state / "socket").exists, "the engine's daemon")
            try:
                yield
            finally:
                daemon.kill()


def real_engine(node: Node) -> tuple[str, str] | None:
    """(name, image) where ERRAND_TEST_ENGINE and ERRAND_TEST_IMAGE name them; its folder goes into the node's PATH."""
    program = os.environ.get("ERRAND_TEST_ENGINE")
    if program is None:
        return None
    found = Path(shutil.which(program) or program)
    node.environment["PATH"] = f"{found.parent}:{node.environment['PATH']}"
    return found.name, os.environ["ERRAND_TEST_IMAGE"]
