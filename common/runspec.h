/*
 * runspec: what to run.            [wire]
 *
 * The specification of a run (FORMATS.md 4.1): made once by the controller, kept and
 * resent as the very same bytes, read by both sides. A struct runspec owns all it points
 * to. Byte strings are strbufs' data: NUL-terminated here, because execve's are; one with
 * a NUL inside is refused.
 */
#ifndef COMMON_RUNSPEC_H
#define COMMON_RUNSPEC_H

#include "common/envspec.h"
#include "common/json.h"
#include "common/message.h"
#include "common/oid.h"
#include "common/runspec_spark.h"
#include "common/strvec.h"

#define RUNSPEC_FORMAT 1
#define RUNSPEC_SIZE_MAX                                                                 \
    ((size_t)480 << 10) /* of spec.json: it fits, quoted, in SUBMIT */
#define RUNSPEC_ARGUMENTS_MAX 65536
#define RUNSPEC_ATTEMPTS_MAX 1000
#define RUNSPEC_GRACE_DEFAULT_MS 10000
#define RUNSPEC_GRACE_MAX_MS INT64_C(86400000)
#define RUNSPEC_PREPARE_SLOTS_DEFAULT 2
#define RUNSPEC_PREPARE_SLOTS_MAX 64
/* What keeps a runaway log from filling the node's disk. */
#define RUNSPEC_LOG_MAX_DEFAULT UINT64_C(1000000000)
#define RUNSPEC_LOG_MAX_LEAST UINT64_C(1000000)

#define FRAMEWORK_TABLE(ROW)                                                             \
    ROW(PYTHON, "python",                                                                \
        "a Python script, by python3 or the interpreter that was named")                 \
    ROW(COMMAND, "command", "a plain command, or a script that starts itself with #!")   \
    ROW(PYSPARK, "pyspark", "a Python script, by the node's or cluster's Spark")

enum framework {
#define ROW(symbol, name, meaning) FRAMEWORK_##symbol,
    FRAMEWORK_TABLE(ROW)
#undef ROW
        FRAMEWORK_COUNT
};
/* Static storage. */
const char *framework_name(enum framework framework);
/* Errors: ERR_CORRUPT. */
int framework_parse(const char *name, enum framework *out, struct error *err);

/* How the run gets its Python environment; the variables are struct runspec's own. */
struct runspec_environment {
    char pin_identity[OID_HEX_SIZE]; /* a built environment to use, or "" */
    char *pin_build;                 /* its build; NULL: the newest */
    bool has_definition;
    struct envspec definition;
    struct oid brought;    /* a tree that came beside the snapshot (BRING); zero: none */
    bool is_refresh;       /* build anew although there is a ready one */
    struct strvec imports; /* modules that must be importable, tried after a build */
    struct strvec shared;  /* folders with environments that an administrator prepared */
    int64_t slots;         /* builds at a time on the node */
};

struct runspec {
    char run[RUN_ID_SIZE];
    char *experiment;
    int64_t created_utc_ms;
    char controller[33]; /* the submitter's controller id */
    char *submitter;     /* "user@host" */
    struct oid root;
    uint64_t files, size_bytes;
    enum framework framework;
    char *script;          /* in the snapshot, or NULL */
    struct strvec command; /* arguments, or argv where script is NULL */
    char *interpreter;     /* or NULL */
    struct runspec_environment environment;
    /* pyspark always has it; a plain command where its environment is for a cluster's
     * Spark, too; else NULL. */
    struct runspec_spark *spark;
    struct strvec variables; /* "K=V" */
    struct strvec secrets;   /* names */
    int64_t attempts;
    int64_t time_limit_ms; /* of an attempt; 0: none */
    int64_t grace_ms;
    uint64_t log_max_bytes; /* of driver.log on the node's disk; 0: no limit */
    int64_t slots, gpus, priority;
    struct strvec outputs; /* folders in the work tree */
    struct strvec tags;    /* "key=value" */
    struct strvec on_end;  /* argv, or empty */
};

/* The defaults: python, one attempt, one slot, RUNSPEC_GRACE_DEFAULT_MS,
 * RUNSPEC_LOG_MAX_DEFAULT; all else empty. */
void runspec_init(struct runspec *spec);
void runspec_release(struct runspec *spec);

/*
 * The bytes of spec.json: append to out. Of two variables or tags of one name the last
 * counts. What a user wrote is checked by decoding the result.
 */
void runspec_encode(const struct runspec *spec, struct strbuf *out);
/* Check and decode; spec was initialised, and is to be released in any case. Errors:
 * ERR_CORRUPT (what is wrong), ERR_VERSION (a newer format), ERR_LIMIT (over
 * RUNSPEC_SIZE_MAX). */
int runspec_decode(const char *text, size_t length, struct runspec *spec,
                   struct error *err);

/* A path in a snapshot: relative, no empty, "." or ".." component, at most TREE_PATH_MAX.
 */
bool runspec_path_is_valid(const char *path);

#endif
