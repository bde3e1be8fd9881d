"""Records what YARN and spark-submit say of each way in which a run goes: `python3 -m rig.record_yarn [CASE...]`.

A name says the case and what was asked: exit7.app.json is the ResourceManager's object of a script that ended with 7.
"""

import json
import sys
import tempfile
from pathlib import Path

from support.waiting import wait_for

from rig import settings, web, yarn
from rig.recorder import Recorder

FIXTURES = settings.SOURCE.parent / "fixtures" / "yarn"
CONTEXT = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
COUNT = "print('sum', spark.sparkContext.parallelize(range(100), 2).sum(), flush=True)\n"

# The scripts whose end is recorded.
ENDINGS = {
    "ok": CONTEXT + COUNT,
    "exit7": CONTEXT + "import sys\nsys.exit(7)\n",
    "exit7_before_context": "import sys\nprint('no context yet', flush=True)\nsys.exit(7)\n",
    "exception": CONTEXT + "raise ValueError('a reason')\n",
    "no_context": "print('nothing to do', flush=True)\n",
    "text_exit": CONTEXT + "import sys\nsys.exit('a text')\n",
    "hard_exit3": CONTEXT + "import os\nos._exit(3)\n",
}

# Text whose bytes are hard to carry: entities, tabs, cut and invalid UTF-8, NUL, a last line without its end.
BYTES = b"plain\n<&>\"'\t\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\ninvalid \xff\xfe cut \xe2\x82\nNUL \x00 end\nno newline"
PRINTS_BYTES = f"import os\nos.write(1, {BYTES!r})\n"
WAITS = "import signal\nsignal.pause()\n"


def submit(script: Path, tag: str, *options: str, wait: bool = False) -> list[str]:
    return [
        "spark-submit",
        "--master=yarn",
        "--deploy-mode=cluster",
        f"--conf=spark.yarn.tags={tag}",
        "--conf=spark.yarn.maxAppAttempts=1",
        f"--conf=spark.yarn.submit.waitAppCompletion={str(wait).lower()}",
        *options,
        str(script),
    ]


