/*
 * supervise: starting and adopting the two processes that look after a run. [executor]
 *
 * Guardian and shim are this same program, executed anew as `errand-executor supervise`.
 * They detach fully: own session, no descriptor of the connection, working folder on the
 * run, ERRAND_* of the caller removed and ERRAND_RUN_ID set.
 */
#ifndef EXECUTOR_SUPERVISE_H
#define EXECUTOR_SUPERVISE_H

#include "common/json.h"
#include "common/strvec.h"
#include "executor/noderoot.h"

/*
 * Start the supervisors of an accepted run and return when both hold the run's queue
 * entry and its secrets (an object of byte strings, or NULL). Blocks for as long as two
 * process starts take; deadline 30 s. Errors: ERR_SPAWN, ERR_BUSY (the run has
 * supervisors: nothing was started).
 */
int supervise_start(const struct noderoot *root, const char *id,
                    const struct json *secrets, struct error *err);

/*
 * Where a run is not final and nobody holds its queue entry: start supervisors that adopt
 * it, with the executor that it began with if that file is still there. Called by every
 * `serve` for every such run. Does not wait for their end. Of two adopters one leaves.
 */
int supervise_adopt_all(const struct noderoot *root, struct error *err);

/* Say in the run's control.log why it could not be started ("start") or adopted now. Best
 * effort. */
void supervise_note_failure(const struct noderoot *root, const char *id, const char *verb,
                            const struct error *failure);

/* True while guardian, shim, or the recorded process of the run lives. */
bool supervise_is_alive(const struct noderoot *root, const char *id);

/* The exit status of the verb where the run has its supervisors already. */
#define SUPERVISE_BUSY 3

/* The verb: `errand-executor supervise --root DIR --run ID [--adopt]`; secrets come on
 * the descriptor that --secrets-fd names. */
int supervise_main(int argc, char **argv);
/* Stages, started by the shim: `prepare` (the environment), `launch` (checkout, then the
 * script in its place) and `finalize`. */
int prepare_main(int argc, char **argv);
int launch_main(int argc, char **argv);
int finalize_main(int argc, char **argv);

#endif
