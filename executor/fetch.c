#include "executor/service.h"

#include "common/transfer.h"
#include "executor/outputs.h"
#include "executor/runview.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * fetch: a run's outputs on their way home.            [executor]
 *
 * OFFER says what there is; then the executor pushes, from the run's folder, until the
 * controller says GOT.
 */

struct fetch {
    const struct connection *connection;
    uint32_t stream;
    struct runview run;
    struct outputs_reader *reader;
    struct object_source source;
    struct push *push;
};

static void *fetch_start(const struct connection *connection, uint32_t stream)
{
    struct fetch *f = xcalloc(1, sizeof *f);
    f->connection = connection;
    f->stream = stream;
    runview_init(&f->run);
    return f;
}

static void fetch_finish(void *request)
{
    struct fetch *f = request;
    push_free(f->push);
    outputs_reader_free(f->reader);
    runview_release(&f->run);
    free(f);
}

static void send_end(const struct fetch *f)
{
    CLEANUP_JSON struct json *end = json_new_object();
    peer_send(f->connection->peer, f->stream, MSG_END, end);
}

#define WARNINGS_BYTES_MAX ((size_t)32 << 10)

static void send_offer(const struct fetch *f, const struct run_status *status)
{
    CLEANUP_JSON struct json *offer = json_new_object();
    char root[OID_HEX_SIZE];
    oid_to_hex(&status->outputs_root, root);
    json_add_string(offer, "root", oid_is_zero(&status->outputs_root) ? NULL : root);
    json_add_integer(offer, "files", (int64_t)status->outputs_files);
    json_add_integer(offer, "size_bytes", (int64_t)status->outputs_size_bytes);
    struct json *warnings = json_add(offer, "warnings", json_new_array());
    const struct strvec *texts = status->outputs_warnings;
    size_t bytes = 0;
    for (size_t i = 0; texts != NULL && i < texts->count; i++) {
        bytes += strlen(texts->items[i]) + 8;
        if (bytes > WARNINGS_BYTES_MAX) {
            break;
        }
        json_append(warnings, json_new_string(texts->items[i]));
    }
    peer_send(f->connection->peer, f->stream, MSG_OFFER, offer);
}

/* A base that is not here any more is as if none had been named. */
static int take_base(const struct fetch *f, const struct json *body, struct oid *base,
                     bool *out_has_base, struct error *err)
{
    const char *digest = json_string(json_get(body, "base"));
    *out_has_base = false;
    if (digest == NULL) {
        return 0;
    }
    if (oid_from_hex(digest, base, err) < 0) {
        return -1;
    }
    *out_has_base = f->source.has(f->source.context, OBJECT_TREE, base);
    return 0;
}

static int take_fetch(struct fetch *f, const struct json *body, struct error *err)
{
    const char *run;
    if (json_get_string(body, "FETCH", "run", &run, err) < 0 ||
        runview_open(&f->run, f->connection->root, run, err) < 0) {
        return -1;
    }
    if (!run_state_is_final(f->run.status.state)) {
        return error_set(err, ERR_BUSY, "run %s has not ended: it is %s", run,
                         run_state_name(f->run.status.state));
    }
    const struct oid *root = &f->run.status.outputs_root;
    if (oid_is_zero(root)) {
        send_offer(f, &f->run.status);
        send_end(f);
        return 0;
    }
    if (f->run.run_fd < 0) {
        return error_set(err, ERR_NOT_FOUND, "run %s and its outputs were removed here",
                         run);
    }
    if (faccessat(f->run.run_fd, "work", F_OK, 0) != 0) {
        return error_set(
            err, ERR_NOT_FOUND,
            "the outputs of %s are not here any more: they were brought home "
            "to its submitter, and its work tree was removed since",
            run);
    }
    f->reader = outputs_open(f->run.run_fd, err);
    if (f->reader == NULL) {
        return -1;
    }
    f->source = outputs_source(f->reader);
    struct oid base;
    bool has_base;
    if (take_base(f, body, &base, &has_base, err) < 0) {
        return -1;
    }
    send_offer(f, &f->run.status);
    f->push = push_new(f->connection->peer, f->stream, &f->source, root,
                       has_base ? &base : NULL, err);
    return f->push == NULL ? -1 : 0;
}

static int fetch_event(void *request, const struct peer_event *event, struct error *err)
{
    struct fetch *f = request;
    if (event->type == MSG_FETCH) {
        return take_fetch(f, event->json, err);
    }
    if (f->push == NULL) {
        return error_set(err, ERR_PROTOCOL, "nothing was offered");
    }
    if (event->type == MSG_GOT) {
        send_end(f);
        return 0;
    }
    int failed = push_event(f->push, event, err);
    if (event->type == MSG_DATA) {
        peer_consumed(f->connection->peer, f->stream, event->length);
    }
    return failed;
}

static int fetch_step(void *request, struct error *err)
{
    struct fetch *f = request;
    struct peer *peer = f->connection->peer;
    if (f->push == NULL || !push_is_sending(f->push) ||
        peer_data_room(peer, f->stream) == 0) {
        return 0;
    }
    size_t before = peer_pending(peer);
    if (push_pump(f->push, err) < 0) {
        return -1;
    }
    return peer_pending(peer) > before && push_is_sending(f->push);
}

const struct service fetch_service = {
    .opens = MSG_FETCH,
    .start = fetch_start,
    .event = fetch_event,
    .step = fetch_step,
    .finish = fetch_finish,
};
