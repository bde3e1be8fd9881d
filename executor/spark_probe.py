"""What Spark, YARN and HDFS this node has: one process, whose answer is one JSON object.

For Python 2.7 and 3.4 and later, with nothing but the standard library; embedded in the executor. It reads files and
starts no JVM: where spark-submit leads to, and with which variables, spark-submit itself says: bash stops before the
line of Spark's script spark-class that would start Java, and the variables are written down.

    python -c TEXT WISH     WISH: JSON {"home": SPARK_HOME or "", "fallback": a spark-submit to take at last, or ""}

`files` in the answer are those that it depends on, as the caller can see again: [path, device, inode, size, mtime in
ms], or [path] of one that is not there.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

PLACES = [
    "/usr/hdp/current/spark3-client",
    "/usr/hdp/current/spark2-client",
    "/opt/cloudera/parcels/SPARK3/lib/spark3",
    "/opt/cloudera/parcels/CDH/lib/spark",
    "/usr/lib/spark3",
    "/usr/lib/spark",
    "/opt/spark",
    "/usr/local/spark",
]
NAMES = ["spark-submit", "spark3-submit"]
ASK_SECONDS = "20"
# What bash reads first (BASH_ENV). The user's own comes before.
HOOK = """
[ -z "$ERRAND_PROBE_BASH_ENV" ] || . "$ERRAND_PROBE_BASH_ENV"
set -o functrace
errand_probe() {
    "$ERRAND_PROBE_PYTHON" -c 'import json, os
open(os.environ["ERRAND_PROBE_FILE"], "w").write(json.dumps(dict(os.environ)))'
    exit 1
}
trap 'case $BASH_COMMAND in *org.apache.spark.launcher.Main*) errand_probe;; esac' DEBUG
"""


class Files:
    """The files that the answer depends on."""

    def __init__(self):
        self.seen = {}

    def note(self, path):
        """Remember how the file is now."""
        if path in self.seen:
            return
        try:
            st = os.stat(path)
            ns = getattr(st, "st_mtime_ns", None)
            ms = int(st.st_mtime * 1000) if ns is None else ns // 1000000
            self.seen[path] = [path, st.st_dev, st.st_ino, st.st_size, ms]
        except OSError:
            self.seen[path] = [path]

    def read(self, path):
        """The file's text; "" where there is none."""
        self.note(path)
        try:
            with open(path, "rb") as f:
                return f.read(1 << 20).decode("utf-8", "replace")
        except (IOError, OSError):
            return ""


def which(name, files, path=None):
    """As the shell finds it: an absolute path, or "". The answer depends on each place where it was looked for."""
    for folder in (path or os.environ.get("PATH", "")).split(":"):
        full = os.path.join(os.path.abspath(folder or "."), name)
        files.note(full)
        if os.path.isfile(full) and os.access(full, os.X_OK):
            return full
    return ""


def candidates(wish, files):
    """Where spark-submit may be, the first that is there counts: (path, SPARK_HOME to set or "")."""
    for named in [wish["home"], os.environ.get("SPARK_HOME", "")]:
        if named:
            home = os.path.abspath(os.path.expanduser(named))
            yield os.path.join(home, "bin", "spark-submit"), home
        if named and named == wish["home"]:
            return
    for name in NAMES:
        yield which(name, files), ""
    for home in PLACES:
        yield os.path.join(home, "bin", "spark-submit"), ""
    yield wish["fallback"], ""


def find_submit(wish, files):
    """spark-submit and its SPARK_HOME; ("", "") where there is none."""
    for path, home in candidates(wish, files):
        if path:
            files.note(path)
        if path and os.path.isfile(path) and os.access(path, os.X_OK):
            return path, home
    return "", ""


def ask(words, environment):
    """Start a program that does not take long; its output, "" where it failed."""
    limited = ["timeout", ASK_SECONDS] + words if which("timeout", Files()) else words
    try:
        with open(os.devnull, "r+b") as nothing:
            child = subprocess.Popen(limited, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, env=environment)
            return child.communicate()[0].decode("utf-8", "replace")
    except OSError:
        return ""


