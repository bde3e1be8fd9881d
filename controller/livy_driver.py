# The driver's part where Livy starts it. It stands behind executor/spark_driver.py in one file, whose functions it
# uses, and has the same rules: Python 2.7 and 3.4 and later, nothing but the standard library and py4j.
#
# Nobody but the cluster's file system connects a driver under Livy to errand. In the folder of the run's attempt
#
#   claim        made when it begins, once: a second driver of the same attempt starts nothing
#   alive        a number that grows while it lives
#   driver.log   what the script writes, byte by byte: Livy's own log is a window of lines that an invalid byte breaks
#   cancel       made by errand: the script is to end, also where Livy has forgotten the batch
#   outputs.tar, metrics, result.json    what came of it, in this order: the last one is its word that all is there
#
# The folder is reached through the file system of Spark's JVM, or, where it is a folder of this machine, as such.
import fcntl
import io
import select
import shutil
import sysconfig
import tarfile
import tempfile
import threading

BEAT_S = 2.0
BEATS_A_SIGN = 3
CANCEL_GRACE_S = 10.0
DRAIN_S = 5.0
CACHE_MAX = 8
CACHE_S = 30 * 86400
LEFTOVER_S = 86400
BLOCK_BYTES = 1 << 30  # a name node that was never told the length lets no more than the first one be followed
SHOW_S = 1.0  # each time is a call of the name node, and a sync of the data nodes' disks


