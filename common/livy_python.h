/*
 * livy_python: what is known of the Python of a Livy's cluster.            [wire]
 *
 * Nobody can look at it from here. The driver of every batch says what it is, and who
 * looks after the run keeps that in the node's root (FORMATS.md 3.3); the environments of
 * the runs that follow are built for it.
 */
#ifndef COMMON_LIVY_PYTHON_H
#define COMMON_LIVY_PYTHON_H

#include "common/runspec.h"

struct livy_python {
    char version[32];  /* "3.11.7" */
    char platform[32]; /* "linux-x86_64"; "": not known */
    char libc[32];     /* "glibc-2.36", "musl"; "": not known */
};

/* True: it is known what runs like this one, on this Livy and with this interpreter, have
 * for a Python; out->version then begins with a digit and has none of a path's signs. */
bool livy_python_read(int root_fd, const struct runspec *spec, struct livy_python *out);
/* Keep it. Errors: by errno. */
int livy_python_write(int root_fd, const struct runspec *spec,
                      const struct livy_python *python, struct error *err);

#endif
