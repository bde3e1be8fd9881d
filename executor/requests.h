/*
 * requests: what connections asked of a run (FORMATS.md 4.5).            [executor]
 *
 * The only request so far is cancel. Files that are no request are ignored: whoever may
 * write into the folder could as well kill the run.
 */
#ifndef EXECUTOR_REQUESTS_H
#define EXECUTOR_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

struct cancel_request {
    int64_t grace_ms; /* the shortest that was asked for */
    char reason[256]; /* of the first, or "" */
    char by[128];
};

/* True where a cancel was asked for. default_grace_ms: for those that name none. */
bool requests_find_cancel(int run_fd, int64_t default_grace_ms,
                          struct cancel_request *out);

#endif
