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

/* How the child ended, and what it said on stderr: its first and last words, line by
 * line, made safe. */
struct process_end {
    int status; /* as waitpid has it */
    const char *words;
    const struct link_end *end;
};

/* Turns that into a sentence. Always returns -1. */
typedef int link_explainer(const void *context, const struct process_end *end,
                           struct error *err);
/* link_facts, from what it has said so far. */
typedef struct json *link_describer(const void *context, const char *words);
/* link_may_be_asking, from what it has said so far. */
typedef bool link_asker(const void *context, const char *words);

struct link_process_options {
    char *const *argv;
    bool has_terminal; /* the child keeps ours, to ask; else it leads a session of its
                          own, and ends with all that it started */
    uint64_t words_max_bytes; /* what the child says on stderr, and any file that it
                                 writes, ends there; 0: no limit of ours */
    link_explainer *explain;
    link_describer *describe;  /* may be NULL */
    link_asker *may_be_asking; /* may be NULL */
    void *context; /* owned by the link from now on, also on failure: free_context */
    void (*free_context)(void *context);
};

/* Start the child. Errors: ERR_SPAWN, ERR_IO. */
struct link *link_process_open(const struct link_process_options *options,
                               struct error *err);

#endif
