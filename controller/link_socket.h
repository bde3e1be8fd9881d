/*
 * link_socket: a link over one connected socket of this machine.            [controller]
 */
#ifndef CONTROLLER_LINK_SOCKET_H
#define CONTROLLER_LINK_SOCKET_H

#include "controller/link.h"

/* A link over fd, non-blocking, which it takes. name: who is at the other end, for the
 * sentence when it ends. */
struct link *link_socket_new(int fd, const char *name);

#endif
