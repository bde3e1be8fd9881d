/*
 * child: for tests of what belongs to a whole process: descriptors, limits, owners.
 * [tests]
 */
#ifndef TESTS_UNIT_CHILD_H
#define TESTS_UNIT_CHILD_H

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_DIED 255

/* Start act in a child, which ends with its return value (0 to 254). */
static inline pid_t child_start(int (*act)(void *context), void *context)
{
    pid_t child = fork();

    if (child < 0) {
        abort();
    }
    if (child == 0) {
        _exit(act(context));
    }
    return child;
}

/* Wait for a child. Returns its exit status; CHILD_DIED where a signal ended it. */
static inline int child_end(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            abort();
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_DIED;
}

static inline int in_child(int (*act)(void *context), void *context)
{
    return child_end(child_start(act, context));
}

#endif
