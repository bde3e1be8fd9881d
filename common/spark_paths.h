/*
 * spark_paths: where Python finds a project's modules and packages on a cluster. [wire]
 *
 * Containers have the project and the environment as folders of their working folder,
 * under these names; the order is that of a script that is started by itself.
 */
#ifndef COMMON_SPARK_PATHS_H
#define COMMON_SPARK_PATHS_H

#include "common/runspec.h"

#define SPARK_ALIAS_PROJECT "project"
#define SPARK_ALIAS_ENVIRONMENT "environment"

/* Append the folders of the project, relative to its top ("" is that): the script's own,
 * those that the environment names, the top. */
void spark_paths_of_project(const struct runspec *spec, struct strvec *out);
/* The same as folders of a container, "project/lib". */
void spark_paths_in_container(const struct runspec *spec, struct strvec *out);
/* Append "spark.executorEnv.PYTHONPATH=./a:./b:..." for the folders python_path, relative
 * to a container's; what conf says of it comes last. */
void spark_paths_add_conf(const struct strvec *python_path, const struct strvec *conf,
                          struct strvec *out);
/* True where Spark's words say that this file, of which the last part of the name counts
 * ("hdfs://nn/x/projects/3f2a.tar#project"), is not there. */
bool spark_paths_is_missed(const char *file, const char *words);

#endif
