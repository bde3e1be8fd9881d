/*
 * environment_source: an environment that a person named, wherever it is. [controller]
 *
 * A file here is what it comes to now. A run (an id, the beginning of one, or @) has the
 * definition that was sent and the lock that came home. Else what a target has is asked
 * for, by identity or by what it was made from.
 *
 * Life: environment_source_read -> environment_source_release.
 */
#ifndef CONTROLLER_ENVIRONMENT_SOURCE_H
#define CONTROLLER_ENVIRONMENT_SOURCE_H

#include "common/runenvironment.h"
#include "controller/command.h"

struct environment_source {
    char *label;                  /* for people: "run k7m2...", "3f2a61c0d4e5 on gpu1" */
    struct json *definition;      /* in its identity form */
    struct json *document;        /* the node's (FORMATS.md 3.1), or NULL */
    char *lock;                   /* what was installed, or NULL */
    struct run_environment facts; /* as far as they are known */
};

/* target: of what is on a node; NULL: the configured one. Errors: ERR_NOT_FOUND,
 * ERR_USAGE (ambiguous), ERR_CORRUPT (a lock that is not what the run said), and those of
 * connecting. */
int environment_source_read(struct environment_source *out,
                            struct command_context *context, const char *name,
                            const char *target, struct error *err);
void environment_source_release(struct environment_source *source);
#define CLEANUP_ENVIRONMENT_SOURCE __attribute__((cleanup(environment_source_release)))

/* All lines of it: environment_lines, and the node's where they are known. Append. */
void environment_source_lines(const struct environment_source *source, bool want_node,
                              struct strvec *out);

#endif
