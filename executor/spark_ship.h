/*
 * spark_ship: what a run's driver and executors need reaches their cluster. [executor]
 *
 * The project and the environment, each as an archive by content (shipping.h), under the
 * aliases `project` and `environment`: that is what their folders are called where the
 * containers work. Where the cluster has no file system of its own, the archives stay on
 * this node and Spark's driver serves them.
 *
 * The prepare stage calls it beforehand, so that what takes long is done and seen there;
 * who starts Spark calls it again, and nothing is sent. Where the cluster says that an
 * archive is not there, spark_ship_forget and once more.
 */
#ifndef EXECUTOR_SPARK_SHIP_H
#define EXECUTOR_SPARK_SHIP_H

#include "executor/clusterfs.h"
#include "executor/environment.h"
#include "executor/noderoot.h"
#include "executor/spark_node.h"

/* All borrowed. */
struct spark_ship {
    const struct noderoot *root;
    const struct runspec *spec;
    int run_fd;
    const struct environment_pin *pin; /* NULL: no environment */
    struct clusterfs *fs;              /* its programs say what goes on */
    const struct spark_node *node;
    /* Ask whether what was sent is still there, where that is quick: in client mode the
     * script has begun before Spark misses it. */
    bool wants_proof;
};

/* Fill fs, which was initialised, with the ways that the node has. */
void spark_ship_reach(const struct spark_node *node, struct clusterfs *fs);

struct spark_shipment {
    struct strvec archives; /* "URI#alias" */
    /* For PYTHONPATH, first one first, relative to the folder where a container works:
     * "project/src", "project", "environment". */
    struct strvec python_path;
    char *python; /* of executors, and of a driver in the cluster: absolute, or relative
                     to the folder where a container works; NULL: the cluster's own */
    const char *prefix; /* of a conda environment that came along, relative too; static,
                           or NULL */
    char *outputs; /* URI of the archive that a driver in the cluster leaves; NULL where
                      the cluster has no file system */
    bool has_sent; /* something was sent now */
};
void spark_shipment_init(struct spark_shipment *shipment);
void spark_shipment_release(struct spark_shipment *shipment);
#define CLEANUP_SHIPMENT __attribute__((cleanup(spark_shipment_release)))

/* Have all of it there. attempt: of the run. out was initialised. Errors: clusterfs.h's,
 * spark_environment.h's, ERR_CANCELED; sentences for the user. */
int spark_ship(const struct spark_ship *s, int64_t attempt, struct spark_shipment *out,
               struct error *err);
/* The URI of what an attempt's driver in the cluster leaves, and of that with ".tmp"
 * behind it while it does; malloc'ed. NULL: the cluster has no file system. */
char *spark_ship_outputs(const struct spark_ship *s, int64_t attempt);
/* The environment alone. */
int spark_ship_environment(const struct spark_ship *s, struct spark_shipment *out,
                           struct error *err);
/* True where the environment is known to be there, or none goes as an archive. */
bool spark_ship_has_environment(const struct spark_ship *s);
/* Append shipment's python_path for a driver in the cluster, whose project lies in folder
 * `project`: its own copy. */
void spark_ship_add_driver_path(const struct spark_shipment *shipment,
                                const char *project, struct strvec *out);
/* True where Spark's words say that an archive of the shipment is not there. */
bool spark_shipment_is_missed(const struct spark_shipment *shipment, const char *words);
/* The cluster lacks what it was said to have. */
void spark_ship_forget(const struct spark_ship *s);

#endif
