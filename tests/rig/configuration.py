"""The files that the daemons and the head node's programs read, written anew at each `up`."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from rig import settings
from rig.spark import NEW, SPARK, Spark

LOCALHOST = "localhost"
JAVA_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

# What Hadoop 3.3 reaches into on JDK 17.
OPENED = (
    "java.lang java.lang.reflect java.io java.net java.nio java.math java.text java.util java.util.concurrent "
    "java.util.zip sun.nio.ch sun.security.util sun.security.x509"
)

# Commands of the head node, and the script of node/ that is behind each.
PROGRAMS = {
    "hadoop": "hadoop.sh",
    "hdfs": "hadoop.sh",
    "yarn": "hadoop.sh",
    "spark-submit": "spark.sh",
    "pyspark": "spark.sh",
}

LOG4J = """\
log4j.rootLogger=${rig.logger}
rig.logger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
"""


def _at(port: int, host: str = LOCALHOST) -> str:
    return f"{host}:{port}"


def core_site() -> dict[str, object]:
    return {
        "fs.defaultFS": f"hdfs://{_at(settings.NAMENODE_RPC)}",
        "hadoop.tmp.dir": settings.TMP,
        # Livy and gateways act for other users.
        f"hadoop.proxyuser.{settings.USER}.hosts": "*",
        f"hadoop.proxyuser.{settings.USER}.groups": "*",
    }


def hdfs_site() -> dict[str, object]:
    return {
        "dfs.replication": 1,
        "dfs.namenode.name.dir": f"file://{settings.DATA}/namenode",
        "dfs.datanode.data.dir": f"file://{settings.DATA}/datanode",
        "dfs.namenode.http-address": _at(settings.NAMENODE_HTTP, settings.HOST),
        "dfs.datanode.address": _at(settings.DATANODE, settings.HOST),
        "dfs.datanode.http.address": _at(settings.DATANODE_HTTP, settings.HOST),
        "dfs.datanode.ipc.address": _at(settings.DATANODE_IPC, settings.HOST),
        "dfs.datanode.hostname": LOCALHOST,
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.safemode.extension": 0,
    }


def yarn_site() -> dict[str, object]:
    return {
        "yarn.resourcemanager.hostname": LOCALHOST,
        "yarn.resourcemanager.address": _at(settings.RM_RPC),
        "yarn.resourcemanager.scheduler.address": _at(settings.RM_SCHEDULER),
        "yarn.resourcemanager.resource-tracker.address": _at(settings.RM_TRACKER),
        "yarn.resourcemanager.admin.address": _at(settings.RM_ADMIN),
        "yarn.resourcemanager.webapp.address": _at(settings.RM_HTTP),
        "yarn.nodemanager.hostname": LOCALHOST,
        "yarn.nodemanager.address": _at(settings.NM_RPC),
        "yarn.nodemanager.localizer.address": _at(settings.NM_LOCALIZER),
        "yarn.nodemanager.webapp.address": _at(settings.NM_HTTP),
        "yarn.nodemanager.resource.memory-mb": settings.NODE_MEMORY_MB,
        "yarn.nodemanager.resource.cpu-vcores": settings.NODE_CORES,
        "yarn.scheduler.minimum-allocation-mb": 128,
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.pmem-check-enabled": "false",
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "100.0",
        "yarn.nodemanager.local-dirs": settings.DATA / "containers",
        "yarn.nodemanager.log-dirs": settings.DATA / "container-logs",
        "yarn.log-aggregation-enable": "true",
        "yarn.nodemanager.remote-app-log-dir": "/tmp/logs",
        "yarn.log.server.url": f"http://{_at(settings.HISTORY_HTTP)}/jobhistory/logs",
        # Local logs vanish once they are aggregated, as on a production cluster.
        "yarn.nodemanager.delete.debug-delay-sec": 0,
        "yarn.acl.enable": "false",
        # Applications outlive a restart of the ResourceManager, as where it is highly available.
        "yarn.resourcemanager.recovery.enabled": "true",
        "yarn.resourcemanager.store.class": (
            "org.apache.hadoop.yarn.server.resourcemanager.recovery.FileSystemRMStateStore"
        ),
        "yarn.resourcemanager.fs.state-store.uri": f"file://{settings.RM_STATE}",
        "yarn.node-attribute.fs-store.root-dir": f"file://{settings.DATA}/node-attributes",
        # Quicker than the defaults (1 s, 10 minutes), so that tests need not wait for what a cluster waits for.
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": 200,
        "yarn.nm.liveness-monitor.expiry-interval-ms": 60_000,
        # Of a driver's container an environment of thousands of files is unpacked before it says a word.
        "yarn.am.liveness-monitor.expiry-interval-ms": 300_000,
    }


def mapred_site() -> dict[str, object]:
    return {
        "mapreduce.framework.name": "yarn",
        "mapreduce.jobhistory.address": _at(settings.HISTORY_RPC),
        "mapreduce.jobhistory.admin.address": _at(settings.HISTORY_ADMIN),
        "mapreduce.jobhistory.webapp.address": _at(settings.HISTORY_HTTP),
    }


def _queue(name: str, capacity: int) -> dict[str, object]:
    start = f"yarn.scheduler.capacity.root.{name}."
    return {
        start + "capacity": capacity,
        start + "maximum-capacity": 100,
        start + "user-limit-factor": 100,
        start + "state": "RUNNING",
        start + "acl_submit_applications": "*",
        start + "acl_administer_queue": "*",
    }


def capacity_scheduler() -> dict[str, object]:
    return {
        "yarn.scheduler.capacity.root.queues": "default,ml",
        **_queue("default", 90),
        **_queue("ml", 10),
        "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
        "yarn.scheduler.capacity.node-locality-delay": -1,
    }


def spark_defaults() -> dict[str, object]:
    """Of whatever master."""
    return {
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.driver.bindAddress": settings.HOST,
        "spark.driver.extraJavaOptions": JAVA_QUICK,
        "spark.executor.extraJavaOptions": JAVA_QUICK,
    }


def spark_on_yarn(spark: Spark) -> dict[str, object]:
    # A container does not inherit the submitter's environment. Without the address a driver there listens on
    # loopback and advertises the network card's, and its executors find nobody.
    on_loopback = {
        f"spark.{where}.{name}": value
        for where in ("yarn.appMasterEnv", "executorEnv")
        for name, value in {"SPARK_LOCAL_IP": settings.HOST, "SPARK_LOCAL_HOSTNAME": LOCALHOST}.items()
    }
    return {
        "spark.master": "yarn",
        "spark.yarn.jars": f"local:{spark.home}/jars/*",
        "spark.executor.instances": 1,
        **spark_defaults(),
        **on_loopback,
    }


def spark_standalone() -> dict[str, object]:
    return {
        "spark.master": f"spark://{settings.HOST}:{settings.SPARK_MASTER}",
        # So that two applications have room.
        "spark.cores.max": 1,
        **spark_defaults(),
    }


def environment(spark: Spark = SPARK, conf: Path = settings.SPARK_CONF) -> dict[str, str]:
    """What a session on the head node has, beside its PATH, and each daemon."""
    return {
        "HADOOP_CONF_DIR": str(settings.HADOOP_CONF),
        "YARN_CONF_DIR": str(settings.HADOOP_CONF),
        **spark_environment(conf, spark),
    }


def spark_environment(conf: Path, spark: Spark = SPARK) -> dict[str, str]:
    """The same where there is no Hadoop."""
    return {
        "JAVA_HOME": str(settings.java_home()),
        "SPARK_HOME": str(spark.home),
        "SPARK_CONF_DIR": str(conf),
    }


def classpath() -> str:
    return f"{settings.HADOOP_CONF}:{settings.HADOOP_JARS}/*"


def java_options() -> list[str]:
    """For each Java program of Hadoop's, daemon or client."""
    return [
        *JAVA_QUICK.split(),
        "-XX:+IgnoreUnrecognizedVMOptions",
        "-Djava.net.preferIPv4Stack=true",
        # Jetty unpacks web applications there and never tidies up.
        f"-Djava.io.tmpdir={settings.TMP}",
        f"-Dhadoop.log.dir={settings.LOGS}",
        f"-Dyarn.log.dir={settings.LOGS}",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED.split()),
    ]


