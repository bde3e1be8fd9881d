"""Every check of ./dev lint, by name; each yields its findings as "file:line: sentence"."""

import argparse
import sys
import time
from pathlib import Path

import layers
import shape
import tools


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=Path, help="a configured build folder")
    parser.add_argument("--llvm", required=True, help="version of clang-format and clang-tidy")
    parser.add_argument("checks", nargs="*", help="the checks to make; default: all of them")
    arguments = parser.parse_args()
    programs = tools.Tools(arguments.build, arguments.llvm)
    checks = {
        "format": programs.format,
        "layers": layers.check,
        "sizes": shape.sizes,
        "tables": shape.tables,
        "contracts": shape.contracts,
        "prints": shape.prints,
        "state": shape.state,
        "unfinished": shape.unfinished,
        "waits": shape.waits,
        "headers": programs.headers,
        "ruff": programs.ruff,
        "shellcheck": programs.shellcheck,
        "cppcheck": programs.cppcheck,
        "tidy": programs.tidy,
    }
    unknown = set(arguments.checks) - set(checks)
    if unknown:
        parser.error(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(checks)}")
    total = 0
    for name in arguments.checks or checks:
        start = time.monotonic()
        count = 0
        for finding in checks[name]():
            print(finding, flush=True)
            count += 1
        print(f"lint: {name:<10} {count:>4} findings  {time.monotonic() - start:6.1f} s", flush=True)
        total += count
    print(f"lint: {'failed' if total else 'passed'}, {total} findings", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
