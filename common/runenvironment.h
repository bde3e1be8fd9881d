/*
 * runenvironment: which environment a run has, as journals, pins and --json say it.
 * [wire]
 *
 * Fixed arrays, so that it may be copied and be kept by who allocates nothing. Only the
 * kind is always known: an interpreter that was there before has no identity, and an
 * environment that could not be built has no build.
 */
#ifndef COMMON_RUNENVIRONMENT_H
#define COMMON_RUNENVIRONMENT_H

#include "common/json.h"
#include "common/oid.h"

#define RUN_ENVIRONMENT_WORD_SIZE 32
#define RUN_ENVIRONMENT_BUILDER_SIZE 64
#define RUN_ENVIRONMENT_UNKNOWN (-1)

struct run_environment {
    char kind[RUN_ENVIRONMENT_WORD_SIZE]; /* "packages", "existing" ...; "": there is none
                                           */
    char identity[OID_HEX_SIZE];          /* or "" */
    char build[RUN_ENVIRONMENT_WORD_SIZE];
    char python[RUN_ENVIRONMENT_WORD_SIZE];     /* its version */
    char builder[RUN_ENVIRONMENT_BUILDER_SIZE]; /* for people: "uv 0.5.1" */
    char lock[OID_HEX_SIZE];                    /* SHA-256 of what was installed */
    bool is_reused;                             /* it was there before this run */
    /* RUN_ENVIRONMENT_UNKNOWN where nobody said. spent_ms: what this run waited for it.
     */
    int64_t spent_ms, packages, unpinned, size_bytes;
};

void run_environment_init(struct run_environment *environment);
/* False: the run has none, as far as is known. */
bool run_environment_is_known(const struct run_environment *environment);

/* As journal lines and pins have it (FORMATS.md 4.2). The caller's to free. */
struct json *run_environment_to_json(const struct run_environment *environment);
/* Errors: ERR_CORRUPT (out is unchanged). Members beside kind may be absent or null. */
int run_environment_from_json(const struct json *j, struct run_environment *out,
                              struct error *err);

/* For people, on one line: "12 packages, 262 MB, built in 2.5 s with uv 0.5.1, Python
 * 3.11.7"; only what is known. Append. */
void run_environment_describe(const struct run_environment *environment,
                              struct strbuf *out);

#endif
