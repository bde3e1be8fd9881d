/*
 * service: what a connection can be asked, one module for each kind. [executor]
 *
 * A request begins with the message that opens its stream and lives until the stream is
 * over. Its module brings a row of four functions, a service; serve finds it by the
 * message's type and calls it from one thread. Nothing here waits for the other end or
 * for another request: a function does what it can, a bounded piece at a time, and
 * returns.
 *
 * A request ends its stream itself (END, ACCEPTED), or returns -1: then serve sends the
 * error. It is freed when its stream is over, also by a RESET.
 */
#ifndef EXECUTOR_SERVICE_H
#define EXECUTOR_SERVICE_H

#include "common/loop.h"
#include "common/peer.h"
#include "common/store.h"
#include "executor/noderoot.h"
#include "executor/submissions.h"
#include "executor/watcher.h"

/* The connection, as its requests see it. Everything is borrowed from serve and outlives
 * them. */
struct connection {
    const struct noderoot *root;
    struct store *store;
    struct peer *peer;
    struct loop *loop;
    struct watcher *watcher;
    struct submissions *submissions;
    char executor[OID_HEX_SIZE]; /* this program's own digest */
    char controller[33];         /* who is there, from HELLO */
};

struct service {
    enum message_type opens;
    /* Make the request's own state; the opening message comes by event. Never fails. */
    void *(*start)(const struct connection *connection, uint32_t stream);
    /* Take a message of the stream, the opening one included. */
    int (*event)(void *request, const struct peer_event *event, struct error *err);
    /*
     * Do a bounded piece of work, where there is some: called after every event, after
     * output was written, and after every wait. 1: it wants to be called again at once;
     * 0: not before something happened; -1: err. May be NULL.
     */
    int (*step)(void *request, struct error *err);
    void (*finish)(void *request);
};

/* How much may be queued for the other end beside DATA before a request that has more
 * waits. */
#define SERVICE_PENDING_HIGH ((size_t)1 << 20)

/* The service for the message that opens a stream; NULL where no request begins with it.
 */
const struct service *service_find(enum message_type opens);

/* The services, each defined in the module that it is named after. */
extern const struct service submit_service;
extern const struct service submit_secrets_service;
extern const struct service follow_service;
extern const struct service fetch_service;
extern const struct service status_service;
extern const struct service cancel_service;
extern const struct service collected_service;
extern const struct service check_service;
extern const struct service gc_service;
extern const struct service environments_service;
extern const struct service assess_service;
extern const struct service bring_service;

#endif
