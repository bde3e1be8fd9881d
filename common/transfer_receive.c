#include <stdlib.h>
#include <string.h>

#include "common/transfer.h"

#define BAD_TREES_MAX 16 /* that one PUSH_END may find in the store and ask for again */

struct receive {
    struct peer *peer;
    uint32_t stream;
    struct store *store;
    struct oid root;
    struct oid base;
    bool has_base;
    bool is_complete;
    struct strbuf pack;      /* the one that is coming */
    struct oidset *received; /* what came whole and is in the store */
    struct strbuf missing;   /* records, from missing_done on not yet asked for */
    size_t missing_done;
    struct transfer_progress progress;
};

struct receive *receive_new(struct peer *peer, uint32_t stream, struct store *store,
                            const struct oid *root, const struct oid *base,
                            struct error *err)
{
    struct receive *receive = xcalloc(1, sizeof(*receive));

    (void)err;
    receive->peer = peer;
    receive->stream = stream;
    receive->store = store;
    receive->root = *root;
    receive->has_base = base != NULL;
    if (base != NULL) {
        receive->base = *base;
    }
    receive->received = oidset_new(TRANSFER_OBJECTS_MAX);
    strbuf_init(&receive->pack, PACK_WIRE_MAX);
    strbuf_init(&receive->missing, TRANSFER_OBJECTS_MAX * TRANSFER_RECORD_SIZE);
    return receive;
}

void receive_free(struct receive *receive)
{
    if (receive == NULL) {
        return;
    }
    /* What came before the link was cut need not come again. */
    (void)store_flush(receive->store, NULL);
    oidset_free(receive->received);
    strbuf_release(&receive->pack);
    strbuf_release(&receive->missing);
    free(receive);
}

/* --- packs ---------------------------------------------------------------------------
 */

/* As an object_sink: into the store, and remembered. */
static int put_object(void *context, enum object_kind kind, const struct oid *oid,
                      const void *body, size_t length, struct error *err)
{
    struct receive *receive = context;

    if (store_put(receive->store, kind, oid, body, length, err) < 0 ||
        oidset_add(receive->received, kind, oid, 0, err) < 0) {
        return -1;
    }
    receive->progress.objects_sent++;
    receive->progress.bytes_sent += length;
    return 0;
}

static int take_pack(struct receive *receive, struct error *err)
{
    struct object_sink sink = {.put = put_object, .context = receive};
    CLEANUP_FD int lock = store_lock(receive->store, false, -1, err);
    int result;

    if (lock < 0) {
        return -1;
    }
    store_gather(receive->store);
    result = pack_read(receive->pack.data, receive->pack.length, &sink, err);
    strbuf_reset(&receive->pack);
    return result;
}

static int take_data(struct receive *receive, const struct peer_event *event,
                     struct error *err)
{
    if (strbuf_add(&receive->pack, event->data, event->length, err) < 0) {
        return error_wrap(err, "a pack that came");
    }
    receive->progress.wire_bytes += event->length;
    return event->is_last ? take_pack(receive, err) : 0;
}

/* --- what is missing -----------------------------------------------------------------
 */

struct survey {
    struct receive *receive;
    struct oidset *seen;
};

static bool is_here(const struct receive *receive, enum object_kind kind,
                    const struct oid *oid)
{
    return oidset_has(receive->received, kind, oid) ||
           store_has(receive->store, kind, oid);
}

/* As an object_visitor: note what is not here, each object once. */
static int survey_object(void *context, enum object_kind kind, const struct oid *oid,
                         uint64_t size_bytes, struct error *err)
{
    struct survey *survey = context;
    uint8_t record[TRANSFER_RECORD_SIZE];
    int added = oidset_add(survey->seen, kind, oid, 0, err);

    (void)size_bytes;
    if (added <= 0) {
        return added < 0 ? -1 : 1;
    }
    if (is_here(survey->receive, kind, oid)) {
        return 0;
    }
    record[0] = (uint8_t)kind;
    memcpy(record + 1, oid->digest, OID_SIZE);
    return strbuf_add(&survey->receive->missing, record, sizeof(record), err) < 0 ? -1
                                                                                  : 1;
}

