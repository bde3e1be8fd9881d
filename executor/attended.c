#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/attended.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#define NAME "attended"
#define TEXT_SIZE 32

/* The whole of the file that says so. */
static size_t format(int64_t attempt, char out[TEXT_SIZE])
{
    return (size_t)snprintf(out, TEXT_SIZE, "%" PRId64 "\n", attempt);
}

int attended_announce(int run_fd, int64_t attempt, struct error *err)
{
    char text[TEXT_SIZE];
    size_t length = format(attempt, text);
    /* A further start needs no room on a full disk. */
    return attended_is(run_fd, attempt)
               ? 0
               : files_write_atomic(run_fd, NAME, text, length, 0600, err);
}

void attended_become(int run_fd, int64_t attempt)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    if (attended_is(run_fd, attempt)) {
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    }
}

bool attended_is(int run_fd, int64_t attempt)
{
    char text[TEXT_SIZE], found[TEXT_SIZE];
    size_t length = format(attempt, text);
    CLEANUP_FD int fd = openat(run_fd, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd < 0 ? -1 : fdio_read_full(fd, found, sizeof(found));
    return got == (ssize_t)length && memcmp(found, text, length) == 0;
}

int attended_since(int run_fd, int64_t *out_utc_ms, struct error *err)
{
    struct stat st;
    if (fstatat(run_fd, NAME, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return error_sys(err, "look at the run's file " NAME);
    }
    *out_utc_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / NS_PER_MS;
    return 0;
}
