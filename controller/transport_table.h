/*
 * transport_table: the rows of the table in transport.c, each defined in its own file.
 * [controller]
 */
#ifndef CONTROLLER_TRANSPORT_TABLE_H
#define CONTROLLER_TRANSPORT_TABLE_H

#include "controller/transport.h"

extern const struct transport transport_local;   /* fork and pipes */
extern const struct transport transport_ssh2;    /* libssh2, in this process */
extern const struct transport transport_openssh; /* the ssh program */

#endif
