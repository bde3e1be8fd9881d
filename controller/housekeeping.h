/*
 * housekeeping: what this machine no longer needs of errand's own. [controller]
 *
 * Goes: snapshots (and the store's copies of outputs) that no run which goes on refers to
 * and that were not used for keep_ms; more of them, the longest unused first, where the
 * store is to be smaller or the disk to have more room; objects that nothing reaches;
 * stat indexes whose snapshot is gone, which are worth nothing; what interrupted programs
 * left half-made.
 *
 * Never goes: what arrived or was used in the last 24 hours; the history; and what lies
 * in runs/: the logs and outputs that were brought home are the user's. They are counted.
 *
 * Safe beside anything else, and to be killed anywhere: the store is collected under its
 * exclusive lock, and who relies on a snapshot without a lock made it young before
 * (store_use_root).
 */
#ifndef CONTROLLER_HOUSEKEEPING_H
#define CONTROLLER_HOUSEKEEPING_H

#include "common/store.h"
#include "common/sweep.h"
#include "controller/history.h"

struct housekeeping_request {
    const struct home *home;
    struct history *history;
    struct store *store;
    int64_t keep_ms;
    uint64_t max_store_bytes; /* STORE_NO_LIMIT: none */
    uint64_t min_free_bytes;  /* 0: none */
    bool is_dry;              /* only count */
};

struct housekeeping_result {
    struct store_gc_result store;
    uint64_t indexes, leftovers; /* removed */
    uint64_t bytes;              /* of the disk, all that was removed */
    uint64_t runs, runs_bytes;   /* folders of runs/, which stay */
    uint64_t local_bytes;   /* of the node behind target local, which has its own gc */
    struct strvec warnings; /* what could not be removed */
};
void housekeeping_result_release(struct housekeeping_result *result);

/* Clean; blocks for as long as the disk takes. out is to be released in any case. Errors:
 * ERR_BUSY (a snapshot is being made), those of the history and the store. */
int housekeeping_clean(const struct housekeeping_request *request,
                       struct housekeeping_result *out, struct error *err);

#endif
