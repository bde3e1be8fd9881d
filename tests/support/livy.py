"""A Livy that starts each batch's driver on this machine, behind a gateway, with the faults that a test asks for.

It answers as recorded servers did (tests/fixtures/livy); batches are real processes: a shell stands for spark-submit's
JVM, and the driver is its child.
"""

import base64
import json
import re
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.errand import Errand

USER, PASSWORD = "admin", "secret:with-a-colon"
WINDOW = 200


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that is its own authority, and its key."""
    certificate, key = folder / "gateway.pem", folder / "gateway.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Batch:
    """One POST's driver."""

    def __init__(self, number: int, job: dict, env: dict[str, str], cwd: Path, says: str):
        self.number = number
        self.name = job.get("name")
        self.job = job
        self.lines: list[str] = []
        self.is_zombie = False
        driver = re.sub("^file:/+", "/", job["file"])
        lost = next((uri for uri in job.get("archives", []) if uri in job.get("lost", [])), None)
        command = ["sh", "-c", 'python3 "$0" & wait $!', driver]
        if lost is not None:  # as Spark on YARN, which looks before it starts anything
            command = [
                "sh",
                "-c",
                'echo "java.io.FileNotFoundException: File $0 does not exist"; exit 1',
                lost.partition("#")[0],
            ]
        if says:
            Path(driver).write_text(says + Path(driver).read_text())
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines = [*self.lines, line.decode().rstrip("\n")][-WINDOW:]

    def state(self) -> str:
        if self.is_zombie:
            return "starting"
        code = self.process.poll()
        return "running" if code is None else "success" if code == 0 else "dead"

    def log(self) -> list[str]:
        return [] if self.is_zombie else ["stdout: ", *self.lines, "\nstderr: "]

    def end(self) -> None:
        """As DELETE does: the JVM gets a signal, and nobody else."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


class Livy:
    """The server. `dialect` is its version; `faults` has what the next requests meet: (method, what): a status, or
    "lost" (it is done, and the answer is a 504), "silent" (it is done, and no answer comes), "zombie" (refused, and
    stays), "crowded"; each counts once."""

    def __init__(self, folder: Path, mark: dict[str, str], *, dialect: str = "0.7.1-incubating", has_tls: bool = True):
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.dialect = dialect
        self.faults: list[tuple[str, str | int]] = []
        self.batches: dict[int, Batch] = {}
        self.posts: list[dict] = []
        self.deleted: list[str] = []
        self.next_number = 0
        self.is_down = False
        self.is_losing = False  # what the next batch is to find is removed before it looks
        self.says = ""
        self.yarn: Callable[[str], dict | None] = lambda _tag: None
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder / "account"), **mark}
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        handler = type("Handler", (Handler,), {"livy": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.ca: Path | None = None
        if has_tls:
            self.ca, key = make_certificate(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://localhost:{self.server.server_address[1]}/livy"

    def pretend(self, version: str, libc: str | None) -> None:
        """From now on drivers have a Python and a C library of these versions, as far as they can say."""
        numbers = tuple(map(int, version.split(".")))
        self.says = (
            "import os, platform, sys\n"
            f"platform.python_version = lambda: {version!r}\n"
            f"sys.version_info = {numbers!r}\nos.confstr = lambda _: {libc!r}\n"
        )

    @property
    def yarn_url(self) -> str:
        return self.url.removesuffix("/livy") + "/yarnui"

    def tell_yarn(self, tag: str) -> dict:
        """The ResourceManager's answer: `yarn` says what is to be said of the application with a tag."""
        changes = self.yarn(tag)
        app = {"id": "application_1795870357304_0007", "user": "admin", "queue": "ml", "state": "ACCEPTED"}
        app |= {"finalStatus": "UNDEFINED", "diagnostics": "", "startedTime": 1, "finishedTime": 0}
        return {"apps": None if changes is None else {"app": [app | changes]}}

    @property
    def has_names(self) -> bool:
        return not self.dialect.startswith("0.5")

    def stop(self) -> None:
        self.is_over.set()
        self.server.shutdown()
        self.server.server_close()
        for batch in self.batches.values():
            batch.end()

    def restart(self) -> None:
        """Killed and started again, without recovery: the drivers go on, and nothing is known of them."""
        self.batches = {}
        self.next_number = 0

    def target_arguments(self) -> list[str]:
        """For `errand target add NAME`."""
        ca = ["--ca", str(self.ca)] if self.ca else []
        base = f"file://{self.files}/errand"
        return [self.url, "--kind", "livy", "--user", USER, "--password-env", "LIVY_PASSWORD", "--base", base, *ca]

    def fault(self, method: str) -> str | int | None:
        with self.lock:
            for index, (wanted, what) in enumerate(self.faults):
                if wanted == method:
                    del self.faults[index]
                    return what
        return None

    def find(self, which: str) -> Batch | None:
        if which.isdigit():
            return self.batches.get(int(which))
        named = (batch for batch in self.batches.values() if batch.name == which)
        return next(named, None) if self.has_names else None

    def as_json(self, batch: Batch) -> dict:
        info = {"driverLogUrl": None, "sparkUiUrl": None}
        answer = {"id": batch.number, "state": batch.state(), "appId": None, "appInfo": info, "log": batch.log()[-10:]}
        return {**answer, "name": batch.name, "owner": None, "proxyUser": None} if self.has_names else answer


