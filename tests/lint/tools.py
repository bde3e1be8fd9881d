"""The checks that other people's programs make: clang-format, the compiler, clang-tidy, cppcheck, ruff, shellcheck."""

import hashlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sources

JOBS = os.cpu_count() or 1


@dataclass
class Tools:
    build: Path  # a configured build folder, for compile_commands.json; results are kept in its lint/
    llvm: str  # version of clang-format and clang-tidy, as in their programs' names

    @cached_property
    def commands(self) -> dict[Path, list[str]]:
        """How each source of the product is compiled, without its outputs."""
        result = {}
        for entry in json.loads((self.build / "compile_commands.json").read_text()):
            path = Path(entry["file"])
            if not path.is_relative_to(sources.ROOT) or path.relative_to(sources.ROOT).parts[0] not in sources.PRODUCT:
                continue
            words = shlex.split(entry["command"])
            while words and not Path(words[0]).name.startswith(("cc", "gcc", "clang", "x86_64", "aarch64")):
                words.pop(0)
            words = words[1:]
            output = words.index("-o")
            del words[output : output + 2]
            result[path.relative_to(sources.ROOT)] = [word for word in words if word not in ("-c", str(path))]
        return result

    def flags(self, path: Path) -> list[str]:
        """Flags for a file: its own, or for a header those of a source in the same folder."""
        if path in self.commands:
            return self.commands[path]
        same = [other for other in self.commands if other.parts[0] == path.parts[0]]
        return self.commands[min(same or self.commands)]

    # -- C ---------------------------------------------------------------------------------------------------------

    def format(self) -> Iterator[str]:
        """clang-format would change nothing."""
        paths = [str(path) for path in sources.files("*.c", "*.h")]
        done = run([f"clang-format-{self.llvm}", "--dry-run", "-Werror", *paths])
        yield from (line for line in done.stderr.splitlines() if "error:" in line)

    def headers(self) -> Iterator[str]:
        """Every header compiles alone."""

        def compile_alone(path: Path) -> list[str]:
            # Without -include: what is put in front of a source must not be what makes its headers complete.
            words = iter(self.flags(path))
            flags = [word for word in words if word != "-include" or not next(words)]
            command = ["cc", *flags, "-Wno-unused-function", "-fsyntax-only", "-x", "c", "-"]
            done = run(command, input=f'#include "{path}"\n')
            return [f"{path}:1: does not compile alone: {done.stderr.strip()}"] if done.returncode else []

        yield from in_parallel(compile_alone, sources.product(".h"))

    def tidy(self) -> Iterator[str]:
        """clang-tidy over every source of the product. What it said of the same text is kept, so that a second run
        looks only at what changed."""
        kept = self.build / "lint" / "tidy"
        kept.mkdir(parents=True, exist_ok=True)
        rules = (sources.ROOT / ".clang-tidy").read_bytes()

        def tidy_one(path: Path) -> list[str]:
            flags = [flag for flag in self.flags(path) if not flag.startswith(("-Wlogical", "-Wduplicated", "-Werror"))]
            seen = run([f"clang-{self.llvm}", *flags, "-w", "-E", "-o", "-", str(path)])
            key = hashlib.sha256(rules + repr(flags).encode() + seen.stdout.encode(errors="replace")).hexdigest()
            result = kept / key
            if seen.returncode or not result.exists():
                command = [f"clang-tidy-{self.llvm}", "--quiet", str(path), "--", *flags]
                done = run([*command, "-Wno-unknown-warning-option"])
                found = [relative(line) for line in done.stdout.splitlines() if re.search(r"(error|warning):", line)]
                if done.returncode and not found:
                    found = [f"{path}:1: clang-tidy: {done.stderr.strip()}"]
                result.write_text("\n".join(found))
            return result.read_text().splitlines()

        compiled = [path for path in sources.product(".c") if path in self.commands]
        yield from dict.fromkeys(in_parallel(tidy_one, compiled))

    def cppcheck(self) -> Iterator[str]:
        """cppcheck over the product."""
        kept = self.build / "lint" / "cppcheck"
        kept.mkdir(parents=True, exist_ok=True)
        command = [
            "cppcheck",
            "--quiet",
            "--std=c11",
            "--enable=warning,performance,portability",
            "--inline-suppr",
            f"--suppressions-list={sources.ROOT}/tests/lint/cppcheck.txt",
            "--library=posix",
            "--library=gnu",
            "--template={file}:{line}: {id}: {message}",
            f"--cppcheck-build-dir={kept}",
            f"-j{JOBS}",
            f"-I{sources.ROOT}",
            "-D_POSIX_C_SOURCE=200809L",
            '-DERRAND_VERSION="0"',
            *map(str, sources.product(".c")),
        ]
        done = run(command)
        yield from (line for line in done.stderr.splitlines() if line.strip())

    # -- Python and shell --------------------------------------------------------------------------------------------

    def ruff(self) -> Iterator[str]:
        """ruff has nothing to say of the Python here, and would format it no other way."""
        where = ["--config=tests/ruff.toml", *map(str, sources.files("*.py"))]
        for command in (["check", "--output-format=concise"], ["format", "--check"]):
            done = run(["ruff", command[0], "-q", *command[1:], *where])
            if done.returncode:
                yield from (done.stdout + done.stderr).splitlines()

    def shellcheck(self) -> Iterator[str]:
        """shellcheck has nothing to say of any script."""
        scripts = []
        for path in sources.files():
            with open(sources.ROOT / path, "rb") as file:
                if re.match(rb"#!.*\b(bash|sh)\b", file.readline(80)):
                    scripts.append(str(path))
        if scripts:
            yield from run(["shellcheck", "--format=gcc", *scripts]).stdout.splitlines()


def run(command: list[str], **keywords) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=sources.ROOT, check=False, capture_output=True, **{"text": True, **keywords})
    if done.returncode < 0:
        raise RuntimeError(f"{command[0]} died by signal {-done.returncode}")
    return done


def in_parallel(check: Callable[[Path], list[str]], paths: Iterable[Path]) -> Iterator[str]:
    with ThreadPoolExecutor(JOBS) as pool:
        for found in pool.map(check, paths):
            yield from found


def relative(line: str) -> str:
    return line.replace(f"{sources.ROOT}/", "")
