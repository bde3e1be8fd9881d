#include "executor/service.h"

#include "common/clock.h"
#include "common/transfer.h"
#include "executor/rundir.h"
#include "executor/runview.h"
#include "executor/spare.h"
#include "executor/supervise.h"

#include <stdlib.h>
#include <string.h>

/*
 * submit: taking a run: its specification, its snapshot's objects, its secrets.
 * [executor]
 *
 * Nothing is started before the snapshot's root is in the store and the run is on disk,
 * and nothing twice: a run that is known already, as a folder or as a tombstone, is
 * answered from its journal. One thing is still to be done for such a run: where whoever
 * took it died between acceptance and start, its supervisors are started now.
 */

/* Of journal lines in ACCEPTED; FOLLOW brings the rest. */
#define ACCEPTED_LINES_BYTES ((size_t)32 << 10)

struct submit {
    const struct connection *connection;
    uint32_t stream;
    struct strbuf secrets; /* JSON; "": none came */
    struct strbuf spec_bytes;
    struct runspec spec;
    bool has_spec;
    bool is_known; /* accepted before: no object is needed */
    struct receive *receive;
    struct submission *submission; /* for those who follow on this connection */
    bool is_accepted;
    /* Where the time between the last object and ACCEPTED went, for `run --timing`: the
     * check of what came and its sync, the run on disk, its supervisors. */
    int64_t check_ns, accept_ns, supervisors_ns;
};

static void *submit_start(const struct connection *connection, uint32_t stream)
{
    struct submit *s = xcalloc(1, sizeof *s);
    s->connection = connection;
    s->stream = stream;
    strbuf_init(&s->secrets, FRAME_CONTROL_MAX);
    strbuf_init(&s->spec_bytes, RUNSPEC_SIZE_MAX);
    runspec_init(&s->spec);
    return s;
}

static void forget_secrets(struct submit *s)
{
    mem_wipe(s->secrets.data, s->secrets.capacity);
    strbuf_release(&s->secrets);
}

static void submit_finish(void *request)
{
    struct submit *s = request;
    submissions_end(s->connection->submissions, s->submission, s->is_accepted);
    forget_secrets(s);
    receive_free(s->receive);
    mem_give_back();
    runspec_release(&s->spec);
    strbuf_release(&s->spec_bytes);
    free(s);
}

static int take_secrets(struct submit *s, const struct json *body, struct error *err)
{
    const struct json *secrets;
    if (s->has_spec || s->secrets.length > 0) {
        return error_set(err, ERR_PROTOCOL, "SECRETS come once, before SUBMIT");
    }
    if (json_get_object(body, "SECRETS", "secrets", &secrets, err) < 0) {
        return -1;
    }
    json_write(secrets, false, &s->secrets);
    return 0;
}

/* Every secret that the specification names has to be there before anything is sent. */
static int check_secrets(const struct submit *s, struct error *err)
{
    CLEANUP_JSON struct json *secrets =
        s->secrets.length > 0 ? json_parse(s->secrets.data, s->secrets.length, NULL)
                              : NULL;
    for (size_t i = 0; i < s->spec.secrets.count; i++) {
        const char *name = s->spec.secrets.items[i];
        if (json_get(secrets, name) == NULL) {
            return error_set(err, ERR_NOT_FOUND,
                             "the run needs the secret %s, which was not sent", name);
        }
    }
    return 0;
}

/* Is the run known? Sets is_known. Errors: ERR_MISMATCH. */
static int look_for_run(struct submit *s, struct error *err)
{
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    struct error why = ERROR_INIT;
    if (runview_open(&view, s->connection->root, s->spec.run, &why) < 0) {
        if (why.code == ERR_NOT_FOUND) {
            return 0;
        }
        if (err != NULL) {
            *err = why;
        }
        return -1;
    }
    struct oid mine;
    oid_of_bytes(s->spec_bytes.data, s->spec_bytes.length, &mine);
    if (!oid_equal(&mine, &view.spec)) {
        return error_set(err, ERR_MISMATCH,
                         "run %s was submitted before with another specification",
                         s->spec.run);
    }
    s->is_known = true;
    return 0;
}

/* What came beside the snapshot has to be here already. */
static int check_brought(const struct submit *s, struct error *err)
{
    const struct oid *brought = &s->spec.environment.brought;
    if (oid_is_zero(brought) || store_use_root(s->connection->store, brought)) {
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND,
                     "what the run's environment is built from was not brought here");
}

static int read_digests(const struct submit *s, const struct json *body, struct oid *base,
                        bool *out_has_base, struct error *err)
{
    const char *root;
    struct oid named;
    if (json_get_string(body, "SUBMIT", "root", &root, err) < 0 ||
        oid_from_hex(root, &named, err) < 0) {
        return -1;
    }
    if (!oid_equal(&named, &s->spec.root)) {
        return error_set(err, ERR_PROTOCOL,
                         "SUBMIT names another snapshot than its specification");
    }
    const char *digest = json_string(json_get(body, "base"));
    *out_has_base = digest != NULL;
    return digest == NULL ? 0 : oid_from_hex(digest, base, err);
}

