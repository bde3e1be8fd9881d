/*
 * spark_submit: how spark-submit is called for a run.            [executor]
 *
 * Everything here is a function of what it is given: no file is read, no program started.
 * Settings go by --conf alone: a properties file would hide the node's own
 * spark-defaults.conf (Spark's configuration page, "Dynamically Loading Spark
 * Properties"). Every option stands before the program that Spark starts, which is
 * spark_driver.py with the run's settings behind it: no argument of the user's is on a
 * command line, where others read it and a JVM's locale changes it.
 */
#ifndef EXECUTOR_SPARK_SUBMIT_H
#define EXECUTOR_SPARK_SUBMIT_H

#include "common/runspec.h"
#include "executor/spark_node.h"

/* Where a run's script and its executors run. */
struct spark_place {
    char *master;                       /* "yarn", "local[*]", "spark://..." */
    bool is_yarn, is_local, is_cluster; /* is_cluster: the script runs there, not here */
};

/* Decide by the specification, then the node. place is zeroed, and to be released in any
 * case. Errors: ERR_UNSUPPORTED (a master or mode that errand does not know). */
int spark_place_choose(struct spark_place *place, const struct runspec_spark *spark,
                       const struct spark_node *node, struct error *err);
void spark_place_release(struct spark_place *place);

/* All borrowed. */
struct spark_submission {
    const struct runspec *spec;
    const struct spark_node *node;
    const struct spark_place *place;
    int64_t attempt;
    const char *work;              /* absolute: what of the project is named lies here */
    const char *driver;            /* absolute: spark_driver.py with its settings */
    const char *driver_python;     /* of a driver on this node; NULL in the cluster */
    const char *executor_python;   /* as it is called where executors run */
    const struct strvec *archives; /* more of them, URI#NAME; may be NULL */
    const struct strvec *conf;     /* more of it, "spark.key=value"; may be NULL */
};

/* "errand-<run>-<attempt>": what finds an application whose id nobody knows. malloc'ed.
 */
char *spark_tag(const char *run, int64_t attempt);

/* Append the argument vector. */
void spark_submit_arguments(const struct spark_submission *s, struct strvec *argv);

/* What the address of the driver's metrics has behind that of its outputs. */
#define SPARK_METRICS_SUFFIX ".metrics"

/* What spark_driver.py is told. All borrowed but for what may be NULL. */
struct spark_driver {
    const struct runspec *spec;
    int64_t attempt;
    const char *project;                /* the script's working folder, where it runs */
    const struct strvec *python_path;   /* for the front of PYTHONPATH there; or NULL */
    const struct strvec *variables;     /* more of them, "K=V"; or NULL */
    const char *log, *result, *context; /* absolute; NULL: not on this node */
    const char *copy_of; /* the folder that project becomes a copy of; NULL:
                            it is there */
    const char *prefix;  /* the folder of a conda environment that came along, where the
                            driver begins; NULL: none did */
    const char *outputs; /* URI of the archive of its outputs; NULL: they stay
                            where they are */
    const char *token;   /* for the trailer */
};

/* Append spark_driver.py's text with these settings behind it. */
void spark_driver_write(const struct spark_driver *driver, struct strbuf *out);

#endif
