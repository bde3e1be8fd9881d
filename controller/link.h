/*
 * link: an open byte stream to an executor, however it is carried. [controller]
 *
 * What a transport's open gives. A carrier (a child process and its pipes, an SSH session
 * in this process) puts a struct link first in its own and fills in the table; its
 * users call the functions below and never see a descriptor: what must be polled to
 * make the stream go on is the carrier's business, and may change at any time.
 *
 * Reading and writing never block. link_watch says what one waits for; the carrier then
 * calls back from the loop as soon as that can go on (level-triggered: again and again,
 * until it was read or written or is no longer watched for). Its own work, such as
 * handshakes and deadlines, goes on while it is watched.
 *
 * Life: open of a transport -> link_watch, link_read, link_write ... -> link_free.
 */
#ifndef CONTROLLER_LINK_H
#define CONTROLLER_LINK_H

#include "common/error.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/mem.h"
#include "controller/timing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct link;

/* events: LOOP_READ, LOOP_WRITE or both: what can go on now, an end or an error
 * included, which the next link_read or link_write tells. */
typedef void link_handler(void *context, unsigned events);

struct link_watcher {
    struct loop *loop; /* NULL: not watched */
    unsigned events;
    link_handler *handler;
    void *context;
};

/* What the user of a link saw of its end, or holds against it. */
struct link_end {
    const char *noise; /* the last words on stdout before it, made safe; may be "" */
    int64_t late_ms;   /* > 0: it did not end, but nobody waits any longer */
    const struct error *cause; /* what is wrong with what came, or NULL */
};

/* Each as the function of its name below. */
struct link_type {
    ssize_t (*read)(struct link *link, void *out, size_t size);
    ssize_t (*write)(struct link *link, const void *data, size_t length);
    void (*watch)(struct link *link);   /* link->watcher is the new one */
    void (*unwatch)(struct link *link); /* link->watcher.loop is still the old one */
    int (*explain)(struct link *link, const struct link_end *end, struct error *err);
    bool (*may_be_asking)(const struct link *link); /* may be NULL: never */
    const char *(*beyond)(const struct link *link); /* may be NULL: nothing is */
    struct json *(*facts)(const struct link *link); /* may be NULL */
    void (*time)(const struct link *link, struct timing *timing,
                 int64_t spoke_ns); /* may be NULL */
    void (*disown)(struct link *link);
    void (*free)(struct link *link);
};

struct link {
    const struct link_type *type;
    struct link_watcher watcher;
};

/* For carriers whose descriptors are the stream itself: a loop_fd_handler whose context
 * is the link, and which tells its watcher. */
void link_fd_ready(void *link, int fd, unsigned events);

/* Read what there is, up to size (> 0). As read(2) of a non-blocking descriptor: 0 at
 * the end, -1 with errno, EAGAIN where nothing is there yet. */
ssize_t link_read(struct link *link, void *out, size_t size);
/* Take as much of data as goes. As write(2) of a non-blocking descriptor; EAGAIN where
 * nothing goes at present. What was taken is on its way. */
ssize_t link_write(struct link *link, const void *data, size_t length);
/*
 * Call handler from loop for these events (LOOP_READ | LOOP_WRITE; 0 keeps only the
 * carrier's own work going) from now on, in place of what was watched for before. loop
 * is borrowed until link_unwatch or link_free.
 */
void link_watch(struct link *link, struct loop *loop, unsigned events,
                link_handler *handler, void *context);
/* Have nothing on the loop any more. */
void link_unwatch(struct link *link);

/* End it at once and free it. Never blocks longer than a second. NULL is ignored. */
void link_free(struct link *link);
DEFINE_CLEANUP_FREE(link)
/* Free what this process has of it and leave the far end alone: a child that was forked
 * goes on with it. */
void link_disown(struct link *link);
/*
 * Explain why there is no executor at the other end, or none any more: phase, host and
 * port, cause, next step, from how the stream ended and the last words of the far end
 * (made safe). The link can only be freed afterwards. Always returns -1.
 */
int link_explain(struct link *link, const struct link_end *end, struct error *err);
/* True where the carrier may just now be asking a person something: no deadline should
 * end that. */
bool link_may_be_asking(const struct link *link);
/* Why another transport might come through where this one failed ("a security key"), or
 * NULL. Not after a verdict on a host key. Borrowed from the link. */
const char *link_beyond(const struct link *link);
/* What was negotiated, for `target check`: an object of texts whose keys are the steps
 * to show ("address", "server", "host_key", "cipher", "login" ...); NULL where nothing
 * is known. The caller's to free. */
struct json *link_facts(const struct link *link);

/* Note what the carrier's own steps took ("key exchange", "login"), up to the moment at
 * which the far end spoke. */
void link_time(const struct link *link, struct timing *timing, int64_t spoke_ns);

#endif
