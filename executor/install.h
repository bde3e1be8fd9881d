/*
 * install: the executor puts itself into place.            [executor]
 *
 * The bootstrap line has written the bytes that came over the connection into a file
 * beside the target and executes it (PROTOCOL.md, "Bootstrap"). The file checks that it
 * is what it should be, and only then takes its name.
 */
#ifndef EXECUTOR_INSTALL_H
#define EXECUTOR_INSTALL_H

#include "common/error.h"

/*
 * Verify this program's own file against the plain digest (hexadecimal), sync it, and
 * rename it to path, whose folder is synced. Another one that came first is replaced by
 * the same bytes: success. Where the digest is another, the file is removed if it lies in
 * path's folder under another name. Errors: ERR_CORRUPT, ERR_USAGE, ERR_IO, ...
 */
int install_self(const char *path, const char *digest, struct error *err);

#endif
