/*
 * treediff: which files differ between two snapshots.            [controller]
 *
 * Walks two trees side by side and reads only folders that differ. A folder that one side
 * does not have is told as one, without what is in it.
 */
#ifndef CONTROLLER_TREEDIFF_H
#define CONTROLLER_TREEDIFF_H

#include "common/tree.h"

/* path: without a leading slash, NUL-terminated, borrowed. a or b is NULL where that
 * side has nothing of that name. Return -1 with err to stop. */
typedef int treediff_visitor(void *context, const char *path, const struct tree_entry *a,
                             const struct tree_entry *b, struct error *err);

/* Visit what differs, in order of names. Blocks on disk. Errors: the visitor's, the
 * source's (ERR_NOT_FOUND: an object is not there any more), ERR_LIMIT (as tree_walk). */
int treediff_visit(const struct object_source *source, const struct oid *a,
                   const struct oid *b, treediff_visitor *visit, void *context,
                   struct error *err);

#endif
