#include "executor/service.h"

#include "executor/janitor.h"
#include "executor/offload.h"
#include "executor/probe.h"

#include <stdlib.h>

/*
 * ask: questions whose answer takes long: CHECK and GC. A child process finds it
 * (offload.h); here it becomes a REPORT.            [executor]
 */

struct ask {
    const struct connection *connection;
    uint32_t stream;
    struct offload *offload;
    bool is_ready;
};

static void *ask_start(const struct connection *connection, uint32_t stream)
{
    struct ask *a = xcalloc(1, sizeof *a);
    *a = (struct ask){.connection = connection, .stream = stream};
    return a;
}

static void ask_finish(void *request)
{
    struct ask *a = request;
    offload_free(a->offload);
    free(a);
}

static void on_ready(void *context)
{
    struct ask *a = context;
    a->is_ready = true;
}

static int ask_step(void *request, struct error *err)
{
    struct ask *a = request;
    if (!a->is_ready) {
        return 0;
    }
    a->is_ready = false;
    CLEANUP_JSON struct json *report = offload_answer(a->offload, err);
    if (report == NULL) {
        return -1;
    }
    CLEANUP_JSON struct json *end = json_new_object();
    peer_send(a->connection->peer, a->stream, MSG_REPORT, report);
    peer_send(a->connection->peer, a->stream, MSG_END, end);
    return 0;
}

static struct json *work_check(const void *context, struct error *err)
{
    return probe_node(context, err);
}

static int check_event(void *request, const struct peer_event *event, struct error *err)
{
    struct ask *a = request;
    if (event->type != MSG_CHECK) {
        return 0;
    }
    struct probe_request wanted = {
        .root = a->connection->root,
        .store = a->connection->store,
        .is_deep = json_bool(json_get(event->json, "deep")),
    };
    a->offload =
        offload_start(a->connection->loop, work_check, &wanted, on_ready, a, err);
    return a->offload == NULL ? -1 : 0;
}

const struct service check_service = {
    .opens = MSG_CHECK,
    .start = ask_start,
    .event = check_event,
    .step = ask_step,
    .finish = ask_finish,
};

static struct json *work_gc(const void *context, struct error *err)
{
    return janitor_clean(context, err);
}

/* A number of bytes that GC may leave out, or give as null. */
static int take_bytes(const struct json *body, const char *key, uint64_t *out,
                      struct error *err)
{
    const struct json *value = json_get(body, key);
    int64_t bytes;
    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (json_get_integer(body, "GC", key, 0, JSON_INTEGER_MAX, &bytes, err) < 0) {
        return -1;
    }
    *out = (uint64_t)bytes;
    return 0;
}

static int gc_event(void *request, const struct peer_event *event, struct error *err)
{
    struct ask *a = request;
    struct janitor_request wanted = {
        .root = a->connection->root,
        .store = a->connection->store,
        .executor = a->connection->executor,
        .max_store_bytes = STORE_NO_LIMIT,
    };
    if (event->type != MSG_GC) {
        return 0;
    }
    if (json_get_bool(event->json, "GC", "is_dry", &wanted.is_dry, err) < 0 ||
        json_get_integer(event->json, "GC", "keep_days", 0, JANITOR_DAYS_MAX,
                         &wanted.keep_days, err) < 0) {
        return -1;
    }
    if (take_bytes(event->json, "max_store_bytes", &wanted.max_store_bytes, err) < 0 ||
        take_bytes(event->json, "min_free_bytes", &wanted.min_free_bytes, err) < 0) {
        return -1;
    }
    a->offload = offload_start(a->connection->loop, work_gc, &wanted, on_ready, a, err);
    return a->offload == NULL ? -1 : 0;
}

const struct service gc_service = {
    .opens = MSG_GC,
    .start = ask_start,
    .event = gc_event,
    .step = ask_step,
    .finish = ask_finish,
};
