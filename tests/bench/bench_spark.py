"""The Spark example on each master, until its script's first line, beside plain spark-submit of the same with the same
environment. Needs the cluster of tests/rig, and starts it where it is not up."""

import json
import os
import shlex
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from rig import configuration, gateway, headnode, session, settings, yarn
from support.environments import UV

EXAMPLE = Path(__file__).resolve().parents[2] / "conf" / "examples" / "spark"
# Everything is on this machine: the script says by a file when it began, and by another one it learns that this is all
# that is asked of it.
FIRST_LINES = """import os, time
with open({began!r}, "w") as began:
    began.write(str(time.time()))
print("first line", flush=True)
if os.path.exists({is_short!r}):
    raise SystemExit
"""
SEEN = b"first line\n"
# What a person does with curl: make a batch, and ask each second whether it has ended.
POST_AND_WAIT = """import json, sys, threading, urllib.request
url, body = sys.argv[1:]
def ask(path, data=None):
    asked = urllib.request.Request(url + path, data, {"Content-Type": "application/json", "X-Requested-By": "me"})
    return json.load(urllib.request.urlopen(asked))
batch = ask("/batches", body.encode())["id"]
while ask(f"/batches/{batch}/state")["state"] not in ("success", "dead", "error", "killed"):
    threading.Event().wait(1)
"""


@dataclass
class Place:
    what: str
    node: headnode.HeadNode | None  # None: this machine, with the commands of HEAD, and no ssh
    options: tuple[str, ...]  # the same for errand and for spark-submit
    is_in_cluster: bool = False
    is_livy: bool = False

    @property
    def is_shipped(self) -> bool:
        """Executors are elsewhere, and get project and environment as archives."""
        return "local[2]" not in self.options


PLACES = [
    Place("local", None, ("--master", "local[2]")),
    Place("spark-local over ssh", headnode.HEAD, ("--master", "local[2]")),
    Place("standalone", headnode.EDGE, ()),
    Place("YARN, client mode", headnode.HEAD, ("--deploy-mode", "client")),
    Place("YARN, cluster mode", headnode.HEAD, ("--deploy-mode", "cluster"), is_in_cluster=True),
    Place("Livy on YARN", None, (), is_in_cluster=True, is_livy=True),
]


@dataclass
class Measured:
    script: float  # seconds from the command's beginning to the script's first line
    shown: float  # to its output here; 0: it never came
    text: str  # all that was said


class Ways:
    """The example by errand, and by spark-submit on the same machine, with the environment that errand made."""

    def __init__(self, field, place: Place):
        self.place = place
        name = f"{field.mark[:8]}-{PLACES.index(place)}"
        self.base = f"/tmp/errand-bench-{name}"
        self.folder = field.folder / f"spark-{name}"
        self.began = field.folder / f"began-{name}"
        self.is_short = field.folder / f"short-{name}"
        self.data = field.folder / f"data-{name}"
        shutil.copytree(EXAMPLE, self.folder)
        job = self.folder / "job.py"
        doc, rest = job.read_text().split("\n", 1)
        job.write_text(f"{doc}\n{FIRST_LINES.format(began=str(self.began), is_short=str(self.is_short))}{rest}")
        self.errand = field.errand(self.folder)
        self.errand.configure(keep_connection="10m", bootstrap_uv=str(UV))
        kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_"))}
        self.env = self.errand.env(**kept)
        self.options = self.add_target(field.folder / f"root-{name}")

    def add_target(self, root: Path) -> list[str]:
        """Say where it is to run; the options that choose it."""
        node = self.place.node
        if node is None:
            self.root = self.errand.home / "state" / "local"
            self.env |= configuration.environment()
            self.env["PATH"] = f"{headnode.HEAD.folder}/bin:{self.env['PATH']}"
            return ["--framework", "pyspark"]
        self.root = root
        self.errand.add_target("node", *node.target_arguments(), f"--root={root}", "--kind=spark")
        return ["--target", "node", *(["--spark-base", self.base] if node is headnode.HEAD else [])]

    def measure(self, argv: list[str]) -> Measured:
        """Run it to its end."""
        self.began.unlink(missing_ok=True)
        wall, shown, out = time.time(), 0.0, b""
        with subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            while data := os.read(process.stdout.fileno(), 65536):
                out += data
                if not shown and SEEN in out:
                    shown = time.time() - wall
        text = out.decode(errors="replace")
        # YARN takes a script without a SparkContext for a failure, by whomever it was submitted.
        if process.returncode != 0 and not (self.is_short.exists() and self.place.is_in_cluster):
            raise RuntimeError(f"exit status {process.returncode}: {shlex.join(argv)}\n{text}")
        return Measured(float(self.began.read_text()) - wall, shown, text)

    def by_errand(self) -> Measured:
        return self.measure(self.errand.argv("run", *self.options, *self.place.options, "job.py"))

    # -- the same by hand -----------------------------------------------------------------------------------------

    def shipped(self) -> dict[str, tuple[int, int]]:
        """The archives that the cluster gets: by address their size and time of change."""
        if self.place.node is headnode.HEAD:
            tree = yarn.hdfs_tree(self.base)
            return {f"hdfs://{path}": (one["length"], one["modificationTime"]) for path, one in tree.items()}
        files = [path for path in self.root.glob("shipped/files/**/*") if path.is_file()]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    def prepare_by_hand(self) -> None:
        self.python = next(path for path in self.root.glob("envs/*/current/prefix/bin/python"))
        if self.place.is_shipped:
            self.packed = next(path for path in self.shipped() if "/environments/" in path)
            shutil.make_archive(str(self.data), "zip", self.folder / "data")
        self.is_short.touch()

    def submission(self) -> list[str]:
        words = ["spark-submit", *self.place.options, "--py-files", "words.py"]
        if not self.place.is_shipped:
            return ["env", f"PYSPARK_PYTHON={self.python}", *words, "job.py"]
        archives = f"{self.packed}#environment"
        words += ["--conf", "spark.executorEnv.PYTHONPATH=./environment"]
        if not self.place.is_in_cluster:
            return ["env", f"PYSPARK_DRIVER_PYTHON={self.python}", *words, "--archives", archives, "job.py"]
        words += ["--conf", "spark.yarn.appMasterEnv.PYTHONPATH=./environment"]
        return [*words, "--archives", f"{archives},{self.data}.zip#data", "job.py"]

    def by_hand(self) -> Measured:
        argv = self.submission()
        if self.place.node:
            there = f"cd {shlex.quote(str(self.folder))} && exec {shlex.join(argv)}"
            argv = self.place.node.ssh("sh", "-c", there)
        return self.measure(argv)

    def close(self) -> None:
        if self.place.node:
            self.errand.ok("target", "disconnect", "node")
        if self.place.node is headnode.HEAD:
            yarn.hdfs_remove(self.base)


