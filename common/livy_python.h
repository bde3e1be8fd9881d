/*
 * livy_python: what is known of the Python of a Livy's cluster.            [wire]
 *
 * Nobody can look at it from here. The driver of every batch says what it is, and who
 * looks after the run keeps that in the node's root (FORMATS.md 3.3); the environments of
 * the runs that follow are built for it. And what a stage of the executor and the
 * attendant that it starts (controller/attend_livy.h) call the same.
 */
#ifndef COMMON_LIVY_PYTHON_H
#define COMMON_LIVY_PYTHON_H

#include "common/runspec.h"

/* The variable in which an attendant gets Livy's password, and nobody else. */
#define LIVY_PASSWORD "ERRAND_LIVY_PASSWORD"
/* The run's file into which an environment is packed that is to be put there. */
#define LIVY_ARCHIVE "environment.tar"
/* The exit status of the task that puts it there: neither the cluster has it, nor is it
 * packed. */
#define LIVY_LACKS 3

struct livy_python {
    char version[32];  /* "3.11.7" */
    char platform[32]; /* "linux-x86_64"; "": not known */
    char libc[32];     /* "glibc-2.36", "musl"; "": not known */
};

/* What a driver's result, or the file that is kept, says; "" of what it does not. */
void livy_python_take(const struct json *j, struct livy_python *out);
/* True: it is known what runs like this one, on this Livy and with this interpreter, have
 * for a Python; out->version then begins with a digit, and nothing in *out has a path's
 * signs. False: all of *out is "". */
bool livy_python_read(int root_fd, const struct runspec *spec, struct livy_python *out);
/* Keep it. Errors: by errno. */
int livy_python_write(int root_fd, const struct runspec *spec,
                      const struct livy_python *python, struct error *err);

#endif
