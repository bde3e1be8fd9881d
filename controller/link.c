#include "controller/link.h"

void link_fd_ready(void *link, int fd, unsigned events)
{
    const struct link_watcher *watcher = &((const struct link *)link)->watcher;
    (void)fd;
    watcher->handler(watcher->context, events);
}

ssize_t link_read(struct link *link, void *out, size_t size)
{
    return link->type->read(link, out, size);
}

ssize_t link_write(struct link *link, const void *data, size_t length)
{
    return link->type->write(link, data, length);
}

void link_watch(struct link *link, struct loop *loop, unsigned events,
                link_handler *handler, void *context)
{
    if (link->watcher.loop != loop) {
        link_unwatch(link);
    }
    link->watcher = (struct link_watcher){loop, events, handler, context};
    link->type->watch(link);
}

void link_unwatch(struct link *link)
{
    if (link->watcher.loop != NULL) {
        link->watcher.events = 0;
        link->watcher.handler = NULL;
        link->type->unwatch(link);
        link->watcher = (struct link_watcher){0};
    }
}

void link_free(struct link *link)
{
    if (link != NULL) {
        link_unwatch(link);
        link->type->free(link);
    }
}

void link_disown(struct link *link)
{
    link_unwatch(link);
    link->type->disown(link);
}

int link_explain(struct link *link, const struct link_end *end, struct error *err)
{
    return link->type->explain(link, end, err);
}

bool link_may_be_asking(const struct link *link)
{
    return link->type->may_be_asking != NULL && link->type->may_be_asking(link);
}

const char *link_beyond(const struct link *link)
{
    return link->type->beyond != NULL ? link->type->beyond(link) : NULL;
}

struct json *link_facts(const struct link *link)
{
    return link->type->facts != NULL ? link->type->facts(link) : NULL;
}

void link_time(const struct link *link, struct timing *timing, int64_t spoke_ns)
{
    if (link->type->time != NULL) {
        link->type->time(link, timing, spoke_ns);
    }
}