class PlainFolder(object):
    """A folder of this machine: file:///srv/livy."""

    def __init__(self, uri):
        self.path = "/" + uri.split(":", 1)[1].lstrip("/")

    def at(self, name):
        return os.path.join(self.path, name)

    def create(self, name, data):
        """Make a file that is not there. False: it is."""
        try:
            fd = os.open(self.at(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            if error.errno == errno.EEXIST:
                return False
            raise
        os.write(fd, data)
        os.close(fd)
        return True

    def put(self, name, data):
        """Make or replace a file at once."""
        with open(self.at(".tmp." + name), "wb") as out:
            out.write(data)
        os.rename(self.at(".tmp." + name), self.at(name))

    def put_file(self, name, path):
        shutil.copyfile(path, self.at(".tmp." + name))
        os.rename(self.at(".tmp." + name), self.at(name))

    def has(self, name):
        return os.path.exists(self.at(name))

    def remove(self, name):
        os.unlink(self.at(name))

    def fetch(self, uri, path):
        shutil.copyfile("/" + uri.split(":", 1)[1].lstrip("/"), path)

    def open(self, name):
        """A file to write to, whose bytes can be read at once."""
        return PlainFile(self.at(name), "ab")


class PlainFile(io.FileIO):
    """A file whose bytes can be read at once."""

    def show(self):
        """Nothing is left to do for that."""


class JvmFile(object):
    """A file that is being written. hflush brings what was written to HDFS's data nodes, and tells its name node the
    length the first time alone: WebHDFS refuses to read behind that, so it has to be told (show)."""

    def __init__(self, jvm, stream):
        self.jvm = jvm
        self.stream = stream

    def write(self, data):
        self.stream.write(bytearray(data))
        self.stream.hflush()

    def show(self):
        """Let others read all that was written. Fails where the file system has no such thing."""
        flag = getattr(self.jvm.org.apache.hadoop.hdfs.client, "HdfsDataOutputStream$SyncFlag").UPDATE_LENGTH
        self.stream.hsync(self.jvm.java.util.EnumSet.of(flag))

    def close(self):
        self.stream.close()


class JvmFolder(object):
    """A folder of any file system that Spark's JVM knows."""

    def __init__(self, jvm, uri):
        self.jvm = jvm
        self.uri = uri
        self.conf = jvm.org.apache.spark.deploy.SparkHadoopUtil.get().conf()
        self.fs = self.path("").getFileSystem(self.conf)

    def path(self, name):
        return self.jvm.org.apache.hadoop.fs.Path(self.uri + ("/" + name if name else ""))

    def write(self, name, overwrite, data):
        stream = self.fs.create(self.path(name), overwrite)
        stream.write(bytearray(data))
        stream.close()

    def create(self, name, data):
        """Make a file that is not there. False: it is."""
        if self.has(name):
            return False
        try:
            self.write(name, False, data)
        except Exception:  # of the JVM: which one depends on the file system
            if self.has(name):
                return False
            raise
        return True

    def rename(self, name):
        """Give what was written aside its name. The file system says by False that it did not."""
        self.fs.delete(self.path(name), False)
        if not self.fs.rename(self.path(".tmp." + name), self.path(name)):
            raise RuntimeError("%s/%s could not be given its name" % (self.uri, name))

    def put(self, name, data):
        """Make or replace a file at once, as far as the file system can."""
        self.write(".tmp." + name, True, data)
        self.rename(name)

    def put_file(self, name, path):
        local = self.jvm.org.apache.hadoop.fs.Path("file://" + path)
        self.fs.copyFromLocalFile(False, True, local, self.path(".tmp." + name))
        self.rename(name)

    def has(self, name):
        return self.fs.exists(self.path(name))

    def remove(self, name):
        self.fs.delete(self.path(name), False)

    def fetch(self, uri, path):
        source = self.jvm.org.apache.hadoop.fs.Path(uri)
        local = self.jvm.org.apache.hadoop.fs.Path("file://" + path)
        source.getFileSystem(self.conf).copyToLocalFile(False, source, local, True)

    def open(self, name):
        """A file to write to, whose bytes can be read once they are shown."""
        path = self.path(name)
        stream = self.fs.create(path, True, 65536, self.fs.getDefaultReplication(path), BLOCK_BYTES)
        return JvmFile(self.jvm, stream)


def connect_jvm():
    """Spark's JVM, or None where there is none."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return None
    from py4j.java_gateway import GatewayParameters, JavaGateway

    parameters = {"port": int(os.environ["PYSPARK_GATEWAY_PORT"]), "auto_convert": True}
    if os.environ.get("PYSPARK_GATEWAY_SECRET"):
        parameters["auth_token"] = os.environ["PYSPARK_GATEWAY_SECRET"]
    return JavaGateway(gateway_parameters=GatewayParameters(**parameters)).jvm


def quiet(action, *arguments):
    """Do what may fail without harm. None: it did."""
    try:
        return action(*arguments)
    except Exception:  # also the JVM's
        return None


class Script(object):
    """The script's process and those it started, which are a group of their own."""

    def __init__(self, child):
        self.child = child
        self.asked_at = None

    def signal(self, number):
        try:
            os.kill(-self.child.pid, number)
        except OSError:
            pass

    def end(self):
        """Ask it to end; where it was asked long ago, end it."""
        if self.asked_at is None:
            self.asked_at = time.time()
            self.signal(signal.SIGTERM)
        elif time.time() - self.asked_at > CANCEL_GRACE_S:
            self.signal(signal.SIGKILL)


class Watch(threading.Thread):
    """Gives signs of life, and looks whether the script is to end."""

    def __init__(self, folder, script):
        threading.Thread.__init__(self)
        self.daemon = True
        self.folder = folder
        self.script = script
        self.over = threading.Event()

    def run(self):
        count = 0
        while not self.over.is_set():
            if count % BEATS_A_SIGN == 0:
                quiet(self.folder.put, "alive", ("%d\n" % count).encode("ascii"))
            if self.script.asked_at is not None or quiet(self.folder.has, "cancel"):
                self.script.end()
            count += 1
            self.over.wait(BEAT_S)


class Pump(threading.Thread):
    """Carries what the script writes into driver.log, and lets others read it there: at once, but no more often than
    each SHOW_S."""

    def __init__(self, source, target):
        threading.Thread.__init__(self)
        self.daemon = True
        self.source = source
        self.target = target
        self.error = None

    def write(self, data):
        try:
            if self.error is None:
                self.target.write(data)
        except Exception as error:  # the script goes on all the same
            self.error = str(error).split("\n")[0]

    def run(self):
        shown_at, is_hidden = 0.0, False
        while True:
            age_s = time.time() - shown_at
            wait_s = SHOW_S - age_s if 0 <= age_s < SHOW_S else 0.0  # also where the clock was set back
            if is_hidden and wait_s == 0.0:
                quiet(self.target.show)
                shown_at, is_hidden = time.time(), False
            elif select.select([self.source], [], [], wait_s if is_hidden else None)[0]:
                data = os.read(self.source, 1 << 18)
                if not data:
                    break
                self.write(data)
                is_hidden = True
        quiet(self.target.close)


def unpack(folder, uri, top, name):
    """The content of an archive, as a folder in top that is this driver's own."""
    archive = os.path.join(top, name + ".tar")
    folder.fetch(uri, archive)
    made = os.path.join(top, name)
    os.mkdir(made)
    trust = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(made, **trust)  # errand made it; YARN unpacks it as well
    os.unlink(archive)
    return made


class Cache(object):
    """Environments that were unpacked on this machine before, for all drivers of this account: a folder each, by the
    archive's name, which stands for its content. One appears once it is whole. NAME.lock is locked, shared, by each
    driver that uses it, and modified when one begins to; alone by who removes it.

    What a machine that crashed had not yet written is unknown: the names have the boot in them."""

    def __init__(self):
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        self.path = os.path.join(os.path.abspath(base), "errand", "environments")
        with open("/proc/sys/kernel/random/boot_id") as boot:
            self.boot = boot.read().strip()
        quiet(os.makedirs, self.path, 0o700)  # or it is there
        info = os.lstat(self.path)
        if info.st_uid != os.getuid() or info.st_mode & 0o22:
            raise OSError("%s is another's to write to" % self.path)
        self.lock = None

    def at(self, name):
        return os.path.join(self.path, name)

    def take_lock(self, name, how):
        """Lock it at once; the descriptor. What was removed meanwhile is none."""
        fd = os.open(self.at(name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino != os.stat(self.at(name + ".lock")).st_ino:
                raise OSError("%s is being removed" % name)
        except (IOError, OSError):
            os.close(fd)
            raise
        return fd

    def use(self, folder, uri):
        """The folder of the archive's content; it stays as long as this process."""
        name = "%s-%s" % (os.path.basename(uri), self.boot)
        self.lock = self.take_lock(name, fcntl.LOCK_SH)
        os.utime(self.at(name + ".lock"), None)
        if not os.path.isdir(self.at(name)):
            top = tempfile.mkdtemp(prefix=".making-", dir=self.path)
            try:
                os.rename(unpack(folder, uri, top, "environment"), self.at(name))
            except OSError:
                if not os.path.isdir(self.at(name)):  # else another driver was faster
                    raise
            finally:
                shutil.rmtree(top, True)
        return self.at(name)

    def remove(self, name, unless_since):
        """Remove one that nobody uses, nor has since that time."""
        lock = self.take_lock(name, fcntl.LOCK_EX)
        if os.fstat(lock).st_mtime <= unless_since:
            top = tempfile.mkdtemp(prefix=".making-", dir=self.path)
            if os.path.isdir(self.at(name)):
                os.rename(self.at(name), os.path.join(top, "gone"))
            os.unlink(self.at(name + ".lock"))
            shutil.rmtree(top, True)
        os.close(lock)

    def tidy(self):
        """Remove what was not used for long, the longest unused where there are many, and what was left half-made."""
        now = time.time()
        found = [(os.lstat(self.at(name)).st_mtime, name) for name in os.listdir(self.path)]
        for since, name in found:
            if name.startswith(".making-") and now - since > LEFTOVER_S:
                shutil.rmtree(self.at(name), True)
        locks = sorted((one for one in found if one[1].endswith(".lock")), reverse=True)
        for index, (since, name) in enumerate(locks):
            if index >= CACHE_MAX or now - since > CACHE_S:
                quiet(self.remove, name[: -len(".lock")], since)


def find_environment(folder, wanted, top, settings):
    """The folder of the environment's packages: YARN has unpacked it where it started this driver."""
    if "CONTAINER_ID" in os.environ and os.path.isdir("environment"):
        return os.path.abspath("environment")
    settings["cache"] = quiet(Cache)
    found = quiet(settings["cache"].use, folder, wanted["archive"]) if settings["cache"] else None
    return found or unpack(folder, wanted["archive"], top, "environment")


def check_python(wanted):
    """Compiled packages are for one series of Python."""
    series = "%d.%d" % sys.version_info[:2]
    if wanted["python"] != series:
        raise RuntimeError(
            "the environment was built for Python %s, and the cluster's driver has Python %s (%s): %s"
            % (wanted["python"], platform.python_version(), own_python(), wanted["advice"])
        )


def use_environment(settings, jvm, folder, version):
    """One that brings its Python: it starts the script, and Spark's executors where YARN has unpacked it for them.
    Spark itself would make nothing executable: executors of other masters have it on this machine."""
    settings["prefix"], settings["version"] = folder, version
    is_yarn = jvm is None or (jvm.java.lang.System.getProperty("spark.master") or "").startswith("yarn")
    settings["variables"]["PYSPARK_PYTHON"] = os.path.join("./environment" if is_yarn else folder, "bin", "python")


def libc():
    """The C library, as the interpreters of a node say it."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION").replace(" ", "-")
    except (ValueError, AttributeError, OSError):
        return "musl"


def bring_outputs(folder, settings, top):
    """Bring the outputs and metrics to the folder. The sentence that says what failed, or None."""
    archive = os.path.join(top, "outputs.tar")
    metrics = os.path.join(top, "metrics")
    try:
        if pack_outputs(settings, archive):
            folder.put_file("outputs.tar", archive)
        if os.path.exists(metrics):
            folder.put_file("metrics", metrics)
    except Exception as error:  # also the JVM's
        return str(error).split("\n")[0]
    return None


def spark_version(jvm):
    """The JVM's own: (3, 5)."""
    text = getattr(getattr(jvm.org.apache.spark, "package$"), "MODULE$").SPARK_VERSION()
    return tuple(int(number) for number in text.split(".")[:2])


def share_with_executors(jvm, paths):
    """Have executors find what the driver does, before there is a SparkContext. What has to be said of it, or None."""
    system = jvm.java.lang.System
    master = system.getProperty("spark.master") or ""
    if master.startswith("local"):  # they are threads of this JVM
        before = system.getProperty("spark.executorEnv.PYTHONPATH")
        system.setProperty("spark.executorEnv.PYTHONPATH", os.pathsep.join(paths + ([before] if before else [])))
    elif master.startswith("spark:"):  # Livy names archives in a setting that YARN alone knows
        names = ("spark.archives", "spark.yarn.dist.archives")
        system.setProperty("spark.archives", ",".join(filter(None, map(system.getProperty, names))))
        if spark_version(jvm) < (3, 1):
            return "executors get neither the project's modules nor an environment: on %s that takes Spark 3.1" % master
    return None


def decode_path(path):
    """A path of the settings as text."""
    return to_bytes(path).decode("utf-8", "surrogateescape")


def prepare_script(settings, jvm, top, project):
    """What the script's process needs to know of this place."""
    paths = [os.path.join(project, path) if path else project for path in map(decode_path, settings["paths"])]
    settings["project"] = project
    settings["python_path"] = paths + ([settings["packages"]] if settings["packages"] else [])
    settings["variables"]["ERRAND_METRICS"] = os.path.join(top, "metrics")
    settings["variables"]["PWD"] = project
    settings["warning"] = quiet(share_with_executors, jvm, settings["python_path"]) if jvm is not None else None


def run_script(settings, folder, output):
    """Start the script, wait for it; how it ended."""
    source, sink = os.pipe()
    pump = Pump(source, output)
    own = [os.dup(1), os.dup(2)]
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.close(sink)
    os.write(1, ("errand: driver: %s\n" % describe(settings)).encode("utf-8", "replace"))
    if settings["warning"]:
        os.write(1, ("errand: warning: %s\n" % settings["warning"]).encode("utf-8", "replace"))
    try:
        child = start(settings)
    finally:
        os.dup2(own[0], 1)
        os.dup2(own[1], 2)
    pump.start()
    script = Script(child)
    watch = Watch(folder, script)
    watch.start()
    status = wait(child, LivyOrphan(script))
    watch.over.set()
    watch.join()
    pump.join(DRAIN_S)  # what the script left behind may hold its output open
    result = result_of(status)
    if pump.error:
        result["log_error"] = pump.error
    return result


class LivyOrphan(Orphan):
    """DELETE ends Spark's JVM alone."""

    def __init__(self, script):
        Orphan.__init__(self)
        self.script = script

    def look(self, child):
        if os.getppid() != self.parent:
            self.script.end()


def do_work(settings, jvm, folder, top):
    """The script's whole life, in the temporary folder top; the result."""
    wanted = settings["environment"]
    is_whole = wanted is not None and wanted["is_whole"]
    if wanted is not None and not is_whole:
        check_python(wanted)
    output = folder.open("driver.log")
    project = unpack(folder, settings["archive"], top, "project")
    found = find_environment(folder, wanted, top, settings) if wanted is not None else None
    settings["packages"] = None if is_whole else found
    if is_whole:
        use_environment(settings, jvm, found, wanted["version"])
    prepare_script(settings, jvm, top, project)
    if folder.has("cancel"):
        raise RuntimeError("canceled before it began")
    result = run_script(settings, folder, output)
    failed = bring_outputs(folder, settings, top)
    if failed:
        result["outputs_error"] = failed
    return result


def livy_main(settings):
    """Claim the attempt, run the script, say what came of it, end as it did."""
    jvm = connect_jvm()
    uri = settings["folder"]
    folder = PlainFolder(uri) if uri.startswith("file:") else JvmFolder(jvm, uri)
    os.write(1, ("\nerrand-driver %s\n" % settings["tag"]).encode("ascii"))
    if settings["has_secrets"]:
        folder.remove("driver.py")
    if not folder.create("claim", ("%d\n" % os.getpid()).encode("ascii")):
        os.write(1, b"\nerrand: this attempt was begun before; nothing is started a second time\n")
        os._exit(125)
    outlive_signals()
    settings["has_group"] = True
    top = None
    try:
        if folder.has("cancel"):
            raise RuntimeError("canceled before it began")
        if settings["script"] is None:
            result = {"kind": "exited", "code": 0}  # it was asked which Python this is
        else:
            top = tempfile.mkdtemp(prefix="errand-")
            result = do_work(settings, jvm, folder, top)
    except Exception as error:  # before the script, or of the file system
        result = {"kind": "could_not_start", "text": str(error).split("\n")[0]}
    result.update({"python": platform.python_version(), "platform": sysconfig.get_platform(), "libc": libc()})
    quiet(folder.put, "result.json", (json.dumps(result) + "\n").encode("ascii"))
    if top is not None:
        shutil.rmtree(top, True)
    if settings.get("cache"):
        quiet(settings["cache"].tidy)
    code = {"exited": result.get("code", 0), "could_not_start": 126}.get(result["kind"])
    os._exit(128 + int(getattr(signal, result["signal"], 0)) if code is None else code)
