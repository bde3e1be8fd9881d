#include "executor/service.h"

#include "common/enginelog.h"
#include "common/runspec.h"
#include "executor/rundir.h"
#include "executor/runview.h"
#include "executor/supervise.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * status: short questions about runs, and requests to them: STATUS, CANCEL, COLLECTED.
 * [executor]
 *
 * STATUS answers in REPORTs of about REPORT_BYTES, one a step, so that a node with ten
 * thousand runs is no different. A run whose journal does not fit comes again in the next
 * REPORT with the lines that follow.
 */

#define REPORT_BYTES ((size_t)256 << 10)

struct status {
    const struct connection *connection;
    uint32_t stream;
    struct strvec ids;
    size_t next;      /* of ids */
    size_t next_line; /* of that run's journal */
    bool is_asked;
};

static void *status_start(const struct connection *connection, uint32_t stream)
{
    struct status *s = xcalloc(1, sizeof *s);
    s->connection = connection;
    s->stream = stream;
    return s;
}

static void status_finish(void *request)
{
    struct status *s = request;
    strvec_release(&s->ids);
    free(s);
}

static int status_event(void *request, const struct peer_event *event, struct error *err)
{
    struct status *s = request;
    const struct json *runs = json_get(event->json, "runs");
    if (event->type != MSG_STATUS) {
        return 0;
    }
    if (json_is_null(runs)) {
        if (rundir_list(s->connection->root, &s->ids, err) < 0) {
            return -1;
        }
    }
    for (const struct json *id = json_first(runs); id != NULL; id = json_next(id)) {
        if (!json_is_string(id)) {
            return error_set(err, ERR_PROTOCOL, "STATUS: a run id is no string");
        }
        strvec_push(&s->ids, json_string(id));
    }
    s->is_asked = true;
    return 0;
}

static void add_sizes(struct json *entry, const struct runview *view)
{
    static const char *const names[] = {"driver.log", "control.log", "metrics"};
    const uint64_t final[] = {view->status.driver_log_bytes,
                              view->status.control_log_bytes, view->status.metrics_bytes};
    struct json *sizes = json_add(entry, "sizes", json_new_object());
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct stat st;
        bool is_there = view->run_fd >= 0 &&
                        fstatat(view->run_fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0;
        json_add_integer(sizes, names[i],
                         is_there ? (int64_t)st.st_size : (int64_t) final[i]);
    }
}

/* Where its job is as long as the journal does not say it: the final line will. */
static void add_engine(struct json *entry, const struct runview *view)
{
    struct run_engine engine;
    struct engine_line last;
    struct stat st;
    if (view->run_fd < 0 || run_state_is_final(view->status.state) ||
        fstatat(view->run_fd, run_file_name(RUN_FILE_ENGINE), &st, AT_SYMLINK_NOFOLLOW) <
            0) {
        return;
    }
    (void)enginelog_read(view->run_fd, view->status.attempt, &engine, &last, NULL);
    json_add(entry, "engine",
             run_engine_is_known(&engine) ? run_engine_to_json(&engine)
                                          : json_new_null());
}

/* One entry of a REPORT, from s->next and s->next_line on. */
static struct json *report_run(struct status *s, size_t *out_bytes)
{
    const char *id = s->ids.items[s->next];
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    struct json *entry = json_new_object();
    json_add_string(entry, "run", id);
    struct error why = ERROR_INIT;
    bool is_known = runview_open(&view, s->connection->root, id, &why) == 0;
    json_add_bool(entry, "known", is_known || why.code != ERR_NOT_FOUND);
    if (!is_known) {
        /* Corrupt is not unknown: the controller must not think that it may be forgotten.
         */
        if (why.code != ERR_NOT_FOUND) {
            json_add(entry, "journal", json_new_array());
            json_add(entry, "error", message_from_error(&why));
        }
        s->next++;
        return entry;
    }
    size_t line = s->next_line;
    json_add(entry, "journal", runview_lines(&view, &s->next_line, REPORT_BYTES));
    for (; line < s->next_line; line++) {
        *out_bytes += strlen(view.lines.items[line]);
    }
    add_sizes(entry, &view);
    add_engine(entry, &view);
    char digest[OID_HEX_SIZE];
    oid_to_hex(&view.spec, digest);
    json_add_string(entry, "spec", digest);
    json_add_bool(entry, "collected", view.is_collected);
    if (s->next_line >= view.lines.count) {
        s->next++;
        s->next_line = 0;
    }
    return entry;
}

