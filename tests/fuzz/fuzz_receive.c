/*
 * transfer_receive: any objects and packs from a controller that pushes.
 *
 * The input are steps, by their first byte: 0 PUSH_END; 1 an object for the pack (kind,
 * u16 length, body), under its right name; 2 the pack goes; 3 DATA as it stands (flags,
 * u16 length, bytes). The snapshot's root is the last tree in the input. Completeness is
 * what it says: everything below the root can be read. What is asked for is not there.
 */
#include "tests/fuzz/fuzz.h"

#include "common/transfer.h"
#include "tests/unit/peer_pair.h"

#define STREAM 1

struct world {
    struct peer *controller, *executor;
    struct store *store;
    struct receive *receive;
    struct pack_builder *pack;
    struct oid root;
    bool is_complete, has_failed;
};

static enum object_kind kind_of(unsigned byte)
{
    static const enum object_kind kinds[] = {OBJECT_CONTENT, OBJECT_LIST, OBJECT_TREE};

    return kinds[byte % ARRAY_SIZE(kinds)];
}

static void find_root(struct fuzz_input in, struct oid *out)
{
    while (in.size > 0) {
        unsigned step = fuzz_byte(&in) % 4;

        if (step == 1) {
            enum object_kind kind = kind_of(fuzz_byte(&in));
            struct fuzz_input body = fuzz_take(&in, fuzz_u16(&in));

            if (kind == OBJECT_TREE) {
                oid_of(kind, body.data, body.size, out);
            }
        } else if (step == 3) {
            (void)fuzz_byte(&in);
            (void)fuzz_take(&in, fuzz_u16(&in));
        }
    }
}

/* As an object_visitor. */
static int read_object(void *context, enum object_kind kind, const struct oid *oid,
                       uint64_t size_bytes, struct error *err)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;

    (void)size_bytes;
    return store_get(context, kind, oid, &body, err) < 0 ? -1 : 1;
}

static void check_complete(struct world *w)
{
    struct object_source source = store_source(w->store);
    struct error err = ERROR_INIT;

    assert(store_has_root(w->store, &w->root));
    if (tree_visit_objects(&source, &w->root, NULL, read_object, w->store, &err) < 0) {
        fuzz_fail("the closure is not complete");
    }
}

static void check_needed(struct world *w, const struct peer_event *event)
{
    assert(event->length % TRANSFER_RECORD_SIZE == 0);
    for (size_t at = 0; at < event->length; at += TRANSFER_RECORD_SIZE) {
        struct oid oid;

        memcpy(oid.digest, event->data + at + 1, OID_SIZE);
        assert(!store_has(w->store, (enum object_kind)event->data[at], &oid));
    }
}

/* What the receiver answers passes at the other end. */
static void answer(struct world *w)
{
    struct error err = ERROR_INIT;
    struct peer_event event;
    int moved, result;

    do {
        moved = pair_move(w->executor, w->controller, SIZE_MAX, &err);
        while ((result = peer_next(w->controller, &event, &err)) > 0) {
            if (event.type == MSG_DATA) {
                check_needed(w, &event);
                peer_consumed(w->controller, event.stream, event.length);
            }
        }
        assert(moved >= 0 && result == 0);
    } while (moved > 0);
    /* Credit goes back only for what the receiver has taken. */
    while (pair_move(w->controller, w->executor, SIZE_MAX, &err) > 0) {
    }
}

static void take(struct world *w, const struct peer_event *event)
{
    struct error err = ERROR_INIT;

    if (event->type == MSG_SUBMIT || event->type == MSG_HELLO) {
        return;
    }
    if (receive_event(w->receive, event, &w->is_complete, &err) < 0) {
        fuzz_check_error(&err);
        w->has_failed = true;
    }
    if (event->type == MSG_DATA) {
        peer_consumed(w->executor, event->stream, event->length);
    }
    if (w->is_complete) {
        check_complete(w);
    }
}

