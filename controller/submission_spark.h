/*
 * submission_spark: how a run's Spark is started, from configuration and options.
 * [controller]
 *
 * What the command line says counts before the target, and the target before the
 * project's configuration; keys of conf are merged one by one.
 */
#ifndef CONTROLLER_SUBMISSION_SPARK_H
#define CONTROLLER_SUBMISSION_SPARK_H

#include "controller/submission.h"

/* The first option that was given and that Spark alone understands ("--master"), or
 * NULL. Static storage. */
const char *submission_spark_option(const struct submission_spark *options);

/*
 * Fill spec->spark, whose framework is pyspark. Files are found in the project as the
 * script is. Errors: ERR_USAGE and ERR_CONFIG, with the option or key; ERR_NOT_FOUND (a
 * file).
 */
int submission_spark_plan(struct runspec *spec, const struct config *config,
                          const struct target *target,
                          const struct submission_spark *options, struct error *err);

/* Append the paths in the project that Spark is to get; they must be in the snapshot. */
void submission_spark_paths(const struct runspec_spark *spark, struct strvec *out);

#endif
