/*
 * spark_environment: a run's environment for the driver and executors of a cluster.
 * [executor]
 *
 * What was built on this node for the cluster's own Python goes as an archive of its
 * site-packages, which the cluster's Python of the same minor version takes from
 * PYTHONPATH; one by conda goes whole, interpreter included, and works where it is
 * unpacked; an interpreter that was there before is only named, and has to be on every
 * node.
 */
#ifndef EXECUTOR_SPARK_ENVIRONMENT_H
#define EXECUTOR_SPARK_ENVIRONMENT_H

#include "executor/environment.h"
#include "executor/environment_program.h"
#include "executor/spark_node.h"

enum spark_environment_kind {
    SPARK_ENVIRONMENT_NONE,     /* the cluster's own Python and what it has */
    SPARK_ENVIRONMENT_PACKAGES, /* an archive, for PYTHONPATH */
    SPARK_ENVIRONMENT_CONDA,    /* an archive with an interpreter in it */
    SPARK_ENVIRONMENT_EXISTING, /* an interpreter by its path */
};

/* Which it is, and whether it can serve. node: the cluster's; NULL: nothing is known of
 * it. Errors: ERR_UNSUPPORTED: an image, another minor version than the cluster's Python,
 * or one that its Spark does not work with: a sentence with what to do. pin NULL: none.
 */
int spark_environment_choose(const struct environment_pin *pin,
                             const struct spark_node *node,
                             enum spark_environment_kind *out, struct error *err);

/* All borrowed. */
struct spark_packing {
    const struct environment_pin *pin;
    enum spark_environment_kind kind; /* of the two that are archives */
    const char *python; /* the cluster's; NULL: it is not here, and is not tried. One of
                           conda is tried with its own, where this is not NULL */
    const struct strvec *imports; /* that have to work */
    struct programs *programs;
    const char *scratch; /* a folder that may be made; it is gone afterwards */
};

/*
 * Write its archive to fd, which is at its beginning and can be read, and try it: from an
 * unpacked copy the cluster's Python, or its own, imports what has to work. What else has
 * compiled parts and cannot be imported is said in a line, and what does not come along.
 * Errors: ERR_UNSUPPORTED (it does not work there), ERR_CANCELED, archive.h's.
 */
int spark_environment_pack(const struct spark_packing *p, int fd, struct error *err);

#endif
