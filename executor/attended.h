/*
 * attended: attempts whose run stage is an attendant. [executor]
 *
 * The file `attended` of a run's folder says which; launch makes it before it executes
 * the attendant. From then on that stage may be started again: what it looks after is
 * elsewhere, and goes on; a further attempt may be a script of this node, which may not.
 * Its end is what its exit slot says, or its exit status; a
 * signal that ends it before that ended the attendant and not the job.
 */
#ifndef EXECUTOR_ATTENDED_H
#define EXECUTOR_ATTENDED_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The time that an attendant has to end its job when it is told to. */
#define ATTENDED_GRACE_MS 120000
/* An attendant is started so often again. */
#define ATTENDED_RESTARTS_MAX 10

/* Say so of this attempt, durably. Errors: by errno. */
int attended_announce(int run_fd, int64_t attempt, struct error *err);
/* Right before its attendant is executed: block SIGTERM, which it takes when it is ready
 * to (sigwait, signalfd): one that came before must not end it instead. Nothing where the
 * attempt has none. */
void attended_become(int run_fd, int64_t attempt);
/* Does the attempt have an attendant? Allocates nothing. */
bool attended_is(int run_fd, int64_t attempt);
/* When it was first said (UTC), right before the attendant's first start. Allocates
 * nothing. Errors: by errno. */
int attended_since(int run_fd, int64_t *out_utc_ms, struct error *err);

#endif