static int take_submit(struct submit *s, const struct json *body, struct error *err)
{
    const char *text;
    struct oid base;
    bool has_base;
    if (s->has_spec) {
        return error_set(err, ERR_PROTOCOL, "SUBMIT comes once on a stream");
    }
    if (json_get_string(body, "SUBMIT", "spec", &text, err) < 0 ||
        strbuf_add(&s->spec_bytes, text, strlen(text), err) < 0 ||
        runspec_decode(s->spec_bytes.data, s->spec_bytes.length, &s->spec, err) < 0 ||
        read_digests(s, body, &base, &has_base, err) < 0) {
        return -1;
    }
    s->has_spec = true;
    s->submission = submissions_begin(s->connection->submissions, s->spec.run);
    if (look_for_run(s, err) < 0) {
        return -1;
    }
    if (s->is_known) {
        return 0;
    }
    if (check_secrets(s, err) < 0 || check_brought(s, err) < 0) {
        return -1;
    }
    s->receive = receive_new(s->connection->peer, s->stream, s->connection->store,
                             &s->spec.root, has_base ? &base : NULL, err);
    return s->receive == NULL ? -1 : 0;
}

/* True where the journal has nothing but what acceptance wrote: no supervisor was here.
 */
static bool is_untouched(const struct submit *s)
{
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    return runview_open(&view, s->connection->root, s->spec.run, NULL) == 0 &&
           view.run_fd >= 0 && view.status.seq == 1;
}

/*
 * Start the supervisors, unless the run has some or had some: adoption is not for us to
 * do here. Where they cannot be started because others were quicker, even to the run's
 * end, all is well. Where they cannot be started at all, the run is on disk all the same,
 * and adoption tries again: only of one with secrets, which nobody else has, it is true
 * that it does not start unless it is sent once more.
 */
static int start_once(struct submit *s, struct error *err)
{
    struct error why = ERROR_INIT;
    if (!is_untouched(s)) {
        return 0;
    }
    CLEANUP_JSON struct json *secrets =
        s->secrets.length > 0 ? json_parse(s->secrets.data, s->secrets.length, NULL)
                              : NULL;
    if (supervise_start(s->connection->root, s->spec.run, secrets, &why) == 0 ||
        why.code == ERR_BUSY || !is_untouched(s)) {
        return 0;
    }
    supervise_note_failure(s->connection->root, s->spec.run, "start", &why);
    if (s->spec.secrets.count == 0) {
        return 0;
    }
    if (err != NULL) {
        *err = why;
    }
    return error_wrap(err, "start");
}

static void add_took(const struct submit *s, struct json *body)
{
    struct json *took = json_add(body, "took", json_new_object());
    json_add_integer(took, "check_us", s->check_ns / NS_PER_US);
    json_add_integer(took, "accept_us", s->accept_ns / NS_PER_US);
    json_add_integer(took, "supervisors_us", s->supervisors_ns / NS_PER_US);
}

static int send_accepted(struct submit *s, bool is_new, struct error *err)
{
    struct runview view CLEANUP_RUNVIEW;
    runview_init(&view);
    if (runview_open(&view, s->connection->root, s->spec.run, err) < 0) {
        return -1;
    }
    CLEANUP_JSON struct json *body = json_new_object();
    size_t first = 0;
    json_add_string(body, "run", s->spec.run);
    json_add_bool(body, "is_new", is_new);
    add_took(s, body);
    json_add(body, "journal", runview_lines(&view, &first, ACCEPTED_LINES_BYTES));
    peer_send(s->connection->peer, s->stream, MSG_ACCEPTED, body);
    s->is_accepted = true;
    return 0;
}

/* The snapshot is here: make the run, start it, say so. */
static int accept_run(struct submit *s, struct error *err)
{
    const struct connection *c = s->connection;
    int64_t begin_ns = clock_monotonic_ns();
    int made = rundir_accept(c->root, &s->spec, s->spec_bytes.data, s->spec_bytes.length,
                             store_id(c->store), c->executor, err);
    if (made < 0) {
        return -1;
    }
    int64_t accepted_ns = clock_monotonic_ns();
    int failed = start_once(s, err);
    s->accept_ns = accepted_ns - begin_ns;
    s->supervisors_ns = clock_monotonic_ns() - accepted_ns;
    forget_secrets(s);
    if (failed == 0 && made == 1) {
        spare_start(c->root, s->spec.run, s->spec.files);
    }
    return failed < 0 ? -1 : send_accepted(s, made == 1, err);
}

static int take_objects(struct submit *s, const struct peer_event *event,
                        struct error *err)
{
    bool is_complete = event->type == MSG_PUSH_END;
    int64_t begin_ns = clock_monotonic_ns();
    if (!s->is_known && receive_event(s->receive, event, &is_complete, err) < 0) {
        return -1;
    }
    if (event->type == MSG_DATA) {
        peer_consumed(s->connection->peer, s->stream, event->length);
    }
    s->check_ns = clock_monotonic_ns() - begin_ns;
    return is_complete ? accept_run(s, err) : 0;
}

static int submit_event(void *request, const struct peer_event *event, struct error *err)
{
    struct submit *s = request;
    if (event->type == MSG_SECRETS) {
        return take_secrets(s, event->json, err);
    }
    if (event->type == MSG_SUBMIT) {
        return take_submit(s, event->json, err);
    }
    if (!s->has_spec) {
        return error_set(err, ERR_PROTOCOL, "objects came before SUBMIT");
    }
    return take_objects(s, event, err);
}

const struct service submit_service = {
    .opens = MSG_SUBMIT,
    .start = submit_start,
    .event = submit_event,
    .finish = submit_finish,
};

const struct service submit_secrets_service = {
    .opens = MSG_SECRETS,
    .start = submit_start,
    .event = submit_event,
    .finish = submit_finish,
};
