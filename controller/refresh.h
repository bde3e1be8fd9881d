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
 * that belong to another store, are left as they are; those that it was not known to have
 * accepted are noted as accepted, or as never accepted once that is sure.
 */
int refresh_runs(struct command_context *context, const char *target_name,
                 const struct strvec *ids, struct error *err);

/*
 * Ask the nodes of all the runs that a query finds, one question a target. What did not
 * answer is said on the terminal and noted in silent (names of targets, may be NULL).
 * Errors: only the history's.
 */
int refresh_query(struct command_context *context, const struct history_query *query,
                  struct strvec *silent, struct error *err);

/* True where asking may tell more: it is not final. */
bool refresh_is_wanted(const struct history_run *run);

/*
 * A run that was not accepted as far as is known here, and that no errand is sending any
 * more (it was killed, or gave up): ask the node, which is the one to know, and read run
 * anew. 0: run->store tells whether it was accepted; where the node does not have it for
 * sure, it is over (Failed). Errors: ERR_BUSY (another errand is sending it), as
 * refresh_runs.
 */
int refresh_acceptance(struct command_context *context, struct history_run *run,
                       struct error *err);

/* The node does not answer: show the run as NotResponding, with why. */
void refresh_not_responding(struct history_run *run, const char *reason);

#endif
