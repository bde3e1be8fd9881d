/*
 * watcher: tells when something in a run's folder may have changed.            [executor]
 *
 * One inotify descriptor for the whole connection (an account has 128), one watch for
 * each folder however many want to know. Where inotify is not to be had, or its watches
 * are used up, and on top of it (a network filesystem, memory-mapped writes), a timer
 * asks again: often without inotify, rarely with it. So a subscriber is told of every
 * change, and sometimes of none.
 *
 * Life: watcher_new -> watcher_subscribe ... watcher_unsubscribe -> watcher_free.
 */
#ifndef EXECUTOR_WATCHER_H
#define EXECUTOR_WATCHER_H

#include "common/loop.h"

#define WATCHER_POLL_MS 100     /* without inotify */
#define WATCHER_RECHECK_MS 2000 /* with it */

struct watcher;
struct watcher_subscription;

typedef void watcher_handler(void *context);

/* has_inotify false: timers only. loop is borrowed. */
struct watcher *watcher_new(struct loop *loop, bool has_inotify);
void watcher_free(struct watcher *w);
DEFINE_CLEANUP_FREE(watcher)

/* Call handler from the loop whenever a file in the folder may have changed, been made or
 * replaced. Never fails: the timer is always there. */
struct watcher_subscription *watcher_subscribe(struct watcher *w, const char *path,
                                               watcher_handler *handler, void *context);
/* NULL is ignored. Not from within a handler. */
void watcher_unsubscribe(struct watcher *w, struct watcher_subscription *subscription);

#endif
