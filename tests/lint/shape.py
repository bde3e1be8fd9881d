"""Sizes, tables, contracts and waiting: house-style sections 2, 5, 8 and 9."""

import re
from collections.abc import Iterator

import sources

FUNCTION_LINES = 80
FILE_LINES = 600


def sizes() -> Iterator[str]:
    """No function of the product over 80 lines, no file over 600."""
    for path in sources.product(".c", ".h"):
        count = sources.text(path).count("\n")
        if count > FILE_LINES:
            yield f"{path}:{FILE_LINES + 1}: {count} lines; at most {FILE_LINES}"
        for function in sources.functions(path):
            if function.lines > FUNCTION_LINES:
                yield f"{path}:{function.line}: {function.name} has {function.lines} lines; at most {FUNCTION_LINES}"


def tables() -> Iterator[str]:
    """In a .def file, a row's first argument is its own; so is its first string where all rows of that macro have one
    as their first or second argument."""
    for path in sources.product(".def"):
        seen: dict[tuple[str, str], int] = {}
        plain = sources.code(path)
        for row in re.finditer(r"^([A-Z][A-Z_]*)\(", plain, re.M):
            line = plain.count("\n", 0, row.start()) + 1
            rest = sources.text(path)[row.end() : row.end() + 400]
            arguments = re.match(r"\s*(\"[^\"]*\"|\w+)\s*(?:,\s*(\"[^\"]*\"|\w+))?", rest)
            if not arguments:
                yield f"{path}:{line}: a row of {row[1]} without a name"
                continue
            names = {arguments[1]} | ({arguments[2]} if arguments[2] and arguments[2][0] == '"' else set())
            for name in names:
                first = seen.setdefault((row[1], name), line)
                if first != line:
                    yield f"{path}:{line}: {row[1]}({name}) is there already, in line {first}"


_PROTOTYPE = re.compile(r"^(?!typedef\b|static\b)[a-z][^;{}=#]*\([^;{}]*\)[^;{}]*;", re.M)
_LIFETIME = re.compile(r"\w+_(new|init|release|clear|free)")  # house-style section 3 says what they do


def contracts() -> Iterator[str]:
    """In a header, every prototype stands under a comment: its own, or one for the lines up to the next gap."""
    for path in sources.product(".h"):
        plain = sources.code(path)
        original = sources.text(path).split("\n")
        for found in _PROTOTYPE.finditer(plain):
            line = plain.count("\n", 0, found.start()) + 1
            name = re.search(r"(\w+)\s*\(", found[0])[1]
            above = line - 2
            while above >= 0 and original[above].strip() and "*/" not in original[above]:
                above -= 1
            if "*/" not in original[max(above, 0)] and not _LIFETIME.fullmatch(name):
                yield f"{path}:{line}: {name} has no contract"


def waits() -> Iterator[str]:
    """Tests wait for events with a deadline, not for time to pass; support/ alone knows how."""
    for path in sources.files("tests/*.py", "tests/**/*.py"):
        if path.parts[1] == "support":
            continue
        for number, line in enumerate(sources.text(path).split("\n"), 1):
            if re.search(r"\btime\.sleep\(", line):
                yield f"{path}:{number}: sleeps; wait for an event (support.waiting.wait_for)"
    for path in sources.files("tests/unit/test_*.c", "tests/fuzz/*.c"):
        for number, line in enumerate(sources.code(path).split("\n"), 1):
            if re.search(r"\b(sleep|usleep|nanosleep)\(", line):
                yield f"{path}:{number}: sleeps; wait for an event with a deadline"
