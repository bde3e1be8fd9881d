/*
 * checkout: a run's work tree, fresh for each attempt.            [executor]
 *
 * The snapshot is written aside (work.new) from checked objects, or made of a spare
 * (spare.h), and takes its place as
 * `work` by rename. A later attempt's outputs are carried over from the work tree before
 * it. Whatever a crash left of an earlier checkout is cleared away, and outputs that it
 * had moved already are moved back first.
 */
#ifndef EXECUTOR_CHECKOUT_H
#define EXECUTOR_CHECKOUT_H

#include "common/runspec.h"
#include "common/store.h"
#include "executor/noderoot.h"

struct checkout_facts {
    struct tree_totals totals; /* of the snapshot */
    bool was_spare;            /* it was there already, but for what differs */
};

/*
 * Make work/ in the folder of the run. The folders named in spec->outputs are there
 * afterwards, empty where neither the snapshot nor the attempt before had them. Errors:
 * as worktree_write's.
 */
int checkout_make(const struct noderoot *node, int run_fd, struct store *store,
                  const struct runspec *spec, struct checkout_facts *out,
                  struct error *err);

#endif