static int status_step(void *request, struct error *err)
{
    (void)err;
    struct status *s = request;
    struct peer *peer = s->connection->peer;
    if (!s->is_asked || peer_pending(peer) >= SERVICE_PENDING_HIGH) {
        return 0;
    }
    CLEANUP_JSON struct json *report = json_new_object();
    struct json *runs = json_add(report, "runs", json_new_array());
    for (size_t bytes = 0; s->next < s->ids.count && bytes < REPORT_BYTES; bytes += 512) {
        json_append(runs, report_run(s, &bytes));
    }
    peer_send(peer, s->stream, MSG_REPORT, report);
    if (s->next < s->ids.count) {
        return 1;
    }
    CLEANUP_JSON struct json *end = json_new_object();
    peer_send(peer, s->stream, MSG_END, end);
    return 0;
}

const struct service status_service = {
    .opens = MSG_STATUS,
    .start = status_start,
    .event = status_event,
    .step = status_step,
    .finish = status_finish,
};

/* CANCEL and COLLECTED: one message, one answer, no state in between. */
struct order {
    const struct connection *connection;
    uint32_t stream;
};

static void *order_start(const struct connection *connection, uint32_t stream)
{
    struct order *o = xcalloc(1, sizeof *o);
    *o = (struct order){.connection = connection, .stream = stream};
    return o;
}

static void order_finish(void *request)
{
    free(request);
}

/* Open the run that a message names. */
static int open_named(const struct order *o, const struct peer_event *event,
                      const char *what, struct runview *view, struct error *err)
{
    const char *run;
    return json_get_string(event->json, what, "run", &run, err) < 0
               ? -1
               : runview_open(view, o->connection->root, run, err);
}

static int cancel_event(void *request, const struct peer_event *event, struct error *err)
{
    static const char what[] = "CANCEL";
    struct order *o = request;
    const char *reason, *by;
    int64_t grace_ms = -1;
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    if (event->type != MSG_CANCEL) {
        return 0;
    }
    if (open_named(o, event, what, &view, err) < 0 ||
        json_get_string(event->json, what, "reason", &reason, err) < 0 ||
        json_get_string(event->json, what, "by", &by, err) < 0) {
        return -1;
    }
    if (!json_is_null(json_get(event->json, "grace_ms")) &&
        json_get_integer(event->json, what, "grace_ms", 0, RUNSPEC_GRACE_MAX_MS,
                         &grace_ms, err) < 0) {
        return -1;
    }
    if (view.run_fd >= 0 && !run_state_is_final(view.status.state)) {
        if (rundir_request(view.run_fd, "cancel", reason, by, grace_ms, err) < 0) {
            return -1;
        }
        /* Nobody there to see it: who adopts the run reads the request first. */
        if (supervise_adopt_all(o->connection->root, err) < 0) {
            return error_wrap(err, "the request is on disk");
        }
    }
    CLEANUP_JSON struct json *end = json_new_object();
    json_add_string(end, "state", run_state_name(view.status.state));
    peer_send(o->connection->peer, o->stream, MSG_END, end);
    return 0;
}

const struct service cancel_service = {
    .opens = MSG_CANCEL,
    .start = order_start,
    .event = cancel_event,
    .finish = order_finish,
};

/* Retention relies on it, so it is the submitter's to say, and of the outputs that this
 * run has. */
static int check_collected(const struct order *o, const struct runview *view,
                           const struct json *body, struct error *err)
{
    struct runspec spec;
    runspec_init(&spec);
    int failed = rundir_read_spec(view->run_fd, &spec, NULL, err);
    bool is_submitter = strcmp(spec.controller, o->connection->controller) == 0;
    runspec_release(&spec);
    if (failed < 0) {
        return -1;
    }
    if (!is_submitter) {
        return error_set(err, ERR_ACCESS,
                         "only the controller that submitted a run says that it has been "
                         "collected");
    }
    if (!run_state_is_final(view->status.state)) {
        return error_set(err, ERR_BUSY, "the run has not ended: it is %s",
                         run_state_name(view->status.state));
    }
    const char *digest = json_string(json_get(body, "root"));
    struct oid root = {{0}};
    if (digest != NULL && oid_from_hex(digest, &root, err) < 0) {
        return -1;
    }
    if (!oid_equal(&root, &view->status.outputs_root)) {
        return error_set(err, ERR_MISMATCH, "these are not the outputs of this run");
    }
    return 0;
}

static int collected_event(void *request, const struct peer_event *event,
                           struct error *err)
{
    static const char what[] = "COLLECTED";
    struct order *o = request;
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    if (event->type != MSG_COLLECTED) {
        return 0;
    }
    if (open_named(o, event, what, &view, err) < 0) {
        return -1;
    }
    if (view.run_fd >= 0) {
        struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
        json_write(event->json, false, &text);
        if (check_collected(o, &view, event->json, err) < 0 ||
            rundir_set_collected(view.run_fd, text.data, text.length, err) < 0) {
            return -1;
        }
    }
    CLEANUP_JSON struct json *end = json_new_object();
    peer_send(o->connection->peer, o->stream, MSG_END, end);
    return 0;
}

const struct service collected_service = {
    .opens = MSG_COLLECTED,
    .start = order_start,
    .event = collected_event,
    .finish = order_finish,
};