/* Fill receive->missing. */
static int find_missing(struct receive *receive, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *seen = oidset_new(TRANSFER_OBJECTS_MAX);
    struct survey survey = {.receive = receive, .seen = seen};
    struct object_source source = store_source(receive->store);
    bool has_base = receive->has_base && store_has_root(receive->store, &receive->base);

    strbuf_reset(&receive->missing);
    receive->missing_done = 0;
    if (store_has_root(receive->store, &receive->root)) {
        return 0;
    }
    return tree_visit_objects(&source, &receive->root, has_base ? &receive->base : NULL,
                              survey_object, &survey, err);
}

/* A tree that turns out to be bad is moved away while it is read, and is then missing. */
static int find_missing_or_bad(struct receive *receive, struct error *err)
{
    struct error why = ERROR_INIT;
    int tries = BAD_TREES_MAX;

    while (find_missing(receive, &why) < 0) {
        if (why.code != ERR_CORRUPT || tries-- == 0) {
            if (err != NULL) {
                *err = why;
            }
            return -1;
        }
    }
    return 0;
}

/* Ask for as much of what is missing as the sender's credit takes. */
static int ask(struct receive *receive, struct error *err)
{
    size_t left = receive->missing.length - receive->missing_done;
    size_t most = peer_credit(receive->peer, receive->stream) / TRANSFER_RECORD_SIZE *
                  TRANSFER_RECORD_SIZE;
    size_t part = left < most ? left : most;
    CLEANUP_JSON struct json *body = NULL;

    if (!peer_is_open(receive->peer, receive->stream)) {
        return 0;
    }
    if (part == 0) {
        return error_set(err, ERR_PROTOCOL, "no credit to say what is missing");
    }
    body = json_new_object();
    json_add_integer(body, "objects", (int64_t)(part / TRANSFER_RECORD_SIZE));
    peer_send(receive->peer, receive->stream, MSG_NEED, body);
    peer_send_data(receive->peer, receive->stream,
                   receive->missing.data + receive->missing_done, part, true);
    receive->missing_done += part;
    receive->progress.objects_total =
        receive->progress.objects_sent + left / TRANSFER_RECORD_SIZE;
    return 0;
}

/* Nothing seems to be missing: make the root visible. */
static int complete(struct receive *receive, bool *out_complete, struct error *err)
{
    const struct oid *base = receive->has_base ? &receive->base : NULL;

    if (store_add_root(receive->store, &receive->root, base, err) < 0) {
        return -1;
    }
    receive->is_complete = true;
    *out_complete = true;
    return 0;
}

static int take_push_end(struct receive *receive, bool *out_complete, struct error *err)
{
    CLEANUP_FD int lock = -1;

    if (receive->pack.length > 0) {
        return error_set(err, ERR_PROTOCOL, "PUSH_END in the middle of a pack");
    }
    receive->progress.rounds++;
    if (receive->missing_done < receive->missing.length) {
        return ask(receive, err);
    }
    /* From the survey until the root is there no collection may come between. */
    lock = store_lock(receive->store, false, -1, err);
    if (lock < 0 || store_flush(receive->store, err) < 0 ||
        find_missing_or_bad(receive, err) < 0) {
        return -1;
    }
    return receive->missing.length > 0 ? ask(receive, err)
                                       : complete(receive, out_complete, err);
}

int receive_event(struct receive *receive, const struct peer_event *event,
                  bool *out_complete, struct error *err)
{
    *out_complete = false;
    if (!receive->is_complete && event->type == MSG_DATA) {
        return take_data(receive, event, err);
    }
    if (!receive->is_complete && event->type == MSG_PUSH_END) {
        return take_push_end(receive, out_complete, err);
    }
    return error_set(err, ERR_PROTOCOL, "%s came in the middle of a push",
                     message_row((uint8_t)event->type)->name);
}

void receive_progress(const struct receive *receive, struct transfer_progress *out)
{
    *out = receive->progress;
    out->bytes_delivered = out->bytes_sent;
    if (out->objects_total < out->objects_sent) {
        out->objects_total = out->objects_sent;
    }
    if (out->bytes_total < out->bytes_sent) {
        out->bytes_total = out->bytes_sent;
    }
}
