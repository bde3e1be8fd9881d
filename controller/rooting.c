#include "controller/rooting.h"

#include "common/fdio.h"
#include "common/store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct rooting {
    pid_t pid;
    int fd; /* what the child says: nothing, or a struct error */
};

static int add(const char *store_path, const struct oid *root, const struct oid *base,
               struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = store_open(store_path, err);
    return store == NULL ? -1 : store_add_root(store, root, base, err);
}

/* The child. Ctrl-C means the parent; exit handlers are the parent's. */
static void add_and_leave(int fd, const char *store_path, const struct oid *root,
                          const struct oid *base)
{
    struct error err = ERROR_INIT;
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    fdio_close_except(0, &fd, 1);
    fdio_sanitize_std();
    int result = add(store_path, root, base, &err);
    if (result != 0) {
        (void)fdio_write_full(fd, &err, sizeof err);
    }
    _exit(result == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

struct rooting *rooting_start(const char *store_path, const struct oid *root,
                              const struct oid *base, struct error *err)
{
    int ends[2];
    if (fdio_pipe(ends, err) != 0) {
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0) {
        add_and_leave(ends[1], store_path, root, base);
    }
    fdio_close(&ends[1]);
    if (pid < 0) {
        error_sys(err, "start a process of our own");
        fdio_close(&ends[0]);
        return NULL;
    }
    struct rooting *r = xcalloc(1, sizeof *r);
    *r = (struct rooting){.pid = pid, .fd = ends[0]};
    return r;
}

int rooting_fd(const struct rooting *r)
{
    return r->fd;
}

int rooting_finish(struct rooting *r, struct error *err)
{
    struct error said = ERROR_INIT;
    int status = 0;
    if (r == NULL) {
        return 0;
    }
    ssize_t got = fdio_read_full(r->fd, &said, sizeof said);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) {
    }
    fdio_close(&r->fd);
    free(r);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    if (got != (ssize_t)sizeof said) {
        return error_set(err, ERR_INTERNAL,
                         "the process that made the snapshot durable was ended");
    }
    return error_copy(err, &said);
}
