/*
 * rooting: a snapshot's root is added at home while its objects travel. [controller]
 *
 * Adding a root checks its closure and syncs the filesystem, which takes as long as a
 * push may. The node does not need it: what is sent was read and verified. So a child
 * process does it, with a store of its own and none of our descriptors; should we die, it
 * comes to its end. The root is relied upon after rooting_finish alone.
 */
#ifndef CONTROLLER_ROOTING_H
#define CONTROLLER_ROOTING_H

#include "common/error.h"
#include "common/mem.h"
#include "common/oid.h"

struct rooting;

/* As store_add_root to the store in the folder store_path; base may be NULL. Errors:
 * ERR_SPAWN, by errno. */
struct rooting *rooting_start(const char *store_path, const struct oid *root,
                              const struct oid *base, struct error *err);
/* Can be read from once it is over: rooting_finish does not wait any more. */
int rooting_fd(const struct rooting *rooting);
/* Wait for its end, and free it. NULL: 0. Errors: store_add_root's; ERR_INTERNAL where
 * the child was ended. */
int rooting_finish(struct rooting *rooting, struct error *err);

#endif
