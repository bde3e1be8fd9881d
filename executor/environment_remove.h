/*
 * environment_remove: environments that are no longer wanted.            [executor]
 *
 * What goes is renamed aside while envs/lock is held exclusively, so that no run can pin
 * it any more, and removed afterwards; who is killed in between leaves envs/.gone-*,
 * which collection removes. Never goes what a run needs that has not ended, unless it is
 * forced, and never what is being built.
 */
#ifndef EXECUTOR_ENVIRONMENT_REMOVE_H
#define EXECUTOR_ENVIRONMENT_REMOVE_H

#include "common/sweep.h"
#include "executor/noderoot.h"

/*
 * Remove one build, or (build NULL) all of an identity. Blocks on disk. Errors:
 * ERR_NOT_FOUND, ERR_BUSY (a run needs it, or it is being built), ERR_CORRUPT (a run's
 * record cannot be read, which may need it) ...
 */
int environment_remove(const struct noderoot *root, const char *identity,
                       const char *build, bool is_forced, struct error *err);

struct environment_collection {
    int64_t keep_ms;         /* unused for less, an environment stays */
    uint64_t min_free_bytes; /* until so much is free, younger ones go too, the longest
                                unused first, those of the last day excepted */
    bool is_background;      /* somebody else who has envs/lock is not waited for */
    uint64_t environments, kept; /* how many went, and stayed */
    uint64_t leftovers;          /* of builds that failed or were interrupted */
    uint64_t caches;             /* 1: the builders' cache went */
};

/*
 * Collect: environments that were not used for long, what failed or interrupted builds
 * left, and the builders' cache where nothing was built for as long. Counts go to c,
 * bytes and warnings to sweep; with its is_dry nothing is removed.
 */
void environment_collect(const struct noderoot *root, struct environment_collection *c,
                         struct sweep *sweep);

#endif
