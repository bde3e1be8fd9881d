/*
 * spare: a checkout that was made before it is needed.            [executor]
 *
 * Copying 15,000 files takes longer than most of what a warm run does. So after a run of
 * a large project has begun, a process of its own (`errand-executor spare`, idle CPU and
 * I/O, not of the run) writes the snapshot once more, into spares/<root>. The next run
 * takes that folder by rename as its work tree and applies what differs; of two runs one
 * gets it, and the other one writes its tree as ever. A spare is never run in, so it is
 * exactly its snapshot.
 *
 * Spares are not synced, so none is believed after another boot (spares/boot). They are
 * at most SPARE_SIZE_MAX bytes each, SPARES_MAX in all, and go when they were not used
 * for a day; what is removed is renamed first, so that nobody takes it meanwhile.
 */
#ifndef EXECUTOR_SPARE_H
#define EXECUTOR_SPARE_H

#include "common/store.h"
#include "common/sweep.h"
#include "executor/noderoot.h"

#define SPARES_MAX 2
#define SPARE_FILES_MIN 100 /* fewer are written at once anyway */
#define SPARE_SIZE_MAX (UINT64_C(1) << 30)

/*
 * Take a spare that is the snapshot root, or near to it, as folder `name` of dir_fd, and
 * make it that snapshot. 1: it is there; 0: none serves, and nothing is there. The caller
 * holds the store's lock.
 */
int spare_take(const struct noderoot *node, struct store *store, const struct oid *root,
               int dir_fd, const char *name);

/* Start the process that makes a spare of this run's snapshot once the run has begun;
 * files: how many the snapshot has. Returns at once; where it fails there is no spare. */
void spare_start(const struct noderoot *node, const char *run, uint64_t files);

/* Make a spare of the snapshot. 0: it is there, or was not to be made. Errors: as
 * worktree_write's. */
int spare_make(const struct noderoot *node, struct store *store, const struct oid *root,
               struct error *err);

/* Remove those that were not used for a day; *count goes up by one for each. */
void spare_sweep(const struct noderoot *node, struct sweep *sweep, uint64_t *count);

/* The verb: `errand-executor spare --root DIR --run ID`. */
int spare_main(int argc, char **argv);

#endif
