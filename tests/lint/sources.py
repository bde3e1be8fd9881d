"""Reading the repository's C sources: which there are, their text without comments, their functions."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PRODUCT = ("common", "executor", "controller")


@cache
def files(*patterns: str) -> tuple[Path, ...]:
    """Files of the repository that match a git pathspec, relative to its root: tracked ones, and new ones that are not
    ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(sorted({Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()}))


def product(*endings: str) -> list[Path]:
    """Files of the product (not of its tests) with one of the endings."""
    return [path for path in files(*PRODUCT) if path.suffix in endings]


@cache
def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


_TOKENS = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def _blank(match: re.Match) -> str:
    token = match[0]
    if token[0] == "/":
        return re.sub(r"[^\n]", " ", token)
    return token[0] + "_" * (len(token) - 2) + token[-1]


@cache
def code(path: Path) -> str:
    """The file with comments blanked and the insides of literals replaced, line for line as it was."""
    return _TOKENS.sub(_blank, text(path))


@dataclass(frozen=True)
class Function:
    name: str
    line: int  # of its opening brace
    lines: int  # from the opening brace to the closing one


def functions(path: Path) -> Iterator[Function]:
    """The functions defined in a formatted source: a brace in column 0 opens one, the next in column 0 closes it."""
    lines = code(path).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = " ".join(lines[max(0, start - 12) : start - 1])
            names = re.findall(r"([A-Za-z_]\w*)\s*\(", re.split(r"[;}]", head)[-1])
            yield Function(names[0] if names else "?", start, number - start + 1)
            start = None


@dataclass(frozen=True)
class Include:
    line: int
    name: str
    is_system: bool  # <...> rather than "..."


def includes(path: Path) -> Iterator[Include]:
    for number, line in enumerate(text(path).split("\n"), 1):
        found = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
        if found:
            yield Include(number, found[2], found[1] == "<")
