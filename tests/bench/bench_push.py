"""First pushes, of many small files and of one large one: against rsync and against tar, zstd and ssh."""

import itertools
import os
import shlex
import subprocess
import threading
from pathlib import Path

import projects

GB = 1_000_000_000


def random_file(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size)))
        file.truncate(size)


class Pushes:
    """One project to an empty place of the node, by errand and by its peers."""

    def __init__(self, field, folder: Path):
        self.field = field
        self.folder = folder
        self.port = field.port()
        self.ssh = ["ssh", *field.ssh_options(self.port)]
        self.numbers = itertools.count()

    def place(self) -> str:
        """A new folder of the node, which goes with everything else at the end."""
        return f"{self.field.sshd.home}/{self.folder.name}-{next(self.numbers)}"

    def by_errand(self) -> None:
        """A fresh controller and a fresh root: nothing is known on either side."""
        where = [f"{self.field.sshd.user}@{self.field.sshd.host}", f"--port={self.port}"]
        keys = [f"--identity={self.field.sshd.identity}", f"--known-hosts={self.field.known_hosts(self.port)}"]
        errand = self.field.errand(self.folder)
        errand.add_target("node", *where, *keys, "--ssh-config=/dev/null", f"--root={self.place()}")
        errand.ok("run", "--target", "node", "--yes", "--", "true", deadline_s=600)

    def by_rsync(self) -> None:
        send = ["rsync", "-az", "--exclude=.git", "-e", shlex.join(self.ssh), "./", f"node:{self.place()}/"]
        subprocess.run(send, cwd=self.folder, check=True)

    def by_tar(self) -> None:
        place = self.place()
        there = f"mkdir {place} && zstd -dc | tar x -C {place}"
        line = f"tar c --exclude=.git . | zstd -q -3 | {shlex.join(self.ssh)} node {shlex.quote(there)}"
        subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=self.folder, check=True)


def bench_first_push(bench, field) -> None:
    small = Pushes(field, projects.make(field.folder / "push15000", 15000))
    what = "first push of 15,000 small files, checkout and run included"
    bench.compare(what, small.by_errand, small.by_rsync, peer_name="rsync -az", aim="<= 0.7", runs=3)
    bench.compare(what, small.by_errand, small.by_tar, peer_name="tar | zstd | ssh", aim="<= 1.0", runs=3)
    (field.folder / "push1").mkdir()
    large = Pushes(field, field.folder / "push1")
    random_file(large.folder / "large.bin", GB)
    what = "first push of one 1 GB file, checkout and run included"
    bench.compare(what, large.by_errand, large.by_rsync, peer_name="rsync -az", runs=1)
    bench.compare(what, large.by_errand, large.by_tar, peer_name="tar | zstd | ssh", runs=1)


def peak_memory(argv: list[str], cwd: Path, env: dict[str, str]) -> int:
    """Largest resident size in bytes of the command itself."""
    with subprocess.Popen(argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        peak = 0
        ended = threading.Event()
        while not ended.wait(0.02) and process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
    return peak


def bench_large_file(bench, field) -> None:
    folder = field.folder / "insert"
    folder.mkdir()
    random_file(folder / "large.bin", GB)
    errand = field.errand(folder, field.port())
    peak = peak_memory(errand.argv("run", "-y", "--target", "node", "--", "true"), folder, errand.env())
    bench.add("controller's memory while it pushes 1 GB", peak, None, "bytes", aim=f"<= {64 << 20}")
    data = (folder / "large.bin").read_bytes()
    (folder / "large.bin").write_bytes(data[: GB // 2] + os.urandom(1000) + data[GB // 2 :])
    errand.ok("run", "-y", "--target", "node", "--", "true")
    sent = errand.show()["snapshot"]["sent_bytes"]
    bench.add("1 KB inserted into 1 GB: bytes sent", sent, GB, "bytes", aim="<= 0.005", peer_name="the file")
