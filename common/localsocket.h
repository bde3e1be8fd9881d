/*
 * localsocket: stream sockets in a folder, for processes of one user.            [base]
 *
 * Unix-domain sockets whose folder may have a path of any length (sun_path has some 100
 * bytes): the process goes into the folder for the one call that needs it (no other
 * thread may rely on the working folder then; where it could not come back, the call
 * fails). Both ends check that the other is the same user. Descriptors are close-on-exec
 * and non-blocking.
 *
 * Source: unix(7); SO_PEERCRED, or getpeereid(3) where there is none.
 */
#ifndef COMMON_LOCALSOCKET_H
#define COMMON_LOCALSOCKET_H

#include "common/error.h"

/* Listen at folder/name (mode 0600), in place of what was there. The folder is to be
 * nobody else's. Returns the descriptor. Errors: by errno. */
int localsocket_listen(const char *folder, const char *name, struct error *err);

/* Connect; never blocks. Returns the descriptor. Errors: ERR_NOT_FOUND, ERR_ACCESS
 * (another user listens), else by errno: nobody listens, too many wait. */
int localsocket_connect(const char *folder, const char *name, struct error *err);

/* The next who connected, or -1 with errno: EAGAIN, EACCES (another user). */
int localsocket_accept(int listen_fd);

#endif
