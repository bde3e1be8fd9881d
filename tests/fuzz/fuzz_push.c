/*
 * transfer_push: any answers from who receives.
 *
 * A small snapshot is pushed. The input are steps, by their first byte: 0 a NEED (u8
 * count that it says) with its records (u8 how many; each u8: which object, or one that
 * nobody has); 1 a NEED without records; 2 DATA as it stands (flags, u16 length, bytes);
 * 3 all that was not sent yet, as an honest receiver asks. What is sent passes at the
 * other end, belongs to the snapshot, and is sent once.
 */
#include "tests/fuzz/fuzz.h"

#include "common/bytes.h"
#include "common/chunk.h"
#include "common/transfer.h"
#include "tests/unit/peer_pair.h"

#define STREAM 1
#define OBJECTS_MAX 16
#define CHUNK_BYTES ((uint64_t)3 << 20)

struct object {
    enum object_kind kind;
    struct oid oid;
    struct strbuf body;
    bool was_sent;
};

struct world {
    struct object objects[OBJECTS_MAX];
    size_t count;
    struct peer *controller, *executor;
    struct push *push;
    struct strbuf pack; /* the one that is coming */
    bool has_failed;
};

/* ---- the snapshot ---- */

static struct object *find(struct world *w, enum object_kind kind, const struct oid *oid)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->objects[i].kind == kind && oid_equal(&w->objects[i].oid, oid)) {
            return &w->objects[i];
        }
    }
    return NULL;
}

/* As an object_sink. */
static int put(void *context, enum object_kind kind, const struct oid *oid,
               const void *body, size_t length, struct error *err)
{
    struct world *w = context;
    struct object *object = &w->objects[w->count];

    if (find(w, kind, oid) != NULL) {
        return 0;
    }
    assert(w->count < OBJECTS_MAX);
    object->kind = kind;
    object->oid = *oid;
    strbuf_init(&object->body, OBJECT_SIZE_MAX);
    w->count++;
    return strbuf_add(&object->body, body, length, err);
}

/* As an object_source. */
static int get(void *context, enum object_kind kind, const struct oid *oid,
               struct strbuf *out, struct error *err)
{
    const struct object *object = find(context, kind, oid);

    strbuf_reset(out);
    return object == NULL ? error_set(err, ERR_NOT_FOUND, "no such object")
                          : strbuf_add(out, object->body.data, object->body.length, err);
}

static bool has(void *context, enum object_kind kind, const struct oid *oid)
{
    return find(context, kind, oid) != NULL;
}

static struct oid add_content(struct world *w, const char *text)
{
    struct oid oid;

    oid_of(OBJECT_CONTENT, text, strlen(text), &oid);
    (void)put(w, OBJECT_CONTENT, &oid, text, strlen(text), NULL);
    return oid;
}

/* A file of two chunks. Who pushes believes its source, so that they need not be as large
 * as the list says. */
static struct oid add_list(struct world *w)
{
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *writer = chunk_list_writer_new();
    const struct object_sink sink = {.put = put, .context = w};
    struct oid first = add_content(w, "chunk 1");
    struct oid second = add_content(w, "chunk 2");
    struct oid oid = {{0}};

    chunk_list_writer_add(writer, &first, CHUNK_BYTES);
    chunk_list_writer_add(writer, &second, CHUNK_BYTES);
    if (chunk_list_writer_finish(writer, &sink, &oid, NULL) < 0) {
        mem_abort("fuzz: no list");
    }
    return oid;
}

static struct oid add_tree(struct world *w, const struct tree_entry *entries,
                           size_t count, uint64_t *out_size)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    const struct object_sink sink = {.put = put, .context = w};
    struct oid oid = {{0}};
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        struct tree_entry entry = entries[i];

        entry.name_length = strlen(entry.name);
        result |= tree_writer_add(writer, &entry, NULL);
    }
    if (result != 0 || tree_writer_finish(writer, &sink, &oid, out_size, NULL) < 0) {
        mem_abort("fuzz: no tree");
    }
    return oid;
}

static struct oid add_snapshot(struct world *w, bool has_large_file)
{
    uint64_t size_bytes;
    struct oid a = add_content(w, "print(1)\n");
    struct oid b = add_content(w, "print(2)\n");
    const struct tree_entry inner[] = {
        {.kind = TREE_FILE, .name = "a.py", .size_bytes = 9, .oid = a},
        {.kind = TREE_FILE, .name = "b.py", .size_bytes = 9, .oid = b}};
    struct tree_entry outer[3] = {
        {.kind = TREE_FILE, .name = "a.py", .size_bytes = 9, .oid = a}};

    outer[1] = (struct tree_entry){.kind = TREE_FOLDER, .name = "lib"};
    outer[1].oid = add_tree(w, inner, ARRAY_SIZE(inner), &outer[1].size_bytes);
    outer[2] = (struct tree_entry){
        .kind = TREE_FILE, .name = "weights", .size_bytes = 2 * CHUNK_BYTES};
    if (has_large_file) {
        outer[2].oid = add_list(w);
    }
    return add_tree(w, outer, has_large_file ? 3 : 2, &size_bytes);
}

/* ---- what is sent ---- */

/* As an object_sink: what came in a pack, not under the name of a chunk's real bytes. */
static int arrived(void *context, enum object_kind kind, const struct oid *oid,
                   const void *body, size_t length, struct error *err)
{
    struct object *object = find(context, kind, oid);

    (void)err;
    assert(object != NULL && !object->was_sent);
    assert(object->body.length == length && memcmp(object->body.data, body, length) == 0);
    object->was_sent = true;
    return 0;
}

