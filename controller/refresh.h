/*
 * refresh: what nodes say now of runs that had not ended when we last heard of them.
 * [controller]
 *
 * The journal's lines go into the history; logs and outputs stay where they are. All
 * nodes are asked at once, and none for longer than REFRESH_MS. A node that does not
 * answer is no error of the run's: what was known stays, and is told as old
 * (refresh_tell_old).
 */
#ifndef CONTROLLER_REFRESH_H
#define CONTROLLER_REFRESH_H

#include "common/strvec.h"
#include "controller/command.h"

#define REFRESH_MS 10000

/* True where asking may tell more: it has not ended, or was given up. */
bool refresh_is_wanted(const struct history_run *run);

/* Runs of which nothing was heard, and why; starts all zero. */
struct refresh_old {
    struct strvec ids, reasons;
};
void refresh_old_release(struct refresh_old *old);

/*
 * Ask the nodes of all the runs that a query finds, one question a target. out gets those
 * of which nothing was heard: their node did not answer, does not have them, or is
 * another than theirs. Runs that a node was not known to have accepted are noted as
 * accepted, or as never accepted once that is sure. Nodes that did not answer are said
 * on the terminal. Errors: only the history's.
 */
int refresh_query(struct command_context *context, const struct history_query *query,
                  struct refresh_old *out, struct error *err);
/* The same for one run, which is read anew; on the terminal nothing is said. */
int refresh_run(struct command_context *context, struct history_run *run,
                struct refresh_old *out, struct error *err);
/*
 * How to show run, whose strings out borrows: as it is, or, where nothing was heard of
 * it, as NotResponding (or as given up still) with a reason, which is put into text: what
 * it was, when, and why no more is known. Errors: the history's.
 */
int refresh_tell_old(struct command_context *context, const struct refresh_old *old,
                     const struct history_run *run, struct strbuf *text,
                     struct history_run *out, struct error *err);

/* Append what run was when it was last heard of: "Running as of 5 min ago". Errors: the
 * history's. */
int refresh_describe(struct command_context *context, const struct history_run *run,
                     struct strbuf *out, struct error *err);

/*
 * A run that was not accepted as far as is known here, and that no errand is sending any
 * more (it was killed, or gave up): ask the node, which is the one to know, and read run
 * anew. 0: run->store tells whether it was accepted; where the node does not have it for
 * sure, it is over (Failed). Errors: ERR_BUSY (another errand is sending it),
 * target_find's, client_connect's, the executor's.
 */
int refresh_acceptance(struct command_context *context, struct history_run *run,
                       struct error *err);

#endif
