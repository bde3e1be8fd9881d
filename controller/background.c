#include "controller/background.h"

#include "common/fdio.h"
#include "common/variables.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define INHERITED_MAX 4096 /* descriptors that are looked at */

/* What an exec'd program inherited has no close-on-exec flag; all of ours have it. */
static void close_inherited(void)
{
    long limit = sysconf(_SC_OPEN_MAX);
    for (int fd = STDERR_FILENO + 1; fd < limit && fd < INHERITED_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) {
            (void)close(fd);
        }
    }
}

/* What ps shows: the arguments' place in memory is the process's own. */
static void set_title(char **argv, const char *title)
{
    if (argv[0] == NULL) {
        return;
    }
    char *end = argv[0];
    for (size_t i = 0; argv[i] != NULL && argv[i] == end; i++) {
        end += strlen(argv[i]) + 1;
    }
    size_t room = (size_t)(end - argv[0]);
    size_t length = strlen(title) < room ? strlen(title) : room - 1;
    memset(argv[0], 0, room);
    memcpy(argv[0], title, length);
}

static void leave(char **argv, const char *title, const char *secret)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)setsid();
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++) {
        (void)dup2(null, fd);
    }
    fdio_close(&null);
    close_inherited();
    variables_forget(); /* a run that uses errand is not to find its id on us */
    variables_wipe(secret);
    if (chdir("/") != 0) {
        /* Then it stays where it is. */
    }
    set_title(argv, title);
}

int background_leave(char **argv, const char *title, const char *secret)
{
    int ready[2] = {-1, -1};
    pid_t pid = fdio_pipe(ready, NULL) == 0 ? fork() : -1;
    if (pid == 0) {
        leave(argv, title, secret);
        fdio_close(&ready[0]);
        fdio_close(&ready[1]);
        return 1;
    }
    fdio_close(&ready[1]);
    if (pid > 0) {
        char none;
        (void)fdio_read(ready[0], &none, 1); /* until it has let go of what we were in */
    }
    fdio_close(&ready[0]);
    return pid > 0 ? 0 : -1;
}
