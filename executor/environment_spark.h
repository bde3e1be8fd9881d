/*
 * environment_spark: a run's environment, where Spark is what it is for. [executor]
 *
 * Driver and executors of a cluster have the cluster's Python; so the environment is
 * built for that one. The prepare stage packs and sends it, with the project, so that
 * what takes long is done and seen before the run has its turn.
 */
#ifndef EXECUTOR_ENVIRONMENT_SPARK_H
#define EXECUTOR_ENVIRONMENT_SPARK_H

#include "executor/environment_build.h"

/*
 * The interpreter that a run's environment has to be built for, by its absolute path,
 * malloc'ed: *out, or NULL where any will do (no Spark run, no Spark here, no such file).
 * *is_must: no other will do, because executors elsewhere have that one. may_start:
 * programs may be started to find out. 1; 0: one would have to be.
 */
int environment_spark_python(const struct noderoot *root, const struct runspec *spec,
                             bool may_start, char **out, bool *is_must);

/* True where the run's cluster may still lack its environment: the prepare stage has to
 * look. Starts no program. */
bool environment_spark_is_due(const struct noderoot *root, int run_fd,
                              const struct runspec *spec);

/* Send what executors elsewhere need of a run whose environment, where it has one, is
 * pinned. Errors: spark_ship.h's, spark_node.h's. */
int environment_spark_prepare(const struct preparation *p, struct error *err);

#endif
