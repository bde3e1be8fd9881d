"""Two ResourceManagers where the cluster has one: stand-ins in front of it, of which one is active."""

import http.server
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

NONE_ACTIVE = b"There is no active RM right now."  # as Hadoop's RMWebAppFilter says it


class Manager(http.server.ThreadingHTTPServer):
    """One of them: active, it passes requests on; standby, it says where the active one is, or that there is none."""

    daemon_threads = True

    def __init__(self, real: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.real, self.active = real, None
        self.asked = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Manager

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else None
        self.server.asked += 1
        active = self.server.active
        if active is None:
            self._answer(200, NONE_ACTIVE, {"Content-Type": "text/plain", "Refresh": "3; url=/"})
        elif active is not self.server:
            self._answer(307, b"", {"Location": f"http://{active.address}{self.path}"})
        else:
            names = ("Content-Type", "Accept")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            request = urllib.request.Request(
                f"http://{self.server.real}{self.path}", data=body, headers=headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self._answer(answer.status, answer.read(), {"Content-Type": answer.headers["Content-Type"]})
            except urllib.error.HTTPError as error:
                self._answer(error.code, error.read(), {"Content-Type": error.headers.get("Content-Type", "")})

    do_GET = do_PUT = _pass_on  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass


class Pair:
    """Two of them, and a folder of Hadoop's configuration that names both. Life: Pair(...) -> close."""

    def __init__(self, conf: Path, real: str, folder: Path) -> None:
        self.managers = [Manager(real), Manager(real)]
        self.conf = folder
        shutil.copytree(conf, folder)
        site = folder / "yarn-site.xml"
        tree = ElementTree.parse(site)
        known = {one.findtext("name"): one.findtext("value") for one in tree.getroot()}
        added = {"yarn.resourcemanager.ha.enabled": "true", "yarn.resourcemanager.ha.rm-ids": "rm1,rm2"}
        for name, manager in zip(("rm1", "rm2"), self.managers, strict=True):
            for service in ("address", "scheduler.address", "resource-tracker.address", "admin.address"):
                added[f"yarn.resourcemanager.{service}.{name}"] = known[f"yarn.resourcemanager.{service}"]
            added[f"yarn.resourcemanager.webapp.address.{name}"] = manager.address
        for key, value in added.items():
            one = ElementTree.SubElement(tree.getroot(), "property")
            ElementTree.SubElement(one, "name").text = key
            ElementTree.SubElement(one, "value").text = value
        tree.write(site)
        self.switch(0)

    def switch(self, number: int | None) -> None:
        """This one is active from now on; None: none is."""
        for manager in self.managers:
            manager.active = None if number is None else self.managers[number]

    def close(self) -> None:
        for manager in self.managers:
            manager.shutdown()
            manager.server_close()
