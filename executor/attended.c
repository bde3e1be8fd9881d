#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/attended.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#define NAME "attended"

int attended_announce(int run_fd, struct error *err)
{
    CLEANUP_FD int fd =
        openat(run_fd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? error_sys(err, "make the run's file " NAME)
                  : files_sync_dir(run_fd, err);
}

void attended_become(int run_fd)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    if (attended_is(run_fd)) {
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    }
}

bool attended_is(int run_fd)
{
    struct stat st;
    return fstatat(run_fd, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
}
