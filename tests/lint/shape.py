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


# A macro that makes a function (DEFINE_CLEANUP_FREE) is none.
_PROTOTYPE = re.compile(
    r"^(?!typedef\b|static\b|_Static_assert\b|[A-Z_]+\()" r"[A-Za-z_][^;{}=#()]*\w+\s*\([^;{}]*\)[^;{}]*;",
    re.M,
)
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


_PRINTS = re.compile(r"\b(v?f?printf|f?puts|f?putc|putchar|perror|exit|errx|warnx)\s*\(")


def prints() -> Iterator[str]:
    """Only programs print and exit: main.c, the verbs (cmd_*.c), and what a program's main hands its arguments to (a
    function whose name ends in _main). Everything else returns an error."""
    for path in sources.product(".c", ".h"):
        plain = sources.code(path)
        is_verb = path.name == "main.c" or path.name.startswith("cmd_")
        if is_verb or re.search(r"^int \w+_main\(", plain, re.M):
            continue
        for found in _PRINTS.finditer(plain):
            line = plain.count("\n", 0, found.start()) + 1
            yield f"{path}:{line}: {found[1]}: only a program's main prints or exits"


_KEPT = re.compile(r"^[ \t]+static\s+(?!inline\b)([^;={]*)", re.M)


def state() -> Iterator[str]:
    """No variable of a function keeps its value between calls (clang-tidy finds those outside of functions)."""
    for path in sources.product(".c", ".h"):
        plain = sources.code(path)
        for found in _KEPT.finditer(plain):
            if not re.search(r"\bconst\b", found[1]):
                line = plain.count("\n", 0, found.start()) + 1
                yield f"{path}:{line}: {' '.join(found[0].split())}: keeps its value between calls"


def unfinished() -> Iterator[str]:
    """Nothing is left to be done later."""
    for path in sources.files("*.c", "*.h", "*.def", "*.py", "*.md", "*.txt", "*.cmake", "dev"):
        # What servers said and what decoders are fed is no text of ours.
        if path.parts[:2] == ("tests", "fixtures") or path.parts[:3] == ("tests", "fuzz", "corpus"):
            continue
        if path.parts[:2] == ("tests", "lint") or path.name == "test_lint.py":
            continue
        for number, line in enumerate(sources.text(path).split("\n"), 1):
            found = re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)
            if found:
                yield f"{path}:{number}: {found[1]}: do it, or file it"


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
