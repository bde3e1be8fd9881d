"""The parts of the cluster: one row each."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rig import configuration, fetch, gateway, headnode, kerberos, settings, web
from rig.livy import LIVY, OLD, ON_STANDALONE, ON_YARN, WITH_KERBEROS, Livy
from rig.spark import NEW, SPARK
from rig.trouble import Trouble


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Part:
    """A daemon.

    is_ready:  whether it does its work; asked again and again
    after:     parts that have to be ready before this one is started
    beside:    parts that it needs and that may be started with it
    fetch:     what it needs on the disk, beside Spark, which all have
    prepare:   done right before it is started
    folder:    where it runs
    """

    name: str
    what: str
    ports: tuple[int, ...]
    command: Callable[[], list[str]]
    is_ready: Callable[[], bool]
    after: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    fetch: Callable[[], None] = _nothing
    prepare: Callable[[], None] = _nothing
    environment: Callable[[], dict[str, str]] = configuration.environment
    folder: Path = settings.RUN
    stop_signal: int = signal.SIGTERM

    @property
    def needs(self) -> tuple[str, ...]:
        return self.after + self.beside


def _java(name: str, memory: str, class_name: str) -> list[str]:
    java = str(settings.java_home() / "bin" / "java")
    # The first of them tells a person who looks at `ps` whose it is.
    own = [f"-Drig.part={name}", "-Drig.logger=INFO,console", f"-Xmx{memory}"]
    return [java, *own, *configuration.java_options(), "-cp", configuration.classpath(), class_name]


def _fetch_hadoop() -> None:
    # Without second bindings of SLF4J, which only make noise.
    fetch.jars("hadoop", settings.HADOOP, settings.HADOOP_JARS, ("slf4j-log4j12-*.jar", "log4j-1.2.*.jar"))


def _fetch_new() -> None:
    _fetch_hadoop()
    NEW.fetch()


# ---- HDFS ------------------------------------------------------------------------------------------------------------

NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"


def _format_namenode() -> None:
    """Where the file system is new."""
    if (settings.DATA / "namenode" / "current" / "VERSION").exists():
        return
    command = [*_java("format", "256m", NAMENODE), "-format", "-nonInteractive", "-force"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=configuration.environment())
    if done.returncode != 0:
        raise Trouble(f"the NameNode could not make a file system in {settings.DATA}:\n{done.stderr[-2000:]}")


def _is_namenode_ready() -> bool:
    return web.says(settings.NAMENODE_HTTP, "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo", r'"Safemode" *: *""')


def _is_datanode_ready() -> bool:
    path = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    return web.says(settings.NAMENODE_HTTP, path, r'"NumLiveDataNodes" *: *[1-9]') and web.says(
        settings.DATANODE_HTTP, "/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo", "DataNodeInfo"
    )


# ---- Spark's own cluster, and who logs in ----------------------------------------------------------------------------


def _spark(class_name: str, port: int, page: int, *words: str) -> list[str]:
    program = str(SPARK.home / "bin" / "spark-class")
    options = ["--host", settings.HOST, "--port", str(port), "--webui-port", str(page)]
    return [program, f"org.apache.spark.deploy.{class_name}", *options, *words]


def _spark_master() -> list[str]:
    return _spark("master.Master", settings.SPARK_MASTER, settings.SPARK_MASTER_HTTP)


def _spark_worker() -> list[str]:
    size = ("--cores", "4", "--memory", "4g", "--work-dir", str(settings.DATA / "spark-worker"))
    master = f"spark://{settings.HOST}:{settings.SPARK_MASTER}"
    return _spark("worker.Worker", settings.SPARK_WORKER, settings.SPARK_WORKER_HTTP, *size, master)


def _spark_environment() -> dict[str, str]:
    return {**configuration.spark_environment(settings.STANDALONE_CONF), "SPARK_DAEMON_MEMORY": "256m"}


# ---- YARN ------------------------------------------------------------------------------------------------------------


def _is_nodemanager_ready() -> bool:
    return web.says(settings.NM_HTTP, "/ws/v1/node/info", r'"nodeHealthy" *: *true') and web.says(
        settings.RM_HTTP, "/ws/v1/cluster/metrics", r'"activeNodes" *: *[1-9]'
    )


def _livy(name: str, livy: Livy, after: tuple[str, ...] = ()) -> Part:
    return Part(
        name,
        f"Livy {livy.version.removesuffix('-incubating')}, master {livy.master}",
        (livy.port,),
        livy.command,
        livy.is_ready,
        after=after,
        fetch=livy.fetch,
        prepare=livy.prepare,
        environment=livy.environment,
        folder=livy.work,
    )


TABLE = (
    Part(
        "namenode",
        "HDFS: names",
        (settings.NAMENODE_RPC, settings.NAMENODE_HTTP),
        lambda: _java("namenode", "256m", NAMENODE),
        _is_namenode_ready,
        fetch=_fetch_hadoop,
        prepare=_format_namenode,
    ),
    Part(
        "datanode",
        "HDFS: blocks",
        (settings.DATANODE, settings.DATANODE_HTTP, settings.DATANODE_IPC),
        lambda: _java("datanode", "256m", "org.apache.hadoop.hdfs.server.datanode.DataNode"),
        _is_datanode_ready,
        beside=("namenode",),
    ),
    Part(
        "resourcemanager",
        "YARN: scheduler",
        (settings.RM_HTTP, settings.RM_RPC, settings.RM_SCHEDULER, settings.RM_TRACKER, settings.RM_ADMIN),
        lambda: _java("resourcemanager", "512m", "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"),
        # STARTED it is before: until it has read what it kept of applications it answers that there are none.
        lambda: web.says(settings.RM_HTTP, "/ws/v1/cluster/info", '"haState" *: *"ACTIVE"'),
        beside=("datanode",),
    ),
    Part(
        "nodemanager",
        "YARN: containers",
        (settings.NM_HTTP, settings.NM_RPC, settings.NM_LOCALIZER),
        lambda: _java("nodemanager", "512m", "org.apache.hadoop.yarn.server.nodemanager.NodeManager"),
        _is_nodemanager_ready,
        beside=("resourcemanager",),
    ),
    Part(
        "historyserver",
        "logs of what has ended",
        (settings.HISTORY_HTTP, settings.HISTORY_RPC, settings.HISTORY_ADMIN),
        lambda: _java("historyserver", "256m", "org.apache.hadoop.mapreduce.v2.hs.JobHistoryServer"),
        lambda: web.says(settings.HISTORY_HTTP, "/ws/v1/history/info", "hadoopVersion"),
        # Without HDFS it sleeps ten seconds before it tries again.
        after=("datanode",),
    ),
    Part(
        "head",
        "ssh: a machine with spark-submit, yarn, hdfs",
        headnode.HEAD.ports,
        headnode.HEAD.command,
        lambda: web.opens(headnode.HEAD.ports[-1]),
        fetch=_fetch_hadoop,
        prepare=lambda: headnode.HEAD.prepare(configuration.environment()),
    ),
    Part(
        "spark-master",
        "standalone: spark://localhost:7077",
        (settings.SPARK_MASTER, settings.SPARK_MASTER_HTTP),
        _spark_master,
        lambda: web.says(settings.SPARK_MASTER_HTTP, "/json/", '"status" *: *"ALIVE"'),
        environment=_spark_environment,
    ),
    Part(
        "spark-worker",
        "standalone: executors",
        (settings.SPARK_WORKER, settings.SPARK_WORKER_HTTP),
        _spark_worker,
        lambda: web.says(settings.SPARK_MASTER_HTTP, "/json/", '"aliveworkers" *: *[1-9]'),
        beside=("spark-master",),
        environment=_spark_environment,
    ),
    Part(
        "edge",
        "ssh: a machine with spark-submit for standalone",
        headnode.EDGE.ports,
        headnode.EDGE.command,
        lambda: web.opens(headnode.EDGE.ports[-1]),
        prepare=lambda: headnode.EDGE.prepare(configuration.spark_environment(settings.STANDALONE_CONF)),
    ),
    Part(
        "head-new",
        f"ssh: a head node with Spark {NEW.version}",
        headnode.HEAD_NEW.ports,
        headnode.HEAD_NEW.command,
        lambda: web.opens(headnode.HEAD_NEW.ports[-1]),
        fetch=_fetch_new,
        prepare=lambda: headnode.HEAD_NEW.prepare(configuration.environment(NEW, settings.SPARK_NEW_CONF)),
    ),
    _livy("livy-server", LIVY),
    _livy("livy-yarn", ON_YARN, ("nodemanager",)),
    _livy("livy-old", OLD),
    _livy("livy-standalone", ON_STANDALONE, ("spark-worker",)),
    Part(
        "kdc",
        f"Kerberos: the realm {kerberos.REALM}",
        (settings.KDC,),
        kerberos.command,
        lambda: web.opens(settings.KDC),
        prepare=kerberos.prepare,
        environment=kerberos.environment,
    ),
    _livy("livy-kerberos", WITH_KERBEROS, ("kdc",)),
    Part(
        "gateway",
        "TLS and a password before Livy, YARN, WebHDFS",
        (settings.GATEWAY_HTTPS,),
        gateway.command,
        gateway.is_ready,
        prepare=gateway.prepare,
        stop_signal=signal.SIGQUIT,
    ),
)

PARTS = {part.name: part for part in TABLE}

# Names for several of them.
GROUPS = {
    "hdfs": ("namenode", "datanode"),
    "yarn": ("resourcemanager", "nodemanager", "historyserver", "head"),
    "standalone": ("spark-master", "spark-worker", "edge"),
    "livy": ("livy-server", "gateway"),
}

# What `up` without names brings up: all but what is there to be compared with, and Kerberos.
USUAL = tuple(name for name in PARTS if name not in ("head-new", "livy-old", "livy-standalone", "kdc", "livy-kerberos"))


def named(words: list[str]) -> list[str]:
    """The parts that the words name, in the table's order."""
    wanted: set[str] = set()
    for word in words:
        if word not in PARTS and word not in GROUPS:
            raise Trouble(f"there is no part {word}; there are: {', '.join((*GROUPS, *PARTS))}")
        wanted |= set(GROUPS.get(word, (word,)))
    return [name for name in PARTS if name in wanted]


def with_needs(names: list[str]) -> list[str]:
    """The same and all that they need."""
    wanted = set(names)
    while more := {need for name in wanted for need in PARTS[name].needs} - wanted:
        wanted |= more
    return [name for name in PARTS if name in wanted]


def with_users(names: list[str]) -> list[str]:
    """The same and all that need them."""
    wanted = set(names)
    while more := {name for name in PARTS if wanted & set(PARTS[name].needs)} - wanted:
        wanted |= more
    return [name for name in PARTS if name in wanted]
