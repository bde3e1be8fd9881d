/*
 * refresh: what a node says now of runs that had not ended when we last heard of them.
 * [controller]
 *
 * The journal's lines go into the history; logs and outputs stay where they are. A node
 * that does not answer is no error of the run's: what was known stays, and the caller
 * says that it may be old.
 */
#ifndef CONTROLLER_REFRESH_H
#define CONTROLLER_REFRESH_H

#include "common/strvec.h"
#include "controller/command.h"

/*
 * Ask the node behind target_name for these runs (ids) in one question. Errors:
 * client_connect's, target_find's, the executor's. Runs that the node does not know, or
 * that belong to another store, are left as they are.
 */
int refresh_runs(struct command_context *context, const char *target_name,
                 const struct strvec *ids, struct error *err);

/* True where asking may tell more: it was accepted and is not final. */
bool refresh_is_wanted(const struct history_run *run);

#endif
