"""A controller's home as it would be after some days: `age(home, days)`, or `aging.py HOME DAYS` as a program."""

import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path


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


if __name__ == "__main__":
    age(Path(sys.argv[1]), float(sys.argv[2]))
