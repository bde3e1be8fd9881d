#include "executor/service.h"

#include "common/clock.h"
#include "common/runspec_environment.h"
#include "executor/environment_assess.h"
#include "executor/environment_list.h"
#include "executor/environment_remove.h"
#include "executor/janitor.h"
#include "executor/offload.h"
#include "executor/probe.h"

#include <stdlib.h>
#include <string.h>

/*
 * ask: questions whose answer takes long: CHECK, GC, ENVIRONMENTS, ASSESS. A child
 * process finds it (offload.h); here it becomes a REPORT.            [executor]
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
        .spark = json_get(event->json, "spark"),
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

/* *out_ms stays where nothing is said. */
static int take_days(const struct json *body, const char *key, int64_t *out_ms,
                     struct error *err)
{
    int64_t days;
    if (json_get(body, key) == NULL) {
        return 0;
    }
    if (json_get_integer(body, "GC", key, 0, JANITOR_DAYS_MAX, &days, err) < 0) {
        return -1;
    }
    *out_ms = days * MS_PER_DAY;
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
        take_days(event->json, "keep_days", &wanted.keep_ms, err) < 0) {
        return -1;
    }
    wanted.keep_environments_ms = wanted.keep_ms;
    wanted.keep_work_ms = wanted.keep_ms;
    wanted.keep_uncollected_ms = JANITOR_UNCOLLECTED_DAYS * MS_PER_DAY;
    if (take_days(event->json, "keep_environments_days", &wanted.keep_environments_ms,
                  err) < 0 ||
        take_days(event->json, "keep_work_days", &wanted.keep_work_ms, err) < 0 ||
        take_days(event->json, "keep_uncollected_days", &wanted.keep_uncollected_ms,
                  err) < 0 ||
        take_bytes(event->json, "max_store_bytes", &wanted.max_store_bytes, err) < 0 ||
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

struct environments_request {
    const struct noderoot *root;
    const char *action, *identity, *build; /* the last two may be NULL */
    bool is_forced;
};

static struct json *work_environments(const void *context, struct error *err)
{
    const struct environments_request *r = context;
    struct environment_list list CLEANUP_ENVIRONMENT_LIST = {.entries = NULL};
    bool is_removal = strcmp(r->action, "remove") == 0;
    const char *prefix = r->identity != NULL ? r->identity : "";
    if (is_removal && !environment_identity_is_valid(prefix)) {
        error_set(err, ERR_USAGE, "only a whole identity is removed");
        return NULL;
    }
    if (environment_list_read(r->root, prefix, &list, err) < 0 ||
        (is_removal &&
         environment_remove(r->root, prefix, r->build, r->is_forced, err) < 0)) {
        return NULL;
    }
    bool has_details = strcmp(r->action, "show") == 0;
    if (has_details && environment_list_pick(&list, r->build, err) < 0) {
        return NULL;
    }
    return environment_list_report(r->root, &list, has_details);
}

static int environments_event(void *request, const struct peer_event *event,
                              struct error *err)
{
    struct ask *a = request;
    if (event->type != MSG_ENVIRONMENTS) {
        return 0;
    }
    const struct environments_request wanted = {
        .root = a->connection->root,
        .action = json_string(json_get(event->json, "action")),
        .identity = json_string(json_get(event->json, "identity")),
        .build = json_string(json_get(event->json, "build")),
        .is_forced = json_bool(json_get(event->json, "is_forced")),
    };
    a->offload =
        offload_start(a->connection->loop, work_environments, &wanted, on_ready, a, err);
    return a->offload == NULL ? -1 : 0;
}

const struct service environments_service = {
    .opens = MSG_ENVIRONMENTS,
    .start = ask_start,
    .event = environments_event,
    .step = ask_step,
    .finish = ask_finish,
};

struct assess_request {
    const struct noderoot *root;
    struct runspec spec; /* its environment and interpreter */
    bool brings_uv;
};

static struct json *work_assess(const void *context, struct error *err)
{
    const struct assess_request *r = context;
    return environment_assess(r->root, &r->spec, r->brings_uv, err);
}

static bool names_uv(const struct json *brings)
{
    for (const struct json *one = json_first(brings); one != NULL; one = json_next(one)) {
        if (strcmp(json_string(one), "uv") == 0) {
            return true;
        }
    }
    return false;
}

static int take_assess(const struct json *body, struct assess_request *out,
                       struct error *err)
{
    struct strbuf interpreter = STRBUF_INIT;
    const struct json *named = json_get(body, "interpreter");
    out->brings_uv = names_uv(json_get(body, "brings"));
    if (named != NULL && !json_is_null(named)) {
        int result = json_bytes(named, "interpreter", &interpreter, err);
        out->spec.interpreter = strbuf_detach(&interpreter);
        if (result < 0) {
            return -1;
        }
    }
    if (runspec_environment_from_json(json_get(body, "environment"),
                                      &out->spec.environment, err) < 0) {
        return -1;
    }
    return out->spec.environment.has_definition
               ? 0
               : error_set(err, ERR_PROTOCOL, "ASSESS names no environment");
}

static int assess_event(void *request, const struct peer_event *event, struct error *err)
{
    struct ask *a = request;
    if (event->type != MSG_ASSESS) {
        return 0;
    }
    struct assess_request wanted = {.root = a->connection->root};
    runspec_init(&wanted.spec);
    if (take_assess(event->json, &wanted, err) == 0) {
        a->offload =
            offload_start(a->connection->loop, work_assess, &wanted, on_ready, a, err);
    }
    runspec_release(&wanted.spec);
    return a->offload == NULL ? -1 : 0;
}

const struct service assess_service = {
    .opens = MSG_ASSESS,
    .start = ask_start,
    .event = assess_event,
    .step = ask_step,
    .finish = ask_finish,
};
