"""Livy: servers of several versions and masters."""

from dataclasses import dataclass
from pathlib import Path

from rig import configuration, fetch, kerberos, settings, web


@dataclass(frozen=True)
class Livy:
    """master: what its batches run on; lines: more of livy.conf; java: more options of its JVM; is_open: it answers
    whoever asks."""

    version: str
    port: int
    master: str
    lines: tuple[str, ...] = ()
    java: tuple[str, ...] = ()
    is_open: bool = True

    @property
    def name(self) -> str:
        return f"livy-{self.version}"

    @property
    def folder(self) -> Path:
        return settings.HOME / "livy" / str(self.port)

    @property
    def files(self) -> Path:
        """Where scripts may lie that a batch names by a local path."""
        return self.folder / "files"

    @property
    def work(self) -> Path:
        """Where it runs, and so its batches."""
        return self.folder / "work"

    @property
    def _jars(self) -> Path:
        return settings.HOME / self.name

    @property
    def _conf(self) -> Path:
        return self.folder / "conf"

    def fetch(self) -> None:
        fetch.jars("livy", self.version, self._jars)

    def prepare(self) -> None:
        for folder in (self.files, self.work, self.folder / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        configuration.write_file(self._conf / "log4j.properties", configuration.LOG4J)
        lines = "".join(f"{line}\n" for line in self.lines)
        configuration.write_file(
            self._conf / "livy.conf",
            f"""\
livy.server.host = {settings.HOST}
livy.server.port = {self.port}
livy.spark.master = {self.master}
livy.server.csrf-protection.enabled = true
livy.file.local-dir-whitelist = {self.files}
livy.server.session.state-retain.sec = 600s
{lines}""",
        )

    def environment(self) -> dict[str, str]:
        spark = configuration.spark_environment(settings.LIVY_SPARK_CONF)
        return {
            **(configuration.environment() if self.master == "yarn" else spark),
            "LIVY_HOME": str(self.folder),
            "LIVY_CONF_DIR": str(self._conf),
            "LIVY_LOG_DIR": str(self.folder / "logs"),
            "SPARK_LOCAL_IP": settings.HOST,
            # Where drivers keep environments.
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            # Its log reader dies of a character that its character set lacks.
            "LANG": "C.UTF-8",
        }

    def command(self) -> list[str]:
        java = str(settings.java_home() / "bin" / "java")
        options = [f"-Drig.part=livy:{self.port}", "-Xmx256m", *configuration.java_options(), *self.java]
        hadoop = [str(settings.HADOOP_CONF)] if self.master == "yarn" else []
        classpath = ":".join((str(self._conf), *hadoop, f"{self._jars}/*"))
        return [java, *options, "-cp", classpath, "org.apache.livy.server.LivyServer"]

    def is_ready(self) -> bool:
        return web.says(self.port, "/batches", "sessions") if self.is_open else web.opens(self.port)


LIVY = Livy(settings.LIVY, settings.LIVY_HTTP, "local[2]")

# As on HDInsight: batches are applications of YARN, and outlive a restart of Livy.
ON_YARN = Livy(
    settings.LIVY,
    settings.LIVY_YARN_HTTP,
    "yarn",
    (
        "livy.spark.deploy-mode = cluster",
        "livy.server.yarn.poll-interval = 1s",
        "livy.server.recovery.mode = recovery",
        "livy.server.recovery.state-store = filesystem",
        f"livy.server.recovery.state-store.url = file://{settings.DATA}/livy",
    ),
)

# Batches' executors are of Spark's own cluster, and their drivers here.
ON_STANDALONE = Livy(settings.LIVY, settings.LIVY_STANDALONE_HTTP, f"spark://{settings.HOST}:{settings.SPARK_MASTER}")

# The version of HDInsight 4.0.
OLD = Livy(settings.LIVY_OLD, settings.LIVY_OLD_HTTP, "local[2]", ("livy.spark.scala-version = 2.11",))

# As on a cluster with Kerberos: who asks shows a ticket.
WITH_KERBEROS = Livy(
    settings.LIVY,
    settings.LIVY_KERBEROS_HTTP,
    "local[2]",
    (
        "livy.server.auth.type = kerberos",
        f"livy.server.auth.kerberos.principal = {kerberos.SERVICE}@{kerberos.REALM}",
        f"livy.server.auth.kerberos.keytab = {kerberos.SERVICE_KEYTAB}",
        "livy.server.auth.kerberos.name-rules = DEFAULT",
    ),
    (
        f"-Djava.security.krb5.conf={kerberos.CONF}",
        # Hadoop 2's library of authentication, which Livy brings along, looks inside Java.
        "--add-exports=java.security.jgss/sun.security.jgss=ALL-UNNAMED",
        "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    ),
    is_open=False,
)
