"""Which file may include which: house-style section 1. Each third-party header stands in one .c file."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import sources

# layer: the layers it may stand on
ALLOWED = {
    "base": {"base"},
    "content": {"base", "content"},
    "wire": {"base", "content", "wire"},
    "engine": {"base", "engine"},
    "executor": {"base", "content", "wire", "engine", "executor"},
    "controller": {"base", "content", "wire", "engine", "controller"},
}

# What libc and the kernel bring: everything else in <...> is somebody's library.
SYSTEM = re.compile(
    r"(sys|linux|asm|arpa|net|netinet|bits)/[\w./]+\.h"
    r"|(assert|complex|ctype|dirent|dlfcn|elf|endian|err|errno|fcntl|fenv|float|fnmatch|ftw|getopt|glob|grp|iconv"
    r"|ifaddrs|inttypes|iso646|langinfo|limits|link|locale|math|netdb|paths|poll|pthread|pty|pwd|regex|resolv|sched"
    r"|search|semaphore|setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn"
    r"|string|strings|syscall|sysexits|syslog|termios|threads|time|uchar|unistd|utime|utmp|utmpx|wchar|wctype|wordexp)"
    r"\.h"
)


def own_layer(path: Path) -> str | None:
    """The layer that a file's first lines name, as in "journal: record of a run's states.   [executor]"."""
    for line in sources.text(path).split("\n")[:3]:
        found = re.search(r"\[(\w+)\]", line)
        if found:
            return found[1]
    return None


def layer_of(path: Path) -> str | None:
    """A header says its layer; a .c file says its own, or has that of the header it implements (tree_walk.c a part of
    tree.h), or stands on top of its folder."""
    layer = own_layer(path)
    if layer or path.suffix == ".h":
        return layer
    words = path.stem.split("_")
    for count in range(len(words), 0, -1):
        header = path.with_name("_".join(words[:count]) + ".h")
        if (sources.ROOT / header).is_file():
            return own_layer(header)
    return None if path.parts[0] == "common" else path.parts[0]


def check() -> Iterator[str]:
    users: dict[str, set[Path]] = defaultdict(set)
    for path in sources.product(".c", ".h"):
        layer = layer_of(path)
        if layer not in ALLOWED:
            yield f"{path}:1: its first line must name its layer: one of {' '.join(f'[{name}]' for name in ALLOWED)}"
            continue
        if (path.parts[0] == "common") == (layer in ("executor", "controller")):
            yield f"{path}:1: the layer {layer} does not live in {path.parts[0]}/"
        for include in sources.includes(path):
            if include.is_system:
                if not SYSTEM.fullmatch(include.name):
                    users[include.name].add(path)
                    if path.suffix == ".h":
                        yield f"{path}:{include.line}: <{include.name}> is a library's: it belongs into one .c file"
                continue
            yield from arrow(path, layer, include)
    for name, paths in sorted(users.items()):
        if len(paths) > 1:
            yield f"{min(paths)}:1: <{name}> is included by {len(paths)} files: {', '.join(map(str, sorted(paths)))}"


def arrow(path: Path, layer: str, include: sources.Include) -> Iterator[str]:
    """Whether one #include "..." points downwards."""
    target = Path(include.name)
    where = f"{path}:{include.line}"
    if target.name == "cJSON.h":
        yield f"{where}: a library's header is included as <{include.name}>"
    elif not (sources.ROOT / target).is_file() or target.parts[0] not in sources.PRODUCT:
        yield f'{where}: "{include.name}": includes are written from the root, and name a file of the product'
    elif target.suffix == ".def":
        if target.parts[0] not in ("common", path.parts[0]):
            yield f"{where}: {path.parts[0]} may not include {include.name}"
    else:
        other = own_layer(target)
        if other in ALLOWED and other not in ALLOWED[layer]:
            yield f"{where}: {layer} may not stand on {other} ({include.name})"
