/*
 * death: for tests of what ends the program.            [tests]
 */
#ifndef TESTS_UNIT_DEATH_H
#define TESTS_UNIT_DEATH_H

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run act in a child whose stderr goes into said (size bytes, NUL-terminated, cut).
 * Returns the signal the child died by, 0 where it lived through act. Blocks until it has
 * ended. */
static inline int death_by(void (*act)(void), char *said, size_t size)
{
    const struct rlimit no_core = {0, 0};
    int ends[2];
    int status = 0;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    if (pipe(ends) != 0) {
        abort();
    }
    child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    close(ends[1]);
    while (length + 1 < size &&
           (got = read(ends[0], said + length, size - 1 - length)) > 0) {
        length += (size_t)got;
    }
    said[length] = '\0';
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child) {
        abort();
    }
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

#endif
