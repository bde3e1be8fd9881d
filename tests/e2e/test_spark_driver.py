"""The program that spark-submit starts, alone: how a script ends, and what it wrote, is exactly what is said of it."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.projects import write_files
from support.waiting import wait_for

# Every Python that this machine has: the clusters' are old.
PYTHONS = [sys.executable, *sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python")))]
DRIVER = Path(__file__).resolve().parents[2] / "executor" / "spark_driver.py"


def word(settings: dict) -> str:
    return base64.b64encode(json.dumps(settings).encode()).decode()


class Driver:
    """One start of the driver; what the tests call Spark's JVM is the shell that starts it."""

    def __init__(self, folder: Path, script: str, *arguments: str, mode: str = "client", **settings):
        self.folder = folder
        write_files(folder / "work", {"job.py": script})
        self.log, self.result_file = folder / "driver.log", folder / "driver.result.1"
        self.settings = {
            "script": "job.py",
            "arguments": list(arguments),
            "project": str(folder / "work"),
            "token": "a1b2",
            **({"log": str(self.log), "result": str(self.result_file)} if mode == "client" else {}),
            **settings,
        }
        self.output = folder / "jvm.out"

    def start(self, python: str = sys.executable, **keywords) -> subprocess.Popen:
        with self.output.open("wb") as out:
            words = [python, "-u", str(DRIVER), word(self.settings)]
            return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=out, stderr=out, **keywords)

    def run(self) -> int:
        return self.start().wait(60)

    def result(self) -> dict:
        return json.loads(self.result_file.read_text())

    def written(self) -> bytes:
        """The log without its first line."""
        first, rest = self.log.read_bytes().split(b"\n", 1)
        assert first.startswith(b"errand: driver: Python ")
        return rest


@pytest.fixture
def drive(tmp_path):
    return lambda script, *arguments, **settings: Driver(tmp_path, script, *arguments, **settings)


ENDS = [
    ("", 0, {"kind": "exited", "code": 0}, b""),
    ("import sys; sys.exit(7)", 7, {"kind": "exited", "code": 7}, b""),
    ("import sys; sys.exit('text')", 1, {"kind": "exited", "code": 1}, b"text\n"),
    ("import os; os._exit(3)", 3, {"kind": "exited", "code": 3}, b""),
    ("import os; os.kill(os.getpid(), 9)", 137, {"kind": "signaled", "signal": "SIGKILL"}, b""),
    ("import os; os.kill(os.getpid(), 15)", 143, {"kind": "signaled", "signal": "SIGTERM"}, b""),
    ("import os; os.abort()", 134, {"kind": "signaled", "signal": "SIGABRT"}, b""),
]


@pytest.mark.parametrize(("script", "status", "result", "said"), ENDS, ids=[row[0] or "end" for row in ENDS])
def test_how_a_script_ends_is_said_exactly(drive, script, status, result, said):
    driver = drive(script)
    assert driver.run() == status
    assert driver.result() == result
    assert driver.written() == said
    assert driver.output.read_bytes() == b""


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_is_good_for_it(drive, python):
    driver = drive("import sys\nprint(sys.argv[1], sys.executable)\nsys.exit(9)", "ü")
    assert driver.start(python).wait(60) == 9
    assert driver.result() == {"kind": "exited", "code": 9}
    assert python.encode() in driver.written() or b"/bin/python" in driver.written()


def test_a_traceback_has_the_scripts_frames_alone(drive):
    driver = drive("def f():\n    raise ValueError('no')\nf()\n")
    assert driver.run() == 1
    expected = """Traceback (most recent call last):
  File "%s", line 3, in <module>
    f()
  File "%s", line 2, in f
    raise ValueError('no')
ValueError: no
"""
    script = driver.folder / "work" / "job.py"
    text = driver.written().decode()
    assert text in (expected % (script, script), expected % ("job.py", "job.py"))


