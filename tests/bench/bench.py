"""./dev bench [NAME...]: every figure beside what it is compared with, as a table.

A benchmark is a function of a module bench_*.py of this folder that is called bench_NAME and takes (bench, field): the
Bench that collects rows (timing.py) and the Field it works in.
"""

import argparse
import importlib
import inspect
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from support import processes  # noqa: E402
from support.errand import BIN, MARK, Errand  # noqa: E402
from support.faultproxy import FaultProxy  # noqa: E402
from support.sshd import Sshd  # noqa: E402
from timing import Bench, table  # noqa: E402


class Field:
    """Where benchmarks work: a folder of their own, a private sshd, the same behind a link with a delay."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.sshd = Sshd(folder / "sshd", env={MARK: self.mark}).start()
        self.proxies: list[FaultProxy] = []
        self.errands: list[Errand] = []

    def port(self, rtt_s: float = 0, rate: float | None = None) -> int:
        """A port that leads to the sshd, directly or over such a link."""
        if not rtt_s and not rate:
            return self.sshd.port
        self.proxies.append(FaultProxy(("127.0.0.1", self.sshd.port), rtt_s, rate).start())
        return self.proxies[-1].port

    def ssh_options(self, port: int) -> list[str]:
        """Options that let a plain ssh (or rsync -e) come in by that port, as the host `node`."""
        alias = f"HostKeyAlias=[{self.sshd.host}]:{self.sshd.port}"
        return ["-F", str(self.sshd.ssh_config), "-p", str(port), "-o", alias]

    def known_hosts(self, port: int) -> Path:
        """A known_hosts file with the server's key under that port."""
        path = self.folder / f"known_hosts.{port}"
        kind, key = self.sshd.host_key.with_suffix(".pub").read_text().split()[:2]
        path.write_text(f"[{self.sshd.host}]:{port} {kind} {key}\n")
        return path

    def errand(self, cwd: Path, port: int | None = None, transport: str = "auto") -> Errand:
        """A fresh controller started in cwd; with a port, it knows the target `node` behind it."""
        one = Errand(self.folder / f"controller{len(self.errands)}", cwd, self.mark)
        self.errands.append(one)
        if port is not None:
            where = [f"{self.sshd.user}@{self.sshd.host}", f"--port={port}", f"--identity={self.sshd.identity}"]
            how = [f"--known-hosts={self.known_hosts(port)}", "--ssh-config=/dev/null", f"--transport={transport}"]
            one.add_target("node", *where, *how)
        return one

    def close(self) -> None:
        for one in self.errands:
            one.close()
        for proxy in self.proxies:
            proxy.stop()
        self.sshd.stop()
        processes.end_marked(MARK, self.mark)


def benchmarks() -> dict[str, Callable[[Bench, Field], None]]:
    found = {}
    for path in sorted(HERE.glob("bench_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("bench_") and function.__module__ == path.stem:
                found[name.removeprefix("bench_")] = function
    return found


def main() -> int:
    known = benchmarks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which; default: all of {', '.join(known)}")
    parser.add_argument("--runs", type=int, default=7, help="times that each side is measured")
    parser.add_argument("--folder", type=Path, help="work there, rather than in a temporary folder")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if not (BIN / "errand").exists():
        parser.error(f"there is no {BIN}/errand: ./dev build")
    folder = Path(tempfile.mkdtemp(prefix="errand-bench.", dir=arguments.folder))
    bench = Bench(runs=arguments.runs)
    field = Field(folder)
    try:
        for name in arguments.names or known:
            with bench.section(name):
                known[name](bench, field)
    finally:
        field.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(table(bench.rows))
    for failure in bench.failures:
        print(f"failed: {failure}")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
