"""Records what Livy and its gateway answer: `python3 -m rig.record_livy SERVER [CASE...]`, with that server up.
SERVER is a part: livy-server, livy-yarn, livy-old.

A name says the case and what was asked: exit7.log.json is the log of a batch whose script ended with 7.
"""

import json
import sys

from support.waiting import wait_for

from rig import gateway, settings, web, yarn
from rig.livy import LIVY, OLD, ON_YARN, Livy
from rig.recorder import Recorder

FIXTURES = settings.SOURCE.parent / "fixtures"
SERVERS = {"livy-server": LIVY, "livy-yarn": ON_YARN, "livy-old": OLD}
CONTEXT = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"

ENDINGS = {
    "ok": "print('hello', flush=True)\n",
    "exit7": "import sys\nprint('about to end with 7', flush=True)\nsys.exit(7)\n",
    "exception": "raise ValueError('a reason')\n",
    "with_context": CONTEXT + "print('sum', spark.sparkContext.parallelize(range(100), 2).sum(), flush=True)\n",
    "no_newline": "print('progress 80%', end='', flush=True)\n",
    "utf8": "print('<&> \\u00fc \\u20ac \\U0001f600 tab\\tend', flush=True)\n",
    "many_lines": "for i in range(2000):\n    print('line', i)\n",
    "carriage_returns": "for i in range(5):\n    print(f'{i * 20}%', end='\\r', flush=True)\nprint('done')\n",
    "invalid_utf8": "import os\nos.write(1, b'before\\n\\xff\\xfe\\nafter\\n')\n",
}


class Cases:
    """What is recorded, one method a case."""

    def __init__(self, recorder: Recorder, livy: Livy):
        self.recorder = recorder
        self.livy = livy

    def ask(self, name: str, path: str, method: str = "GET", body: object = None, **headers: str) -> web.Answer:
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.recorder.http(name, self.livy.port, path, method, sent, {"X-Requested-By": "rig", **headers})

    def place(self, name: str, script: str) -> str:
        """Where this Livy takes scripts from."""
        if self.livy.master == "yarn":
            path = f"/tmp/rig/{name}.py"
            yarn.hdfs_write(path, script.encode())
            return f"hdfs://localhost:{settings.NAMENODE_RPC}{path}"
        file = self.livy.files / f"{name}.py"
        file.write_text(script)
        return str(file)

    def submit(self, name: str, script: str, **more: object) -> str:
        """Start a batch of that name. Returns its path."""
        file = self.place(name, script)
        answer = self.ask(f"{name}.post", "/batches", "POST", {"file": file, "name": name, **more})
        return f"/batches/{json.loads(answer.body)['id']}"

    def ending(self, name: str) -> None:
        batch = self.submit(name, ENDINGS[name])

        def state() -> str:
            now = web.get_json(self.livy.port, f"{batch}/state")["state"]
            return now if now not in ("starting", "running") else ""

        wait_for(state, f"the end of {name}", 240, 0.1)
        self.ask(f"{name}.state", f"{batch}/state")
        self.ask(f"{name}.batch", batch)
        self.ask(f"{name}.log", f"{batch}/log?from=0&size=500")
        self.ask(f"{name}.log_default", f"{batch}/log")

    def life(self) -> None:
        """A batch that runs, is asked about and deleted."""
        script = CONTEXT + "import signal\nprint('begun', flush=True)\nsignal.pause()\n"
        batch = self.submit("life", script, args=["a b", "$HOME"], conf={"spark.yarn.tags": "MyTag"})
        self.ask("life.posted", batch)
        if self.livy.master == "yarn":
            wait_for(lambda: web.says(self.livy.port, batch, '"state":"running"'), "the batch to run", 180, 0.1)
        else:
            wait_for(lambda: web.says(self.livy.port, f"{batch}/log", "begun"), "the script's first output", 60, 0.1)
        self.ask("life.state", f"{batch}/state")
        self.ask("life.batch", batch)
        self.ask("life.by_name", "/batches/life")
        self.ask("life.log", f"{batch}/log?from=0&size=500")
        self.ask("life.log_beyond", f"{batch}/log?from=1000&size=10")
        self.ask("life.log_bad", f"{batch}/log?from=abc")
        self.ask("life.list", "/batches?from=0&size=2")
        self.ask("life.list_beyond", "/batches?from=1000&size=2")
        file = self.place("life", script)
        self.ask("life.post_again", "/batches", "POST", {"file": file, "name": "life"})
        self.ask("life.delete", batch, "DELETE")
        self.ask("life.delete_again", batch, "DELETE")
        self.ask("life.gone", batch)
        self.ask("life.gone_state", f"{batch}/state")
        self.ask("life.gone_log", f"{batch}/log")

    def refused(self) -> None:
        """What is refused, and what it leaves."""
        file = self.place("ok", ENDINGS["ok"])
        self.ask("refused.json", "/batches", "POST", b"{")
        self.ask("refused.empty", "/batches", "POST", b"")
        self.ask("refused.field", "/batches", "POST", {"file": file, "bogus": 1})
        self.ask("refused.name_digits", "/batches", "POST", {"file": file, "name": "123"})
        self.ask("refused.path", "/batches", "POST", {"file": "/etc/hostname", "name": "outside"})
        self.ask("refused.path_left", "/batches/outside")
        self.ask("refused.path_left_log", "/batches/outside/log")
        self.ask("refused.path_left_delete", "/batches/outside", "DELETE")
        self.ask("refused.no_file", "/batches", "POST", {"name": "nofile"})
        web.request(web.url(self.livy.port, "/batches/nofile"), method="DELETE", headers={"X-Requested-By": "rig"})
        self.recorder.http("refused.csrf", self.livy.port, "/batches", "POST", json.dumps({"file": file}).encode())
        self.ask("none.batch", "/batches/99999")
        self.ask("none.name", "/batches/nobody")
        self.ask("none.path", "/nothing")
        self.ask("version", "/version")

    def through_gateway(self) -> None:
        """What the gateway itself says."""

        curl = ["curl", "-sS", "-i", "--max-time", "20", "--cacert", str(gateway.CA)]
        user = ["--user", f"{gateway.USER}:{gateway.PASSWORD}"]
        livy = f"{gateway.URL}/livy"

        cases = {
            "no_password": [*curl, f"{livy}/batches"],
            "wrong_password": [*curl, "--user", "admin:wrong", f"{livy}/batches"],
            "no_slash": [*curl, *user, livy],
            "not_trusted": ["curl", "-sS", "-i", f"{livy}/batches"],
            "other_name": [
                *curl,
                "--resolve",
                f"other.test:{settings.GATEWAY_HTTPS}:{settings.HOST}",
                f"https://other.test:{settings.GATEWAY_HTTPS}/livy/batches",
            ],
            **{
                f"refuse{status}": [*curl, *user, f"{gateway.URL}/refuse{status}/batches"] for status in (502, 503, 504)
            },
        }
        for name, words in cases.items():
            self.recorder.command(f"gateway.{name}", words)


def main() -> None:
    livy = SERVERS[sys.argv[1]]
    recorder = Recorder(FIXTURES / sys.argv[1].removesuffix("-server"))
    cases = Cases(recorder, livy)
    names = [*ENDINGS, "life", "refused", "through_gateway"]
    for name in sys.argv[2:] or names:
        print(f"recording {name}", file=sys.stderr)
        if name in ENDINGS:
            cases.ending(name)
        else:
            getattr(cases, name)()
        recorder.close()
    for name in (*ENDINGS, "life"):
        (livy.files / f"{name}.py").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
