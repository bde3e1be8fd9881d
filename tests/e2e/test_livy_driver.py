"""The driver that Livy starts, in parts: what it keeps on its machine for those after it, and what executors get."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PYTHONS = [sys.executable, *sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python")))]
ROOT = Path(__file__).resolve().parents[2]
TEXT = "\n\n".join((ROOT / name).read_text() for name in ("executor/spark_driver.py", "controller/livy_driver.py"))
DAY_S = 86400

# A folder of the cluster whose files are here; each fetch is a line of fetched.
FOLDER = """
class Folder(object):
    def fetch(self, uri, path):
        with open("fetched", "a") as out:
            out.write("x")
        shutil.copyfile(uri, path)
"""
USE = "found = Cache().use(Folder(), ARCHIVE)\nprint(found)\n"
STAY = "import select\nsys.stdout.flush()\nselect.select([0], [], [])\n"


@pytest.fixture(params=PYTHONS)
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., subprocess.Popen]:
    """start(code): a program that ends with this code, behind the driver's own."""
    made: list[subprocess.Popen] = []

    def do(code: str) -> subprocess.Popen:
        path = tmp_path / f"driver{len(made)}.py"
        path.write_text(TEXT + FOLDER + f"ARCHIVE = {str(tmp_path / 'abc-1.tar')!r}\n" + code)
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "account")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        made.append(subprocess.Popen([request.param, path], cwd=tmp_path, env=env, **pipes))
        return made[-1]

    yield do
    for one in made:
        one.kill()
        one.communicate()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The archive of one."""
    (tmp_path / "tiny.py").write_text("value = 1\n")
    with tarfile.open(tmp_path / "abc-1.tar", "w") as archive:
        archive.add(tmp_path / "tiny.py", "tiny.py")
    return tmp_path / "abc-1.tar"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "account" / ".cache" / "errand" / "environments"


def output(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return out.decode()


def names(cache: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[0] or path.name for path in cache.iterdir() if path.is_dir())


def age(cache: Path, days: float) -> None:
    for path in cache.iterdir():
        os.utime(path, (time.time() - days * DAY_S,) * 2)


@pytest.mark.usefixtures("environment")
def test_an_environment_is_unpacked_once_on_a_machine(start, tmp_path: Path, cache: Path):
    first, second = output(start(USE)), output(start(USE))
    assert first == second
    assert (Path(first.strip()) / "tiny.py").read_text() == "value = 1\n"
    assert (tmp_path / "fetched").read_text() == "x"
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("environment")
def test_of_drivers_at_the_same_time_each_has_a_whole_one(start):
    many = [start(USE + "assert os.path.exists(os.path.join(found, 'tiny.py'))\n") for _ in range(6)]
    assert len({output(one) for one in many}) == 1


@pytest.mark.usefixtures("environment")
def test_one_that_was_killed_leaves_none_that_is_half_there(start, cache: Path):
    killed = start("def unpack(*_):\n    os.kill(os.getpid(), 9)\n" + USE)
    assert killed.wait(60) == -signal.SIGKILL
    assert len(names(cache)) == 1
    found = Path(output(start(USE)).strip())
    assert (found / "tiny.py").exists()
    age(cache, 2)
    output(start("Cache().tidy()\n"))
    assert [path for path in cache.iterdir() if path.is_dir()] == [found]


@pytest.mark.usefixtures("environment")
def test_what_was_not_used_for_long_goes_and_what_is_used_stays(start, cache: Path):
    user = start(USE + STAY)
    found = Path(user.stdout.readline().decode().strip())
    age(cache, 40)
    output(start("Cache().tidy()\n"))
    assert (found / "tiny.py").exists()
    user.kill()
    user.wait(60)
    output(start("Cache().tidy()\n"))
    assert not list(cache.iterdir())
    output(start(USE))
    age(cache, 20)
    output(start("Cache().tidy()\n"))
    assert found.exists()


@pytest.mark.usefixtures("environment")
def test_it_does_not_grow_without_end(start, cache: Path):
    output(
        start(
            "for i in range(11):\n"
            "    uri = ARCHIVE.replace('abc-1', 'abc-%02d' % i)\n"
            "    shutil.copyfile(ARCHIVE, uri)\n"
            "    one = Cache()\n"
            "    one.use(Folder(), uri)\n"
            "    os.close(one.lock)\n"
            "    for name in os.listdir(one.path):\n"
            "        if name.startswith('abc-%02d' % i) and name.endswith('.lock'):\n"
            "            os.utime(one.at(name), (1e9 + i, time.time() - 1000 + i))\n"
            "one.tidy()\n"
        )
    )
    assert len(names(cache)) == 8
    assert not list(cache.glob("abc-02*"))
    assert list(cache.glob("abc-03*"))


def test_a_folder_that_others_may_write_to_is_not_used(start, cache: Path, environment: Path):
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    code = "print(find_environment(Folder(), {'archive': ARCHIVE}, os.getcwd(), {}))\n"
    assert output(start(code)).strip() == str(environment.parent / "environment")
    assert not list(cache.iterdir())


# A file of HDFS, as WebHDFS lets others read it: up to the length that the name node was told.
HDFS = """
class Any(object):
    def __getattr__(self, name):
        return Any()
    def of(self, flag):
        return flag