def write_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Replaced as a whole, and only where it differs: somebody may be reading it."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.touch(mode)
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


def _write_xml(name: str, properties: dict[str, object]) -> None:
    rows = "".join(
        f"  <property><name>{escape(key)}</name><value>{escape(str(value))}</value></property>\n"
        for key, value in properties.items()
    )
    write_file(settings.HADOOP_CONF / name, f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n')


def write_hadoop() -> None:
    for folder in (settings.TMP, settings.DATA):
        folder.mkdir(parents=True, exist_ok=True)
    _write_xml("core-site.xml", core_site())
    _write_xml("hdfs-site.xml", hdfs_site())
    _write_xml("yarn-site.xml", yarn_site())
    _write_xml("mapred-site.xml", mapred_site())
    _write_xml("capacity-scheduler.xml", capacity_scheduler())
    write_file(settings.HADOOP_CONF / "log4j.properties", LOG4J)


def write_spark(conf: Path, defaults: dict[str, object], spark: Spark = SPARK) -> None:
    write_file(conf / "spark-defaults.conf", "".join(f"{key} {value}\n" for key, value in defaults.items()))
    write_file(
        conf / "spark-env.sh",
        f"""\
export SPARK_LOCAL_IP={settings.HOST}
export PYSPARK_PYTHON=${{PYSPARK_PYTHON:-{spark.python}}}
export SPARK_SUBMIT_OPTS="-Djava.io.tmpdir={settings.TMP} ${{SPARK_SUBMIT_OPTS:-}}"
""",
    )


def write_node(folder: Path, variables: dict[str, str], programs: Iterable[str]) -> None:
    """env.sh and bin/ of a machine that people log in to."""
    text = "# Sourced by a shell: the commands of a machine of the rig, and where they find the cluster.\n"
    text += "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    text += f"export PATH={shlex.quote(str(folder / 'bin'))}:$PATH\n"
    text += f"rig_java_options={shlex.quote(' '.join(java_options()))}\n"
    text += f"rig_classpath={shlex.quote(classpath())}\n"
    write_file(folder / "env.sh", text)
    # A login shell: what is in /etc/profile sets PATH anew.
    write_file(folder / "home" / ".profile", f". {shlex.quote(str(folder / 'env.sh'))}\n")
    for name in programs:
        source = settings.SOURCE / "node" / PROGRAMS[name]
        write_file(folder / "bin" / name, source.read_text(), 0o755)


def write() -> None:
    """What all parts stand on. Spark has to be there."""
    write_hadoop()
    write_spark(settings.SPARK_CONF, spark_on_yarn(SPARK))
    write_spark(settings.STANDALONE_CONF, spark_standalone())
    # Livy gives the master on the command line.
    write_spark(settings.LIVY_SPARK_CONF, spark_defaults())
    write_node(settings.HEAD, environment(), PROGRAMS)
    write_node(settings.EDGE, spark_environment(settings.STANDALONE_CONF), ("spark-submit", "pyspark"))
    if NEW.is_there:
        write_spark(settings.SPARK_NEW_CONF, spark_on_yarn(NEW), NEW)
        write_node(settings.HEAD_NEW, environment(NEW, settings.SPARK_NEW_CONF), PROGRAMS)
    write_file(settings.ENV, f". {shlex.quote(str(settings.HEAD / 'env.sh'))}\n")
