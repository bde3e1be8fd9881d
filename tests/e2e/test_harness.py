"""The harness itself: the private sshd, the fault proxy and the process helper do what the tests rely on."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import processes
from support.errand import MARK, Background, Terminal
from support.faultproxy import Fault, FaultProxy, parse_fault
from support.waiting import TooLate, wait_for

# -- sshd ------------------------------------------------------------------------------------------------------------


def test_sshd_runs_a_command_in_a_home_of_its_own(sshd):
    done = sshd.run('echo "$HOME"; cat; exit 7', input=b"over the wire")
    assert done.stdout == f"{sshd.home}\nover the wire".encode()
    assert done.returncode == 7
    assert (sshd.connections(), sshd.logins()) == (1, 1)


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash", "/usr/bin/fish", "/bin/tcsh"])
def test_sshd_can_have_any_login_shell(make_sshd, shell):
    if not Path(shell).exists():
        pytest.skip(f"no {shell} here")
    node = make_sshd(shell=shell)
    own_pid = "$fish_pid" if "fish" in shell else "$$"
    assert node.run(f"ps -o comm= -p {own_pid}; true").stdout.strip() == Path(shell).name.encode()
    assert node.run("pwd").stdout.strip() == str(node.home).encode()


def test_bashrc_of_the_nodes_home_is_read_once(make_sshd):
    node = make_sshd(shell="/bin/bash")
    (node.home / ".bashrc").write_text("echo noise\n")
    assert node.run("echo said").stdout == b"noise\nsaid\n"


def test_sshd_takes_further_configuration_lines(make_sshd):
    node = make_sshd(lines=("Banner none", "MaxAuthTries 1", "Ciphers aes256-ctr"))
    assert node.run("true").returncode == 0
    other = subprocess.run(node.ssh("true", options=("-c", "aes128-ctr")), capture_output=True, check=False)
    assert other.returncode == 255
    assert b"no matching cipher" in other.stderr


def test_sshd_stops_and_starts_again_at_the_same_port(sshd):
    port = sshd.port
    sshd.stop()
    assert sshd.run("true").returncode == 255
    sshd.start()
    assert sshd.port == port
    assert sshd.run("true").returncode == 0


def test_sshd_cut_ends_connections_and_spares_what_detached(sshd):
    command = Background(sshd.ssh("setsid sleep 1000 >/dev/null 2>&1 & echo $!; exec sleep 1000"))
    command.wait_output("[0-9]+\n")
    detached = int(command.out)
    sshd.cut()
    assert command.finish().code == 255
    assert processes.is_alive(detached)
    assert sshd.run("true").returncode == 0


# -- processes -------------------------------------------------------------------------------------------------------


def test_what_a_test_starts_on_the_node_carries_its_mark(sshd, mark):
    sshd.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null &")

    def names() -> list[str]:
        return [name for pid in processes.carrying(MARK, mark) for name in processes.command(pid)[:1]]

    wait_for(lambda: names() == ["sleep"], "the process on the node, alone")
    processes.end_marked(MARK, mark)
    assert not processes.carrying(MARK, mark)


def test_wait_for_gives_up_at_its_deadline():
    with pytest.raises(TooLate, match="what never comes"):
        wait_for(lambda: False, "what never comes", 0.05)


def test_terminal_is_a_controlling_terminal(tmp_path):
    script = 'test -t 0 && test -t 1 && stty size </dev/tty; read line; echo "got $line"; cat'
    terminal = Terminal(["/bin/sh", "-c", script], dict(os.environ), tmp_path, columns=91, rows=33)
    terminal.expect(b"33 91")
    terminal.send(b"hello\n")
    terminal.expect(b"got hello")
    terminal.send(b"to cat\n")
    terminal.expect(b"to cat\r\nto cat\r\n")
    terminal.send(b"\x03")
    assert terminal.finish().code == -2


# -- fault proxy -----------------------------------------------------------------------------------------------------


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got: list[bytes] = []
        self.ends: list[str] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.got.append(b"")
            threading.Thread(target=self.serve, args=(connection, len(self.got) - 1), daemon=True).start()

    def serve(self, connection, index):
        end = "reset"
        try:
            while data := connection.recv(65536):
                self.got[index] += data
                connection.sendall(data)
            end = "closed"
        except OSError:
            pass
        self.ends.append(end)
        connection.close()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.listener.close()


def connect(proxy: FaultProxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(20)
    return connection


def read_all(connection: socket.socket) -> tuple[bytes, str]:
    """Everything until the end, and whether that was "closed" or "reset"."""
    data = b""
    try:
        while more := connection.recv(65536):
            data += more
        return data, "closed"
    except ConnectionResetError:
        return data, "reset"


def test_proxy_changes_nothing_where_nothing_is_asked(echo, proxy):
    connection = connect(proxy(echo.port))
    data = os.urandom(300_000)
    threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR))).start()
    assert read_all(connection) == (data, "closed")


@pytest.mark.parametrize("kind, end", [("close", "closed"), ("rst", "reset")])
@pytest.mark.parametrize("at", [0, 1, 1000, 99_999])
def test_proxy_cuts_at_the_byte_on_the_way_down(echo, proxy, kind, end, at):
    connection = connect(proxy(echo.port, faults=[Fault(kind, "down", at)]))
    data = os.urandom(100_000)
    if at:
        connection.sendall(data)
    assert read_all(connection) == (data[:at], end)


@pytest.mark.parametrize("kind, end", [("close", "closed"), ("rst", "reset")])
@pytest.mark.parametrize("at", [1, 1000])
def test_proxy_cuts_at_the_byte_on_the_way_up(echo, proxy, kind, end, at):
    connection = connect(proxy(echo.port, faults=[Fault(kind, "up", at)]))
    connection.sendall(bytes(1000) + b"more")
    assert read_all(connection)[1] == end
    wait_for(lambda: echo.ends, "the server to notice")
    assert (len(echo.got[0]), echo.ends) == (at, [end])


def test_proxy_half_closes_one_direction_only(echo, proxy):
    connection = connect(proxy(echo.port, faults=[Fault("half", "down", 4)]))
    connection.sendall(b"first")
    assert read_all(connection) == (b"firs", "closed")
    connection.sendall(b"second")
    wait_for(lambda: echo.got[0] == b"firstsecond", "what still goes up")


def test_proxy_flips_one_byte(echo, proxy):
    faults = [Fault("flip", "up", 2), Fault("flip", "down", 0, mask=0x80)]
    connection = connect(proxy(echo.port, faults=faults))
    connection.sendall(b"\0\0\0\0")
    connection.shutdown(socket.SHUT_WR)
    assert read_all(connection) == (b"\x80\0\x01\0", "closed")


def test_proxy_freezes_silently_and_thaws(echo, proxy):
    link = proxy(echo.port, faults=[Fault("freeze", "down", 3)])
    connection = connect(link)
    connection.sendall(b"frozen")
    assert connection.recv(100) == b"fro"
    connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(20)
    link.thaw()
    assert connection.recv(100) == b"zen"


def test_proxy_that_is_thawed_at_once_is_not_frozen_afterwards(echo, proxy, monkeypatch):
    """Who waited for the count thawed it before it froze: a link without an end, once in many runs."""
    link = proxy(echo.port, faults=[Fault("freeze", "down", 3)])
    monkeypatch.setattr(link, "note_progress", lambda: link.thaw() if link.count().down >= 3 else None)
    connection = connect(link)
    connection.sendall(b"thawed")
    connection.shutdown(socket.SHUT_WR)
    assert read_all(connection) == (b"thawed", "closed")


def test_proxy_counts_connections_and_faults_only_the_one_named(echo, proxy):
    link = proxy(echo.port, faults=[Fault("rst", "up", 0, connection=2)])
    ends = []
    for _ in range(3):
        connection = connect(link)
        connection.sendall(b"x")
        connection.shutdown(socket.SHUT_WR)
        ends.append(read_all(connection)[1])
    assert ends == ["closed", "reset", "closed"]
    assert (link.connections, link.count(1).up, link.count(2).up, link.count().down) == (3, 1, 0, 2)


def test_proxy_refuses_and_accepts_again_at_the_same_port(echo, proxy):
    link = proxy(echo.port)
    link.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(link)
    link.accept_again()
    connection = connect(link)
    connection.sendall(b"back")
    assert connection.recv(4) == b"back"


def test_proxy_delay_is_one_round_trip_and_two_at_the_start(echo, proxy):
    connection = connect(proxy(echo.port, rtt_s=0.05))
    times = []
    for _ in range(11):
        start = time.monotonic()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        times.append(time.monotonic() - start)
    assert times[0] > 0.099, "the client's first byte arrives 1.5 round trips after the connection was asked for"
    # One round trip and not two; that the machine may be busy is no fault of the proxy.
    assert 0.05 <= min(times) < 0.1


def test_proxy_holds_the_rate_and_pushes_back(echo, proxy):
    connection = connect(proxy(echo.port, rate=1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    data = bytes(1_000_000)
    sent = []

    def send():
        connection.sendall(data)
        sent.append(time.monotonic() - start)
        connection.shutdown(socket.SHUT_WR)

    start = time.monotonic()
    threading.Thread(target=send).start()
    got, _ = read_all(connection)
    seconds = time.monotonic() - start
    assert len(got) == len(data)
    # Not in bits, which would be 8; that the machine may be busy is no fault of the proxy.
    assert 0.9 < seconds < 6
    assert sent[0] > 0.3, "the sender is held back, not buffered for"


def sink_server() -> tuple[int, list]:
    """A server that reads one connection to its end; the list gets the digest of what came."""
    listener = socket.create_server(("127.0.0.1", 0))
    result: list = []

    def serve():
        connection, _ = listener.accept()
        digest = hashlib.blake2b()
        while data := connection.recv(1 << 20):
            digest.update(data)
        result.append(digest.hexdigest())
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], result


@pytest.mark.parametrize("rtt_s", [0, 0.05])
def test_proxy_is_no_bottleneck(proxy, rtt_s):
    port, result = sink_server()
    link = proxy(port, rtt_s=rtt_s)
    block = os.urandom(1 << 20)
    expected = hashlib.blake2b(block * 64).hexdigest()
    start = time.process_time()  # of all threads here; what else the machine does is not counted
    with connect(link) as connection:
        for _ in range(64):
            connection.sendall(block)
    wait_for(lambda: result, "the last byte", 60)
    seconds = time.process_time() - start
    assert result == [expected]
    # Not a benchmark: it only has to be far from the speeds at which errand is measured through it.
    assert 64 / seconds > 20


def test_proxy_as_a_program(echo):
    program = Path(__file__).parent.parent / "support" / "faultproxy.py"
    command = Background(
        [
            sys.executable,
            str(program),
            "--to",
            f"127.0.0.1:{echo.port}",
            "--rtt-ms",
            "10",
            "--close",
            "down:2:1",
        ]
    )
    command.wait_output("[0-9]+\n")
    connection = socket.create_connection(("127.0.0.1", int(command.out)))
    connection.sendall(b"four")
    assert read_all(connection) == (b"fo", "closed")
    command.signal(15)
    assert command.finish().code == 0
    assert parse_fault("flip", "up:12") == Fault("flip", "up", 12)


def test_ssh_goes_through_the_proxy_and_notices_a_cut(sshd, proxy):
    link = proxy(sshd.port, faults=[Fault("rst", "down", 20_000)])
    options = ("-p", str(link.port), "-o", f"HostKeyAlias=[127.0.0.1]:{sshd.port}")
    done = subprocess.run(
        sshd.ssh("head -c 100000 /dev/zero", options=options), capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 255
    assert len(done.stdout) < 20_000