class Stream(object):
    data, length, calls = b"", None, 0
    def write(self, data):
        self.data += bytes(data)
    def hflush(self):
        if self.length is None:
            self.length = len(self.data)
    def hsync(self, flag):
        self.calls += 1
        self.length = len(self.data)
    def close(self):
        self.length = len(self.data)
from time import sleep
def read_until(wanted):
    deadline = time.time() + 30
    while (stream.length or 0) < wanted and time.time() < deadline:
        sleep(0.01)
    return stream.data[:stream.length]
jvm, stream = Any(), Stream()
source, sink = os.pipe()
pump = Pump(source, JvmFile(jvm, stream))
pump.start()
"""


def test_what_the_script_writes_can_be_read_while_it_runs(start):
    """Each line before the next is written: no later one brings it."""
    code = HDFS + (
        "SHOW_S = 0.1\n"
        "for i in range(1, 4):\n"
        "    os.write(sink, b'tick\\n')\n"
        "    assert read_until(5 * i) == b'tick\\n' * i\n"
    )
    assert output(start(code)) == ""


def test_a_name_node_is_not_asked_for_each_line(start):
    code = HDFS + (
        "SHOW_S = 600\n"
        "for i in range(1, 101):\n"
        "    os.write(sink, b'tick\\n')\n"
        "    while len(stream.data) < 5 * i:\n"
        "        sleep(0.001)\n"
        "os.close(sink)\npump.join()\n"
        "print('%s %s %s' % (stream.calls, pump.error, stream.length))\n"
    )
    assert output(start(code)) == "1 None 500\n"


def test_a_file_system_that_cannot_show_it_loses_nothing(start):
    code = HDFS + (
        "def fail(flag):\n    raise ValueError('no such method')\nstream.hsync = fail\n"
        "os.write(sink, b'tick\\n' * 9)\nos.close(sink)\npump.join()\n"
        "print('%s %s' % (pump.error, stream.length))\n"
    )
    assert output(start(code)) == "None 45\n"


JVM = """
class System(object):
    values = VALUES
    def getProperty(self, name):
        return self.values.get(name)
    def setProperty(self, name, value):
        self.values[name] = value
class Jvm(object):
    pass
jvm = Jvm()
jvm.java = Jvm()
jvm.java.lang = Jvm()
jvm.java.lang.System = System()
jvm.org = Jvm()
jvm.org.apache = Jvm()
jvm.org.apache.spark = Jvm()
package, module = Jvm(), Jvm()
module.SPARK_VERSION = lambda: VERSION
setattr(package, "MODULE$", module)
setattr(jvm.org.apache.spark, "package$", package)
said = share_with_executors(jvm, ["/p", "/e"])
print(json.dumps([said, System.values]))
"""


@pytest.mark.parametrize(
    ("master", "version", "wanted", "is_warned"),
    [
        ("local[2]", "2.4.8", {"spark.executorEnv.PYTHONPATH": "/p:/e"}, False),
        ("yarn", "2.4.8", {}, False),
        ("spark://m:7077", "3.5.9", {"spark.archives": "own.tar,a.tar#project"}, False),
        ("spark://m:7077", "3.0.3", {"spark.archives": "own.tar,a.tar#project"}, True),
    ],
)
def test_executors_get_what_their_cluster_can_give_them(
    start, master: str, version: str, wanted: dict, is_warned: bool
):
    given = {"spark.master": master, "spark.yarn.dist.archives": "a.tar#project", "spark.archives": "own.tar"}
    code = f"VALUES = {given!r}\nVERSION = {version!r}\n" + JVM
    said, values = json.loads(output(start(code)))
    assert values == {**given, **wanted}
    assert (said is not None) == is_warned
    assert not is_warned or "that takes Spark 3.1" in said
