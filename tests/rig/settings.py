"""What the rig is made of: versions, ports, folders. Each fact stands here and nowhere else."""

import getpass
import os
from pathlib import Path

HADOOP = "3.3.6"
SPARK = "3.5.9"
SPARK_NEW = "4.1.4"
LIVY = "0.7.1-incubating"
LIVY_OLD = "0.5.0-incubating"

HOST = "127.0.0.1"

# The ports are those of a real cluster, where that has one.
NAMENODE_RPC = 9000
NAMENODE_HTTP = 9870
DATANODE = 9866
DATANODE_HTTP = 9864
DATANODE_IPC = 9867
RM_TRACKER = 8031
RM_SCHEDULER = 8030
RM_RPC = 8032
RM_ADMIN = 8033
RM_HTTP = 8088
NM_RPC = 8041
NM_LOCALIZER = 8040
NM_HTTP = 8042
HISTORY_RPC = 10020
HISTORY_ADMIN = 10033
HISTORY_HTTP = 19888
SPARK_MASTER = 7077
SPARK_MASTER_HTTP = 8081
SPARK_WORKER = 7078
SPARK_WORKER_HTTP = 8082
LIVY_HTTP = 8998
LIVY_YARN_HTTP = 8997
LIVY_OLD_HTTP = 8996
LIVY_KERBEROS_HTTP = 8995
LIVY_STANDALONE_HTTP = 8994
GATEWAY_HTTPS = 8443
KDC = 8850
# One machine with two addresses, as HDInsight's head nodes, and another whose Spark is the standalone cluster's.
HEAD_SSH = (8022, 8023)
EDGE_SSH = 8024
HEAD_NEW_SSH = 8025

# What YARN may give away on this machine.
NODE_MEMORY_MB = 8192
NODE_CORES = 8

SOURCE = Path(__file__).resolve().parent
# What ./dev unpacks instead of installing.
UNPACKED = SOURCE.parent.parent / "build" / "deps"
# Another checkout's rig is used by naming its folder.
HOME = Path(os.environ.get("ERRAND_RIG", SOURCE.parent.parent / "build" / "rig")).resolve()
HADOOP_JARS = HOME / f"hadoop-{HADOOP}"
MAVEN = HOME / "maven"
HADOOP_CONF = HOME / "conf" / "hadoop"
SPARK_CONF = HOME / "conf" / "spark"
SPARK_NEW_CONF = HOME / "conf" / "spark-new"
STANDALONE_CONF = HOME / "conf" / "spark-standalone"
LIVY_SPARK_CONF = HOME / "conf" / "spark-livy"
ENV = HOME / "env.sh"
HEAD = HOME / "head"
EDGE = HOME / "edge"
HEAD_NEW = HOME / "head-new"
GATEWAY = HOME / "gateway"
KERBEROS = HOME / "kerberos"
LOGS = HOME / "logs"
RUN = HOME / "run"
DATA = HOME / "data"
RM_STATE = DATA / "resourcemanager"
TMP = HOME / "tmp"

USER = getpass.getuser()


def java_home() -> Path:
    """A JDK 17: Hadoop 3.3 and Spark 3.5 do not run on the newest ones."""
    for found in sorted(Path("/usr/lib/jvm").glob("java-17-openjdk*")):
        if (found / "bin" / "java").exists():
            return found
    if os.environ.get("JAVA_HOME"):
        return Path(os.environ["JAVA_HOME"])
    raise FileNotFoundError("no Java 17: install openjdk-17-jre-headless (./dev cluster up does), or set JAVA_HOME")
