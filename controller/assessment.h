/*
 * assessment: what a node says it would do for an environment, before anything is sent.
 * [controller]
 *
 * PROTOCOL.md, ASSESS. What the node lacks (a Python that fits, a builder, an interpreter
 * that was named) is an error of the question itself.
 */
#ifndef CONTROLLER_ASSESSMENT_H
#define CONTROLLER_ASSESSMENT_H

#include "common/runspec.h"
#include "controller/client.h"

#define ASSESSMENT_WORD_SIZE 64

struct assessment {
    bool is_ready; /* the environment is there */
    bool wants_uv; /* it has none, and could use one that comes along */
    /* The interpreter that it would take; "": it would not, or does not say. */
    char python[ASSESSMENT_WORD_SIZE];         /* "3.11.7" */
    char implementation[ASSESSMENT_WORD_SIZE]; /* "cpython" */
    char platform[ASSESSMENT_WORD_SIZE];       /* "linux-x86_64" */
    char libc[ASSESSMENT_WORD_SIZE];           /* "glibc-2.36", "musl" */
};

/* Ask for the environment of spec, which has a definition. brings_uv: one could come
 * along. Errors: the node's (ERR_NOT_FOUND, ERR_UNSUPPORTED: what it lacks),
 * client_ask's.
 */
int assessment_ask(struct client *client, const struct runspec *spec, bool brings_uv,
                   struct assessment *out, struct error *err);

#endif
