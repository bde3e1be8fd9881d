"""Spark as PyPI has it: all of it in the package pyspark, in a virtual environment of its own."""

from dataclasses import dataclass
from pathlib import Path

from rig import fetch, settings


@dataclass(frozen=True)
class Spark:
    version: str

    @property
    def venv(self) -> Path:
        return settings.HOME / f"spark-{self.version}"

    @property
    def home(self) -> Path:
        """SPARK_HOME."""
        (found,) = self.venv.glob("lib/python3*/site-packages/pyspark")
        return found

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def fetch(self) -> None:
        fetch.package(f"pyspark=={self.version}", self.venv)

    @property
    def is_there(self) -> bool:
        return fetch.is_whole(self.venv)


SPARK = Spark(settings.SPARK)
NEW = Spark(settings.SPARK_NEW)
