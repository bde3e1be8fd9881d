/*
 * probe_spark: what `target check` says of a node's Spark, YARN and HDFS. [executor]
 */
#ifndef EXECUTOR_PROBE_SPARK_H
#define EXECUTOR_PROBE_SPARK_H

#include "common/json.h"
#include "executor/noderoot.h"

struct probe_spark_request {
    const struct noderoot *root;
    const struct json *wish; /* CHECK's "spark" (PROTOCOL.md) */
    bool is_deep;            /* run a small job too */
};

/*
 * Append the checks: Spark, its master, its Python, and where they are configured
 * Hadoop's file system and YARN's ResourceManagers and queues, as they answer. Changes
 * this process's environment: for a process of its own. Blocks for as long as servers
 * take, at most 5 s each; deep for up to three minutes more.
 */
void probe_spark(const struct probe_spark_request *request, struct json *checks);

#endif
