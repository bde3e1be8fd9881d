"""Running the built `errand` as a person would: a home of its own, a clean environment, output kept."""

import codecs
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support import processes
from support.projects import write_files
from support.sshd import HANDED_ON
from support.waiting import PATIENCE, TooLate, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(os.environ.get("ERRAND_BIN_DIR", ROOT / "build" / "release" / "bin"))
# Carried by every process that a test starts here, on the controller's side and (through sshd's SetEnv) on the node's.
MARK = "HARNESS_MARK"


@dataclass
class Result:
    """How one command ended."""

    args: list[str]
    code: int  # exit status; negative: the signal
    out: bytes
    err: bytes
    seconds: float = 0

    @property
    def text(self) -> str:
        return self.out.decode(errors="surrogateescape")

    @property
    def errors(self) -> str:
        return self.err.decode(errors="surrogateescape")

    def json(self):
        """stdout as one JSON document; anything else on it is a failure."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"$ {' '.join(self.args)}\nexit status {self.code}\n--- stdout\n{self.text}\n--- stderr\n{self.errors}"


class Background:
    """A command that goes on while the test does something else. Its output is read by wait_output and finish."""

    def __init__(self, args: list[str], **keywords):
        self.args = args
        self.process = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords
        )
        self.out = b""
        self.err = b""
        for stream in (self.process.stdout, self.process.stderr):
            os.set_blocking(stream.fileno(), False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self, timeout_s: float = 0.05) -> bool:
        """Take what has arrived on stdout and stderr, waiting for it at most timeout_s. False at the end of both."""
        open_streams = [stream for stream in (self.process.stdout, self.process.stderr) if not stream.closed]
        if not open_streams:
            return False
        for stream in select.select(open_streams, [], [], timeout_s)[0]:
            data = stream.read()
            if data == b"":
                stream.close()
            elif stream is self.process.stdout:
                self.out += data or b""
            else:
                self.err += data or b""
        return True

    def wait_output(self, wanted: bytes | str, stream: str = "out", deadline_s: float = 30) -> None:
        """Wait until `wanted` (bytes, or a regular expression as str) has appeared on that stream."""
        pattern = re.compile(re.escape(wanted) if isinstance(wanted, bytes) else wanted.encode(), re.M)
        end = time.monotonic() + deadline_s * PATIENCE
        while not pattern.search(getattr(self, stream)):
            more = self.read()
            if not more and not pattern.search(getattr(self, stream)):
                raise AssertionError(f"ended without {wanted!r} on {stream}:\n{self.finish()}")
            if time.monotonic() > end:
                raise TooLate(f"no {wanted!r} on {stream} within {deadline_s} s; so far:\n{self.out!r}\n{self.err!r}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.signal(signal.SIGINT)

    def kill(self) -> Result:
        self.process.kill()
        return self.finish()

    def finish(self, deadline_s: float = 60) -> Result:
        """Wait for its end."""
        end = time.monotonic() + deadline_s * PATIENCE
        while self.read(0.1):
            if time.monotonic() > end:
                self.process.kill()
                raise TooLate(f"still running after {deadline_s} s: {self.args}\n{self.out!r}\n{self.err!r}")
        return Result(self.args, self.process.wait(), self.out, self.err)


class Terminal:
    """A command on a pseudo-terminal, as its controlling terminal: for progress, questions, Ctrl-C, hang-up."""

    def __init__(self, args: list[str], env: dict[str, str], cwd: Path, columns: int = 80, rows: int = 24):
        self.args = args
        self.out = b""
        self.descriptor, terminal = pty.openpty()
        self.resize(columns, rows)
        # setsid makes it the controlling terminal; it executes the command in place, so the pid is the command's.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *args], stdin=terminal, stdout=terminal, stderr=terminal, cwd=cwd, env=env
        )
        os.close(terminal)

    @property
    def pid(self) -> int:
        return self.process.pid

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout_s: float = 0.05) -> bool:
        """Take what was written to the terminal. False once nobody has it open any more."""
        if self.descriptor < 0:
            return False
        if select.select([self.descriptor], [], [], timeout_s)[0]:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:
                data = b""
            if not data:
                return False
            self.out += data
        return True

    def expect(self, wanted: bytes | str, deadline_s: float = 30, start: int = 0) -> re.Match:
        """Wait until `wanted` (bytes, or a regular expression as str) was written after the first `start` bytes."""
        pattern = re.compile(re.escape(wanted) if isinstance(wanted, bytes) else wanted.encode(), re.M)
        end = time.monotonic() + deadline_s * PATIENCE
        while not (found := pattern.search(self.out, start)):
            more = self.read()
            if not more and not pattern.search(self.out, start):
                raise AssertionError(f"ended without {wanted!r}: {self.out!r}")
            if time.monotonic() > end:
                raise TooLate(f"no {wanted!r} on the terminal within {deadline_s} s: {self.out!r}")
        return found

    def send(self, data: bytes) -> None:
        """Type it. b"\\x03" is Ctrl-C."""
        os.write(self.descriptor, data)

    def hang_up(self) -> None:
        """The terminal goes away."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def finish(self, deadline_s: float = 60) -> Result:
        """Wait for the command's end."""
        end = time.monotonic() + deadline_s * PATIENCE
        while self.process.poll() is None:
            self.read(0.02)
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise TooLate(f"still running after {deadline_s} s: {self.args}\n{self.out!r}")
        while self.descriptor >= 0 and self.read(0) and select.select([self.descriptor], [], [], 0)[0]:
            pass
        self.hang_up()
        return Result(self.args, self.process.returncode, self.out, b"")

    def close(self) -> None:
        """Clear away, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        self.hang_up()


@dataclass
class Errand:
    """One controller: its own ERRAND_HOME and HOME under `folder`, and the projects' folder it is started in."""

    folder: Path
    cwd: Path
    mark: str
    more_env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder / "errand-home"
        self.user_home = self.folder / "user-home"
        self.user_home.mkdir(parents=True, exist_ok=True)
        self.program = str(BIN / "errand")
        self.started: list[Background | Terminal] = []
        self.configure()

    def configure(self, **settings: str) -> None:
        """Write the user's own config.yaml anew. Where nothing else is said no connection is kept, so that each
        command has one of its own."""
        text = "".join(f"{key}: {value}\n" for key, value in {"keep_connection": "0", **settings}.items())
        write_files(self.home, {"config/config.yaml": text})

    def env(self, **more: str | None) -> dict[str, str]:
        """The environment of every command: nothing of the developer's own. A variable given as None is left out."""
        env = {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.user_home),
            "ERRAND_HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "USER": os.environ.get("USER", "nobody"),
            "GIT_CONFIG_NOSYSTEM": "1",
            MARK: self.mark,
            **{name: os.environ[name] for name in HANDED_ON if name in os.environ},
            **self.more_env,
            **more,
        }
        return {name: value for name, value in env.items() if value is not None}

    def argv(self, *args: str | bytes | Path) -> list:
        return [self.program, *(arg if isinstance(arg, bytes) else str(arg) for arg in args)]

    def run(
        self,
        *args: str | bytes | Path,
        code: int | None = None,
        cwd: Path | None = None,
        env: dict[str, str | None] | None = None,
        input: bytes | None = None,
        deadline_s: float = 120,
        prefix: Sequence[str] = (),
        **keywords,
    ) -> Result:
        """Run `errand args...` to its end, behind a prefix of support.inject where one is given. Where `code` is given,
        another exit status is a failure with all output."""
        argv = [*prefix, *self.argv(*args)]
        if input is None:
            keywords.setdefault("stdin", subprocess.DEVNULL)
        start = time.monotonic()
        done = subprocess.run(
            argv,
            check=False,
            cwd=cwd or self.cwd,
            env=self.env(**(env or {})),
            input=input,
            timeout=deadline_s * PATIENCE,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **keywords},
        )
        seconds = time.monotonic() - start
        shown = [os.fsdecode(arg) for arg in argv]
        result = Result(shown, done.returncode, done.stdout or b"", done.stderr or b"", seconds)
        if code is not None and result.code != code:
            raise AssertionError(f"expected exit status {code}\n{result}")
        return result

    def ok(self, *args: str | bytes | Path, **keywords) -> Result:
        """run, and exit status 0 is expected."""
        return self.run(*args, code=0, **keywords)

    def json(self, *args: str | bytes | Path, **keywords):
        """`errand args... --json`, as the parsed document."""
        return self.ok(*args, "--json", **keywords).json()

    def start(self, *args: str | bytes | Path, cwd: Path | None = None, env=None, **keywords) -> Background:
        """Start `errand args...` and go on."""
        command = Background(self.argv(*args), cwd=cwd or self.cwd, env=self.env(**(env or {})), **keywords)
        self.started.append(command)
        return command

    def terminal(self, *args: str | bytes | Path, cwd: Path | None = None, env=None, **size: int) -> Terminal:
        """Start `errand args...` on a pseudo-terminal of 80 by 24 (columns=, rows=)."""
        command = Terminal(self.argv(*args), self.env(**(env or {})), cwd or self.cwd, **size)
        self.started.append(command)
        return command

    def submit(self, *args: str | bytes | Path, **keywords) -> str:
        """`errand submit args...`: the run's id, which must be all that stdout has."""
        result = self.ok("submit", *args, **keywords)
        if not re.fullmatch(rb"[^\s]+\n", result.out):
            raise AssertionError(f"submit prints the run's id and nothing else on stdout\n{result}")
        return result.text.strip()

    def follow(self, run: str, *args: str, **keywords) -> Background:
        """`errand follow RUN`, in the background."""
        return self.start("follow", *args, run, **keywords)

    def last_run(self) -> str:
        """The newest run of the history, also one that no node was given; without asking a node."""
        return self.json("list", "--offline", "-n", "1")["runs"][0]["id"]

    def show(self, run: str | None = None, **keywords) -> dict:
        """`errand show RUN --json`, of the newest run where none is named."""
        return self.json("show", run or self.last_run(), **keywords)

    def wait_status(self, run: str, *statuses: str, deadline_s: float = 60) -> dict:
        """Wait until the run has one of the statuses; returns what `show` says of it then."""

        def reached() -> dict | None:
            shown = self.show(run)
            return shown if shown["status"] in statuses else None

        return wait_for(reached, f"run {run} to be {' or '.join(statuses)}", deadline_s, every_s=0.05)

    def add_target(self, name: str, *arguments: str) -> str:
        """`errand target add NAME arguments...`; returns the name."""
        self.ok("target", "add", name, *arguments)
        return name

    def close(self) -> None:
        """End everything that was started here and still runs, on both sides, runs included."""
        for command in self.started:
            if isinstance(command, Terminal):
                command.close()
            elif command.process.poll() is None:
                command.kill()
        processes.end_marked(MARK, self.mark)


def strip_controls(data: bytes) -> str:
    """Terminal output without its escape sequences and carriage returns."""
    text = codecs.decode(data, "utf-8", "replace")
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|\r", "", text)
