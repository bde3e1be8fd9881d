/*
 * link_process: a link whose far end is a child process: our own executor, or ssh.
 * [controller]
 *
 * What the child says on stderr goes into an unlinked file, so that nobody has to drain
 * it; its last words are read when the link has to be explained.
 */
#ifndef CONTROLLER_LINK_PROCESS_H
#define CONTROLLER_LINK_PROCESS_H

#include "common/strvec.h"
#include "controller/transport.h"

#include <sys/types.h>

/* Turns the end of the child into a sentence. words: its last words on stderr, made safe.
 * Always returns -1. */
typedef int link_explainer(const void *context, int status, const char *words,
                           const char *noise, struct error *err);
typedef struct json *link_describer(const void *context);

struct link_process_options {
    char *const *argv;
    link_explainer *explain;
    link_describer *describe;
    void *context; /* owned by the link from now on, also on failure: free_context */
    void (*free_context)(void *context);
};

/* Start the child. Errors: ERR_SPAWN, ERR_IO. */
struct link *link_process_open(const struct link_process_options *options,
                               struct error *err);

#endif
