"""Random project folders with random ignore files, the same for the same seed, and what git itself says of them."""

# Names are bytes, which pathlib does not take.
# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH112, PTH113, PTH114, PTH118, PTH120, PTH211

import os
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# None of them is a name that errand leaves out by itself.
NAMES = [
    *(b"a", b"b", b"c", b"ab", b"abc", b"foo", b"bar", b"foo.txt", b"bar.txt", b"a.b.c", b"data", b"build", b"Build"),
    *(b"a b", b" lead", b"trail ", b"two  ", b"new\nline", b"cr\r", b"tab\t", b"#hash", b"!bang", b"-", b"]", b"a-b"),
    *(b"[x]", b"*", b"?", b"**", b"a*b", b"back\\slash", b"end\\", b".dot", b"..dots", b"~", b"$x", b"'q'", b'"qq"'),
    *(b"\xff\xfe", b"\xc3\xa9t\xc3\xa9", b"\xe2\x82\xac", b"x" * 255),
]
SETS = [
    *(b"[ab]", b"[!a]", b"[^a]", b"[a-c]", b"[!a-c]", b"[]a]", b"[!]a]", b"[a-]", b"[-a]", b"[[:alpha:]]"),
    *(b"[[:upper:]]", b"[[:punct:]]", b"[![:space:]]", b"[[:nope:]]", b"[a", b"[", b"[]", b"[!", b"[[:alpha:]"),
    *(b"[\\]]", b"[\\a-c]", b"[c-a]", b"[/a]", b"[!/]", b"[[a]", b"[[:a]", b"[x[:digit:]y]", b"[a-\\c]"),
    *(b"[\x80-\xff]", b"[*?]", b"[a-c-e]"),
]
ODD_LINES = [
    *(b"", b" ", b"   ", b"#", b"# a comment", b"\\#hash", b"\\!bang", b"!", b"!!a", b"/", b"//", b"!/", b"\\"),
    *(b"\\\\", b"*", b"**", b"***", b"/*", b"/**", b"**/", b"/**/", b"**/**", b"*/", b"*/*", b"!*/", b"a/", b"/a"),
    *(b"./a", b"a//b", b"a\\", b"a\\ ", b"a\\  ", b"a ", b" a", b"\ta", b"a\t", b"a\r", b"\r", b"a\0b", b"a**"),
    *(b"**a", b"a**b", b"?", b"??", b"a/**/**/b", b"**/a/**", b"/**/a", b"a/**b", b"a**/b", b"\\a", b"\\*", b"[*]"),
    *(b"a/./b", b"../a", b"*.*", b"*.txt", b"two\\ \\ ", b"trail\\ ", b"end\\\\", b"back\\\\slash", b"\xff*"),
    *(b"\xc3?t*", b"x*x", b"*x*x*x*x*b", b"a*b*c"),
]
CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n"


def escape(rng: random.Random, name: bytes) -> bytes:
    """A pattern for the name, mostly with its special bytes escaped."""
    out = bytearray()
    for byte in name:
        if byte in b"*?[]\\ " and rng.random() < 0.85 or rng.random() < 0.04:
            out += b"\\"
        out.append(byte)
    if out[:1] in (b"#", b"!") and rng.random() < 0.7:
        out[:0] = b"\\"
    return bytes(out)


def segment(rng: random.Random, names: list[bytes]) -> bytes:
    """What stands between two slashes of a pattern."""
    name = rng.choice(names)
    kind = rng.random()
    at = rng.randrange(len(name))
    if kind < 0.45:
        return escape(rng, name)
    if kind < 0.6:
        return escape(rng, name[:at]) + b"*" + (escape(rng, name[at + 1 :]) if rng.random() < 0.5 else b"")
    if kind < 0.7:
        return escape(rng, name[:at]) + b"?" + escape(rng, name[at + 1 :])
    if kind < 0.85:
        return escape(rng, name[:at]) + rng.choice(SETS) + escape(rng, name[at + 1 :])
    return rng.choice((b"*", b"**", b"***", b"?*", b"*?", b"?", b"*.*", b"*.txt"))


def line(rng: random.Random, paths: list[bytes]) -> bytes:
    """One line of an ignore file about something that may be in paths."""
    if rng.random() < 0.25:
        return rng.choice(ODD_LINES)
    parts = rng.choice(paths).split(b"/")
    names = [part for path in paths for part in path.split(b"/")]
    kind = rng.random()
    if kind < 0.5:
        text = segment(rng, names)
    else:
        start = rng.randrange(len(parts))
        text = b"/".join(
            escape(rng, part) if rng.random() < 0.6 else segment(rng, names) for part in parts[start : start + 3]
        )
    text = (b"/" if rng.random() < 0.2 else b"**/" if rng.random() < 0.1 else b"") + text
    text += b"/" if rng.random() < 0.2 else b"/**" if rng.random() < 0.06 else b"/*" if rng.random() < 0.06 else b""
    text = (b"!" if rng.random() < 0.3 else b"") + text
    return text + (b" " * rng.randint(1, 2) if rng.random() < 0.08 else b"")