class Handler(BaseHTTPRequestHandler):
    """One request; the gateway's part first."""

    livy: Livy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def answer(self, status: int, body, kind: str = "application/json") -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, message: str, status: int = 400) -> None:
        self.answer(status, {"msg": message} if self.livy.has_names else json.dumps(message))

    def gateway(self) -> bool:
        """False: Livy never sees it."""
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.answer(401, "<title>401 Authorization Required</title>", "text/html")
            return False
        if self.livy.is_down:
            self.answer(502, "<title>502 Bad Gateway</title>", "text/html")
            return False
        self.met = self.livy.fault(self.command)
        if isinstance(self.met, int):
            self.answer(self.met, "<title>the gateway's</title>", "text/html")
            return False
        return True

    def do_GET(self) -> None:  # noqa: N802 (http.server's)
        if not self.gateway():
            return
        path = self.path.removeprefix("/livy").partition("?")[0]
        if path == "/yarnui/ws/v1/cluster/apps":
            self.answer(200, self.livy.tell_yarn(self.path.partition("applicationTags=")[2]))
        elif path == "/version":
            self.answer(200, {"version": self.livy.dialect})
        elif path == "/batches":
            found = [self.livy.as_json(batch) for batch in self.livy.batches.values()]
            self.answer(200, {"from": 0, "total": len(found), "sessions": found})
        else:
            self.tell_batch(path.strip("/").split("/"))

    def tell_batch(self, parts: list[str]) -> None:
        batch = self.livy.find(parts[1])
        if batch is None:
            return self.refuse(f"Session '{parts[1]}' not found.", 404)
        if parts[2:] == ["state"]:
            return self.answer(200, {"id": batch.number, "state": batch.state()})
        if parts[2:] == ["log"]:
            return self.answer(200, {"id": batch.number, "from": 0, "total": len(batch.log()), "log": batch.log()})
        return self.answer(200, self.livy.as_json(batch))

    def do_DELETE(self) -> None:  # noqa: N802 (http.server's)
        if not self.gateway():
            return None
        which = self.path.rsplit("/", 1)[1]
        batch = self.livy.find(which)
        if batch is None:
            return self.refuse(f"Session '{which}' not found.", 404)
        batch.end()
        self.livy.deleted.append(which)
        del self.livy.batches[batch.number]
        return self.answer(200, {"msg": "deleted"})

    def do_POST(self) -> None:  # noqa: N802 (http.server's)
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.gateway():
            return None
        if not self.headers.get("X-Requested-By"):
            return self.answer(400, "<pre>Missing Required Header for CSRF protection.</pre>", "text/html")
        with self.livy.lock:
            self.post(job)
        if self.met == "silent":
            self.livy.is_over.wait()
            self.close_connection = True
        return None

    def post(self, job: dict) -> None:
        livy = self.livy
        if self.met == "crowded":
            return self.refuse("Rejected, too many sessions are being created!")
        if livy.has_names and livy.find(job["name"]) is not None:
            return self.refuse(f"Duplicate session name: Some({job['name']}) for session 36")
        livy.posts.append(job)
        if livy.is_losing:
            livy.is_losing = False
            job["lost"] = job["archives"]
            for uri in job["archives"]:
                Path(re.sub("^file:/+", "/", uri.partition("#")[0])).unlink()
        batch = Batch(livy.next_number, job, livy.env, livy.folder, livy.says)
        livy.next_number += 1
        if self.met == "zombie":
            batch.is_zombie = True
            batch.process.kill()
            livy.batches[batch.number] = batch
            return self.refuse("Local path /x cannot be added to user sessions.")
        livy.batches[batch.number] = batch
        if self.met == "lost":
            return self.answer(504, "<title>504 Gateway Time-out</title>", "text/html")
        if self.met == "silent":
            return None
        return self.answer(201, livy.as_json(batch))


def add(errand: Errand, livy: Livy, *options: str) -> Livy:
    """Make it the target `web` of errand."""
    errand.more_env["LIVY_PASSWORD"] = PASSWORD
    errand.ok("target", "add", "web", *livy.target_arguments(), *options)
    return livy
