/*
 * dirstack: the open folders on the way from a top folder down to here. [content]
 *
 * For walks that go down and up again, however deep, with a bounded number of
 * descriptors: only the DIRSTACK_OPEN_MAX innermost folders stay open; an outer one is
 * opened again, from the top and without following a symbolic link, when the walk comes
 * back to it and needs it, and must still be the same folder then.
 */
#ifndef COMMON_DIRSTACK_H
#define COMMON_DIRSTACK_H

#include "common/mem.h"
#include "common/tree.h"

#define DIRSTACK_OPEN_MAX 32

struct dirstack;

/* Begin at the open folder top_fd, which is borrowed and never closed. */
struct dirstack *dirstack_new(int top_fd);
void dirstack_free(struct dirstack *ds);
DEFINE_CLEANUP_FREE(dirstack)

/*
 * Enter folder name (a single component, not followed where it is a symbolic link) of the
 * current one. Errors: by errno; ERR_LIMIT (TREE_DEPTH_MAX, TREE_PATH_MAX); the current
 * folder then stays the same.
 */
int dirstack_push(struct dirstack *ds, const char *name, struct error *err);
/* Back to the folder above. Not at the top. */
void dirstack_pop(struct dirstack *ds);
/* The current folder's descriptor, borrowed until the next call. -1: ERR_CHANGED (it is
 * no longer where it was), or by errno. */
int dirstack_fd(struct dirstack *ds, struct error *err);
/* The current folder's path from the top; "" at the top. Borrowed until the next push. */
const char *dirstack_path(const struct dirstack *ds);

#endif
