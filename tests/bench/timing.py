"""Timing two ways of doing the same thing side by side, and the table that shows them.

A benchmark is a function that takes a Bench and adds rows. Both sides of a row are measured in one go, turn by turn, so
that what else the machine does meets both; a row shows medians, and their ratio against its aim.
"""

import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Work = Callable[[], object]


@dataclass
class Row:
    what: str
    errand: float
    peer: float | None  # None: a figure of its own
    unit: str
    aim: str  # "<= 0.5", ">= 0.8" of the ratio; of the figure itself where there is no peer; "" for none
    peer_name: str = ""

    @property
    def ratio(self) -> float | None:
        return self.errand / self.peer if self.peer else None

    @property
    def is_reached(self) -> bool | None:
        if not self.aim:
            return None
        sign, limit = self.aim.split()
        value = self.errand if self.peer is None else self.ratio
        return value <= float(limit) if sign == "<=" else value >= float(limit)


def timed(work: Work) -> float:
    """Seconds that the call takes; where it returns a float, that many seconds (it measured by itself)."""
    start = time.perf_counter()
    result = work()
    return result if isinstance(result, float) else time.perf_counter() - start


def medians(*works: Work, runs: int = 7, warm_up: int = 1, before: Work | None = None) -> list[float]:
    """Median seconds of each, measured in turn; before() is called ahead of each, outside the time."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(warm_up + runs):
        for work, mine in zip(works, times):
            if before:
                before()
            seconds = timed(work)
            if turn >= warm_up:
                mine.append(seconds)
    return [statistics.median(mine) for mine in times]


@dataclass
class Bench:
    """Collects rows; compare() measures and adds one."""

    rows: list[Row] = field(default_factory=list)
    runs: int = 7

    def say(self, text: str) -> None:
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def add(self, what: str, errand: float, peer: float | None, unit: str, aim: str = "", peer_name: str = "") -> Row:
        """Add figures that were measured elsewhere."""
        row = Row(what, errand, peer, unit, aim, peer_name)
        self.rows.append(row)
        self.say(format_row(row))
        return row

    def compare(
        self,
        what: str,
        errand: Work,
        peer: Work | None,
        *,
        peer_name: str = "",
        aim: str = "",
        runs: int | None = None,
        before: Work | None = None,
    ) -> Row:
        """Time both in turn and add the medians, in seconds."""
        works = [errand] if peer is None else [errand, peer]
        found = medians(*works, runs=runs or self.runs, before=before)
        return self.add(what, found[0], found[1] if peer else None, "s", aim, peer_name)

    @contextlib.contextmanager
    def section(self, title: str):
        """A benchmark that cannot be made says why and does not stop the others."""
        self.say(title)
        try:
            yield self
        except Exception as error:  # noqa: BLE001 - reported with the rest, and makes the exit status 1
            self.failures.append(f"{title}: {error}")
            self.say(f"{title}: FAILED: {error}")

    def __post_init__(self) -> None:
        self.failures: list[str] = []


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "s" and value < 1:
        return f"{value * 1000:.1f} ms"
    if unit == "bytes":
        for size, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if value >= size:
                return f"{value / size:.2f} {name}"
        return f"{value:.0f} bytes"
    return f"{value:.2f} {unit}"


def cells(row: Row) -> tuple[str, ...]:
    verdict = {None: "", True: "reached", False: "MISSED"}[row.is_reached]
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    peer = figure(row.peer, row.unit) + (f" ({row.peer_name})" if row.peer_name else "")
    aim = row.aim
    if row.aim and row.peer is None:
        sign, limit = row.aim.split()
        aim = f"{sign} {figure(float(limit), row.unit)}"
    return row.what, figure(row.errand, row.unit), peer, ratio, aim, verdict


def format_row(row: Row) -> str:
    what, errand, peer, ratio, aim, verdict = cells(row)
    return f"{what}: {errand} against {peer}, ratio {ratio} {f'(aim {aim}: {verdict})' if aim else ''}".rstrip()


def table(rows: list[Row]) -> str:
    """Markdown, aligned for a terminal."""
    lines = [("what", "errand", "peer", "ratio", "aim", ""), *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    lines.insert(1, tuple("-" * max(width, 3) for width in widths))
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
