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


def bench_kept_link(bench, field) -> None:
    """One file changed, the connection of the command before: against ssh over ControlPersist, which sends nothing."""
    for rtt_ms in (0, 50):
        folder = projects.make(field.folder / f"kept{rtt_ms}", 350)
        port = field.port(rtt_ms / 1000)
        errand = field.errand(folder, port)
        errand.configure(keep_connection="10m")
        shared = [f"-oControlPath={field.folder}/c{rtt_ms}", "-oControlMaster=auto", "-oControlPersist=10m"]
        ssh = ["ssh", *field.ssh_options(port), *shared, "node"]
        count = [0]
        subprocess.run([*ssh, "cat >bench-kept.py"], input=(folder / "t.py").read_bytes(), check=True)
        errand.ok("run", "--target", "node", "t.py")

        def by_errand(folder=folder, errand=errand) -> float:
            return first_output(errand.argv("run", "--target", "node", "t.py"), b"hello", folder, errand.env())

        def by_ssh(folder=folder, ssh=ssh) -> float:
            return first_output([*ssh, "python3 bench-kept.py"], b"hello", folder, dict(os.environ))

        bench.compare(
            f"one file of 350 changed, over a link that is kept, RTT {rtt_ms} ms",
            by_errand,
            by_ssh,
            peer_name="ssh, ControlPersist",
            aim="<= 0.5",
            runs=7,
            before=lambda folder=folder, count=count: projects.change(folder, count),
        )
        errand.ok("target", "disconnect", "node")
        subprocess.run(["ssh", *field.ssh_options(port), *shared, "-O", "exit", "node"], check=False)
