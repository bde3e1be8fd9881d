#include "common/clock.h"
#include "common/oidset.h"
#include "controller/submission_inside.h"

#include <stdlib.h>

#define ANSWER_NS (3 * NS_PER_S)      /* for the last word on what was interrupted */
#define PROGRESS_MIN_BYTES (1u << 20) /* less is sent before a person can read it */

/* What is sent is counted where it is read: an object is read once for each time it goes
 * into a pack. Folders are read on the way to what is sent, too. */
struct counted_source {
    struct object_source inner;
    struct oidset *sent;    /* what was read */
    uint64_t content_bytes; /* of files, without trees and lists */
};

static int counted_get(void *context, enum object_kind kind, const struct oid *oid,
                       struct strbuf *out, struct error *err)
{
    struct counted_source *source = context;
    if (oidset_add(source->sent, kind, oid, 0, err) < 0) {
        return -1;
    }
    if (source->inner.get(source->inner.context, kind, oid, out, err) < 0) {
        return -1;
    }
    source->content_bytes += kind == OBJECT_CONTENT ? out->length : 0;
    return 0;
}

static bool counted_has(void *context, enum object_kind kind, const struct oid *oid)
{
    struct counted_source *source = context;
    return source->inner.has(source->inner.context, kind, oid);
}

struct sending {
    int64_t begin_ns;
    struct submission *submission;
    struct command_context *context;
    struct client *client;
    struct push *push;
    struct strvec lines;
    bool is_done;
    bool has_error;
    bool has_need; /* the node has said what it misses */
    struct error error;
};

static void show_progress(const struct sending *s)
{
    struct transfer_progress progress;
    push_progress(s->push, &progress);
    if (progress.bytes_total > PROGRESS_MIN_BYTES) {
        terminal_progress(s->context->terminal, "sending", progress.bytes_delivered,
                          progress.bytes_total);
    }
}

static int sending_room(void *context, struct error *err)
{
    struct sending *s = context;
    if (push_pump(s->push, err) != 0) {
        return -1;
    }
    show_progress(s);
    return 0;
}

/* Where the node's time went. */
static void take_took(struct sending *s, const struct json *body)
{
    static const struct {
        const char *key;
        enum timing_phase phase;
    } rows[] = {{"check_us", TIMING_CHECK},
                {"accept_us", TIMING_ACCEPT},
                {"supervisors_us", TIMING_SUPERVISORS}};
    const struct json *took = json_get(body, "took");
    timing_since(&s->context->timing, TIMING_SUBMIT, s->begin_ns);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct json *us = json_get(took, rows[i].key);
        timing_node(&s->context->timing, rows[i].phase,
                    us != NULL ? json_integer(us) : RUN_TOOK_UNKNOWN);
    }
}

static int take_accepted(struct sending *s, const struct json *body, struct error *err)
{
    const struct json *journal = NULL;
    s->submission->fate = SUBMISSION_ACCEPTED;
    take_took(s, body);
    s->is_done = true;
    if (json_get_bool(body, "ACCEPTED", "is_new", &s->submission->is_new, err) != 0 ||
        json_get_array(body, "ACCEPTED", "journal", 1000, &journal, err) != 0) {
        return -1;
    }
    for (const struct json *line = json_first(journal); line != NULL;
         line = json_next(line)) {
        strvec_push(&s->lines, json_is_string(line) ? json_string(line) : "");
    }
    if (s->submission->on_sent != NULL) {
        client_pause(s->client);
    }
    return 0;
}

/* What is missing at the beginning of a connection tells how far the one before came. */
static void note_need(struct sending *s, const struct json *body)
{
    int64_t objects = json_integer(json_get(body, "objects"));
    if (!s->has_need && (uint64_t)objects < s->submission->missing_objects) {
        s->submission->missing_objects = (uint64_t)objects;
        s->submission->has_progress = true;
    }
    s->has_need = true;
}

static int sending_event(void *context, const struct peer_event *event, struct error *err)
{
    struct sending *s = context;
    if (event->type == MSG_NEED) {
        note_need(s, event->json);
    }
    if (event->type == MSG_ACCEPTED) {
        return take_accepted(s, event->json, err);
    }
    if (event->type == MSG_ERROR) {
        client_take_error(s->client, event->json, &s->error);
        s->has_error = true;
        s->is_done = true;
        return 0;
    }
    if (push_event(s->push, event, err) != 0) {
        return -1;
    }
    return sending_room(s, err);
}

static struct json *submit_body(const struct submission *s, const struct oid *base)
{
    char hex[OID_HEX_SIZE];
    struct json *body = json_new_object();
    json_add_string(body, "spec", s->bytes.data);
    oid_to_hex(&s->spec.root, hex);
    json_add_string(body, "root", hex);
    oid_to_hex(base, hex);
    json_add_string(body, "base", oid_is_zero(base) ? NULL : hex);
    return body;
}

/* The first flight: SECRETS, SUBMIT, what goes along with it, objects. */
static int begin_sending(struct sending *s, uint32_t stream, const struct oid *base,
                         const struct object_source *source, struct error *err)
{
    struct submission *submission = s->submission;
    struct peer *peer = client_peer(s->client);
    if (submission->secrets != NULL) {
        CLEANUP_JSON struct json *secrets = json_new_object();
        (void)json_add(secrets, "secrets", json_copy(submission->secrets));
        peer_send(peer, stream, MSG_SECRETS, secrets);
    }
    CLEANUP_JSON struct json *body = submit_body(submission, base);
    peer_send(peer, stream, MSG_SUBMIT, body);
    if (submission->on_sent != NULL &&
        submission->on_sent(submission->on_sent_context, s->client, submission->spec.run,
                            err) != 0) {
        return -1;
    }
    s->push = push_new(peer, stream, source, &submission->spec.root,
                       oid_is_zero(base) ? NULL : base, err);
    return s->push == NULL ? -1 : sending_room(s, err);
}

