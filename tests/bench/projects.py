"""Project folders to measure with: the same bytes every time."""

import random
import subprocess
from pathlib import Path


def make(folder: Path, files: int) -> Path:
    """A git repository of `files` small text files in some hundred folders, and t.py, which says hello."""
    rng = random.Random(files)
    words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(4000)]
    for number in range(files):
        path = folder / f"package{number % 40}" / f"part{number % 7}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b" ".join(rng.choices(words, k=rng.randint(100, 900))) + b"\n")
    (folder / "t.py").write_text('print("hello", flush=True)\n')
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def change(folder: Path, count: list[int]) -> None:
    """Change one file, each time otherwise."""
    count[0] += 1
    (folder / "package0" / "part0" / "module0.py").write_text(f"# change {count[0]}\n" * 50)
