#include "executor/service.h"

#include "common/transfer.h"

#include <stdlib.h>

/*
 * bring: a tree of objects that a later submission's environment is built from: programs,
 * wheels. [executor]
 *
 * As a submission's snapshot, without a run: once its closure is here and synced it is a
 * root of the store, and collected as one that no run refers to.
 */

struct bring {
    const struct connection *connection;
    uint32_t stream;
    struct receive *receive; /* NULL: BRING did not come yet */
};

static void *bring_start(const struct connection *connection, uint32_t stream)
{
    struct bring *b = xcalloc(1, sizeof *b);
    *b = (struct bring){.connection = connection, .stream = stream};
    return b;
}

static void bring_finish(void *request)
{
    struct bring *b = request;
    receive_free(b->receive);
    free(b);
}

static int take_bring(struct bring *b, const struct json *body, struct error *err)
{
    const char *named = json_string(json_get(body, "base"));
    struct oid root;
    struct oid base;
    if (oid_from_hex(json_string(json_get(body, "root")), &root, err) < 0 ||
        (named != NULL && oid_from_hex(named, &base, err) < 0)) {
        return -1;
    }
    b->receive = receive_new(b->connection->peer, b->stream, b->connection->store, &root,
                             named != NULL ? &base : NULL, err);
    return b->receive == NULL ? -1 : 0;
}

static int bring_event(void *request, const struct peer_event *event, struct error *err)
{
    struct bring *b = request;
    bool is_complete = false;
    if (event->type == MSG_BRING) {
        return take_bring(b, event->json, err);
    }
    if (receive_event(b->receive, event, &is_complete, err) < 0) {
        return -1;
    }
    if (event->type == MSG_DATA) {
        peer_consumed(b->connection->peer, b->stream, event->length);
    }
    if (is_complete) {
        CLEANUP_JSON struct json *end = json_new_object();
        peer_send(b->connection->peer, b->stream, MSG_END, end);
    }
    return 0;
}

const struct service bring_service = {
    .opens = MSG_BRING,
    .start = bring_start,
    .event = bring_event,
    .finish = bring_finish,
};