def ignore_file(rng: random.Random, paths: list[bytes]) -> bytes:
    lines = [line(rng, paths) for _ in range(rng.randint(1, 7))]
    text = (b"\r\n" if rng.random() < 0.12 else b"\n").join(lines)
    return (b"\xef\xbb\xbf" if rng.random() < 0.08 else b"") + text + (b"\n" if rng.random() < 0.85 else b"")


def make_repository(folder: bytes, git: bytes | None = None) -> None:
    """What git init does, without a process. git: the repository itself, where .git is a file that names it."""
    git = git or folder + b"/.git"
    for name in (b"", b"/objects", b"/refs", b"/info"):
        os.makedirs(git + name, exist_ok=True)
    write(git + b"/HEAD", b"ref: refs/heads/main\n")
    write(git + b"/config", CONFIG)
    if git != folder + b"/.git":
        write(folder + b"/.git", b"gitdir: " + os.path.relpath(git, folder) + b"\n")


def make_worktree(folder: bytes, main: bytes, name: bytes) -> None:
    """folder as a linked worktree of the repository in main/.git."""
    own = main + b"/.git/worktrees/" + name
    os.makedirs(own, exist_ok=True)
    write(own + b"/HEAD", b"ref: refs/heads/" + name + b"\n")
    write(own + b"/commondir", b"../..\n")
    write(own + b"/gitdir", folder + b"/.git\n")
    write(folder + b"/.git", b"gitdir: " + own + b"\n")


