#define _GNU_SOURCE /* inotify is Linux's */
#include "executor/watcher.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <stdlib.h>
#include <sys/inotify.h>

#define WATCHED_EVENTS                                                                   \
    (IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)

struct watcher_subscription {
    struct watcher_subscription *next;
    int watch; /* inotify's number, or -1 */
    watcher_handler *handler;
    void *context;
};

struct watcher {
    struct loop *loop;
    int fd; /* inotify, or -1 */
    struct loop_timer *timer;
    struct watcher_subscription *first;
};

/* watch -1: all. */
static void tell(struct watcher *w, int watch)
{
    for (struct watcher_subscription *s = w->first; s != NULL; s = s->next) {
        if (watch == -1 || s->watch == watch) {
            s->handler(s->context);
        }
    }
}

static void on_timer(void *context);

static void arm(struct watcher *w)
{
    int64_t interval_ms = WATCHER_RECHECK_MS;
    for (const struct watcher_subscription *s = w->first; s != NULL; s = s->next) {
        if (s->watch == -1) {
            interval_ms = WATCHER_POLL_MS;
        }
    }
    loop_timer_cancel(w->loop, w->timer);
    w->timer = NULL;
    if (w->first != NULL) {
        w->timer = loop_timer_at(w->loop, clock_monotonic_ns() + interval_ms * NS_PER_MS,
                                 on_timer, w);
    }
}

static void on_timer(void *context)
{
    struct watcher *w = context;
    w->timer = NULL;
    tell(w, -1);
    arm(w);
}

static void on_inotify(void *context, int fd, unsigned events)
{
    (void)events;
    struct watcher *w = context;
    _Alignas(struct inotify_event) char buffer[16 << 10];
    ssize_t got = fdio_read(fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at < got;) {
        const void *record = buffer + at;
        const struct inotify_event *event = record;
        tell(w, (event->mask & IN_Q_OVERFLOW) != 0 ? -1 : event->wd);
        at += (ssize_t)(sizeof *event + event->len);
    }
}

struct watcher *watcher_new(struct loop *loop, bool has_inotify)
{
    struct watcher *w = xcalloc(1, sizeof *w);
    w->loop = loop;
    w->fd = has_inotify ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    if (w->fd >= 0) {
        loop_watch(loop, w->fd, LOOP_READ, on_inotify, w);
    }
    return w;
}

void watcher_free(struct watcher *w)
{
    if (w == NULL) {
        return;
    }
    while (w->first != NULL) {
        watcher_unsubscribe(w, w->first);
    }
    loop_timer_cancel(w->loop, w->timer);
    if (w->fd >= 0) {
        loop_unwatch(w->loop, w->fd);
    }
    fdio_close(&w->fd);
    free(w);
}

struct watcher_subscription *watcher_subscribe(struct watcher *w, const char *path,
                                               watcher_handler *handler, void *context)
{
    struct watcher_subscription *s = xcalloc(1, sizeof *s);
    s->watch = w->fd >= 0 ? inotify_add_watch(w->fd, path, WATCHED_EVENTS) : -1;
    s->handler = handler;
    s->context = context;
    s->next = w->first;
    w->first = s;
    arm(w);
    return s;
}

static bool is_watched(const struct watcher *w, int watch)
{
    for (const struct watcher_subscription *s = w->first; s != NULL; s = s->next) {
        if (s->watch == watch) {
            return true;
        }
    }
    return false;
}

void watcher_unsubscribe(struct watcher *w, struct watcher_subscription *subscription)
{
    if (subscription == NULL) {
        return;
    }
    for (struct watcher_subscription **at = &w->first; *at != NULL; at = &(*at)->next) {
        if (*at == subscription) {
            *at = subscription->next;
            break;
        }
    }
    if (subscription->watch >= 0 && !is_watched(w, subscription->watch)) {
        (void)inotify_rm_watch(w->fd, subscription->watch);
    }
    free(subscription);
    arm(w);
}