def ask_submit(submit, home):
    """The variables that spark-submit gives to its JVM; where it does not say, those that are known here."""
    folder = tempfile.mkdtemp(prefix="errand-probe-")
    try:
        hook, answer = os.path.join(folder, "hook"), os.path.join(folder, "answer")
        with open(hook, "w") as f:
            f.write(HOOK)
        environment = dict(
            os.environ,
            BASH_ENV=hook,
            ERRAND_PROBE_BASH_ENV=os.environ.get("BASH_ENV", ""),
            ERRAND_PROBE_FILE=answer,
            ERRAND_PROBE_PYTHON=sys.executable,
        )
        if home:
            environment["SPARK_HOME"] = home
        ask([submit, "--version"], environment)
        with open(answer) as f:
            return json.load(f)
    except (IOError, OSError, ValueError):
        return dict(os.environ, SPARK_HOME=home or os.path.dirname(os.path.dirname(os.path.realpath(submit))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_version(home, files):
    """Spark's version and Scala's, from the name of a jar or the release file."""
    jars = os.path.join(home, "jars")
    files.note(jars)
    try:
        names = os.listdir(jars)
    except OSError:
        names = []
    for name in names:
        match = re.match(r"spark-core_([0-9.]+)-(.+)\.jar$", name)
        if match:
            return match.group(2), match.group(1)
    match = re.match(r"Spark ([^ ]+)", files.read(os.path.join(home, "RELEASE")))
    return (match.group(1) if match else ""), ""


def read_properties(text):
    """Spark's defaults: a key, blanks or '=' or ':', a value."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([^#!\s=:]+)\s*[=:\s]\s*(.*?)\s*$", line)
        if match:
            found[match.group(1)] = match.group(2)
    return found


class Hadoop:
    """Hadoop's configuration: what its XML files say, with ${...} filled in."""

    def __init__(self, folder, user, files):
        self.values = {"user.name": user}
        for name in ["core-site.xml", "hdfs-site.xml", "yarn-site.xml"] if folder else []:
            self.read(files.read(os.path.join(folder, name)))

    def read(self, text):
        """Add a file's properties; one that is no XML has none."""
        try:
            root = xml.etree.ElementTree.fromstring(text.encode("utf-8")) if text else []
        except xml.etree.ElementTree.ParseError:
            return
        for item in root:
            name, value = item.findtext("name"), item.findtext("value")
            if item.tag == "property" and name:
                self.values[name.strip()] = (value or "").strip()

    def get(self, name, default=""):
        """A property's value."""
        value = self.values.get(name, default)
        for _ in range(20):
            filled = re.sub(r"\$\{([^}]+)\}", self.fill, value)
            if filled == value:
                break
            value = filled
        return value

    def fill(self, match):
        """What stands for ${name} or ${env.NAME}; itself where nobody knows."""
        name = match.group(1)
        if name.startswith("env."):
            return os.environ.get(name[4:].split(":-")[0].split("-")[0], match.group(0))
        return self.values.get(name, match.group(0))

    def items(self, name):
        """A list with commas."""
        return [item.strip() for item in self.get(name).split(",") if item.strip()]

    def resource_managers(self):
        """The addresses of YARN's ResourceManagers, the first one first."""
        is_https = self.get("yarn.http.policy") == "HTTPS_ONLY"
        key, port = ("webapp.https", 8090) if is_https else ("webapp", 8088)
        ids = (
            self.items("yarn.resourcemanager.ha.rm-ids")
            if self.get("yarn.resourcemanager.ha.enabled") == "true"
            else []
        )
        found = []
        for suffix in ["." + one for one in ids] or [""]:
            address = self.get("yarn.resourcemanager.%s.address%s" % (key, suffix))
            host = self.get("yarn.resourcemanager.hostname" + suffix)
            if not address and host and host != "0.0.0.0":
                address = "%s:%d" % (host, port)
            if address:
                found.append("%s://%s" % ("https" if is_https else "http", address))
        return found

    def webhdfs(self):
        """The addresses of the default file system's NameNodes."""
        match = re.match(r"(?:web|s?web)?hdfs://([^/:]+)", self.get("fs.defaultFS"))
        if not match:
            return []
        service, scheme = match.group(1), "http"
        if self.get("dfs.http.policy") == "HTTPS_ONLY":
            scheme = "https"
        nodes = self.items("dfs.ha.namenodes." + service)
        keys = ["dfs.namenode.%s-address" % scheme + s for s in [".%s.%s" % (service, n) for n in nodes] or [""]]
        return ["%s://%s" % (scheme, self.get(key)) for key in keys if self.get(key)]


def find_hadoop_conf(variables, files):
    """The folder with Hadoop's configuration that Spark uses, or the usual one."""
    for folder in [variables.get("HADOOP_CONF_DIR", ""), variables.get("YARN_CONF_DIR", ""), "/etc/hadoop/conf"]:
        if folder and os.path.isdir(folder):
            return folder
        if folder:
            files.note(folder)
    return ""


def find_python(defaults, variables, files):
    """The cluster's Python: an absolute path where there is one here."""
    path = variables.get("PATH")
    wish = defaults.get("spark.pyspark.python") or variables.get("PYSPARK_PYTHON") or "python3"
    return wish if os.sep in wish else which(wish, files, path) or which("python", files, path)


def find_java(variables, files):
    """What Spark's JVM is started by, as spark-class looks for it; "" where it finds none."""
    home = variables.get("JAVA_HOME", "")
    java = os.path.join(home, "bin", "java") if home else which("java", files, variables.get("PATH"))
    if java:
        files.note(java)
    return java if os.access(java, os.X_OK) else ""


def python_version(python, files):
    """Its version, or "" where it cannot be started here."""
    files.note(python)
    text = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    version = ask([python, "-c", text], dict(os.environ)).strip() if python else ""
    return version if re.match(r"[0-9.]+$", version) else ""


def user_name():
    """Who HDFS takes this account for."""
    if os.environ.get("HADOOP_USER_NAME"):
        return os.environ["HADOOP_USER_NAME"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER", "")


def describe_hadoop(hadoop, answer, defaults):
    """What the configuration of Hadoop adds."""
    answer["fs"] = hadoop.get("fs.defaultFS")
    answer["staging"] = defaults.get("spark.yarn.stagingDir", "")
    answer["rm"] = hadoop.resource_managers()
    answer["webhdfs"] = hadoop.webhdfs()
    answer["log_server"] = hadoop.get("yarn.log.server.url")
    answer["security"] = hadoop.get("hadoop.security.authentication", "simple")


def probe(wish):
    """The answer."""
    files = Files()
    submit, home = find_submit(wish, files)
    if not submit:
        return {"submit": "", "named": wish["home"]}
    files.note(os.path.realpath(submit))
    variables = ask_submit(submit, home)
    home = variables.get("SPARK_HOME", home)
    conf = variables.get("SPARK_CONF_DIR") or os.path.join(home, "conf")
    defaults = read_properties(files.read(os.path.join(conf, "spark-defaults.conf")))
    files.note(os.path.join(conf, "spark-env.sh"))
    version, scala = find_version(home, files)
    hadoop_conf = find_hadoop_conf(variables, files)
    python = find_python(defaults, variables, files)
    path = variables.get("PATH")
    answer = {
        "submit": submit,
        "home": home,
        "version": version,
        "scala": scala,
        "conf_dir": conf,
        "hadoop_conf_dir": hadoop_conf,
        "python": python,
        "python_version": python_version(python, files),
        "master": defaults.get("spark.master", ""),
        "deploy_mode": defaults.get("spark.submit.deployMode", ""),
        "hadoop": which("hadoop", files, path) or which("hdfs", files, path),
        "yarn": which("yarn", files, path),
        "curl": which("curl", files, path),
        "java": find_java(variables, files),
        "user": user_name(),
    }
    describe_hadoop(Hadoop(hadoop_conf, answer["user"], files), answer, defaults)
    answer["files"] = sorted(files.seen.values())
    return answer


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
