#include "controller/link_socket.h"

#include "common/fdio.h"

#include <errno.h>
#include <stdlib.h>

struct socket_link {
    struct link link;
    int fd;
    char *name;
};

static struct socket_link *of(struct link *link)
{
    return (struct socket_link *)link;
}

static ssize_t socket_read(struct link *link, void *out, size_t size)
{
    return fdio_read(of(link)->fd, out, size);
}

static ssize_t socket_write(struct link *link, const void *data, size_t length)
{
    return fdio_write(of(link)->fd, data, length);
}

static void socket_watch(struct link *link)
{
    if (link->watcher.events != 0) {
        loop_watch(link->watcher.loop, of(link)->fd, link->watcher.events, link_fd_ready,
                   link);
    } else {
        loop_unwatch(link->watcher.loop, of(link)->fd);
    }
}

static int socket_explain(struct link *link, const struct link_end *end,
                          struct error *err)
{
    (void)end;
    return error_set(err, ERR_LINK, "%s ended", of(link)->name);
}

static void socket_free(struct link *link)
{
    struct socket_link *s = of(link);
    fdio_close(&s->fd);
    free(s->name);
    free(s);
}

static const struct link_type socket_type = {
    .read = socket_read,
    .write = socket_write,
    .watch = socket_watch,
    .unwatch = socket_watch,
    .explain = socket_explain,
    .disown = socket_free,
    .free = socket_free,
};

struct link *link_socket_new(int fd, const char *name)
{
    struct socket_link *s = xcalloc(1, sizeof *s);
    s->link.type = &socket_type;
    s->fd = fd;
    s->name = xstrdup(name);
    return &s->link;
}
