/*
 * homeprogram: a program of this machine that goes to a node.            [controller]
 */
#ifndef CONTROLLER_HOMEPROGRAM_H
#define CONTROLLER_HOMEPROGRAM_H

#include "common/store.h"

/* The absolute path of a program as a person names it: a path, below ~/, or a name in
 * PATH. The caller's; NULL: there is none. */
char *homeprogram_find(const char *name);

/*
 * Put its bytes into the store; all of out but its name is filled in. platform: of the
 * node, "linux-x86_64". Errors: ERR_UNSUPPORTED (it is no program file, or one for
 * another kind of machine), by errno, the store's.
 */
int homeprogram_put(const char *path, const char *platform, struct store *store,
                    struct tree_entry *out, struct error *err);

#endif
