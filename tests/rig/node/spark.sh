#!/bin/sh
# The head node's spark-submit and pyspark, known by the name they are called by.
# What the session has set counts before what the rig has.
spark_conf=${SPARK_CONF_DIR:-}
# shellcheck source=/dev/null # made by configuration.py
. "$(dirname "$0")/../env.sh"
[ -z "$spark_conf" ] || export SPARK_CONF_DIR="$spark_conf"
exec "$SPARK_HOME/bin/$(basename "$0")" "$@"
