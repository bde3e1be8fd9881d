"""A run whose node says what the test says: nobody looks after it, and the test writes its journal and its files."""

import datetime
import json
from pathlib import Path
from types import SimpleNamespace

from support import processes
from support.errand import Errand
from support.supervision import Run

WAITS = "until test -e {}; do sleep 0.05; done"


class Forged:
    """A run of `errand` on this machine. Its second attempt is the test's."""

    def __init__(self, errand: Errand, folder: Path) -> None:
        self.id = errand.submit("--", "sh", "-c", WAITS.format(folder / "never"))
        self.root = errand.home / "state" / "local"
        self.folder = self.root / "runs" / self.id
        self.run = Run(SimpleNamespace(root=self.root), self.id)
        process = self.run.wait_state("Running")["process"]["pid"]
        self.run.kill(*self.run.supervisors())
        processes.end_all([process])
        self.run.entry.unlink(missing_ok=True)
        self.say("Starting")

    def say(self, state: str, reason: str = "", **members) -> None:
        """Append a line to the journal."""
        seq = len(self.run.journal()) + 1
        time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        line = {"seq": seq, "time": time, "attempt": 2, "state": state, "reason": reason, **members}
        self.write("journal", json.dumps(line, separators=(",", ":")) + "\n")

    def write(self, name: str, text: str) -> None:
        """Append to a file of the run's folder."""
        with (self.folder / name).open("a") as file:
            file.write(text)

    def end(self, state: str, reason: str = "", **exit) -> None:
        """The final line."""
        sizes = {
            name: (self.folder / name).stat().st_size if (self.folder / name).exists() else 0
            for name in ("driver.log", "control.log", "metrics")
        }
        outputs = {"root": None, "files": 0, "size_bytes": 0, "warnings": []}
        self.say(state, reason, exit=exit, proof="none", ended=0, survivors=0, outputs=outputs, logs=sizes)
