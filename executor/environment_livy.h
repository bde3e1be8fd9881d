/*
 * environment_livy: a run's environment, where a Livy starts the script.    [executor]
 *
 * It is built here, for a Python that is elsewhere. What that is, the cluster is asked
 * once, by a batch that does nothing else; then the archive is put there. Both is the
 * attendant's (controller/attend_livy.h), which alone speaks HTTPS; building and packing
 * are what they are for a cluster with a node.
 */
#ifndef EXECUTOR_ENVIRONMENT_LIVY_H
#define EXECUTOR_ENVIRONMENT_LIVY_H

#include "common/livy_python.h"
#include "executor/environment_build.h"

/* True where a Livy starts the run's script, or is what an environment is prepared for.
 */
bool environment_livy_is(const struct runspec *spec);
/* The Python that the environment is for: the cluster's, or what the definition names
 * where that is one series ("3.11"). False: nobody knows it yet. */
bool environment_livy_python(const struct noderoot *root, const struct runspec *spec,
                             struct livy_python *out);
/* The version of the cluster's glibc, "2.27", for packages that bring their own Python;
 * "" where the run has no Livy, or nobody knows it. */
void environment_livy_libc(const struct noderoot *root, const struct runspec *spec,
                           char out[32]);
/* Ask the cluster, where nobody knows. Errors: ERR_UNSUPPORTED (what the attendant said;
 * what brings its own Python cannot be built here for it), ERR_CANCELED. */
int environment_livy_learn(const struct preparation *p, struct error *err);
/* Put the pinned environment there, if it is not. Errors: as above,
 * spark_environment_pack's. */
int environment_livy_send(const struct preparation *p, struct error *err);

#endif
