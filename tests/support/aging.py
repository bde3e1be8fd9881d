"""A controller's home as it would be after some days: `age(home, days)`, or `aging.py HOME DAYS` as a program."""

import json
import os
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def earlier(time: str, days: float) -> str:
    then = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ") - timedelta(days=days)
    return then.strftime("%Y-%m-%dT%H:%M:%S.") + time[-4:]


def age(home: Path, days: float) -> None:
    """Everything in the store and the stat indexes was last used that many days before it was."""
    state = home / "state"
    for folder in ("store/objects", "store/tmp", "index", "runs"):
        for path in [state / folder, *sorted((state / folder).rglob("*"))]:
            if path.exists() and not path.is_symlink():
                seconds = path.stat().st_mtime - days * 86400
                os.utime(path, (seconds, seconds))
    for root in (state / "store/roots").iterdir():
        said = json.loads(root.read_text())
        time = datetime.strptime(said["time"], "%Y-%m-%dT%H:%M:%S.%fZ") - timedelta(days=days)
        root.write_text(json.dumps({**said, "time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z")}))


def age_node(root: Path, days: float) -> None:
    """A node's root likewise, with what its runs' records say of their ends."""
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            if path.name == "journal":
                path.write_text(TIME.sub(lambda found: earlier(found[0], days), path.read_text()))
            elif path.parent.name == "roots":
                text = path.read_text()
                path.chmod(0o600)
                path.write_text(TIME.sub(lambda found: earlier(found[0], days), text))
            os.utime(path, (stat.st_atime, stat.st_mtime - days * 86400))


if __name__ == "__main__":
    age(Path(sys.argv[1]), float(sys.argv[2]))
