"""Fixtures and options of the tests that need the cluster; tests/README.md tells what each is for."""

import uuid
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from support.sshd import Sshd

from rig import configuration, gateway, headnode, kerberos, settings
from rig import session as rig_session
from rig import yarn as rig_yarn
from rig.spark import NEW

# The first test of a session waits for the cluster, too.
TIMEOUT_S = 900


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", action="store_true", help="also what needs a cluster, which is started for it")
    parser.addoption("--cluster-smoke", action="store_true", help="only what needs a cluster and is marked smoke")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_wanted(item: pytest.Item) -> bool:
        needs_cluster = item.get_closest_marker("cluster") is not None
        if config.getoption("--cluster-smoke"):
            return needs_cluster and item.get_closest_marker("smoke") is not None
        return config.getoption("--cluster") or not needs_cluster

    left_out = [item for item in items if not is_wanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_wanted(item)]
    for item in items:
        if item.get_closest_marker("cluster") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # With xdist its controller is the last to end.
    if not hasattr(session.config, "workerinput"):
        rig_session.end()


@pytest.fixture(scope="session")
def cluster_session() -> Iterator[rig_session.Session]:
    """This process's part in the session's cluster."""
    one = rig_session.Session()
    yield one
    one.close()


@pytest.fixture
def yarn(cluster_session: rig_session.Session) -> Iterator[ModuleType]:
    """HDFS and YARN are up: rig.yarn, whose functions ask them."""
    with cluster_session.use("yarn"):
        yield rig_yarn


@pytest.fixture
def yarn_alone(cluster_session: rig_session.Session) -> Iterator[ModuleType]:
    """The same for this test alone, which may kill daemons; the next test finds them up again."""
    with cluster_session.use("yarn", alone=True):
        yield rig_yarn


@pytest.fixture
def standalone(cluster_session: rig_session.Session) -> Iterator[None]:
    """Spark's standalone master and a worker are up."""
    with cluster_session.use("standalone"):
        yield


@pytest.fixture
def livy(cluster_session: rig_session.Session) -> Iterator[ModuleType]:
    """Livy is up behind its gateway: rig.gateway has its address, authority, user and password."""
    with cluster_session.use("livy"):
        yield gateway


@pytest.fixture
def livy_yarn(cluster_session: rig_session.Session) -> Iterator[ModuleType]:
    """Livy on YARN is up, and the gateway: its path there is /livy-yarn."""
    with cluster_session.use("livy-yarn", "gateway", "historyserver"):
        yield gateway


@pytest.fixture
def livy_old(cluster_session: rig_session.Session) -> Iterator[ModuleType]:
    """Livy 0.5.0 is up, and the gateway: its path there is /livy-old."""
    with cluster_session.use("livy-old", "gateway"):
        yield gateway


@pytest.fixture
def livy_standalone(cluster_session: rig_session.Session) -> Iterator[None]:
    """A Livy is up whose batches run on Spark's standalone cluster, and HDFS; its port is
    rig.settings.LIVY_STANDALONE_HTTP."""
    with cluster_session.use("livy-standalone", "standalone", "hdfs"):
        yield


@pytest.fixture
def livy_kerberos(cluster_session: rig_session.Session) -> Iterator[ModuleType]:
    """A Livy is up that wants a ticket of Kerberos: rig.kerberos, whose log_in gets one; its port is
    rig.settings.LIVY_KERBEROS_HTTP."""
    with cluster_session.use("livy-kerberos"):
        yield kerberos


@pytest.fixture
def tag() -> Iterator[str]:
    """A tag for a test's applications; those that are left are killed at its end. Follows yarn or yarn_alone."""
    value = f"test-{uuid.uuid4().hex}"
    yield value
    rig_yarn.kill_apps(value)


def _environment(node: headnode.HeadNode, variables: dict[str, str]) -> dict[str, str]:
    return {**variables, "PATH": f"{node.folder}/bin:{headnode.STANDARD_PATH}"}


@pytest.fixture
def yarn_node(make_sshd: Callable[..., Sshd]) -> Sshd:
    """A head node of the test's own: the cluster's commands and a home that is new. Follows yarn or yarn_alone."""
    return make_sshd(env=_environment(headnode.HEAD, configuration.environment()))


@pytest.fixture
def yarn_node_new(cluster_session: rig_session.Session, make_sshd: Callable[..., Sshd]) -> Iterator[Sshd]:
    """The same with Spark 4. Follows yarn or yarn_alone."""
    with cluster_session.use("head-new"):
        yield make_sshd(env=_environment(headnode.HEAD_NEW, configuration.environment(NEW, settings.SPARK_NEW_CONF)))


@pytest.fixture
def standalone_node(make_sshd: Callable[..., Sshd]) -> Sshd:
    """The same for the standalone cluster. Follows standalone."""
    return make_sshd(env=_environment(headnode.EDGE, configuration.spark_environment(settings.STANDALONE_CONF)))
