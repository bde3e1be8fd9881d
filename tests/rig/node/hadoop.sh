#!/bin/sh
# The head node's hadoop, hdfs and yarn, known by the name they are called by: the client classes of a distribution.
# shellcheck source=/dev/null # made by configuration.py
. "$(dirname "$0")/../env.sh"

tool=$(basename "$0")
verb=${1:-}
[ $# = 0 ] || shift
case "$tool $verb" in
"hdfs dfs" | "hadoop fs" | "hadoop dfs") class=org.apache.hadoop.fs.FsShell ;;
"hdfs dfsadmin") class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
"hdfs getconf") class=org.apache.hadoop.hdfs.tools.GetConf ;;
"hdfs fsck") class=org.apache.hadoop.hdfs.tools.DFSck ;;
"hadoop jar") class=org.apache.hadoop.util.RunJar ;;
"yarn app" | "yarn application" | "yarn applicationattempt" | "yarn container")
    class=org.apache.hadoop.yarn.client.cli.ApplicationCLI
    set -- "$verb" "$@"
    ;;
"yarn logs") class=org.apache.hadoop.yarn.client.cli.LogsCLI ;;
"yarn node") class=org.apache.hadoop.yarn.client.cli.NodeCLI ;;
"yarn queue") class=org.apache.hadoop.yarn.client.cli.QueueCLI ;;
"yarn rmadmin") class=org.apache.hadoop.yarn.client.cli.RMAdminCLI ;;
*" version") class=org.apache.hadoop.util.VersionInfo ;;
*" classpath")
    echo "${rig_classpath:?}"
    exit 0
    ;;
*)
    echo "$tool: the rig has no command '$verb'; tests/rig/node/hadoop.sh lists those that it has" >&2
    exit 1
    ;;
esac
# shellcheck disable=SC2086 # options are words
exec "$JAVA_HOME/bin/java" ${rig_java_options:?} "-Drig.logger=${HADOOP_ROOT_LOGGER:-INFO,console}" -Xmx256m \
    -cp "$rig_classpath" "$class" "$@"
