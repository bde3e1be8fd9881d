/*
 * wheels_inside: between wheels.c, which keeps them, and wheels_download.c, which gets
 * them.            [controller]
 */
#ifndef CONTROLLER_WHEELS_INSIDE_H
#define CONTROLLER_WHEELS_INSIDE_H

#include "controller/wheels.h"

/* Download into WHEELS_FOLDER of the open, else empty folder; out->tool says by what.
 * Errors: as wheels_collect. */
int wheels_download(const struct wheels_request *request, int work_fd, struct wheels *out,
                    struct error *err);

#endif