def write(path: bytes, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


@dataclass
class GitTree:
    """A random repository below folder; project is what errand is started in: its top or a folder of it."""

    folder: Path
    seed: int
    env: dict[str, str]
    user_home: Path
    repositories: list[bytes] = field(default_factory=list)  # nested ones, from the top
    broken: list[bytes] = field(default_factory=list)  # folders whose .git is a file that names none

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.top = os.fsencode(self.folder) + b"/top"
        os.makedirs(self.top)
        self.paths = self.make_entries()
        self.make_git()
        self.make_ignore_files()
        self.make_global()
        if self.rng.random() < 0.4:
            self.track()
        self.project = self.choose_project()

    def choose_project(self) -> bytes:
        """The top, or a folder below it that git takes."""
        if self.rng.random() < 0.15:
            folders = [path for path in self.paths if self.is_real_folder(path) and not self.is_broken(path)]
            chosen = self.rng.choice(folders or [b"."])
            above = [chosen[:at] for at in range(len(chosen)) if chosen[at : at + 1] == b"/"]
            if not any(one in self.repositories for one in above) and not self.run(
                self.top, b"check-ignore", b"--no-index", b"-z", b"--stdin", input=chosen + b"\0"
            ):
                return os.path.normpath(self.top + b"/" + chosen)
        return self.top

    def is_broken(self, path: bytes) -> bool:
        """True where git gives up because of a .git on the way that names no repository."""
        return any(path == one or path.startswith(one + b"/") for one in self.broken)

    def is_real_folder(self, path: bytes) -> bool:
        full = self.top + b"/" + path
        return os.path.isdir(full) and not os.path.islink(full)

    def make_entries(self) -> list[bytes]:
        rng, paths, folders = self.rng, [], [b""]
        names = rng.sample(NAMES, rng.randint(6, 14))
        for _ in range(rng.randint(8, 30)):
            path = rng.choice(folders) + rng.choice(names)
            full = self.top + b"/" + path
            if os.path.lexists(full):
                continue
            paths.append(path)
            if rng.random() < 0.4:
                os.mkdir(full)
                folders.append(path + b"/")
            elif rng.random() < 0.1:
                os.symlink(rng.choice((b".", b"nowhere", b"a", b"foo.txt")), full)
            else:
                write(full, path)
        return paths

    def make_git(self) -> None:
        """The repository itself, and now and then others within it, whole or broken."""
        rng = self.rng
        self.git = self.top + b"/.git"
        kind = rng.random()
        if kind < 0.7:
            make_repository(self.top)
        elif kind < 0.85:
            self.git = os.fsencode(self.folder) + b"/elsewhere.git"
            make_repository(self.top, self.git)
        else:
            main = os.fsencode(self.folder) + b"/main"
            make_repository(main)
            make_worktree(self.top, main, b"linked")
            self.git = main + b"/.git"
        for path in self.paths:
            if self.is_real_folder(path) and rng.random() < 0.12:
                self.make_inner(path)

    def make_inner(self, path: bytes) -> None:
        full, kind = self.top + b"/" + path, self.rng.random()
        if kind < 0.6:
            make_repository(full)
        elif kind < 0.75:
            make_repository(full, self.git + b"/modules/" + path)
        elif kind < 0.85:
            os.mkdir(full + b"/.git")  # none: it has no HEAD
            return
        elif kind < 0.95:
            write(full + b"/.git/HEAD", b"ref: refs/heads/main\n")  # none: it has no objects
            return
        else:
            write(full + b"/.git", b"no repository\n")
            self.broken.append(path)
            return
        self.repositories.append(path)
        if self.rng.random() < 0.5:
            write(self.exclude_of(full), ignore_file(self.rng, self.paths))

    def make_only(self, name: bytes, *, is_nested: bool) -> None:
        """Rules of another name, in place of git's: at the top, and with is_nested in the other folders too."""
        for folder in [b"", *(path + b"/" for path in self.paths if self.is_real_folder(path))]:
            full = self.top + b"/" + folder
            if os.path.lexists(full + b".gitignore") and not os.path.isdir(full + b".gitignore"):
                if os.path.islink(full + b".gitignore"):
                    os.unlink(full + b".gitignore")
                elif folder == b"" or is_nested:
                    os.rename(full + b".gitignore", full + name)
                else:
                    os.unlink(full + b".gitignore")

    @staticmethod
    def exclude_of(folder: bytes) -> bytes:
        git = folder + b"/.git"
        if os.path.isfile(git):
            with open(git, "rb") as file:
                git = os.path.join(folder, file.read()[len(b"gitdir: ") : -1])
        return git + b"/info/exclude"

    def make_ignore_files(self) -> None:
        rng = self.rng
        for path in [b"", *(path + b"/" for path in self.paths if self.is_real_folder(path))]:
            if rng.random() < (0.8 if path == b"" else 0.3):
                below = [other[len(path) :] for other in self.paths if other.startswith(path) and other != path[:-1]]
                self.put_ignore_file(path, ignore_file(rng, below or self.paths))
        if rng.random() < 0.3:
            write(self.git + b"/info/exclude", ignore_file(rng, self.paths))

    def put_ignore_file(self, path: bytes, text: bytes) -> None:
        full, kind = self.top + b"/" + path + b".gitignore", self.rng.random()
        if kind < 0.95:
            write(full, text)
        elif kind < 0.98:
            write(self.top + b"/" + path + b"rules", text)
            os.symlink(b"rules", full)  # git does not follow it
        else:
            os.mkdir(full)

    def make_global(self) -> None:
        """The user's own excludes: by default, by configuration, by an included file."""
        rng, home = self.rng, os.fsencode(self.user_home)
        for name in (b"/.gitconfig", b"/.config/git/ignore"):
            if os.path.lexists(home + name):
                os.unlink(home + name)
        kind, text = rng.random(), ignore_file(rng, self.paths)
        if kind < 0.2:
            write(home + b"/.config/git/ignore", text)
        elif kind < 0.3:
            write(home + b"/mine", text)
            write(home + b"/.gitconfig", b"[core]\n\texcludesFile = ~/mine\n")
        elif kind < 0.4:
            write(home + b"/mine", text)
            write(home + b"/more", b"[core]\n\texcludesFile = ~/mine\n")
            write(home + b"/.gitconfig", b"[include]\n\tpath = more\n")
        elif kind < 0.45:
            write(home + b"/mine", text)
            write(
                self.git + b"/config",
                b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\texcludesFile = ~/mine\n",
            )

    def track(self) -> None:
        """Put some files into git's index, whatever the rules say."""
        files = [
            path for path in self.paths if os.path.lexists(self.top + b"/" + path) and not self.is_real_folder(path)
        ]
        inside = [path for path in files if not any(path.startswith(one + b"/") for one in self.repositories)]
        some = self.rng.sample(inside, len(inside) // 2)
        if some:
            version = str(self.rng.choice((2, 3, 4))).encode()
            named = b"\0".join(some) + b"\0"
            self.run(
                self.top, b"-c", b"index.version=" + version, b"update-index", b"--add", b"-z", b"--stdin", input=named
            )

    def run(self, folder: bytes, *args: bytes, **keywords) -> bytes:
        command = [b"git", b"-C", folder, *args]
        done = subprocess.run(command, env=self.env, check=False, capture_output=True, **keywords)
        if done.returncode not in (0, 1):
            raise AssertionError(f"{command}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def git_says(self, folder: bytes | None = None) -> set[bytes]:
        """Files and links that are tracked or not ignored, from the project; of nested repositories what those say."""
        folder = folder or self.project
        found = set()
        listed = self.run(folder, b"ls-files", b"-z", b"--cached", b"--others", b"--exclude-standard")
        for path in listed.split(b"\0")[:-1]:
            full = folder + b"/" + path
            if path.endswith(b"/"):
                found |= {path + below for below in self.git_says(full[:-1])}
            elif os.path.lexists(full):
                found.add(path)
        return found

    def reasons(self, paths: list[bytes], folder: bytes | None = None) -> dict[bytes, tuple[bytes, int, bytes]]:
        """What git check-ignore says: the rule (file, line, text) that counts for each path that one speaks about."""
        answer = self.run(
            folder or self.project,
            *(b"check-ignore", b"--no-index", b"--verbose", b"--non-matching", b"-z", b"--stdin"),
            input=b"".join(path + b"\0" for path in paths),
        ).split(b"\0")[:-1]
        rows = zip(*[iter(answer)] * 4)
        return {path: (source, int(number or 0), rule) for source, number, rule, path in rows}
