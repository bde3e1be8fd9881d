"""Logs: throughput against ssh HOST cat, and the time of a line from the process to the reader."""

import statistics
import subprocess
import time

from support.errand import BIN
from support.processes import carrying, command

WRITER = """
import sys
block = (b"x" * 99 + b"\\n") * 10000
for _ in range(300):
    sys.stdout.buffer.write(block)
"""
CLOCK = """
import sys, time
from time import sleep
for _ in range(int(sys.argv[1])):
    print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)
    sleep(0.02)
"""
SIZE = 300 * 10000 * 100


def bench_log(bench, field) -> None:
    folder = field.folder / "log"
    folder.mkdir()
    (folder / "w.py").write_text(WRITER)
    (folder / "clock.py").write_text(CLOCK)
    errand = field.errand(folder, field.port())
    ssh = ["ssh", *field.ssh_options(field.sshd.port), "node"]
    errand.ok("run", "--target", "node", "w.py", stdout=subprocess.DEVNULL)
    run = errand.show()["id"]
    log = field.sshd.home / ".errand" / "runs" / run / "driver.log"

    def by_errand() -> float:
        """The same log, followed by a controller that has none of it: its own start and end are taken off."""
        (errand.home / "state" / "runs" / run / "driver.log").unlink()
        return errand.ok("follow", run, stdout=subprocess.DEVNULL).seconds

    def by_ssh() -> float:
        start = time.perf_counter()
        subprocess.run([*ssh, f"cat {log}"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    found = [statistics.median(one() for _ in range(3)) for one in (by_errand, by_ssh)]
    bench.add(
        "log throughput, 300 MB, connection included",
        SIZE / found[0] / 1e6,
        SIZE / found[1] / 1e6,
        "MB/s",
        aim=">= 0.8",
        peer_name="ssh cat",
    )
    bench.add("a log line, from the process to the reader, median", latency(errand, folder), None, "s", aim="<= 0.005")


def latency(errand, folder) -> float:
    argv = errand.argv("run", "--target", "node", "clock.py", "100")
    delays = []
    with subprocess.Popen(
        argv, cwd=folder, env=errand.env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for line in process.stdout:
            delays.append((time.clock_gettime_ns(time.CLOCK_MONOTONIC) - int(line)) / 1e9)
    return statistics.median(delays[10:])


def resident(pid: int) -> int:
    """Bytes of memory that are this process's share (PSS)."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def bench_supervisors(bench, field) -> None:
    folder = field.folder / "supervised"
    folder.mkdir()
    errand = field.errand(folder, field.port())
    following = errand.start("run", "--target", "node", "--", "sh", "-c", "echo up; sleep 1000")
    following.wait_output(b"up\n")
    run = errand.show()["id"]
    pids = [pid for pid in carrying("ERRAND_RUN_ID", run) if "supervise" in command(pid)]
    total = sum(resident(pid) for pid in pids)
    bench.add(f"memory of guardian and shim ({len(pids)} processes)", total, None, "bytes", aim=f"<= {4 << 20}")
    errand.ok("cancel", "--grace", "0s", run)
    following.finish()


def bench_executor_file(bench, _field) -> None:
    size = (BIN / "errand-executor").stat().st_size
    bench.add("the executor's file", size, None, "bytes", aim=f"<= {2 << 20}")
