"""The program that spark-submit starts: it starts the user's script as its child, and says exactly how that ended.

For Python 2.7 and 3.4 and later, with nothing but the standard library. It is embedded in the executor, which writes
it beside the run with the settings of one attempt behind it. The script reaches Spark's JVM by the variables that
spark-submit set (PYSPARK_GATEWAY_PORT), so it is as if spark-submit had started it; but os._exit, a signal or an
exception end the script alone, and no line of ours is in its tracebacks.

Settings (texts are byte strings as FORMATS.md 2 has them):
  script, arguments, project   what to start, and the folder in which
  python_path                  folders for the front of PYTHONPATH, relative to where this program began
  prefix, version              folder of a conda environment, relative as those: its Python, of this version where it
                               is not this one, starts the script, and its programs come first in PATH
  variables                    more environment variables
  log                          file that the script's output goes to: no pipe, and not Spark, stands between
  result                       file that says how the script goes (write_file); where there is none, the trailer does
  context                      file that says which SparkContext the script has, or none
  has_group                    the script is the leader of a process group of its own
  token, attempt               the trailer's, which nobody else can know
  copy_of                      folder that `project` becomes a copy of: what a cluster unpacked is others' too
  outputs                      {"folders", "uri", "metrics"}: where these folders of the project go, as one archive,
                               and where the file of the metrics does (no such member: it is elsewhere), by the JVM
"""

import base64
import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time

try:
    import ctypes
except ImportError:  # a Python that was built without it
    ctypes = None

PR_SET_PDEATHSIG = 1
ORPHAN_GRACE_S = 5.0
TRAILER_WAIT_S = 30.0
METRICS = "errand-metrics"
# How often the JVM is asked for the script's SparkContext: until there is one, and for another.
LOOK_SOON_S = 0.5
LOOK_S = 3.0


def decode(text):
    """The settings from one word: base64 of JSON."""
    return json.loads(base64.b64decode(text).decode("utf-8"))


def to_bytes(value):
    """A byte string as JSON has it."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode("utf-8")


def die_with_parent(number):
    """Ask the kernel for a signal when the parent ends. False: this kernel has no such thing."""
    try:
        return ctypes is not None and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def outlive_signals():
    """Signals to end are the script's; this process stays to say how it ended. Its own parent's end wakes it, as a
    child's does (pause)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    die_with_parent(signal.SIGTERM)


def own_python():
    """This very interpreter, also from another working folder."""
    path = sys.executable
    return os.path.abspath(path) if os.sep in path else path


def script_python(settings):
    """What starts the script: the Python of the environment that came along, or this one."""
    prefix = settings.get("prefix")
    return os.path.abspath(os.path.join(prefix, "bin", "python")) if prefix else own_python()


def describe(settings):
    """Which Python the driver is, in one sentence."""
    version = settings.get("version", platform.python_version())
    return "Python %s, %s, on %s" % (version, script_python(settings), platform.node())


def make_environment(settings):
    """The script's variables, as bytes."""
    variables = dict(getattr(os, "environb", os.environ))
    outputs = settings.get("outputs") or {"folders": []}
    if outputs["folders"]:
        first = os.path.join(to_bytes(settings["project"]), to_bytes(outputs["folders"][0]))
        variables[b"ERRAND_OUTPUTS"] = os.path.abspath(first)
    if outputs.get("metrics"):
        variables[b"ERRAND_METRICS"] = os.path.abspath(to_bytes(METRICS))
    if settings.get("prefix"):
        prefix = os.path.abspath(to_bytes(settings["prefix"]))
        variables[b"CONDA_PREFIX"] = prefix
        variables[b"PATH"] = prefix + b"/bin:" + variables.get(b"PATH", b"/usr/bin:/bin")
    for name, value in settings.get("variables", {}).items():
        variables[name.encode("utf-8")] = to_bytes(value)
    paths = [os.path.abspath(to_bytes(path)) for path in settings.get("python_path", [])]
    if variables.get(b"PYTHONPATH"):
        paths.append(variables[b"PYTHONPATH"])
    if paths:
        variables[b"PYTHONPATH"] = b":".join(paths)
    return variables