static void take_at_executor(struct world *w, const struct peer_event *event)
{
    const struct object_sink sink = {.put = arrived, .context = w};

    if (event->type != MSG_DATA) {
        assert(event->type != MSG_PUSH_END || w->pack.length == 0);
        return;
    }
    (void)strbuf_add(&w->pack, event->data, event->length, NULL);
    if (event->is_last) {
        if (pack_read(w->pack.data, w->pack.length, &sink, NULL) < 0) {
            fuzz_fail("a pack that cannot be read was sent");
        }
        strbuf_reset(&w->pack);
    }
    peer_consumed(w->executor, event->stream, event->length);
}

static void take_at_controller(struct world *w, const struct peer_event *event)
{
    struct error err = ERROR_INIT;

    if (!w->has_failed && push_event(w->push, event, &err) < 0) {
        fuzz_check_error(&err);
        assert(err.code == ERR_PROTOCOL);
        w->has_failed = true;
    }
    if (event->type == MSG_DATA) {
        peer_consumed(w->controller, event->stream, event->length);
    }
}

static void take_all(struct world *w, struct peer *peer, struct error *err)
{
    struct peer_event event;
    int result;

    while ((result = peer_next(peer, &event, err)) > 0) {
        if (peer == w->executor) {
            take_at_executor(w, &event);
        } else {
            take_at_controller(w, &event);
        }
    }
    if (result < 0) {
        assert(peer == w->controller);
        w->has_failed = true;
    }
}

/* Send and give credit until nothing more goes. */
static void pump(struct world *w)
{
    struct error err = ERROR_INIT;
    int moved = 1;

    while (moved > 0 && !w->has_failed) {
        if (push_pump(w->push, &err) < 0) {
            fuzz_fail("the source failed");
        }
        moved = pair_move(w->controller, w->executor, SIZE_MAX, &err);
        take_all(w, w->executor, &err);
        moved += pair_move(w->executor, w->controller, SIZE_MAX, &err);
        take_all(w, w->controller, &err);
    }
    assert(w->has_failed || !push_is_sending(w->push));
}

/* ---- what is answered ---- */

static void add_record(struct strbuf *records, enum object_kind kind,
                       const struct oid *oid)
{
    strbuf_putc(records, (char)kind);
    (void)strbuf_add(records, oid->digest, OID_SIZE, NULL);
}

static void need(struct strbuf *frames, size_t count, const struct strbuf *records)
{
    CLEANUP_FREE char *body = xasprintf("{\"objects\":%zu}", count);

    pair_text(frames, MSG_NEED, STREAM, body);
    if (records->length > 0) {
        pair_frame(frames, MSG_DATA, FRAME_FLAG_LAST, STREAM, records->data,
                   records->length);
    }
}

static void ask(struct world *w, struct fuzz_input *in, struct strbuf *frames)
{
    static const struct oid nobody = {{1}};
    CLEANUP_STRBUF struct strbuf records = STRBUF_INIT;
    size_t said = fuzz_byte(in);
    size_t count = fuzz_byte(in) % 8;

    for (size_t i = 0; i < count; i++) {
        unsigned which = fuzz_byte(in);
        const struct object *object = &w->objects[which % OBJECTS_MAX];

        if (which % OBJECTS_MAX < w->count) {
            add_record(&records, which & 0x80 ? OBJECT_LIST : object->kind, &object->oid);
        } else {
            add_record(&records, OBJECT_TREE, &nobody);
        }
    }
    need(frames, said, &records);
}

static void ask_for_the_rest(struct world *w, struct strbuf *frames)
{
    CLEANUP_STRBUF struct strbuf records = STRBUF_INIT;

    for (size_t i = 0; i < w->count; i++) {
        if (!w->objects[i].was_sent) {
            add_record(&records, w->objects[i].kind, &w->objects[i].oid);
        }
    }
    if (records.length > 0) {
        need(frames, records.length / TRANSFER_RECORD_SIZE, &records);
    }
}

static void step(struct world *w, struct fuzz_input *in)
{
    CLEANUP_STRBUF struct strbuf frames = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf nothing = STRBUF_INIT;
    struct error err = ERROR_INIT;
    unsigned what = fuzz_byte(in) % 4;

    if (what == 0) {
        ask(w, in, &frames);
    } else if (what == 1) {
        need(&frames, fuzz_byte(in), &nothing);
    } else if (what == 2) {
        unsigned flags = fuzz_byte(in) & FRAME_FLAG_LAST;
        struct fuzz_input bytes = fuzz_take(in, fuzz_u16(in));

        pair_frame(&frames, MSG_DATA, flags, STREAM, bytes.data, bytes.size);
    } else {
        ask_for_the_rest(w, &frames);
    }
    if (peer_input(w->controller, frames.data, frames.length, &err) < 0) {
        w->has_failed = true;
        return;
    }
    take_all(w, w->controller, &err);
    pump(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    CLEANUP(peer_cleanup) struct peer *controller = peer_new(PEER_CONTROLLER);
    CLEANUP(peer_cleanup) struct peer *executor = peer_new(PEER_EXECUTOR);
    CLEANUP(push_cleanup) struct push *push = NULL;
    struct world w = {.controller = controller, .executor = executor};
    const struct object_source source = {.get = get, .has = has, .context = &w};
    struct oid root = add_snapshot(&w, fuzz_byte(&in) & 1);

    strbuf_init(&w.pack, PACK_WIRE_MAX);
    push = w.push = push_new(controller, STREAM, &source, &root, NULL, NULL);
    pair_send(controller, 0, MSG_HELLO);
    pair_send(controller, peer_open(controller), MSG_SUBMIT);
    pump(&w);
    while (in.size > 0 && !w.has_failed) {
        step(&w, &in);
    }
    strbuf_release(&w.pack);
    for (size_t i = 0; i < w.count; i++) {
        strbuf_release(&w.objects[i].body);
    }
    return 0;
}