/* All was sent, and the person wants no more of it: the node's word is either that it
 * had accepted the run by then, or that it has dropped it. */
static int wait_for_answer(struct sending *s, struct client *client, uint32_t stream,
                           struct error *err)
{
    bool is_late = false;
    struct loop_timer *timer =
        loop_flag_at(client_loop(client), clock_monotonic_ns() + ANSWER_NS, &is_late);
    int result = 0;
    peer_send(client_peer(client), stream, MSG_RESET, NULL);
    while (result == 0 && !s->is_done && !is_late) {
        result = client_step(client, err);
    }
    if (!is_late) {
        loop_timer_cancel(client_loop(client), timer);
    }
    return result;
}

static int run_sending(struct sending *s, struct client *client, const struct oid *base,
                       const struct object_source *source, const bool *is_interrupted,
                       struct error *err)
{
    struct client_request request = {
        .context = s, .event = sending_event, .room = sending_room};
    uint32_t stream = client_open(client, &request, err);
    if (stream == 0) {
        return -1;
    }
    int result = begin_sending(s, stream, base, source, err);
    while (result == 0 && !s->is_done && (is_interrupted == NULL || !*is_interrupted)) {
        result = client_step(client, err);
    }
    if (result == 0 && !s->is_done && push_is_waiting(s->push)) {
        result = wait_for_answer(s, client, stream, err);
    }
    bool is_answered = s->is_done || s->push == NULL || !push_is_waiting(s->push);
    if (!is_answered) {
        s->submission->fate = SUBMISSION_UNKNOWN;
    }
    client_abandon(client, stream);
    terminal_progress_clear(s->context->terminal);
    if (result == 0 && s->has_error) {
        (void)error_copy(err, &s->error);
        result = -1;
    }
    if (result == 0 && !s->is_done) {
        result = error_set(err, ERR_CANCELED, "interrupted while sending");
    }
    return result;
}

struct file_count {
    const struct oidset *sent;
    uint64_t files;
};

static int count_file(void *context, const char *path, const struct tree_entry *entry,
                      struct error *err)
{
    (void)path;
    (void)err;
    struct file_count *count = context;
    bool was_read = oidset_has(count->sent, tree_entry_object(entry), &entry->oid);
    if (entry->kind == TREE_FOLDER) {
        return was_read ? 0 : 1; /* nothing below one that was not read was sent */
    }
    count->files += was_read ? 1 : 0;
    return 0;
}

static int note_accepted(struct sending *s, struct client *client,
                         const struct target *target, const struct oidset *sent,
                         struct error *err)
{
    struct submission *submission = s->submission;
    struct command_context *context = s->context;
    const struct client_node *node = client_node(client);
    struct object_source source = store_source(context->store);
    struct file_count count = {.sent = sent};
    struct transfer_progress progress;
    push_progress(s->push, &progress);
    if (oidset_count(sent) > 0 &&
        tree_walk(&source, &submission->spec.root, count_file, &count, err) != 0) {
        return -1;
    }
    submission->sent_files = count.files;
    submission->sent_bytes = progress.bytes_sent;
    submission->wire_bytes = progress.wire_bytes;
    if (history_set_accepted(context->history, submission->spec.run, node->store,
                             node->node, submission->sent_files, submission->sent_bytes,
                             err) != 0 ||
        history_add_lines(context->history, submission->spec.run, &s->lines, err) != 0) {
        return -1;
    }
    submission_note_base(submission, context, client, target);
    return 0;
}

int submission_send(struct submission *submission, struct command_context *context,
                    struct client *client, const struct target *target,
                    const bool *is_interrupted, struct error *err)
{
    struct oid base;
    struct sending s = {.begin_ns = clock_monotonic_ns(),
                        .submission = submission,
                        .context = context,
                        .client = client};
    submission->has_progress = false;
    CLEANUP(oidset_cleanup) struct oidset *sent = oidset_new(TRANSFER_OBJECTS_MAX);
    struct counted_source counted = {.inner = store_source(context->store), .sent = sent};
    struct object_source source = {
        .get = counted_get, .has = counted_has, .context = &counted};
    if (history_base_root(context->history, target->name, client_node(client)->store,
                          config_project(context->config), &base, err) != 0) {
        return -1;
    }
    /* The snapshot's own root is on its way; what is below it is here. */
    if (!oid_is_zero(&base) && !oid_equal(&base, &submission->spec.root) &&
        !store_use_root(context->store, &base)) {
        base = (struct oid){0};
    }
    home_note_sending(submission->lock_fd);
    if (history_set_sent(context->history, submission->spec.run,
                         client_node(client)->node, err) != 0) {
        return -1;
    }
    int result = run_sending(&s, client, &base, &source, is_interrupted, err);
    if (result == 0) {
        submission->sent_content_bytes = counted.content_bytes;
        result = note_accepted(&s, client, target, sent, err);
    }
    push_free(s.push);
    strvec_release(&s.lines);
    return result;
}