def test_arguments_variables_and_paths_are_bytes(drive, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/was/there")
    odd = {"base64": base64.b64encode(b"\xff 'x'\n").decode()}
    script = (
        "import os, sys\nprint([os.fsencode(w) for w in sys.argv[1:]], os.environb[b'ODD'], os.environ['PYTHONPATH'])"
    )
    driver = drive(script, variables={"ODD": odd}, python_path=["lib", "/abs"])
    driver.settings["arguments"] = ["", "a b", "\u00fc", odd]
    assert driver.run() == 0
    paths = f"{Path.cwd()}/lib:/abs:/was/there"
    raw = b"\xff 'x'\n"
    assert driver.written() == f"{[b'', b'a b', 'ü'.encode(), raw]} {raw} {paths}\n".encode()


def test_the_working_folder_is_the_project_and_nothing_comes_in(drive):
    driver = drive("import os, sys\nprint(os.getcwd(), repr(sys.stdin.read()), __file__)")
    assert driver.run() == 0
    folder, rest = driver.written().decode().split(" ", 1)
    assert Path(folder) == driver.folder / "work"
    assert rest.startswith("'' ")


def test_fifty_megabytes_pass_untouched(drive):
    script = """
import hashlib, os, sys
digest = hashlib.sha256()
block = bytes(range(256)) * 4096
for i in range(50):
    digest.update(block)
    sys.stdout.buffer.write(block)
sys.stdout.flush()
open("digest", "w").write(digest.hexdigest())
"""
    driver = drive(script)
    assert driver.run() == 0
    written = driver.written()
    assert len(written) == 50 << 20
    assert hashlib.sha256(written).hexdigest() == (driver.folder / "work" / "digest").read_text()


def test_a_child_left_behind_does_not_keep_the_run(drive):
    script = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
os.set_inheritable(child.stdin.fileno(), True)
os._exit(5)
"""
    driver = drive(script)
    assert driver.run() == 5


def test_the_first_word_is_that_it_started(drive):
    driver = drive("import sys\nopen('ready', 'w').close()\nwhile True: pass")
    process = driver.start()
    wait_for((driver.folder / "work" / "ready").exists, "the script")
    started = driver.result()
    assert started.pop("host")
    assert started == {"kind": "started", "python": sys.version.split()[0], "path": sys.executable}
    process.kill()
    process.wait()


def test_who_ends_the_run_signals_each_process_so_it_is_not_passed_on(drive):
    script = """
import signal
from time import sleep
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
open('ready', 'w').close()
while not seen:
    sleep(0.01)
open('seen', 'w').close()
while len(seen) < 2:
    sleep(0.01)
"""
    driver = drive(script)
    process = driver.start(start_new_session=True)
    wait_for((driver.folder / "work" / "ready").exists, "the script")
    os.killpg(process.pid, signal.SIGTERM)
    wait_for((driver.folder / "work" / "seen").exists, "the signal")
    assert process.poll() is None, "the script was signalled once, and goes on"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 0


def test_the_script_dies_with_its_driver(drive):
    driver = drive("import os\nfrom time import sleep\nopen('pid', 'w').write(str(os.getpid()))\nwhile True: sleep(1)")
    process = driver.start()
    pid_file = driver.folder / "work" / "pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text(), "the script")
    process.kill()
    process.wait()
    status = Path(f"/proc/{pid_file.read_text()}")
    wait_for(lambda: not status.exists() or "\nState:\tZ" in (status / "status").read_text(), "the script's end")


def test_a_script_whose_jvm_is_gone_is_asked_and_then_ended(drive):
    script = """
import os, signal
from time import sleep
signal.signal(signal.SIGTERM, lambda *_: open('asked', 'w').close())
open('ready', 'w').close()
while True: sleep(1)
"""
    driver = drive(script)
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" & wait', "sh", sys.executable, "-u", str(DRIVER), word(driver.settings)]
    )
    wait_for((driver.folder / "work" / "ready").exists, "the script")
    shell.kill()
    shell.wait()
    wait_for((driver.folder / "work" / "asked").exists, "the question")
    wait_for(lambda: driver.result()["kind"] == "signaled", "the end")
    assert driver.result() == {"kind": "signaled", "signal": "SIGKILL"}


def test_without_a_result_file_the_last_line_says_it(drive):
    driver = drive("print('no newline', end='')\nimport sys; sys.exit(4)", mode="cluster")
    # As a JVM does, whose own standard output is a file: it passes on what its child writes into a pipe.
    words = [sys.executable, "-u", str(DRIVER), word(driver.settings)]
    relay = f"""
import subprocess, sys, time
child = subprocess.Popen({words!r}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
while True:
    data = child.stdout.read1(7)
    if not data: break
    assert child.poll() is None, "it does not go before all was read"
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
sys.exit(child.wait())
"""
    with driver.output.open("wb") as out:
        assert subprocess.run([sys.executable, "-c", relay], stdout=out, timeout=60, check=False).returncode == 4
    lines = driver.output.read_bytes().split(b"\n")
    assert lines[0].startswith(b"errand: driver: Python 3.")
    assert lines[1:] == [b"no newline", b'errand-driver a1b2 {"kind": "exited", "code": 4}', b""]


def test_what_cannot_be_started_is_said(drive):
    driver = drive("", project="/no/such/folder")
    assert driver.run() == 126
    assert driver.result()["kind"] == "could_not_start"
    assert "/no/such/folder" in driver.result()["text"]


def test_a_copy_of_the_project_may_be_written(tmp_path):
    """What a cluster unpacks has lost the permission to write, and each file got the one to execute."""
    write_files(tmp_path / "unpacked", {"job.py": "open('data/x', 'a').write('more'); open('new', 'w')", "data/x": "x"})
    (tmp_path / "unpacked" / "link").symlink_to("data/x")
    for path in [tmp_path / "unpacked" / "data" / "x", tmp_path / "unpacked" / "job.py"]:
        path.chmod(0o500)
    (tmp_path / "project").symlink_to("unpacked")
    driver = Driver(tmp_path, "", copy_of="project", project="copy")
    assert driver.start(cwd=tmp_path).wait(60) == 0
    assert driver.result() == {"kind": "exited", "code": 0}
    assert (tmp_path / "copy" / "data" / "x").read_text() == "xmore"
    assert (tmp_path / "unpacked" / "data" / "x").read_text() == "x"
    assert (tmp_path / "copy" / "link").readlink() == Path("data/x")


# Spark's JVM, as far as it puts a file.
JVM = """
import shutil, os
class Path:
    def __init__(self, uri): self.path = uri.split("file://")[1]
    def getFileSystem(self, conf): return self
    def getParent(self): return Path("file://" + os.path.dirname(self.path))
    def mkdirs(self, folder, permission): os.path.isdir(folder.path) or os.makedirs(folder.path, int(permission, 8))
    def copyFromLocalFile(self, delete, overwrite, source, target): shutil.copy(source.path, target.path)
    def delete(self, target, recursive): return os.path.exists(target.path) and os.unlink(target.path) is None
    def rename(self, source, target):
        if os.path.exists(target.path) or os.path.exists(os.path.dirname(target.path) + "/full"):
            return False
        os.rename(source.path, target.path)
        return True
class Any:
    Path = Path
    FsPermission = str
    def __getattr__(self, name): return self
    def __call__(self): return self
class GatewayParameters:
    def __init__(self, port, auth_token): assert (port, auth_token) == (7, "s3cret")
class JavaGateway:
    def __init__(self, gateway_parameters): self.jvm = Any()
    def close(self): pass
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_outputs_go_as_one_archive_and_their_size_is_said(tmp_path, python):
    script = "import os; os.symlink('a', 'outputs/l'); os.mkfifo('outputs/pipe'); os.rmdir('more')\n"
    script += "open('outputs/a', 'w').write('weights'); os.link('outputs/a', 'outputs/b')"
    write_files(tmp_path / "lib", {"py4j/__init__.py": "", "py4j/java_gateway.py": JVM})
    variables = {"PYTHONPATH": str(tmp_path / "lib"), "PYSPARK_GATEWAY_PORT": "7", "PYSPARK_GATEWAY_SECRET": "s3cret"}
    target = tmp_path / "there.tar"
    driver = Driver(tmp_path, script, outputs={"folders": ["outputs", "more"], "uri": f"file://{target}"})
    assert driver.start(python, cwd=tmp_path, env={**os.environ, **variables}).wait(60) == 0
    assert driver.result() == {"kind": "exited", "code": 0, "outputs": {"size_bytes": target.stat().st_size}}
    with tarfile.open(target) as archive:
        kinds = {member.name: (member.type, member.linkname) for member in archive}
        assert archive.extractfile("outputs/b").read() == b"weights"
    assert kinds == {
        "outputs": (tarfile.DIRTYPE, ""),
        "outputs/a": (tarfile.REGTYPE, ""),
        "outputs/b": (tarfile.REGTYPE, ""),
        "outputs/l": (tarfile.SYMTYPE, "a"),
    }
    assert not (tmp_path / "errand-outputs.tar").exists()


def test_outputs_that_cannot_go_do_not_change_how_the_script_ended(tmp_path):
    script = "import sys; open('outputs/a', 'w').close(); sys.exit(4)"
    driver = Driver(tmp_path, script, outputs={"folders": ["outputs"], "uri": "hdfs://nn/x.tar"})
    assert driver.start(cwd=tmp_path).wait(60) == 4
    result = driver.result()
    assert (result["kind"], result["code"]) == ("exited", 4)
    assert "Error" in result["outputs"]["error"]


def test_outputs_that_get_no_name_are_said_to_be_lost(tmp_path):
    """The file system says so by False, and by no exception."""
    script = "open('outputs/a', 'w').close()"
    write_files(tmp_path / "lib", {"py4j/__init__.py": "", "py4j/java_gateway.py": JVM})
    variables = {"PYTHONPATH": str(tmp_path / "lib"), "PYSPARK_GATEWAY_PORT": "7", "PYSPARK_GATEWAY_SECRET": "s3cret"}
    (tmp_path / "full").touch()
    driver = Driver(tmp_path, script, outputs={"folders": ["outputs"], "uri": f"file://{tmp_path}/there.tar"})
    assert driver.start(cwd=tmp_path, env={**os.environ, **variables}).wait(60) == 0
    assert "could not be given its name" in driver.result()["outputs"]["error"]
    assert not (tmp_path / "there.tar").exists()


def test_metrics_go_as_a_file_and_their_size_is_said(tmp_path, monkeypatch):
    script = "import os; open(os.environ['ERRAND_METRICS'], 'a').write('{\"loss\": 1}\\n')\n"
    script += "assert os.environ['ERRAND_OUTPUTS'] == os.path.abspath('out') and os.listdir('out') == []"
    write_files(tmp_path / "lib", {"py4j/__init__.py": "", "py4j/java_gateway.py": JVM})
    for name, value in [("PORT", "7"), ("SECRET", "s3cret")]:
        monkeypatch.setenv(f"PYSPARK_GATEWAY_{name}", value)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    places = {"uri": f"file://{tmp_path}/there.tar", "metrics": f"file://{tmp_path}/there.metrics"}
    driver = Driver(tmp_path, script, outputs={"folders": ["out"], **places})
    assert driver.start(cwd=tmp_path).wait(60) == 0
    assert driver.result() == {"kind": "exited", "code": 0, "outputs": None, "metrics": {"size_bytes": 12}}
    assert (tmp_path / "there.metrics").read_text() == '{"loss": 1}\n'


def test_without_outputs_nothing_is_sent(tmp_path):
    driver = Driver(tmp_path, "", outputs={"folders": ["outputs"], "uri": "hdfs://nn/x.tar"})
    assert driver.start(cwd=tmp_path).wait(60) == 0
    assert driver.result() == {"kind": "exited", "code": 0, "outputs": None}


def test_the_file_with_the_settings_goes_before_the_script_begins(tmp_path):
    """Secrets are among them."""
    driver = Driver(tmp_path, "import os\nprint(sorted(os.listdir(os.path.dirname(os.getcwd()))))")
    (tmp_path / "cache").mkdir()
    own = tmp_path / "cache" / "own.py"
    own.write_text(DRIVER.read_text() + f'\nmain(decode("{word(driver.settings)}"), __file__)\n')
    (tmp_path / "link.py").symlink_to(own)
    assert subprocess.run([sys.executable, str(tmp_path / "link.py")], check=False).returncode == 0
    assert not own.exists()
    assert b"own.py" not in driver.written()
