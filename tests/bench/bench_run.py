"""One changed file, to the script's first output: over a new connection and over one that is kept, beside what else
sends a project and starts a script, or only starts it."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import projects
from timing import medians

FILES = (350, 15000)
RTTS_MS = (0, 20, 50, 100)


def first_output(argv: list[str], wanted: bytes, cwd: Path, env: dict[str, str]) -> float:
    """Seconds until `wanted` is on the command's stdout; its end is waited for outside the time."""
    start = time.perf_counter()
    with subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        seen = b""
        while wanted not in seen:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                raise RuntimeError(f"ended without {wanted!r}: {argv}: {seen!r}")
            seen += data
        seconds = time.perf_counter() - start
        process.communicate()
    return seconds


class Ways:
    """One project on its way to one node, by errand and by its peers; `ssh` begins every peer's command line."""

    def __init__(self, field, folder: Path, rtt_ms: int, keep: str):
        self.folder = folder
        self.there = f"bench-{folder.name}-{rtt_ms}-{keep}"
        port = field.port(rtt_ms / 1000)
        self.errand = field.errand(folder, port)
        self.errand.configure(keep_connection=keep)
        self.ssh = ["ssh", *field.ssh_options(port)]
        if keep != "0":
            control = f"{field.folder}/c{port}"
            self.ssh += [f"-oControlPath={control}", "-oControlMaster=auto", "-oControlPersist=10m"]
        self.count = [0]
        # Each has sent the project once, and where connections are kept, each has one.
        self.by_rsync()
        self.by_errand()

    def change(self) -> None:
        projects.change(self.folder, self.count)

    def by_errand(self) -> float:
        argv = self.errand.argv("run", "--target", "node", "t.py")
        return first_output(argv, b"hello", self.folder, self.errand.env())

    def by_ssh(self) -> float:
        """Sends nothing."""
        run = [*self.ssh, "node", f"cd {self.there} && python3 t.py"]
        return first_output(run, b"hello", self.folder, dict(os.environ))

    def by_rsync(self) -> float:
        start = time.perf_counter()
        send = ["rsync", "-az", "--delete", "--exclude=.git", "-e", shlex.join(self.ssh), "./", f"node:{self.there}/"]
        subprocess.run(send, cwd=self.folder, check=True)
        return time.perf_counter() - start + self.by_ssh()

    def by_tar(self) -> float:
        """Sends all of it, and runs it over the same channel."""
        place = f"{self.there}.tar"
        there = f"rm -rf {place} && mkdir {place} && cd {place} && zstd -dc | tar x && python3 t.py"
        line = f"tar c --exclude=.git . | zstd -q -3 | {shlex.join(self.ssh)} node {shlex.quote(there)}"
        return first_output(["bash", "-c", line], b"hello", self.folder, dict(os.environ))

    def close(self) -> None:
        self.errand.ok("target", "disconnect", "node")
        if any("ControlPath" in word for word in self.ssh):
            subprocess.run([*self.ssh, "-O", "exit", "node"], check=False, stderr=subprocess.DEVNULL)


def compare(bench, ways: Ways, what: str, peers: list[tuple[str, Callable[[], float], str]]) -> None:
    """A row for each peer (name, how, aim); all are measured turn by turn."""
    found = medians(ways.by_errand, *(how for _, how, _ in peers), runs=bench.runs, before=ways.change)
    for seconds, (name, _, aim) in zip(found[1:], peers):
        bench.add(what, found[0], seconds, "s", aim, name)


def each(bench, field, keep: str, what: str, peers: Callable[[Ways], list[tuple[str, Callable[[], float], str]]]):
    for files in FILES:
        folder = projects.make(field.folder / f"project{files}-{keep}", files)
        for rtt_ms in RTTS_MS:
            ways = Ways(field, folder, rtt_ms, keep)
            compare(bench, ways, f"one file of {files:,} changed, {what}, RTT {rtt_ms} ms", peers(ways))
            ways.close()


def bench_one_change(bench, field) -> None:
    def peers(ways: Ways):
        return [
            ("rsync, then ssh", ways.by_rsync, "<= 0.5"),
            ("ssh, sends nothing", ways.by_ssh, ""),
            ("tar, zstd, ssh", ways.by_tar, ""),
        ]

    each(bench, field, "0", "new connection", peers)


def bench_kept_link(bench, field) -> None:
    """Over the connection of the command before."""

    def peers(ways: Ways):
        return [
            ("ssh, ControlPersist, sends nothing", ways.by_ssh, "<= 0.5"),
            ("rsync, then ssh, ControlPersist", ways.by_rsync, ""),
            ("tar, zstd, ssh, ControlPersist", ways.by_tar, ""),
        ]

    each(bench, field, "10m", "link kept", peers)
