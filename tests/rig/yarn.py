"""What a test asks of YARN and HDFS, and does to them."""

import json
import re
import urllib.parse
from collections.abc import Callable

from support import processes
from support.waiting import wait_for

from rig import cluster, parts, process, settings, sockets, web

ENDED = ("FINISHED", "FAILED", "KILLED")


# ---- applications ----------------------------------------------------------------------------------------------------


def apps(tag: str) -> list[dict]:
    """Every application with that tag, as the ResourceManager tells of it."""
    query = urllib.parse.urlencode({"applicationTags": tag})
    found = web.get_json(settings.RM_HTTP, f"/ws/v1/cluster/apps?{query}")
    return (found["apps"] or {}).get("app", [])


def app(app_id: str) -> dict:
    return web.get_json(settings.RM_HTTP, f"/ws/v1/cluster/apps/{app_id}")["app"]


def wait_app(app_id: str, reached: Callable[[dict], object], deadline_s: float = 180) -> dict:
    """The application, once reached(it) is true."""

    def event() -> dict | None:
        now = app(app_id)
        return now if reached(now) else None

    return wait_for(event, f"application {app_id}", deadline_s, 0.1)


def wait_ended(app_id: str, deadline_s: float = 180) -> dict:
    return wait_app(app_id, lambda now: now["state"] in ENDED, deadline_s)


def kill_app(app_id: str) -> None:
    """Ask for its end; wait_ended sees it."""
    web.request(
        web.url(settings.RM_HTTP, f"/ws/v1/cluster/apps/{app_id}/state"),
        method="PUT",
        body=json.dumps({"state": "KILLED"}).encode(),
    )


def kill_apps(tag: str) -> None:
    """End whatever has the tag and is alive, and see that it has ended."""
    for one in apps(tag):
        if one["state"] not in ENDED:
            kill_app(one["id"])
            wait_ended(one["id"])


def container(app_object: dict) -> str:
    """The id of the container that its driver runs in, of cluster mode."""
    return re.search(r"container_\w+", app_object["amContainerLogs"])[0]


def container_processes(app_id: str) -> list[int]:
    """Every process of the application's containers, alive."""
    number = app_id.removeprefix("application_")
    pids = []
    for pid in processes.everyone():
        if f"_{number}_" in processes.environment(pid).get("CONTAINER_ID", "") and processes.is_alive(pid):
            pids.append(pid)
    return pids


# ---- HDFS ------------------------------------------------------------------------------------------------------------


def _webhdfs(path: str, operation: str, method: str = "GET", **more: str) -> web.Answer:
    query = urllib.parse.urlencode({"op": operation, "user.name": settings.USER, **more})
    return web.request(
        web.url(settings.NAMENODE_HTTP, f"/webhdfs/v1{urllib.parse.quote(path)}?{query}"),
        method=method,
        body=None if method == "GET" else b"",
    )


def hdfs_list(path: str) -> list[dict]:
    """What is in a folder: pathSuffix, type, length, modificationTime ... of each. [] where there is none."""
    answer = _webhdfs(path, "LISTSTATUS")
    if answer.status == 404:
        return []
    if answer.status != 200:
        raise OSError(f"HDFS: {path}: {answer.text}")
    return json.loads(answer.body)["FileStatuses"]["FileStatus"]


def hdfs_tree(path: str) -> dict[str, dict]:
    """Every file below a folder, by its path."""
    found = {}
    for entry in hdfs_list(path):
        below = f"{path.rstrip('/')}/{entry['pathSuffix']}"
        found |= hdfs_tree(below) if entry["type"] == "DIRECTORY" else {below: entry}
    return found


def hdfs_read(path: str) -> bytes:
    answer = _webhdfs(path, "OPEN")
    if answer.status != 200:
        raise OSError(f"HDFS: {path}: {answer.text}")
    return answer.body


def hdfs_write(path: str, content: bytes) -> None:
    # The NameNode says where to, and takes nothing itself.
    query = urllib.parse.urlencode({"op": "CREATE", "user.name": settings.USER, "overwrite": "true"})
    address = web.url(settings.NAMENODE_HTTP, f"/webhdfs/v1{urllib.parse.quote(path)}?{query}")
    told = web.request(address, method="PUT", body=b"", follow=False)
    answer = web.request(told.headers["Location"], method="PUT", body=content) if told.status == 307 else told
    if answer.status != 201:
        raise OSError(f"HDFS: {path}: {answer.text}")


def hdfs_set_times(path: str, utc_ms: int) -> None:
    """When a file was last changed and read."""
    answer = _webhdfs(path, "SETTIMES", "PUT", modificationtime=str(utc_ms), accesstime=str(utc_ms))
    if answer.status != 200:
        raise OSError(f"HDFS: {path}: {answer.text}")


def hdfs_remove(path: str) -> None:
    _webhdfs(path, "DELETE", "DELETE", recursive="true")


# ---- daemons ---------------------------------------------------------------------------------------------------------


def pid(part: str) -> int | None:
    return process.running(part)


def kill(part: str) -> None:
    """SIGKILL to a daemon, as a crash."""
    found = process.running(part)
    if found is not None:
        processes.end_all([found])
        # Its first thread is gone; what it listens on goes with its last.
        ports = parts.PARTS[part].ports
        wait_for(lambda: not any(sockets.owner(port) for port in ports), f"the ports of {part} to be free")


def stop(part: str) -> None:
    """End a daemon in order; what needs it stays."""
    process.stop(part, parts.PARTS[part].stop_signal)


def start(*names: str) -> None:
    """Bring daemons back, and wait until they are ready."""
    with cluster.alone():
        cluster.up(list(names))
