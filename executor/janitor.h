/*
 * janitor: what a node no longer needs.            [executor]
 *
 * Removes, in this order: ended runs whose submitter has everything, after keep_ms, and
 * any ended run after keep_uncollected_ms, but not before (a tombstone stays); after
 * keep_work_ms the work trees of runs whose submitter has all outputs there were,
 * without a warning (specification, journal and logs stay, as long as the run); what
 * interrupted programs left half-made; environments that no run needs and that were not
 * used for keep_environments_ms; archives in clusters, likewise; executors that neither a
 * live run nor this connection uses; snapshots that no run refers to and that are older
 * than keep_ms; objects that no snapshot reaches. What arrived in the last 24 hours
 * stays: a push that was cut goes on later.
 *
 * Safe at any time beside anything else, and to be killed anywhere.
 */
#ifndef EXECUTOR_JANITOR_H
#define EXECUTOR_JANITOR_H

#include "common/json.h"
#include "common/store.h"
#include "executor/noderoot.h"

#define JANITOR_UNCOLLECTED_DAYS 90 /* where nothing is said */
#define JANITOR_DAYS_MAX 36500
#define JANITOR_HOLD_MS 2000 /* how long pushes may have to wait for it */

struct janitor_request {
    const struct noderoot *root;
    struct store *store;
    const char *executor;        /* the digest of ours, which stays */
    bool is_dry;                 /* only count */
    int64_t keep_ms;             /* since the submitter has everything, of a run */
    int64_t keep_work_ms;        /* likewise, of its work tree */
    int64_t keep_uncollected_ms; /* since its end, of a run that is nowhere else */
    int64_t keep_environments_ms;
    int64_t keep_executors_ms; /* since it was last used; less than a day is a day */
    /* Nobody waits for this: what stays is not measured (kept_..._bytes are 0), no lock
     * is waited for, and the store is collected only where a snapshot is due, or
     * is_store_due, and for JANITOR_HOLD_MS at most at a time. */
    bool is_background, is_store_due;
    /* Above max_store_bytes (STORE_NO_LIMIT: none), or while less than min_free_bytes are
     * free, snapshots that no run refers to go whatever their age, the oldest first,
     * those of the last day excepted. */
    uint64_t max_store_bytes, min_free_bytes;
};

/*
 * Clean; blocks for as long as the disk takes. The report, the caller's to free:
 * {"is_dry","runs","work_trees","roots","objects","executors","leftovers","spares",
 * "shipped",
 * "bytes","environments","caches","kept_environments","kept_runs","kept_runs_bytes",
 * "kept_executors","kept_executors_bytes","kept_objects","kept_bytes","warnings":[...]},
 * in the background also "is_store_due": the next round is to collect it, because this
 * one found it busy or had no time left; leftovers are of bin/ and envs/; bytes are those
 * of the disk that were freed (or would be). What cannot be removed is a warning. NULL:
 * err, where not even the runs could be listed.
 */
struct json *janitor_clean(const struct janitor_request *request, struct error *err);

#endif
