"""One changed file, a new connection, to the script's first output: against rsync and then ssh."""

import os
import shlex
import subprocess
import time
from pathlib import Path

import projects


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


def compare(bench, field, folder: Path, rtt_s: float, what: str) -> None:
    port = field.port(rtt_s)
    errand = field.errand(folder, port)
    ssh = ["ssh", *field.ssh_options(port)]
    count = [0]
    there = f"bench-rsync-{folder.name}"

    def by_errand() -> float:
        return first_output(errand.argv("run", "--target", "node", "t.py"), b"hello", folder, errand.env())

    def by_rsync() -> float:
        start = time.perf_counter()
        send = ["rsync", "-az", "--delete", "--exclude=.git", "-e", shlex.join(ssh), "./", f"node:{there}/"]
        subprocess.run(send, cwd=folder, check=True)
        run = [*ssh, "node", f"cd {there} && python3 t.py"]
        return time.perf_counter() - start + first_output(run, b"hello", folder, dict(os.environ))

    bench.compare(
        what,
        by_errand,
        by_rsync,
        peer_name="rsync, then ssh",
        aim="<= 0.5",
        runs=5,
        before=lambda: projects.change(folder, count),
    )


def bench_one_change(bench, field) -> None:
    for files in (350, 15000):
        folder = projects.make(field.folder / f"project{files}", files)
        for rtt_ms in (0, 50):
            compare(
                bench, field, folder, rtt_ms / 1000, f"one file of {files:,} changed, to first output, RTT {rtt_ms} ms"
            )
