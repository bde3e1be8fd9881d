"""The verdict on a host key against that of the ssh program: the same, or a stricter one."""

import itertools
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.errand import BIN
from support.sshd import Sshd, make_key

HOSTVERDICT = BIN.parent / "tests" / "hostverdict"
# From lenient to strict: what a verdict lets a person do.
STRICTNESS = {"known": 0, "unknown": 1, "changed": 2, "revoked": 3}


def public(path: Path) -> str:
    """ "kind base64" of a key pair."""
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def ours(host: str, port: int, key: str, *files: Path) -> str:
    words = [HOSTVERDICT, host, str(port), key.split()[1], *map(str, files)]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Public keys by name; "own" is that of the server `server`."""
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"other": "ed25519", "ecdsa": "ecdsa", "rsa": "rsa"}
    return {name: public(make_key(folder / name, kind)) for name, kind in kinds.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    """A server with an ed25519 key alone, which nobody logs in to."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


def proxy_command(server: Sshd) -> str:
    """Any name and any port lead to the server."""
    return f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{server.port} 2>/dev/null; cat <&3 & cat >&3; kill $!'"


def ssh_verdict(server: Sshd, host: str, port: int, *files: Path) -> str:
    """What ssh says of the server's key when it is called for host and port."""
    result = subprocess.run(
        [
            *("ssh", "-F", "none", "-p", str(port), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"UserKnownHostsFile={' '.join(map(str, files))}", "-o", "GlobalKnownHostsFile=/dev/null"),
            *("-o", f"ProxyCommand={proxy_command(server)}"),
            *("-o", f"IdentityFile={server.identity}", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *(host, "true"),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    said = result.stderr
    if "revoked" in said:
        return "revoked"
    if "HAS CHANGED" in said:
        return "changed"
    if "host key is known for" in said:
        return "unknown"
    assert result.returncode == 0, said
    return "known"


HOST, PORT = "gpu1.example.org", 2222
# Lines of a file: {own}, {other}, {ecdsa}, {rsa} are keys.
FIXTURES = {
    "empty": "",
    "plain": "gpu1.example.org {own}\n",
    "port": "[gpu1.example.org]:2222 {own}\n",
    "other port": "[gpu1.example.org]:2223 {own}\n",
    "capitals": "[GPU1.Example.org]:2222 {own}\n",
    "list": "a,b,[gpu1.example.org]:2222,c {own} a comment\n",
    "wildcard": "*.example.org {own}\n",
    "wildcard with port": "[*.example.org]:* {own}\n",
    "question marks": "[gpu?.example.org]:222? {own}\n",
    "negated": "*,![gpu1.example.org]:2222 {own}\n",
    "negated without port": "*,!gpu1.example.org {own}\n",
    "negated other": "!gpu2*,gpu*,[gpu* {own}\n",
    "changed": "[gpu1.example.org]:2222 {other}\n",
    "changed without port": "gpu1.example.org {other}\n",
    "other kind": "[gpu1.example.org]:2222 {ecdsa}\n",
    "other kinds and own": "[gpu1.example.org]:2222 {rsa}\n[gpu1.example.org]:2222 {own}\n",
    "revoked": "[gpu1.example.org]:2222 {own}\n@revoked [gpu1.example.org]:2222 {own}\n",
    "revoked everywhere": "@revoked * {own}\n",
    "revoked without port": "[gpu1.example.org]:2222 {own}\n@revoked gpu1.example.org {own}\n",
    "revoked other": "@revoked * {other}\n[gpu1.example.org]:2222 {own}\n",
    "tab after a marker": "@revoked\t[gpu1.example.org]:2222 {own}\n",
    "authority": "@cert-authority [gpu1.example.org]:2222 {own}\n",
    "unknown marker": "@trusted [gpu1.example.org]:2222 {own}\n",
    "two markers": "@revoked @revoked [gpu1.example.org]:2222 {own}\n",
    "comments and blanks": "# c\n\n  \t\n  [gpu1.example.org]:2222\t \t{own}\n",
    "commented out": "#[gpu1.example.org]:2222 {own}\n",
    "garbage before": "garbage\n[gpu1.example.org]:2222 ssh-ed25519 !!!!\n\x00\n[gpu1.example.org]:2222 {own}\n",
    "long line before": "x" * 100000 + "\n[gpu1.example.org]:2222 {own}\n",
    "key missing": "[gpu1.example.org]:2222\n[gpu1.example.org]:2222 ssh-ed25519\n",
    "no newline": "[gpu1.example.org]:2222 {own}",
    "from Windows": "[gpu1.example.org]:2222 {own}\r\n",
    "NUL in a line": "[gpu1.example.org]:2222 \0{own}\n",
    "NUL behind a key": "[gpu1.example.org]:2222 {own}\0 x\n",
    "wrong kind": "[gpu1.example.org]:2222 ssh-rsa {own64}\n",
    "short kind": "[gpu1.example.org]:2222 ED25519 {own64}\n",
    "cut key": "[gpu1.example.org]:2222 ssh-ed25519 {cut}\n",
    "unknown kind": "[gpu1.example.org]:2222 ssh-foo AAAAB3NzaC1mb28AAAABeA==\n",
}


@pytest.mark.parametrize("name", FIXTURES)
def test_a_file_means_what_it_means_to_ssh_or_is_taken_more_strictly(
    server: Sshd, keys: dict[str, str], tmp_path: Path, name: str
):
    own = public(server.host_key)
    file = tmp_path / "known_hosts"
    words = {**keys, "own": own, "own64": own.split()[1], "cut": own.split()[1][:-8]}
    file.write_bytes(FIXTURES[name].format(**words).encode())
    mine, theirs = ours(HOST, PORT, own, file), ssh_verdict(server, HOST, PORT, file)
    stricter = {"revoked without port", "tab after a marker", "unknown kind", "cut key"}
    if name in stricter:
        assert STRICTNESS[mine] >= STRICTNESS[theirs]
    else:
        assert mine == theirs


@pytest.mark.parametrize("host, port", [("gpu1", 22), ("gpu1", 2222), ("127.0.0.1", 2222), ("::1", 22)])
def test_names_hashed_by_ssh_keygen_are_found(server: Sshd, keys: dict[str, str], tmp_path: Path, host: str, port: int):
    own = public(server.host_key)
    name = host if port == 22 else f"[{host}]:{port}"
    file = tmp_path / "known_hosts"
    file.write_text(f"elsewhere {keys['other']}\n{name} {own}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True, timeout=60)
    assert name not in file.read_text()
    assert ours(host, port, own, file) == "known"
    assert ours(host, port, keys["other"], file) == "changed"
    assert ours("gpu2", port, own, file) == "unknown"


def test_a_second_file_counts_as_the_first(server: Sshd, keys: dict[str, str], tmp_path: Path):
    own = public(server.host_key)
    lines = {"own": f"{HOST} {own}\n", "other": f"{HOST} {keys['other']}\n", "bad": f"@revoked * {own}\n", "": ""}
    for first, second in itertools.permutations(lines, 2):
        a, b = tmp_path / "a", tmp_path / "b"
        a.write_text(lines[first])
        b.write_text(lines[second])
        assert ours(HOST, 22, own, a, b) == ssh_verdict(server, HOST, 22, a, b)


def test_made_up_patterns_match_as_in_ssh_keygen(keys: dict[str, str], tmp_path: Path):
    """ssh-keygen -F prints the lines that mean a host."""
    dice = random.Random(4)
    file = tmp_path / "known_hosts"
    for _ in range(150):
        names = ",".join(
            dice.choice(["", "", "!"]) + "".join(dice.choice("ab.*?A") for _ in range(dice.randrange(1, 5)))
            for _ in range(dice.randrange(1, 4))
        )
        host = "".join(dice.choice("ab.") for _ in range(dice.randrange(1, 4)))
        file.write_text(f"{names} {keys['other']}\n")
        found = subprocess.run(["ssh-keygen", "-F", host, "-f", file], capture_output=True, timeout=60, check=False)
        assert (ours(host, 22, keys["other"], file) == "known") == (found.returncode == 0), (names, host)


@pytest.mark.parametrize("how", ["plain", "hashed"])
@pytest.mark.parametrize("port", [22, 2222])
def test_a_line_that_was_added_is_one_for_ssh(server: Sshd, tmp_path: Path, how: str, port: int):
    own = public(server.host_key)
    file = tmp_path / "known_hosts"
    add = [HOSTVERDICT, "--add", HOST.upper(), str(port), own.split()[1], file, how]
    subprocess.run(add, check=True, timeout=60)
    assert ssh_verdict(server, HOST, port, file) == "known"
    assert (HOST in file.read_text()) == (how == "plain")


def test_a_line_is_the_one_that_ssh_adds(server: Sshd, tmp_path: Path, add_by_ssh: Callable[[Path], None]):
    own = public(server.host_key)
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    subprocess.run([HOSTVERDICT, "--add", HOST, "2222", own.split()[1], mine, "plain"], check=True, timeout=60)
    add_by_ssh(theirs)
    assert mine.read_bytes() == theirs.read_bytes()


@pytest.fixture
def add_by_ssh(server: Sshd) -> Callable[[Path], None]:
    def add(file: Path) -> None:
        options = (
            f"ProxyCommand={proxy_command(server)}",
            f"UserKnownHostsFile={file}",
            "GlobalKnownHostsFile=/dev/null",
            "HashKnownHosts=no",
        )
        more = ("StrictHostKeyChecking=accept-new", "BatchMode=yes", "UpdateHostKeys=no")
        identity = (f"IdentityFile={server.identity}", "IdentitiesOnly=yes", "IdentityAgent=none")
        words = [word for option in (*options, *more, *identity) for word in ("-o", option)]
        subprocess.run(["ssh", "-F", "none", "-p", "2222", *words, HOST, "true"], check=True, timeout=60)

    return add