static void arrive(struct world *w, const struct strbuf *frames)
{
    struct error err = ERROR_INIT;
    struct peer_event event;
    int result = peer_input(w->executor, frames->data, frames->length, &err);

    while (result >= 0 && !w->has_failed && !w->is_complete &&
           (result = peer_next(w->executor, &event, &err)) > 0) {
        take(w, &event);
    }
    if (result < 0) {
        fuzz_check_error(&err);
        w->has_failed = true;
        return;
    }
    answer(w);
}

static void send_pack(struct world *w)
{
    CLEANUP_STRBUF struct strbuf frames = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf pack = STRBUF_INIT;

    if (pack_builder_is_empty(w->pack) || pack_builder_finish(w->pack, &pack, NULL) < 0) {
        return;
    }
    for (size_t at = 0; at < pack.length; at += FRAME_DATA_MAX) {
        size_t left = pack.length - at;
        size_t part = left < FRAME_DATA_MAX ? left : FRAME_DATA_MAX;

        pair_frame(&frames, MSG_DATA, part == left ? FRAME_FLAG_LAST : 0, STREAM,
                   pack.data + at, part);
    }
    arrive(w, &frames);
}

static void add_object(struct world *w, struct fuzz_input *in)
{
    enum object_kind kind = kind_of(fuzz_byte(in));
    struct fuzz_input body = fuzz_take(in, fuzz_u16(in));
    struct oid oid;

    oid_of(kind, body.data, body.size, &oid);
    if (pack_builder_fits(w->pack, body.size)) {
        (void)pack_builder_add(w->pack, kind, &oid,
                               body.size > 0 ? body.data : (const uint8_t *)"", body.size,
                               NULL);
    }
}

static void step(struct world *w, struct fuzz_input *in)
{
    CLEANUP_STRBUF struct strbuf frames = STRBUF_INIT;
    unsigned what = fuzz_byte(in) % 4;

    if (what == 0) {
        pair_frame(&frames, MSG_PUSH_END, 0, STREAM, NULL, 0);
        arrive(w, &frames);
    } else if (what == 1) {
        add_object(w, in);
    } else if (what == 2) {
        send_pack(w);
    } else {
        unsigned flags = fuzz_byte(in) & FRAME_FLAG_LAST;
        struct fuzz_input bytes = fuzz_take(in, fuzz_u16(in));

        pair_frame(&frames, MSG_DATA, flags, STREAM, bytes.data, bytes.size);
        arrive(w, &frames);
    }
}

static void open_stream(struct world *w)
{
    struct error err = ERROR_INIT;
    struct peer_event event;

    pair_send(w->controller, 0, MSG_HELLO);
    pair_send(w->controller, peer_open(w->controller), MSG_SUBMIT);
    while (pair_move(w->controller, w->executor, SIZE_MAX, &err) > 0) {
        while (peer_next(w->executor, &event, &err) > 0) {
            take(w, &event);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    char *folder = fuzz_folder();
    CLEANUP_FREE char *path = files_join(folder, "store");
    CLEANUP(peer_cleanup) struct peer *controller = peer_new(PEER_CONTROLLER);
    CLEANUP(peer_cleanup) struct peer *executor = peer_new(PEER_EXECUTOR);
    CLEANUP(store_cleanup) struct store *store = store_open(path, NULL);
    CLEANUP(pack_builder_cleanup) struct pack_builder *pack = pack_builder_new();
    CLEANUP(receive_cleanup) struct receive *receive = NULL;
    struct world w = {
        .controller = controller, .executor = executor, .store = store, .pack = pack};

    find_root(in, &w.root);
    receive = w.receive = receive_new(executor, STREAM, store, &w.root, NULL, NULL);
    open_stream(&w);
    while (in.size > 0 && !w.has_failed && !w.is_complete) {
        step(&w, &in);
    }
    fuzz_folder_remove(folder);
    return 0;
}
