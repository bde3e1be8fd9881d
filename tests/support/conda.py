"""A micromamba (conda_standin.py) and a channel with packages, in folders of a test's own."""

import json
import sys
from pathlib import Path

STANDIN = Path(__file__).parent / "conda_standin.py"


class Conda:
    """bin is for PATH."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.channel = folder / "conda-bin", folder / "channel"
        self.bin.mkdir()
        self.channel.mkdir()
        program = self.bin / "micromamba"
        program.write_text(f"#!{sys.executable}\n" + STANDIN.read_text())
        program.chmod(0o755)
        for name in ("python-3.11.7", "pip-24.0", "tinyapp-1.0"):
            self.add(name)

    def add(self, name: str, content: str = "") -> None:
        """A package; what its content means the stand-in says."""
        (self.channel / name).write_text(content or name)

    def add_python(self, executable: str, version: str) -> None:
        """One that is complete in itself, as conda's are: a copy of this one."""
        self.add(f"python-{version}", f"whole {executable}")

    def add_module(self, name: str, code: str = "") -> None:
        self.add(f"{name}-1.0", f"module {code}")

    def calls(self) -> list:
        path = self.bin / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def file(self, *specs: str) -> str:
        """An environment.yml."""
        specs_text = "".join(f"  - {spec}\n" for spec in specs)
        return f"channels:\n  - file://{self.channel}\n  - nodefaults\ndependencies:\n{specs_text}"
