"""Fixtures for the tests that speak the protocol themselves (support/wire.py), and for runs on YARN
(support/yarnruns.py)."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support.errand import Errand
from support.wire import Wire
from support.yarnruns import Cluster, make_cluster


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


@pytest.fixture
def cluster(yarn: ModuleType, make_errand: Callable[..., Errand], project: Path) -> Iterator[Cluster]:
    """A controller whose local node is a head node of the cluster."""
    one = make_cluster(yarn, make_errand, project)
    yield one
    one.close()


@pytest.fixture
def cluster_alone(yarn_alone: ModuleType, make_errand: Callable[..., Errand], project: Path) -> Iterator[Cluster]:
    """The same where daemons may be killed."""
    one = make_cluster(yarn_alone, make_errand, project)
    yield one
    one.close()
