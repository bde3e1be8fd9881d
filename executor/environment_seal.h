/*
 * environment_seal: a tree that was built is made read-only, and counted. [executor]
 *
 * All but the folders __pycache__, which are made beside every Python source: what the
 * interpreter compiles at the first import is kept there, as in any environment. It is
 * believed only where it belongs to its source, so that nobody's writing there changes
 * what is imported.
 */
#ifndef EXECUTOR_ENVIRONMENT_SEAL_H
#define EXECUTOR_ENVIRONMENT_SEAL_H

#include "common/error.h"

#include <stdint.h>

struct environment_seal {
    uint64_t files, size_bytes; /* of the disk */
};

/* Take the right to write from everything else below path. Symbolic links are not
 * followed. Blocks on disk. Errors: by errno. */
int environment_seal(const char *path, struct environment_seal *out, struct error *err);

#endif
