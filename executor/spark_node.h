/*
 * spark_node: what Spark, YARN and HDFS a node has.            [executor]
 *
 * Found by a Python program that this one carries (spark_probe.py) and that starts no
 * JVM; what it said is kept in the root, as spark.json, and believed as long as the
 * files that it depends on are the same and the variables that decide are. So a warm run
 * starts no program for it.
 *
 * Life: spark_node_init -> spark_node_find -> spark_node_release.
 */
#ifndef EXECUTOR_SPARK_NODE_H
#define EXECUTOR_SPARK_NODE_H

#include "common/runspec.h"
#include "common/strvec.h"
#include "executor/noderoot.h"

/* ROW(name): texts, "" where nobody says. */
#define SPARK_NODE_TEXTS(ROW)                                                            \
    ROW(submit)          /* absolute path of spark-submit or spark3-submit */            \
    ROW(home)            /* SPARK_HOME */                                                \
    ROW(version)         /* "3.5.9" */                                                   \
    ROW(scala)           /* "2.12" */                                                    \
    ROW(conf_dir)        /* with spark-defaults.conf */                                  \
    ROW(hadoop_conf_dir) /* with core-site.xml */                                        \
    ROW(python)         /* the cluster's Python, absolute where it is on the node too */ \
    ROW(python_version) /* "3.11.7" */                                                   \
    ROW(master)         /* spark.master of the node's own defaults */                    \
    ROW(deploy_mode)    /* spark.submit.deployMode of them */                            \
    ROW(hadoop)         /* the program hadoop or hdfs */                                 \
    ROW(yarn)           /* the program yarn */                                           \
    ROW(curl)                                                                            \
    ROW(java)                                                                            \
    ROW(user)       /* who HDFS and YARN take this account for */                        \
    ROW(fs)         /* fs.defaultFS */                                                   \
    ROW(staging)    /* spark.yarn.stagingDir */                                          \
    ROW(log_server) /* yarn.log.server.url */                                            \
    ROW(security)   /* "simple", "kerberos" */

struct spark_node {
#define ROW(name) char *name;
    SPARK_NODE_TEXTS(ROW)
#undef ROW
    struct strvec rm;      /* URLs of YARN's ResourceManagers */
    struct strvec webhdfs; /* URLs of the default file system's NameNodes */
};

/* What is looked for. Borrowed. */
struct spark_wish {
    const char *home;         /* SPARK_HOME that must be it, or NULL */
    const char *fallback;     /* spark-submit to take where the node has none, or NULL */
    struct strvec *variables; /* the run's, "K=V" */
};

void spark_node_init(struct spark_node *node);
void spark_node_release(struct spark_node *node);
#define CLEANUP_SPARK_NODE __attribute__((cleanup(spark_node_release)))

/*
 * Fill node, which was initialised. Blocks for as long as a Python process and bash take
 * (0.1 s), at most a minute; where nothing changed, not at all. Errors: ERR_NOT_FOUND (no
 * Python, Spark or Java: with what was looked for), ERR_SPAWN, ERR_CORRUPT.
 */
int spark_node_find(const struct noderoot *root, const struct spark_wish *wish,
                    struct spark_node *node, struct error *err);

/*
 * The same for a run: by the login environment, which is this process's, and the run's
 * own variables, but without its Python environment: what is found is the cluster's. Only
 * where the node has no Spark the one counts that the environment at prefix (or NULL)
 * brings. may_start false: no program is started. 1: node is filled; 0: a program would
 * have to be started; -1: err, as above.
 */
int spark_node_find_for(const struct noderoot *root, const struct runspec *spec,
                        const char *prefix, bool may_start, struct spark_node *node,
                        struct error *err);

/* Whether Spark's version is known and that or a later one. */
bool spark_node_is_at_least(const struct spark_node *node, unsigned major,
                            unsigned minor);

#endif
