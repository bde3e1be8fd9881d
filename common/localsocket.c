#define _GNU_SOURCE /* struct ucred */
#include "common/localsocket.h"

#include "common/fdio.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static bool is_same_user(int fd)
{
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           peer.uid == geteuid();
#else
    uid_t uid;
    gid_t gid;

    return getpeereid(fd, &uid, &gid) == 0 && uid == geteuid();
#endif
}

static int new_socket(struct error *err)
{
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0) {
        return error_sys(err, "make a socket");
    }
    if (fdio_set_cloexec(fd, true, err) < 0 || fdio_set_nonblocking(fd, true, err) < 0) {
        return -1;
    }
    return take_fd(&fd);
}

/* bind(2) or connect(2) from within the folder. 0, or -1 with errno. */
static int call_in(const char *folder, const char *name, int fd,
                   int (*call)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (strlen(name) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, name, strlen(name) + 1);
    /* Where nobody could come back to it, it is not left. */
    if (here < 0 || fchdir(here) < 0 || chdir(folder) < 0) {
        return -1;
    }
    int result = call(fd, (const struct sockaddr *)&address, sizeof(address));
    int saved = errno;
    if (fchdir(here) < 0) {
        mem_abort("the working folder is gone");
    }
    errno = saved;
    return result;
}

int localsocket_listen(const char *folder, const char *name, struct error *err)
{
    CLEANUP_FD int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int fd = dir < 0 ? error_sys(err, "open %s", folder) : new_socket(err);

    if (fd < 0) {
        return -1;
    }
    (void)unlinkat(dir, name, 0);
    if (call_in(folder, name, fd, bind) < 0 || fchmodat(dir, name, 0600, 0) < 0 ||
        listen(fd, BACKLOG) < 0) {
        return error_sys(err, "listen at %s/%s", folder, name);
    }
    return take_fd(&fd);
}

int localsocket_connect(const char *folder, const char *name, struct error *err)
{
    CLEANUP_FD int fd = new_socket(err);

    if (fd < 0) {
        return -1;
    }
    if (call_in(folder, name, fd, connect) < 0) {
        return error_sys(err, "connect to %s/%s", folder, name);
    }
    if (!is_same_user(fd)) {
        return error_set(err, ERR_ACCESS, "%s/%s belongs to another user", folder, name);
    }
    return take_fd(&fd);
}

int localsocket_accept(int listen_fd)
{
    CLEANUP_FD int fd = accept(listen_fd, NULL, NULL);

    if (fd < 0) {
        return -1;
    }
    if (fdio_set_cloexec(fd, true, NULL) < 0 ||
        fdio_set_nonblocking(fd, true, NULL) < 0) {
        return -1;
    }
    if (!is_same_user(fd)) {
        errno = EACCES;
        return -1;
    }
    return take_fd(&fd);
}