class Cases:
    """What is recorded, one method a case."""

    def __init__(self, recorder: Recorder, folder: Path):
        self.recorder = recorder
        self.folder = folder

    def script(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.py"
        path.write_text(text)
        return path

    def started(self, name: str, text: str, *options: str) -> str:
        """Submit without waiting for the end. Returns the application's id."""
        tag = f"rig-{name}-{self.folder.name}"
        self.recorder.command(f"{name}.submit", submit(self.script(name, text), tag, *options))
        return yarn.apps(tag)[0]["id"]

    def app(self, name: str, app: str) -> dict:
        return json.loads(self.recorder.http(f"{name}.app", settings.RM_HTTP, f"/ws/v1/cluster/apps/{app}").body)["app"]

    def kill(self, name: str, app: str) -> None:
        path = f"/ws/v1/cluster/apps/{app}/state"
        self.recorder.http(f"{name}.kill", settings.RM_HTTP, path, "PUT", b'{"state":"KILLED"}')

    # -- the cases -----------------------------------------------------------------------------------------------

    def ending(self, name: str) -> None:
        tag = f"rig-{name}-{self.folder.name}"
        self.recorder.command(f"{name}.submit", submit(self.script(name, ENDINGS[name]), tag, wait=True))
        self.recorder.http(f"{name}.by_tag", settings.RM_HTTP, f"/ws/v1/cluster/apps?applicationTags={tag}")
        app = yarn.apps(tag)[0]["id"]
        yarn.wait_app(app, lambda now: now["logAggregationStatus"] == "SUCCEEDED")
        self.app(name, app)

    def live(self) -> None:
        """A run from its beginning to its killing, and its log meanwhile and afterwards."""
        app = self.started(
            "live", PRINTS_BYTES + "import threading\nthreading.Event().wait(15)\n" + CONTEXT + COUNT + WAITS
        )
        now = yarn.wait_app(app, lambda now: "amContainerLogs" in now and now["state"] == "ACCEPTED")
        container = yarn.container(now)
        node = f"/ws/v1/node/containers/{container}/logs"
        self.recorder.http("live.accepted.not_yet.nm", settings.NM_HTTP, f"{node}/stdout?size=0")
        wait_for(lambda: web.says(settings.NM_HTTP, f"{node}/stdout", "plain"), "the script's first output", 120, 0.1)
        self.app("live.accepted", app)
        for size in ("0", "6", "-10", "-100000"):
            self.recorder.http(f"live.log.size{size}", settings.NM_HTTP, f"{node}/stdout?size={size}")
        self.recorder.http("live.log.whole", settings.NM_HTTP, f"{node}/stdout")
        self.recorder.http("live.log.none", settings.NM_HTTP, f"{node}/nothing")
        self.recorder.http("live.log.list", settings.NM_HTTP, node)
        page = f"/node/containerlogs/{container}/{settings.USER}/stdout"
        self.recorder.http("live.page", settings.NM_HTTP, f"{page}/?start=0")
        self.recorder.http("live.page.part", settings.NM_HTTP, f"{page}/?start=6&end=20")
        self.recorder.http("live.page.beyond", settings.NM_HTTP, f"{page}/?start=100000")
        yarn.wait_app(app, lambda now: now["state"] == "RUNNING")
        self.app("live.running", app)
        self.recorder.http("live.attempts", settings.RM_HTTP, f"/ws/v1/cluster/apps/{app}/appattempts")
        self.kill("live", app)
        yarn.wait_app(app, lambda now: now["logAggregationStatus"] == "SUCCEEDED")
        self.app("live.killed", app)
        self.kill("live.again", app)
        self.recorder.http("live.ended.nm", settings.NM_HTTP, f"{node}/stdout?size=0")
        self.recorder.http("live.ended.page", settings.NM_HTTP, f"{page}/?start=0")
        history = "/ws/v1/history"
        self.recorder.http("live.ended.log", settings.HISTORY_HTTP, f"{history}/containerlogs/{container}/stdout")
        for size in ("0", "-10"):
            path = f"{history}/containerlogs/{container}/stdout?size={size}"
            self.recorder.http(f"live.ended.log.size{size}", settings.HISTORY_HTTP, path)
        self.recorder.http("live.ended.none", settings.HISTORY_HTTP, f"{history}/containerlogs/{container}/nothing")
        self.recorder.http("live.ended.list", settings.HISTORY_HTTP, f"{history}/containers/{container}/logs")

    def queued(self) -> None:
        """The node is full: one that waits, and its killing."""
        filler = self.started("filler", WAITS, "--driver-memory=7g")
        app = self.started("queued", WAITS, "--driver-memory=2g")
        yarn.wait_app(app, lambda now: now["state"] == "ACCEPTED" and "not yet activated" in now["diagnostics"])
        self.app("queued", app)
        self.kill("queued", app)
        yarn.wait_app(app, lambda now: now["state"] == "KILLED")
        self.app("queued.killed", app)
        self.recorder.command("queued.kill_again", ["yarn", "application", "-kill", app])
        self.recorder.command("filler.kill", ["yarn", "application", "-kill", filler])

    def refused(self) -> None:
        """What is refused before there is an application, or ends it at once."""
        script = self.script("refused", ENDINGS["ok"])
        cases = {
            "queue": ["--queue=nobody"],
            "memory": ["--driver-memory=100g"],
            "tag_long": [f"--conf=spark.yarn.tags={'t' * 101}"],
            "tag_not_ascii": ["--conf=spark.yarn.tags=tüg"],
            "file_missing": ["--files=hdfs://localhost:9000/no/such/file"],
            "package_missing": ["--packages=org.example:nothing:1.0", "--repositories=http://127.0.0.1:9/"],
        }
        for name, options in cases.items():
            self.recorder.command(f"refused.{name}", submit(script, "rig-refused", *options))
        self.recorder.command("refused.script_missing", submit(Path("/no/such/script.py"), "rig-refused"))

    def cluster(self) -> None:
        """What is asked of a cluster without a run."""
        rm = "/ws/v1/cluster"
        self.recorder.http("info", settings.RM_HTTP, f"{rm}/info")
        self.recorder.http("scheduler", settings.RM_HTTP, f"{rm}/scheduler")
        self.recorder.http("metrics", settings.RM_HTTP, f"{rm}/metrics")
        self.recorder.http("by_tag.none", settings.RM_HTTP, f"{rm}/apps?applicationTags=rig-nobody-has-this")
        self.recorder.http("app.none", settings.RM_HTTP, f"{rm}/apps/application_1_0001")
        state = f"{rm}/apps/application_1_0001/state"
        self.recorder.http("kill.none", settings.RM_HTTP, state, "PUT", b'{"state":"KILLED"}')
        self.recorder.http(
            "log.none", settings.NM_HTTP, "/ws/v1/node/containers/container_1_0001_01_000001/logs/stdout"
        )
        self.recorder.command("kill.none", ["yarn", "application", "-kill", "application_1_0001"])


def main() -> None:
    names = [*ENDINGS, "live", "queued", "refused", "cluster"]
    recorder = Recorder(FIXTURES)
    with tempfile.TemporaryDirectory(dir=settings.TMP, prefix="record") as folder:
        cases = Cases(recorder, Path(folder))
        for name in sys.argv[1:] or names:
            print(f"recording {name}", file=sys.stderr)
            if name in ENDINGS:
                cases.ending(name)
            else:
                getattr(cases, name)()
            recorder.close()


if __name__ == "__main__":
    main()