def write_file(path, value):
    """Put it where the executor looks for it: whole or not at all."""
    path = to_bytes(path)
    text = (json.dumps(value) + "\n").encode("ascii")
    fd = os.open(path + b".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, text)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(path + b".tmp", path)


def jvm_log(trailer):
    """Whether Spark's JVM has written all up to the trailer into its own output, as far as that can be seen."""
    with open("/proc/%d/fd/1" % os.getppid(), "rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 65536))
        return trailer in log.read()


def write_trailer(settings, result):
    """Say it as the last line of the output, and stay until Spark's JVM has passed it on: what it has not read when
    this process ends is lost."""
    text = "\nerrand-driver %s %s\n" % (settings["token"], json.dumps(result))
    trailer = text.encode("ascii")
    deadline = time.time() + TRAILER_WAIT_S
    os.write(1, trailer)
    try:
        while not jvm_log(trailer) and time.time() < deadline:
            time.sleep(0.02)
    except (IOError, OSError):
        time.sleep(1)  # its output is no file that can be read


def say(settings, result):
    """Say how the script goes or ended."""
    if settings.get("result"):
        write_file(settings["result"], result)
    elif result["kind"] != "started":
        write_trailer(settings, result)


def take_over_output(settings):
    """From here on what this process and its children write is in the run's log."""
    if settings.get("log"):
        fd = os.open(to_bytes(settings["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def copy_tree(source, target):
    """Copy a folder, so that it may be written: a cluster takes that permission from what it unpacks."""
    os.mkdir(target, 0o755)
    for name in os.listdir(source):
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.islink(old):
            os.symlink(os.readlink(old), new)
        elif os.path.isdir(old):
            copy_tree(old, new)
        else:
            shutil.copyfile(old, new)
            os.chmod(new, 0o755 if os.stat(old).st_mode & 0o100 else 0o644)


class Forgetful(dict):
    """Of files with several names each goes whole."""

    def __setitem__(self, key, value):
        pass


def pack_outputs(settings, path):
    """Make the archive of the output folders. False: there is nothing in them."""
    project = to_bytes(settings["project"])
    folders = [to_bytes(folder) for folder in settings["outputs"]["folders"]]
    there = [folder for folder in folders if os.path.isdir(os.path.join(project, folder))]
    if not any(os.listdir(os.path.join(project, folder)) for folder in there):
        return False
    decode_name = getattr(os, "fsdecode", lambda name: name)
    words = {} if str is bytes else {"encoding": "utf-8", "errors": "surrogateescape"}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, **words) as archive:
        archive.inodes = Forgetful()
        for folder in there:
            archive.add(
                decode_name(os.path.join(project, folder)),
                decode_name(folder),
                filter=lambda info: info if info.isreg() or info.isdir() or info.issym() else None,
            )
    return True


def reach_jvm():
    """Spark's JVM, by a connection of our own beside the script's."""
    from py4j.java_gateway import GatewayParameters, JavaGateway  # noqa: PLC0415 - Spark brings it, where there is one

    parameters = {"port": int(os.environ["PYSPARK_GATEWAY_PORT"])}
    if os.environ.get("PYSPARK_GATEWAY_SECRET"):
        parameters["auth_token"] = os.environ["PYSPARK_GATEWAY_SECRET"]
    return JavaGateway(gateway_parameters=GatewayParameters(**parameters))


def find_context(gateway):
    """The script's SparkContext; None: it has none now."""
    active = getattr(getattr(gateway.jvm.org.apache.spark, "SparkContext$"), "MODULE$").getActive()
    if not active.isDefined():
        return None
    context = active.get()
    page = context.uiWebUrl()
    return {
        "application": context.applicationId(),
        "master": context.master(),
        "page": page.get() if page.isDefined() else "",
    }


def watch_context(path):
    """Write down which SparkContext the script has, when that changes, for as long as it runs."""
    gateway, told, pause = None, None, LOOK_SOON_S
    while True:
        time.sleep(pause)
        pause = LOOK_S if told else min(pause * 1.05, LOOK_S)
        try:
            gateway = gateway or reach_jvm()
            found = find_context(gateway)
            if found and found != told:
                write_file(path, found)
                told = found
        except (ImportError, KeyError):  # there is no JVM to ask, or no py4j
            return
        except Exception:  # noqa: BLE001, S112 - it begins or ends: what is not known is not told
            continue


def put_file(path, uri):
    """Put a file into the cluster's file system: Spark's JVM knows all kinds of them, and has the tickets."""
    gateway = reach_jvm()
    try:
        jvm = gateway.jvm
        target = jvm.org.apache.hadoop.fs.Path(uri)
        source = jvm.org.apache.hadoop.fs.Path("file://" + os.path.abspath(path))
        system = target.getFileSystem(jvm.org.apache.spark.deploy.SparkHadoopUtil.get().conf())
        aside = jvm.org.apache.hadoop.fs.Path(uri + ".tmp")
        system.mkdirs(target.getParent(), jvm.org.apache.hadoop.fs.permission.FsPermission("700"))
        system.copyFromLocalFile(False, True, source, aside)
        system.delete(target, False)  # of an attempt before this one
        if not system.rename(aside, target):
            raise RuntimeError("%s could not be given its name" % uri)
    finally:
        gateway.close()


def bring_outputs(settings):
    """Put the outputs where the node fetches them: {"size_bytes": N}; why that failed; None, where there are none."""
    path = "errand-outputs.tar"
    try:
        if not pack_outputs(settings, path):
            return None
        put_file(path, settings["outputs"]["uri"])
        return {"size_bytes": os.stat(path).st_size}
    except Exception as error:  # noqa: BLE001 - whatever it is, the run's verdict is another matter
        return {"error": ("%s: %s" % (type(error).__name__, error)).split("\n")[0][:500]}
    finally:
        if os.path.exists(path):
            os.unlink(path)


def bring_metrics(settings):
    """The same of the metrics."""
    try:
        if not settings["outputs"].get("metrics") or not os.path.exists(METRICS) or not os.path.getsize(METRICS):
            return None
        put_file(METRICS, settings["outputs"]["metrics"])
        return {"size_bytes": os.path.getsize(METRICS)}
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": ("%s: %s" % (type(error).__name__, error)).split("\n")[0][:500]}


def begin_script(has_group):
    """In the child, before it becomes the script."""
    if has_group:
        os.setpgid(0, 0)
    die_with_parent(signal.SIGKILL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def make_folders(settings):
    """Where the script leaves what it brings forth."""
    for folder in (settings.get("outputs") or {"folders": []})["folders"]:
        path = os.path.join(to_bytes(settings["project"]), to_bytes(folder))
        if not os.path.isdir(path):
            os.makedirs(path)


def start(settings):
    """Start the script. Nothing comes on its standard input, and it dies with this process."""
    make_folders(settings)
    script = to_bytes(settings["script"])
    command = [script_python(settings), "-u", script] + [to_bytes(word) for word in settings["arguments"]]
    with open(os.devnull, "rb") as nothing:
        return subprocess.Popen(
            command,
            stdin=nothing,
            cwd=to_bytes(settings["project"]),
            env=make_environment(settings),
            preexec_fn=lambda: begin_script(settings.get("has_group", False)),  # noqa: PLW1509 - there is one thread
        )


class Orphan:
    """What happens when Spark's JVM goes before the script: the script is asked to end, and then is ended. While the
    JVM lives, a signal to end is not passed on: who ends a run signals each of its processes."""

    def __init__(self):
        self.parent = os.getppid()
        self.since = None

    def look(self, child):
        """Do what is due now."""
        if os.getppid() == self.parent:
            return
        if self.since is None:
            self.since = time.time()
            os.kill(child.pid, signal.SIGTERM)
        elif time.time() - self.since > ORPHAN_GRACE_S:
            os.kill(child.pid, signal.SIGKILL)


def wait(child, orphan):
    """Wait for the script's end; its status as wait has it."""
    while True:
        try:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
        except OSError as error:
            if error.errno == errno.EINTR:
                continue
            raise
        if pid == child.pid:
            return status
        orphan.look(child)
        pause()


def pause():
    """Sleep until a child ends or a signal comes, for at most a second."""
    if hasattr(signal, "sigtimedwait"):
        signal.sigtimedwait([signal.SIGCHLD], 1.0)
    else:
        time.sleep(0.05)


def name_of(number):
    """SIGKILL for 9."""
    names = [name for name in dir(signal) if name.startswith("SIG") and not name.startswith("SIG_")]
    return next((name for name in names if int(getattr(signal, name)) == number), "SIG%d" % number)


def result_of(status):
    """How the script ended, from wait's status."""
    if os.WIFSIGNALED(status):
        return {"kind": "signaled", "signal": name_of(os.WTERMSIG(status))}
    return {"kind": "exited", "code": os.WEXITSTATUS(status)}


def forget(path):
    """Remove the file that has the settings, secrets among them; in a container what its name there leads to."""
    try:  # noqa: SIM105 - Python 2 has no suppress
        os.unlink(os.path.realpath(path))
    except OSError:
        pass  # it lies where only this user reads


def main(settings, own_file=None):
    """Start the script, wait for it, say how it ended and end alike. own_file: has these settings in it, and goes."""
    orphan = Orphan()
    if own_file:
        forget(own_file)
    outlive_signals()
    take_over_output(settings)
    os.write(1, ("errand: driver: %s\n" % describe(settings)).encode("utf-8", "replace"))
    say(
        settings,
        {"kind": "started", "python": platform.python_version(), "path": own_python(), "host": platform.node()},
    )
    try:
        if settings.get("copy_of"):
            copy_tree(to_bytes(settings["copy_of"]), to_bytes(settings["project"]))
        child = start(settings)
    except (IOError, OSError, ValueError) as error:
        say(settings, {"kind": "could_not_start", "text": str(error)})
        os._exit(126)
    if settings.get("context"):
        watcher = threading.Thread(target=watch_context, args=(settings["context"],))
        watcher.daemon = True
        watcher.start()
    status = wait(child, orphan)
    result = result_of(status)
    if settings.get("outputs"):
        result["outputs"] = bring_outputs(settings)
        metrics = bring_metrics(settings)
        if metrics:
            result["metrics"] = metrics
    say(settings, result)
    sys.stdout.flush()
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


if __name__ == "__main__" and len(sys.argv) > 1:
    main(decode(sys.argv[1]))
