"""Livy: a server per version."""

from dataclasses import dataclass
from pathlib import Path

from rig import configuration, fetch, settings, web


@dataclass(frozen=True)
class Livy:
    """master: what its batches run on; extra: further lines of livy.conf."""

    version: str
    port: int
    master: str
    extra: str = ""

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
        configuration.write_file(
            self._conf / "livy.conf",
            f"""\
livy.server.host = {settings.HOST}
livy.server.port = {self.port}
livy.spark.master = {self.master}
livy.server.csrf-protection.enabled = true
livy.file.local-dir-whitelist = {self.files}
livy.server.session.state-retain.sec = 600s
{self.extra}""",
        )

    def environment(self) -> dict[str, str]:
        variables = configuration.environment()
        if not self.master.startswith("yarn"):
            variables = configuration.spark_environment(settings.LIVY_SPARK_CONF)
        return {
            **variables,
            "LIVY_HOME": str(self.folder),
            "LIVY_CONF_DIR": str(self._conf),
            "LIVY_LOG_DIR": str(self.folder / "logs"),
            "SPARK_LOCAL_IP": settings.HOST,
            # Its log reader dies of a character that its character set lacks.
            "LANG": "C.UTF-8",
        }

    def command(self) -> list[str]:
        java = str(settings.java_home() / "bin" / "java")
        options = [f"-Drig.part=livy:{self.port}", "-Xmx256m", *configuration.java_options()]
        return [java, *options, "-cp", f"{self._conf}:{self._jars}/*", "org.apache.livy.server.LivyServer"]

    def is_ready(self) -> bool:
        return web.says(self.port, "/batches", "sessions")


LIVY = Livy(settings.LIVY, settings.LIVY_HTTP, "local[2]")
