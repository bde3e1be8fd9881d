"""A controller, a node, and between them a link that breaks: what the link tests stand on."""

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import processes
from support.errand import Errand, Result
from support.faultproxy import Fault, FaultProxy
from support.projects import write_files
from support.sshd import Sshd
from support.waiting import wait_for

# Arguments: a file that gets a line for each start, lines of log, bytes of outputs, in how many files, and a file to
# wait for in the middle of the log ("" for none).
SCRIPT = r"""
import hashlib, os, sys
from time import sleep
marks, lines, output_bytes, output_files, gate = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
with open(marks, "a") as file:
    file.write(os.environ["ERRAND_RUN_ID"] + "\n")
out = sys.stdout.buffer
for i in range(lines):
    if gate and i == lines // 2:
        out.flush()
        while not os.path.exists(gate):
            sleep(0.01)
    out.write(b"%08d %s\n" % (i, b"." * (i % 90)))
out.flush()
if output_bytes:
    os.makedirs("outputs/deep")
    for name in ("one", "deep/two", *("deep/%d" % n for n in range(2, output_files))):
        with open("outputs/" + name, "wb") as file:
            for i in range(0, output_bytes // output_files, 64):
                file.write(hashlib.sha512(b"%s %d" % (name.encode(), i)).digest())
"""


def log_of(lines: int) -> bytes:
    """What SCRIPT writes."""
    return b"".join(b"%08d %s\n" % (i, b"." * (i % 90)) for i in range(lines))


def outputs_of(output_bytes: int, output_files: int) -> dict[str, bytes]:
    """What SCRIPT leaves in outputs/."""
    names = ("one", "deep/two", *(f"deep/{n}" for n in range(2, output_files))) if output_bytes else ()
    offsets = range(0, output_bytes // output_files, 64)
    return {name: b"".join(hashlib.sha512(b"%s %d" % (name.encode(), i)).digest() for i in offsets) for name in names}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Link:
    """One node behind a proxy, as the target "node" of one controller.

    script() are the words of `errand run` for a run of SCRIPT with so much log and so many outputs; check() looks
    whether all of it came home."""

    errand: Errand
    sshd: Sshd
    proxy: FaultProxy
    transport: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.target = "node"
        self.marks = self.folder / "marks"
        self.gate = self.folder / "gate"
        self.lines = 0
        self.output_bytes = 0
        self.output_files = 0
        arguments = self.sshd.target_arguments(self.proxy.port)
        transport = "ssh2" if self.is_kept else self.transport
        self.errand.add_target(self.target, f"--transport={transport}", *arguments)
        keeping = {"keep_connection": "10m"} if self.is_kept else {}
        self.errand.configure(**keeping, **self.settings)
        write_files(self.errand.cwd, {"work.py": SCRIPT})
        self.keep()

    @property
    def is_kept(self) -> bool:
        """Whether commands share a connection that stays (controller/keeper.h)."""
        return self.transport == "kept"

    def keep(self) -> None:
        """Where connections are kept, one is there from now on."""
        if self.is_kept:
            self.errand.ok("node", "gc", self.target)

    def narrow(self, rate: float) -> None:
        """From now on new connections have so many bytes a second, the kept one too."""
        self.proxy.rate = rate
        if self.is_kept:
            self.errand.ok("target", "disconnect", self.target)
            self.keep()

    def break_next(self, fault: Fault) -> None:
        """The connection that the next command uses breaks there, counted from now where it is a kept one."""
        if self.is_kept:
            self.proxy.arm(fault)
        else:
            self.proxy.faults = [replace(fault, connection=self.proxy.connections + 1)]

    def lose(self) -> None:
        """The node is out of reach."""
        self.proxy.refuse()
        self.proxy.cut("rst")

    def script(
        self, lines: int = 100, output_bytes: int = 0, output_files: int = 2, is_gated: bool = False
    ) -> list[str]:
        self.lines = lines
        self.output_bytes = output_bytes
        self.output_files = output_files
        gate = str(self.gate) if is_gated else ""
        return ["work.py", str(self.marks), str(lines), str(output_bytes), str(output_files), gate]

    def run(self, *options: str, **how) -> Result:
        """`errand run` of script(**how) to its end."""
        return self.errand.run("run", "--target", self.target, *options, *self.script(**how))

    def start(self, *options: str, **how):
        """The same, in the background."""
        return self.errand.start("run", "--target", self.target, *options, *self.script(**how))

    def terminal(self, *options: str, size: dict[str, int] | None = None, **how):
        """The same on a terminal, which is wide so that no line is cut."""
        words = ("run", "--target", self.target, *options, *self.script(**how))
        return self.errand.terminal(*words, **(size or {"columns": 400}))

    def submit(self, *options: str, **how) -> str:
        return self.errand.submit("--target", self.target, *options, *self.script(**how))

    def starts(self) -> list[str]:
        """The run ids that a script was started for, in order."""
        return self.marks.read_text().split() if self.marks.exists() else []

    def home(self, run: str) -> Path:
        return self.errand.home / "state" / "runs" / run

    def node_log(self, run: str) -> bytes:
        """What the node has of the log."""
        (log,) = Path(self.sshd.home, ".errand").rglob(f"runs/{run}/driver.log")
        return log.read_bytes()

    def log_at_home(self, run: str) -> bytes:
        return (self.home(run) / "driver.log").read_bytes()

    def check_home(self, run: str) -> None:
        """Log and outputs of an ended run are at home, every byte once, and it was started once."""
        assert self.log_at_home(run) == log_of(self.lines)
        assert not (self.home(run) / "driver.log.1").exists()
        outputs = self.home(run) / "outputs"
        assert files_below(outputs) == outputs_of(self.output_bytes, self.output_files)
        assert self.starts().count(run) == 1
        shown = self.errand.show(run)
        assert (shown["status"], shown["exit"]) == ("Completed", {"kind": "exited", "code": 0})

    def check(self, result: Result) -> str:
        """The `errand run` or `follow` that ended so has shown the whole log, and check_home. Returns the run's id."""
        assert result.code == 0, str(result)
        assert result.out == log_of(self.lines), str(result)
        found = re.search(r"errand: ([a-z2-7]{16}) Completed", result.errors)
        assert found, str(result)
        self.check_home(found[1])
        return found[1]

    def is_collected(self, run: str) -> bool:
        """Whether the node was told that all is at home."""
        return any(Path(self.sshd.home, ".errand").rglob(f"runs/{run}/collected"))

    def wait_for_log(self, run: str, at_least: int, deadline_s: float = 30) -> None:
        """Until so many bytes of the log are at home."""
        log = self.home(run) / "driver.log"
        wait_for(lambda: log.exists() and log.stat().st_size >= at_least, f"{at_least} bytes of log", deadline_s)

    def kill_serve(self) -> None:
        """The executors that answer connections get SIGKILL; runs are left alone."""
        serving = self.serving()
        assert serving, [processes.command(pid) for pid in self.sshd.sessions()]
        processes.end_all(serving)

    def serving(self) -> list[int]:
        """The executors that answer connections."""
        return [pid for pid in self.sshd.sessions() if "serve" in processes.command(pid)[1:2]]

    def last_run(self) -> str:
        return self.errand.last_run()


def points(total: int, count: int) -> list[int]:
    """`count` places in 0...total, evenly apart."""
    return sorted({round(total * i / max(1, count - 1)) for i in range(count)})
