"""Fixtures for the tests that speak the protocol themselves (support/wire.py)."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.wire import Wire


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node's root."""
    return tmp_path / "node"


@pytest.fixture
def connect(root: Path, mark: str) -> Iterator[Callable[..., Wire]]:
    """connect(**options of Wire): another connection to the node; all are closed at the end."""
    made: list[Wire] = []

    def make(**options) -> Wire:
        made.append(Wire(root, mark=mark, **options))
        return made[-1]

    yield make
    for one in made:
        if not one.process.stdin.closed:
            one.close()
        # 1: the other end broke the protocol; -9: the test killed it. A sanitizer's finding is neither.
        assert one.process.returncode in (0, 1, -signal.SIGKILL)


@pytest.fixture
def link(connect: Callable[..., Wire]) -> Wire:
    """A connection to the node."""
    return connect()
