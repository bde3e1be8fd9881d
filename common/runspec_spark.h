/*
 * runspec_spark: the part of a specification that says how its Spark is started. [wire]
 *
 * A run of framework pyspark has one (FORMATS.md 4.1.2). Here is also what a user's
 * settings may be: the controller checks each where it was written, and the node all of
 * them again.
 */
#ifndef COMMON_RUNSPEC_SPARK_H
#define COMMON_RUNSPEC_SPARK_H

#include "common/json.h"
#include "common/strvec.h"

#include <stdbool.h>
#include <stdint.h>

#define SPARK_SUBMIT_TIMEOUT_DEFAULT_MS 300000
#define SPARK_SUBMIT_TIMEOUT_MAX_MS INT64_C(86400000)
#define SPARK_ATTEMPTS_MAX 100
#define SPARK_CORES_MAX 4096
#define SPARK_EXECUTORS_MAX 100000
#define SPARK_ITEMS_MAX 1024

#define SPARK_DEPLOY_TABLE(ROW)                                                          \
    ROW(AUTO, "auto")       /* cluster where YARN is the master, else client */          \
    ROW(CLIENT, "client")   /* the script runs on the node */                            \
    ROW(CLUSTER, "cluster") /* the script runs in the cluster */

enum spark_deploy {
#define ROW(symbol, name) SPARK_DEPLOY_##symbol,
    SPARK_DEPLOY_TABLE(ROW)
#undef ROW
        SPARK_DEPLOY_COUNT
};
/* Static storage. */
const char *spark_deploy_name(enum spark_deploy mode);
/* Errors: ERR_CORRUPT. */
int spark_deploy_parse(const char *name, enum spark_deploy *out, struct error *err);

#define LIVY_AUTH_TABLE(ROW)                                                             \
    ROW(BASIC, "basic")                                                                  \
    ROW(NONE, "none")                                                                    \
    ROW(NEGOTIATE, "negotiate")

enum livy_auth {
#define ROW(symbol, name) LIVY_AUTH_##symbol,
    LIVY_AUTH_TABLE(ROW)
#undef ROW
        LIVY_AUTH_COUNT
};

#define LIVY_UPLOAD_TABLE(ROW)                                                           \
    ROW(WEBHDFS, "webhdfs")                                                              \
    ROW(COMMAND, "command")                                                              \
    ROW(LOCAL, "local") /* Livy's own machine is this one */

enum livy_upload {
#define ROW(symbol, name) LIVY_UPLOAD_##symbol,
    LIVY_UPLOAD_TABLE(ROW)
#undef ROW
        LIVY_UPLOAD_COUNT
};
/* Static storage; parsing: ERR_CORRUPT. */
const char *livy_auth_name(enum livy_auth auth);
int livy_auth_parse(const char *name, enum livy_auth *out, struct error *err);
const char *livy_upload_name(enum livy_upload upload);
int livy_upload_parse(const char *name, enum livy_upload *out, struct error *err);

/* Where there is no node, but a Livy server. Texts may be NULL but for url. */
struct runspec_livy {
    char *url, *user, *ca;
    enum livy_auth auth;
    enum livy_upload upload;
    char *webhdfs;                /* URL */
    struct strvec upload_command; /* argv; {src} and {dst} in it */
    char *yarn_url;
};

/* Texts may be NULL: nothing is wished. */
struct runspec_spark {
    char *master; /* NULL: the node's own */
    enum spark_deploy deploy_mode;
    char *home; /* SPARK_HOME on the node */
    char *queue;
    struct strvec conf; /* "spark.key=value", sorted by key */
    struct strvec packages, repositories, exclude_packages;
    struct strvec jars, py_files, files, archives; /* in the snapshot, or URIs; files and
                                                      archives may end in #NAME */
    char *driver_memory, *executor_memory;         /* "4g" */
    int64_t executor_cores, num_executors;         /* 0: not said */
    char *principal, *keytab;
    int64_t max_attempts; /* of the application, by YARN itself */
    int64_t submit_timeout_ms;
    char *base; /* folder in the cluster's file system for what errand puts there */
    struct runspec_livy *livy; /* or NULL */
    char *attendant; /* the program that looks after a run on Livy; NULL without */
};

/* Nothing wished: one attempt, the default timeout. The caller's. */
struct runspec_spark *runspec_spark_new(void);
struct runspec_livy *runspec_livy_new(void);
void runspec_livy_free(struct runspec_livy *livy);
void runspec_spark_free(struct runspec_spark *spark);
DEFINE_CLEANUP_FREE(runspec_spark)

/*
 * Set "spark.key=value" in conf, replacing an earlier value of the key and keeping the
 * order. Errors: spark_conf_check's.
 */
int runspec_spark_set_conf(struct runspec_spark *spark, const char *pair,
                           struct error *err);

/* What is not said is not written. The caller's. */
struct json *runspec_spark_to_json(const struct runspec_spark *spark);
/* NULL: err. Errors: ERR_CORRUPT. The caller's. */
struct runspec_spark *runspec_spark_from_json(const struct json *j, struct error *err);

/* --- what each setting may be; errors: ERR_USAGE, a sentence without the option's name
 */

/* "yarn", "local", "local[N]", "local[*]", "spark://HOST:PORT[,HOST:PORT]". */
int spark_master_check(const char *master, struct error *err);
/* "spark.key=value", the key not one that errand itself sets (the hint says how). */
int spark_conf_check(const char *pair, struct error *err);
/* "GROUP:ARTIFACT:VERSION"; to exclude: "GROUP:ARTIFACT". */
int spark_package_check(const char *coordinate, struct error *err);
int spark_exclude_check(const char *coordinate, struct error *err);
/* "512m", "4g". */
int spark_memory_check(const char *size, struct error *err);
/* Something that stands in a list with commas: a URI, a name. */
int spark_item_check(const char *item, struct error *err);
/* A folder in the cluster's file system: a URI or an absolute path. */
int spark_base_check(const char *uri, struct error *err);

/* Whether it has a scheme, as "hdfs://nn/x.jar" or "local:/opt/x.jar": else it is a path
 * in the project. RFC 3986 section 3.1. */
bool spark_is_uri(const char *item);
/* Whether the master's applications run on this node or, by a driver here, elsewhere, but
 * not on YARN. NULL, the node's own, is not known: false. */
bool spark_master_is_not_yarn(const char *master);

#endif
