"""Making project folders: names and contents are bytes."""

import os
from pathlib import Path


def write_files(folder: Path, files: dict) -> None:
    """Write the files of make_project into an existing folder."""
    for name, value in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))  # noqa: PTH118 - names are bytes
        content, mode = value if isinstance(value, tuple) else (value, None)
        os.makedirs(path if content is None else os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        if isinstance(content, Path):
            os.symlink(os.fsencode(content), path)  # noqa: PTH211
        elif content is not None:
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            os.chmod(path, mode)  # noqa: PTH101
