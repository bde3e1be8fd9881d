/*
 * cancel: asking a node to end a run.            [controller]
 */
#ifndef CONTROLLER_CANCEL_H
#define CONTROLLER_CANCEL_H

#include "controller/client.h"

/*
 * Bring the request onto the node's disk; the end itself is seen by following. *client:
 * an open connection or NULL; what is open afterwards, on loop, whose signals and timers
 * go on. reason may be NULL. grace_ms -1:
 * the run's own. A run that has ended is success. Errors: ERR_NOT_FOUND, ERR_LINK ...
 */
int cancel_run(struct command_context *context, struct client **client, struct loop *loop,
               const struct target *target, const struct history_run *run,
               const char *reason, int64_t grace_ms, struct error *err);

#endif
