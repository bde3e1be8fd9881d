"""Which lines of the product the tests ran: a summary by file, the least covered first (`./dev coverage`).

Reads what a build of the preset coverage left behind (.gcda), by gcov's JSON.
"""

import argparse
import json
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("common", "executor", "controller")


def reports(build: Path) -> list[dict]:
    """gcov's report of every object of the product that was run."""
    counts = [path for path in build.rglob("*.gcda") if set(path.relative_to(build).parts) & set(PRODUCT)]
    if not counts:
        return []
    command = ["gcov", "--json-format", "--stdout", *(str(path) for path in counts)]
    done = subprocess.run(command, cwd=build, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def covered(build: Path) -> dict[Path, dict[int, int]]:
    """For each file of the product: line number to how often it was run."""
    result: dict[Path, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for report in reports(build):
        for file in report["files"]:
            # -ffile-prefix-map leaves the path from the root, the build folder's in front of it or not.
            path = Path(*Path(file["file"]).parts[-2:])
            if path.parts[0] not in PRODUCT or not (ROOT / path).is_file():
                continue
            for line in file["lines"]:
                result[path][line["line_number"]] += line["count"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="a build folder of the preset coverage")
    parser.add_argument("--lines", action="store_true", help="name the lines that were not run, too")
    arguments = parser.parse_args()
    files = covered(arguments.build.resolve())
    # What no program was linked with at all.
    for path in sorted(path for folder in PRODUCT for path in (ROOT / folder).glob("*.c")):
        files.setdefault(path.relative_to(ROOT), {})
    rows = []
    for path, lines in files.items():
        run = sum(count > 0 for count in lines.values())
        rows.append((run / len(lines) if lines else 0, path, run, lines))
    total = sum(len(lines) for _, _, _, lines in rows)
    for share, path, run, lines in sorted(rows, key=lambda row: (row[0], row[1])):
        print(f"{share:6.1%}  {run:5} of {len(lines):5}  {path}")
        if arguments.lines:
            print("        " + " ".join(str(number) for number, count in sorted(lines.items()) if count == 0))
    print(f"{sum(row[2] for row in rows) / max(total, 1):6.1%}  of {total} lines")


if __name__ == "__main__":
    main()
