"""Runs without a connection: a node's root, runs accepted by mkrun, supervisors started as `serve` would."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support import processes
from support.errand import BIN, MARK
from support.waiting import wait_for

EXECUTOR = BIN / "errand-executor"
MKRUN = BIN.parent / "tests" / "mkrun"
FINAL = ("Completed", "Failed", "Canceled")


class Run:
    """One run in a node's root."""

    def __init__(self, node: "Node", run: str) -> None:
        self.node, self.id = node, run
        self.folder = node.root / "runs" / run
        self.entry = node.root / "queue" / run

    # ---- what it did

    def journal(self) -> list[dict]:
        lines = (self.folder / "journal").read_bytes().split(b"\n")[:-1]
        found = [json.loads(line) for line in lines]
        assert [line["seq"] for line in found] == list(range(1, len(found) + 1))
        return found

    def states(self) -> list[str]:
        return [line["state"] for line in self.journal()]

    def wait_state(self, *states: str, deadline_s: float = 30) -> dict:
        return wait_for(
            lambda: next((line for line in self.journal() if line["state"] in states), None),
            f"{self.id} to become {' or '.join(states)}, which is {self.states()}",
            deadline_s,
        )

    def end(self, deadline_s: float = 30) -> dict:
        """The final line, once nobody looks after the run any more."""
        last = self.wait_state(*FINAL, deadline_s=deadline_s)
        wait_for(lambda: not self.supervisors(), f"the supervisors of {self.id} to leave", deadline_s)
        assert self.journal()[-1] == last, "nothing follows a final state"
        assert not self.entry.exists(), "its queue entry goes with it"
        return last

    def log(self) -> str:
        return (self.folder / "driver.log").read_text(errors="replace")

    def control(self) -> str:
        return (self.folder / "control.log").read_text(errors="replace")

    def work(self, name: str) -> Path:
        return self.folder / "work" / name

    def wait_file(self, name: str, deadline_s: float = 30) -> str:
        """What the script wrote into a file of its work tree, once it is there and whole (ends with a newline)."""

        def text() -> str | None:
            path = self.work(name)
            found = path.read_text() if path.exists() else ""
            return found if found.endswith("\n") else None

        return wait_for(text, f"{name} of {self.id}", deadline_s).strip()

    def queue_entry(self) -> dict:
        return json.loads(self.entry.read_text())

    # ---- who looks after it

    def supervisors(self) -> dict[str, int]:
        """{"guardian": pid, "shim": pid}, whichever live."""
        found = {}
        for pid in processes.everyone():
            words = processes.command(pid)
            if "supervise" in words and self.id in words and processes.is_alive(pid):
                try:
                    name = Path(f"/proc/{pid}/comm").read_text().strip()
                except OSError:
                    continue
                found[name.removeprefix("errand-")] = pid
        return found

    def kill(self, *names: str) -> None:
        """SIGKILL supervisors, all of them as good as at once, and wait until they are gone."""
        pids = [self.supervisors()[name] for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        processes.end_all(pids)

    # ---- what is done to it

    def start(self, *options: str, prefix: Sequence[str] = (), check: bool = True) -> subprocess.CompletedProcess:
        argv = [*prefix, str(EXECUTOR), "supervise", "--root", str(self.node.root), "--run", self.id, *options]
        done = subprocess.run(argv, capture_output=True, check=False, env=self.node.environment, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    def adopt(self) -> subprocess.CompletedProcess:
        return self.start("--adopt")

    def cancel(self, grace_ms: int = -1) -> None:
        self.node.mkrun("cancel", self.id, str(grace_ms))


class Node:
    """A root with a store, in which runs of one project are accepted."""

    def __init__(self, root: Path, project: Path, mark: str) -> None:
        self.root, self.project = root, project
        self.environment = {**os.environ, MARK: mark}
        self.count = 0

    def mkrun(self, verb: str, *args: str, data: bytes = b"", check: bool = True) -> subprocess.CompletedProcess:
        argv = [str(MKRUN), verb, str(self.root), *args]
        done = subprocess.run(argv, input=data, capture_output=True, check=False, env=self.environment, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    def specification(self, **changes) -> dict:
        snapshot = self.mkrun("ingest", str(self.project)).stdout.decode().strip()
        self.count += 1
        return {
            "format": 1,
            "run": f"run-{self.count}-{os.urandom(4).hex()}",
            "experiment": "tests",
            "created": "2026-11-23T23:59:59.123Z",
            "submitter": {"controller": "0" * 32, "name": "tester@here"},
            "snapshot": {"root": snapshot, "files": 1, "size_bytes": 1},
            "framework": "command",
            "script": None,
            "command": [],
            "interpreter": None,
            "environment": {"pin": None, "variables": {}},
            "secrets": [],
            "attempts": 1,
            "time_limit_ms": None,
            "grace_ms": 2000,
            "resources": {"slots": 1, "gpus": 0, "priority": 0},
            "outputs": ["outputs"],
            "tags": {},
            "on_end": None,
            **changes,
        }

    def accept(self, specification: dict | None = None, **changes) -> Run:
        spec = specification or self.specification(**changes)
        self.mkrun("accept", data=json.dumps(spec).encode())
        return Run(self, spec["run"])

    def shell(self, script: str, **changes) -> Run:
        """An accepted run of this shell text; `gate NAME` waits there until the test calls open_gate."""
        gate = 'gate() { mkfifo "$1"; echo > "$1.reached"; read -r _ < "$1"; }\n'
        return self.accept(command=["/bin/sh", "-c", gate + script], **changes)

    def run(self, script: str, **changes) -> Run:
        one = self.shell(script, **changes)
        one.start()
        return one


def open_gate(run: Run, name: str = "gate") -> None:
    """Let a script go on that waits at its gate."""
    wait_for(lambda: run.work(name + ".reached").exists(), f"{run.id} to reach its {name}")
    run.work(name).write_text("\n")


def wait_gate(run: Run, name: str = "gate") -> None:
    wait_for(lambda: run.work(name + ".reached").exists(), f"{run.id} to reach its {name}")


def proof(line: dict) -> str:
    """The proof of a final line; which of the two good ones depends on the machine."""
    assert re.fullmatch("cgroup|tree", line["proof"]), line
    return line["proof"]