class LivyWays(Ways):
    """The example by errand through a gateway, and by a batch that is posted to the server itself."""

    def add_target(self, root: Path) -> list[str]:
        self.env["LIVY_PASSWORD"] = self.errand.more_env["LIVY_PASSWORD"] = gateway.PASSWORD
        webhdfs = f"{gateway.URL}/webhdfs/v1?user.name={settings.USER}"
        there = ["--kind=livy", f"--user={gateway.USER}", "--password-env=LIVY_PASSWORD", f"--ca={gateway.CA}"]
        there += [f"--webhdfs={webhdfs}", f"--yarn={gateway.URL}/yarnui", f"--base=hdfs://{self.base}"]
        self.errand.add_target("node", f"{gateway.URL}/livy-yarn", *there)
        self.root = root
        return ["--target", "node"]

    def shipped(self) -> dict[str, tuple[int, int]]:
        tree = yarn.hdfs_tree(self.base)
        return {f"hdfs://{path}": (one["length"], one["modificationTime"]) for path, one in tree.items()}

    def prepare_by_hand(self) -> None:
        self.packed = next(path for path in self.shipped() if "/environments/" in path)
        shutil.make_archive(str(self.data), "zip", self.folder / "data")
        for path in (self.folder / "job.py", self.folder / "words.py", self.data.with_name(self.data.name + ".zip")):
            yarn.hdfs_write(f"{self.base}-by-hand/{path.name}", path.read_bytes())
        self.is_short.touch()

    def submission(self) -> list[str]:
        there = f"hdfs://{self.base}-by-hand"
        job = {
            "file": f"{there}/job.py",
            "pyFiles": [f"{there}/words.py"],
            "archives": [f"{self.packed}#environment", f"{there}/{self.data.name}.zip#data"],
            "conf": {
                "spark.yarn.appMasterEnv.PYTHONPATH": "./environment",
                "spark.executorEnv.PYTHONPATH": "./environment",
            },
        }
        return ["python3", "-c", POST_AND_WAIT, f"http://{settings.HOST}:{settings.LIVY_YARN_HTTP}", json.dumps(job)]

    def close(self) -> None:
        for folder in (self.base, f"{self.base}-by-hand"):
            yarn.hdfs_remove(folder)


def median(measured: list[Measured], which: str) -> float:
    return statistics.median(getattr(one, which) for one in measured)


def bench_place(bench, ways: Ways) -> None:
    what = ways.place.what
    first = ways.by_errand()
    bench.add(f"{what}: first line, nothing there yet", first.script, None, "s")
    ways.prepare_by_hand()
    before = ways.shipped()
    ours, theirs = [], []
    for _ in range(bench.runs):
        ours.append(ways.by_errand())
        theirs.append(ways.by_hand())
    peer = "ssh, spark-submit" if ways.place.node else "POST by hand" if ways.place.is_livy else "spark-submit"
    bench.add(f"{what}: first line", median(ours, "script"), median(theirs, "script"), "s", "<= 1.1", peer)
    late = median(ours, "shown") - median(ours, "script")
    bench.add(f"{what}: from the first line to its output here", late, None, "s")
    changed = sum(one[0] for path, one in ways.shipped().items() if before.get(path) != one and "/runs/" not in path)
    unsent = all("nothing to send" in one.text for one in ours)
    assert unsent, ours[0].text
    bench.add(f"{what}: sent when nothing changed", changed, None, "bytes", "<= 0")


def bench_spark(bench, field) -> None:
    one = session.Session()
    try:
        with one.use("standalone", "yarn", "livy-yarn", "gateway"):
            for place in PLACES:
                ways = LivyWays(field, place) if place.is_livy else Ways(field, place)
                with bench.section(place.what):
                    bench_place(bench, ways)
                ways.close()
    finally:
        one.close()
        session.end()
