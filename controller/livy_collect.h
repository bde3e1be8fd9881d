/*
 * livy_collect: what a Livy's cluster needs no more goes.            [controller]
 *
 * Projects and environments below the shared folder (FORMATS.md 4.12) that nobody used
 * for long and no attempt of any machine needs (livy_uses.h); folders of attempts that
 * nobody looks after any more; what was left half-made; and in Livy the batches of runs
 * from here that have ended and left one behind.
 *
 * What goes is put aside first, then it is looked again who needs it, and then it is
 * removed or put back. Ages are told by the cluster's own clock. Safe beside anything
 * else, and to be killed anywhere.
 */
#ifndef CONTROLLER_LIVY_COLLECT_H
#define CONTROLLER_LIVY_COLLECT_H

#include "common/json.h"
#include "common/livy.h"
#include "controller/history.h"
#include "controller/livy_place.h"

#define LIVY_UNCOLLECTED_DAYS 90 /* where nothing is said */

struct livy_collect {
    const struct livy_place *place;
    const struct livy *livy;
    struct history *history; /* which runs are from here, and have ended */
    int64_t keep_ms;         /* a project, since its last use; less than a day is a day */
    int64_t keep_environments_ms; /* likewise */
    int64_t keep_uncollected_ms;  /* an attempt's folder, since anything changed in it,
                                     where  its run is not from here or left results in it;
                                     less  than a week is a week */
    bool is_dry;                  /* only count */
};

/*
 * Collect. The report, the caller's to free, has the members of a node's (janitor.h) that
 * mean something here: {"is_dry","roots","environments","leftovers","bytes","kept_runs",
 * "kept_roots","kept_roots_bytes","kept_environments","kept_environments_bytes",
 * "warnings":[...]}; bytes are those of
 * the cluster. What cannot be removed is a warning. NULL: err, where the folder could not
 * even be looked at; ERR_UNSUPPORTED: only a command gets there.
 */
struct json *livy_collect(const struct livy_collect *request, struct error *err);

/*
 * Remove an environment's archives: of this build, or, where it is NULL, of all. Errors:
 * ERR_BUSY (an attempt needs it, and it was not forced; or livy_uses_read's),
 * ERR_UNSUPPORTED.
 */
int livy_collect_environment(const struct livy_place *place, const char *identity,
                             const char *build, bool is_forced, struct error *err);

#endif
