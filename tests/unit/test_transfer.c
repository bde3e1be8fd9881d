#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/chunk.h"
#include "common/files.h"
#include "common/transfer.h"
#include "peer_pair.h"

/* Two stores, a pair of peers and one submission between them. */
struct world {
    char dir[64];
    struct store *home;
    struct store *node;
    struct peer *controller;
    struct peer *executor;
    uint32_t stream;
    struct push *push;
    struct receive *receive;
    bool is_complete;
    unsigned needs; /* NEEDs that the controller saw */
};

static struct store *open_store(const struct world *w, const char *name)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", w->dir, name);
    struct error err = ERROR_INIT;
    struct store *store = store_open(path, &err);

    if (store == NULL) {
        print_error("%s\n", err.text);
    }
    assert_non_null(store);
    return store;
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    snprintf(w->dir, sizeof(w->dir), "/tmp/errand-transfer-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->home = open_store(w, "home");
    w->node = open_store(w, "node");
    *state = w;
    return 0;
}

static void hang_up(struct world *w)
{
    push_free(TAKE_PTR(w->push));
    receive_free(TAKE_PTR(w->receive));
    peer_free(TAKE_PTR(w->controller));
    peer_free(TAKE_PTR(w->executor));
}

static int teardown(void **state)
{
    struct world *w = *state;

    hang_up(w);
    store_free(w->home);
    store_free(w->node);
    assert_int_equal(files_remove_tree(AT_FDCWD, w->dir, NULL), 0);
    free(w);
    return 0;
}

/* --- trees ---------------------------------------------------------------------------
 */

struct folder {
    struct store *store;
    struct tree_writer *writer;
};

static struct folder folder_in(struct store *store)
{
    return (struct folder){.store = store, .writer = tree_writer_new()};
}

static void add_entry(struct folder *f, enum tree_kind kind, const char *name,
                      const struct oid *oid, uint64_t size_bytes)
{
    struct tree_entry entry = {.kind = kind,
                               .size_bytes = size_bytes,
                               .oid = *oid,
                               .name = name,
                               .name_length = strlen(name)};

    assert_int_equal(tree_writer_add(f->writer, &entry, NULL), 0);
}

static void add_file(struct folder *f, const char *name, const void *data, size_t length)
{
    struct oid oid;

    oid_of(OBJECT_CONTENT, data, length, &oid);
    assert_int_equal(store_put(f->store, OBJECT_CONTENT, &oid, data, length, NULL), 0);
    add_entry(f, TREE_FILE, name, &oid, length);
}

static void add_text(struct folder *f, const char *name, const char *text)
{
    add_file(f, name, text, strlen(text));
}

static struct oid finish_folder(struct folder *f, uint64_t *out_size_bytes)
{
    struct object_sink sink = store_sink(f->store);
    struct error err = ERROR_INIT;
    uint64_t size_bytes;
    struct oid oid;

    assert_int_equal(tree_writer_finish(f->writer, &sink, &oid, &size_bytes, &err), 0);
    tree_writer_free(f->writer);
    if (out_size_bytes != NULL) {
        *out_size_bytes = size_bytes;
    }
    return oid;
}

/* Bytes that do not shrink. */
static void scramble(uint8_t *out, size_t length, uint64_t seed)
{
    for (size_t i = 0; i < length; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 56);
    }
}

/* A project: folders d0 ... with files f0 ..., and one text that may differ. */
static struct oid make_project(struct store *store, unsigned folders, unsigned files,
                               size_t file_size, const char *text)
{
    struct folder top = folder_in(store);
    CLEANUP_FREE uint8_t *data = xcalloc(1, file_size);

    for (unsigned d = 0; d < folders; d++) {
        struct folder f = folder_in(store);
        uint64_t size_bytes;
        char name[32];
        struct oid oid;

        for (unsigned i = 0; i < files; i++) {
            snprintf(name, sizeof(name), "f%u", i);
            scramble(data, file_size, (uint64_t)d * 100003 + i);
            add_file(&f, name, data, file_size);
        }
        oid = finish_folder(&f, &size_bytes);
        snprintf(name, sizeof(name), "d%u", d);
        add_entry(&top, TREE_FOLDER, name, &oid, size_bytes);
    }
    add_text(&top, "train.py", text);
    return finish_folder(&top, NULL);
}

/* --- transfers -----------------------------------------------------------------------
 */

static int home_get(void *context, enum object_kind kind, const struct oid *oid,
                    struct strbuf *out, struct error *err)
{
    struct world *w = context;

    return store_get(w->home, kind, oid, out, err);
}

static bool home_has(void *context, enum object_kind kind, const struct oid *oid)
{
    struct world *w = context;

    return store_has(w->home, kind, oid);
}

static void dial(struct world *w)
{
    hang_up(w);
    w->controller = peer_new(PEER_CONTROLLER);
    w->executor = peer_new(PEER_EXECUTOR);
    w->is_complete = false;
    w->needs = 0;
    pair_send(w->controller, 0, MSG_HELLO);
    w->stream = peer_open(w->controller);
    pair_send(w->controller, w->stream, MSG_SUBMIT);
}

/* Begin to push root; base as the controller names it and the executor hears it. */
static void begin(struct world *w, const struct oid *root, const struct oid *base)
{
    struct object_source source = {.get = home_get, .has = home_has, .context = w};

    dial(w);
    w->push = push_new(w->controller, w->stream, &source, root, base, NULL);
    w->receive = receive_new(w->executor, w->stream, w->node, root, base, NULL);
    assert_non_null(w->push);
    assert_non_null(w->receive);
}

static void give_credit(struct peer *peer, const struct peer_event *event)
{
    if (event->type == MSG_DATA) {
        peer_consumed(peer, event->stream, event->length);
    }
}

/* Events of the executor's side. */
static int serve_events(struct world *w, struct error *err)
{
    struct peer_event event;
    int got;

    while ((got = peer_next(w->executor, &event, err)) > 0) {
        if (event.type == MSG_HELLO || event.type == MSG_SUBMIT) {
            continue;
        }
        if (receive_event(w->receive, &event, &w->is_complete, err) < 0) {
            return -1;
        }
        give_credit(w->executor, &event);
        if (w->is_complete) {
            pair_send(w->executor, w->stream, MSG_ACCEPTED);
        }
    }
    return got;
}

static int client_events(struct world *w, struct error *err)
{
    struct peer_event event;
    int got;

    while ((got = peer_next(w->controller, &event, err)) > 0) {
        if (event.type == MSG_ACCEPTED) {
            continue;
        }
        w->needs += event.type == MSG_NEED;
        if (push_event(w->push, &event, err) < 0) {
            return -1;
        }
        give_credit(w->controller, &event);
    }
    return got;
}

/* Until nothing moves, or wire bytes went. 0, or -1 with err. */
static int run_for(struct world *w, size_t wire_bytes, struct error *err)
{
    size_t went = 0;
    int there = 1;
    int back = 1;

    while ((there > 0 || back > 0) && went < wire_bytes) {
        if (push_pump(w->push, err) < 0) {
            return -1;
        }
        there = pair_move(w->controller, w->executor, 100000, err);
        if (there < 0 || serve_events(w, err) < 0) {
            return -1;
        }
        back = pair_move(w->executor, w->controller, 100000, err);
        if (back < 0 || client_events(w, err) < 0) {
            return -1;
        }
        went += (size_t)there;
    }
    return 0;
}

static void run(struct world *w)
{
    struct error err = ERROR_INIT;

    if (run_for(w, SIZE_MAX, &err) < 0) {
        print_error("%s\n", err.text);
        fail();
    }
}

static struct transfer_progress sent(const struct world *w)
{
    struct transfer_progress progress;

    push_progress(w->push, &progress);
    return progress;
}

static void push_all(struct world *w, const struct oid *root, const struct oid *base)
{
    begin(w, root, base);
    run(w);
    assert_true(w->is_complete);
    assert_true(store_has_root(w->node, root));
    assert_false(push_is_sending(w->push));
    assert_false(peer_is_open(w->controller, w->stream));
}

/* --- what is sent --------------------------------------------------------------------
 */

static void a_small_project_goes_in_one_flight(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 3, 5, 100, "print()");
    struct transfer_progress came;

    push_all(w, &root, NULL);
    assert_int_equal(w->needs, 0);
    assert_int_equal(sent(w).objects_sent, 1 + 3 + 15 + 1);
    assert_int_equal(sent(w).rounds, 1);
    receive_progress(w->receive, &came);
    assert_int_equal(came.objects_sent, sent(w).objects_sent);
    assert_int_equal(came.bytes_sent, sent(w).bytes_sent);
    assert_int_equal(came.wire_bytes, sent(w).wire_bytes);
}

static void one_changed_file_sends_the_new_objects_and_nothing_else(void **state)
{
    struct world *w = *state;
    struct oid before = make_project(w->home, 20, 50, 3000, "print(1)");
    struct oid after = make_project(w->home, 20, 50, 3000, "print(2)");

    push_all(w, &before, NULL);
    push_all(w, &after, &before);
    assert_int_equal(w->needs, 0);
    assert_int_equal(sent(w).rounds, 1);
    assert_int_equal(sent(w).objects_sent, 2); /* the file and the top folder */
    assert_true(sent(w).wire_bytes < 3000);
}

static void the_same_again_sends_nothing(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 2, 2, 10, "x");

    push_all(w, &root, NULL);
    push_all(w, &root, &root);
    assert_int_equal(sent(w).objects_sent, 0);
    assert_int_equal(w->needs, 0);
}

static void a_cold_push_sends_every_object_once_in_few_rounds(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 30, 40, 2000, "x");

    push_all(w, &root, NULL);
    assert_int_equal(sent(w).rounds, 2);
    assert_int_equal(sent(w).objects_sent, 1 + 30 + 1200 + 1);
    assert_int_equal(sent(w).objects_total, sent(w).objects_sent);
    assert_int_equal(sent(w).bytes_total, sent(w).bytes_sent);
}

static void a_base_that_is_not_there_costs_two_rounds_more(void **state)
{
    struct world *w = *state;
    struct oid before = make_project(w->home, 30, 40, 2000, "one");
    struct oid after = make_project(w->home, 30, 40, 2000, "two");

    push_all(w, &after, &before);
    assert_int_equal(sent(w).rounds, 3);
    assert_int_equal(sent(w).objects_sent, 1 + 30 + 1200 + 1);
}

static void what_another_brought_is_not_sent_again(void **state)
{
    struct world *w = *state;
    struct oid other = make_project(w->node, 30, 40, 2000, "other");
    struct oid root = make_project(w->home, 30, 41, 2000, "mine");

    (void)other;
    push_all(w, &root, NULL);
    assert_int_equal(sent(w).rounds, 2);
    /* All 31 trees, the new file of each folder, and train.py. */
    assert_int_equal(sent(w).objects_sent, 31 + 30 + 1);
}

static void a_push_that_broke_goes_on_where_it_was(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 40, 5, 100000, "x");
    struct transfer_progress first;
    struct transfer_progress came;

    begin(w, &root, NULL);
    assert_int_equal(run_for(w, 10 << 20, NULL), 0);
    assert_false(w->is_complete);
    receive_progress(w->receive, &came);
    assert_true(came.objects_sent > 60);
    first = came;
    begin(w, &root, NULL);
    run(w);
    assert_true(w->is_complete);
    receive_progress(w->receive, &came);
    /* The 41 trees go again, blindly; no file does. */
    assert_int_equal(came.objects_sent + first.objects_sent, 41 + 41 + 201);
}

static void what_was_packed_is_not_what_has_arrived(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 40, 5, 100000, "x");
    struct transfer_progress came;

    begin(w, &root, NULL);
    assert_int_equal(push_pump(w->push, NULL), 0);
    assert_true(sent(w).bytes_sent > 0);
    assert_int_equal(sent(w).bytes_delivered, 0);
    assert_int_equal(run_for(w, 10 << 20, NULL), 0);
    receive_progress(w->receive, &came);
    /* Between what is stored there and the end of the pack that is under way. */
    assert_in_range(sent(w).bytes_delivered, came.bytes_sent - FRAME_DATA_MAX,
                    sent(w).bytes_sent - 1);
}

static void a_broken_pack_leaves_nothing_half(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 1, 1, 400000, "x");

    begin(w, &root, NULL);
    assert_int_equal(run_for(w, 300000, NULL), 0);
    assert_false(store_has(w->node, OBJECT_TREE, &root));
    assert_false(store_has_root(w->node, &root));
    begin(w, &root, NULL);
    run(w);
    assert_true(store_has_root(w->node, &root));
}

static void equal_files_and_folders_are_sent_once(void **state)
{
    struct world *w = *state;
    struct folder top = folder_in(w->home);
    struct folder inner = folder_in(w->home);
    uint64_t size_bytes;
    struct oid oid;
    struct oid root;

    add_text(&inner, "a", "same");
    add_text(&inner, "b", "same");
    oid = finish_folder(&inner, &size_bytes);
    add_entry(&top, TREE_FOLDER, "x", &oid, size_bytes);
    add_entry(&top, TREE_FOLDER, "y", &oid, size_bytes);
    add_text(&top, "z", "same");
    root = finish_folder(&top, NULL);
    push_all(w, &root, NULL);
    assert_int_equal(sent(w).objects_sent, 3);
}

/* A folder below itself twice, and again: 2^60 places, 61 objects. */
static void a_tree_of_many_places_is_walked_once(void **state)
{
    struct world *w = *state;
    struct folder f = folder_in(w->home);
    uint64_t size_bytes;
    struct oid oid;

    add_text(&f, "a", "");
    oid = finish_folder(&f, &size_bytes);
    for (int i = 0; i < 60; i++) {
        f = folder_in(w->home);
        add_entry(&f, TREE_FOLDER, "l", &oid, size_bytes);
        add_entry(&f, TREE_FOLDER, "r", &oid, size_bytes);
        oid = finish_folder(&f, &size_bytes);
    }
    begin(w, &oid, NULL);
    assert_int_equal(sent(w).objects_total, 62);
}

/* A large file: its list and chunks; later one chunk of it differs. */
static struct oid put_large_file(struct store *store, uint8_t *data, size_t length,
                                 unsigned *out_chunks)
{
    struct chunk_list_writer *writer = chunk_list_writer_new();
    struct object_sink sink = store_sink(store);
    struct folder f = folder_in(store);
    struct oid list;

    *out_chunks = 0;
    for (size_t at = 0; at < length; (*out_chunks)++) {
        size_t n = chunk_cut(data + at, length - at);
        struct oid oid;

        oid_of(OBJECT_CONTENT, data + at, n, &oid);
        assert_int_equal(store_put(store, OBJECT_CONTENT, &oid, data + at, n, NULL), 0);
        chunk_list_writer_add(writer, &oid, n);
        at += n;
    }
    assert_int_equal(chunk_list_writer_finish(writer, &sink, &list, NULL), 0);
    chunk_list_writer_free(writer);
    add_entry(&f, TREE_FILE, "model.bin", &list, length);
    return finish_folder(&f, NULL);
}

static void a_large_file_sends_only_the_chunks_that_changed(void **state)
{
    struct world *w = *state;
    size_t length = (size_t)24 << 20;
    CLEANUP_FREE uint8_t *data = xmalloc(length);
    unsigned chunks;
    struct oid before;
    struct oid after;

    scramble(data, length, 7);
    before = put_large_file(w->home, data, length, &chunks);
    push_all(w, &before, NULL);
    assert_int_equal(sent(w).objects_sent, chunks + 2);
    assert_int_equal(sent(w).rounds, 2);
    data[length / 2] ^= 1;
    after = put_large_file(w->home, data, length, &chunks);
    push_all(w, &after, &before);
    assert_int_equal(w->needs, 0);
    assert_true(sent(w).objects_sent <= 2 + 3);
}

static void a_list_that_is_needed_alone_is_sent(void **state)
{
    struct world *w = *state;
    size_t length = (size_t)9 << 20;
    CLEANUP_FREE uint8_t *data = xmalloc(length);
    unsigned chunks;
    struct oid before;
    struct oid after;

    /* The base's file is believed to be there and is not: the new tree's list differs. */
    scramble(data, length, 11);
    before = put_large_file(w->home, data, length, &chunks);
    data[5] ^= 1;
    after = put_large_file(w->home, data, length, &chunks);
    push_all(w, &after, &before);
    assert_int_equal(sent(w).objects_sent, chunks + 2);
}

/* --- who asks and who answers --------------------------------------------------------
 */

static void an_incomplete_closure_is_asked_for(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->home, 2, 3, 10, "x");
    struct peer_event event;

    dial(w);
    w->receive = receive_new(w->executor, w->stream, w->node, &root, NULL, NULL);
    pair_send(w->controller, w->stream, MSG_PUSH_END);
    while (pair_move(w->controller, w->executor, SIZE_MAX, NULL) > 0) {
    }
    assert_int_equal(serve_events(w, NULL), 0);
    assert_false(w->is_complete);
    while (pair_move(w->executor, w->controller, SIZE_MAX, NULL) > 0) {
    }
    assert_int_equal(peer_next(w->controller, &event, NULL), 1);
    assert_int_equal(event.type, MSG_NEED);
    assert_int_equal(json_integer(json_get(event.json, "objects")), 1);
    assert_int_equal(peer_next(w->controller, &event, NULL), 1);
    assert_int_equal(event.type, MSG_DATA);
    assert_int_equal(event.length, TRANSFER_RECORD_SIZE);
    assert_true(event.is_last);
    assert_int_equal(event.data[0], OBJECT_TREE);
    assert_memory_equal(event.data + 1, root.digest, OID_SIZE);
}

static void a_root_that_is_there_needs_no_objects(void **state)
{
    struct world *w = *state;
    struct oid root = make_project(w->node, 2, 3, 10, "x");

    assert_int_equal(store_add_root(w->node, &root, NULL, NULL), 0);
    dial(w);
    w->receive = receive_new(w->executor, w->stream, w->node, &root, NULL, NULL);
    pair_send(w->controller, w->stream, MSG_PUSH_END);
    while (pair_move(w->controller, w->executor, SIZE_MAX, NULL) > 0) {
    }
    assert_int_equal(serve_events(w, NULL), 0);
    assert_true(w->is_complete);
}

/* After the first flight of root, whatever the executor says. */
static void wait_for_push_end(struct world *w, const struct oid *root)
{
    struct peer_event event;

    begin(w, root, NULL);
    do {
        assert_int_equal(push_pump(w->push, NULL), 0);
        while (pair_move(w->controller, w->executor, SIZE_MAX, NULL) > 0) {
        }
        while (peer_next(w->executor, &event, NULL) > 0) {
            if (event.type == MSG_DATA) {
                peer_consumed(w->executor, w->stream, event.length);
            }
        }
        while (pair_move(w->executor, w->controller, SIZE_MAX, NULL) > 0) {
        }
        assert_int_equal(peer_next(w->controller, &event, NULL), 0);
    } while (push_is_sending(w->push));
}

/* What the executor says it needs. 0, or the code of the controller's refusal. */
static enum error_code say_need(struct world *w, int64_t objects, const void *records,
                                size_t length, bool is_last)
{
    CLEANUP_JSON struct json *body = json_new_object();
    struct error err = ERROR_INIT;

    json_add_integer(body, "objects", objects);
    peer_send(w->executor, w->stream, MSG_NEED, body);
    if (length > 0) {
        peer_send_data(w->executor, w->stream, records, length, is_last);
    }
    while (pair_move(w->executor, w->controller, SIZE_MAX, NULL) > 0) {
    }
    return client_events(w, &err) < 0 ? err.code : ERR_NONE;
}

static void record_of(uint8_t out[TRANSFER_RECORD_SIZE], enum object_kind kind,
                      const struct oid *oid)
{
    out[0] = (uint8_t)kind;
    memcpy(out + 1, oid->digest, OID_SIZE);
}

/* The content of "mine.txt" in make_large, which the first flight does not bring. */
static struct oid make_large(struct world *w, uint8_t record[TRANSFER_RECORD_SIZE])
{
    struct folder f = folder_in(w->home);
    size_t length = (size_t)1 << 20;
    CLEANUP_FREE uint8_t *data = xmalloc(length);
    struct oid oid;

    scramble(data, length, 5);
    add_file(&f, "large", data, length);
    add_text(&f, "mine.txt", "mine");
    oid_of(OBJECT_CONTENT, "mine", 4, &oid);
    record_of(record, OBJECT_CONTENT, &oid);
    return finish_folder(&f, NULL);
}

static void an_object_of_the_closure_is_given(void **state)
{
    struct world *w = *state;
    uint8_t record[TRANSFER_RECORD_SIZE];
    struct oid root = make_large(w, record);

    wait_for_push_end(w, &root);
    assert_int_equal(say_need(w, 1, record, sizeof(record), true), ERR_NONE);
    assert_true(push_is_sending(w->push));
    assert_int_equal(push_pump(w->push, NULL), 0);
    assert_int_equal(sent(w).objects_sent, 2);
}

static void an_object_of_another_closure_is_not_given(void **state)
{
    struct world *w = *state;
    uint8_t record[TRANSFER_RECORD_SIZE];
    struct oid root = make_large(w, record);
    struct oid secret;

    /* It is in the store at home, and nobody at the node's business. */
    oid_of(OBJECT_CONTENT, "secret", 6, &secret);
    assert_int_equal(store_put(w->home, OBJECT_CONTENT, &secret, "secret", 6, NULL), 0);
    record_of(record, OBJECT_CONTENT, &secret);
    wait_for_push_end(w, &root);
    assert_int_equal(say_need(w, 1, record, sizeof(record), true), ERR_PROTOCOL);
}

static void an_object_by_another_kind_is_not_given(void **state)
{
    struct world *w = *state;
    uint8_t record[TRANSFER_RECORD_SIZE];
    struct oid root = make_large(w, record);

    record[0] = OBJECT_TREE;
    wait_for_push_end(w, &root);
    assert_int_equal(say_need(w, 1, record, sizeof(record), true), ERR_PROTOCOL);
    record[0] = 'z';
    wait_for_push_end(w, &root);
    assert_int_equal(say_need(w, 1, record, sizeof(record), true), ERR_PROTOCOL);
}

static void an_object_is_not_given_twice(void **state)
{
    struct world *w = *state;
    uint8_t records[2 * TRANSFER_RECORD_SIZE];
    struct oid root = make_large(w, records);

    /* In one NEED, ... */
    memcpy(records + TRANSFER_RECORD_SIZE, records, TRANSFER_RECORD_SIZE);
    wait_for_push_end(w, &root);
    assert_int_equal(say_need(w, 2, records, sizeof(records), true), ERR_PROTOCOL);
    /* ... after the first flight had it, ... */
    wait_for_push_end(w, &root);
    record_of(records, OBJECT_TREE, &root);
    assert_int_equal(say_need(w, 1, records, TRANSFER_RECORD_SIZE, true), ERR_PROTOCOL);
    /* ... and in a second NEED, which thereby does not shrink. */
    wait_for_push_end(w, &root);
    memcpy(records, records + TRANSFER_RECORD_SIZE, TRANSFER_RECORD_SIZE);
    assert_int_equal(say_need(w, 1, records, TRANSFER_RECORD_SIZE, true), ERR_NONE);
    assert_int_equal(push_pump(w->push, NULL), 0);
    assert_false(push_is_sending(w->push));
    assert_int_equal(say_need(w, 1, records, TRANSFER_RECORD_SIZE, true), ERR_PROTOCOL);
}

static void a_need_has_as_many_objects_as_it_says(void **state)
{
    static const struct {
        int64_t objects;
        size_t length;
        bool is_last;
    } rows[] = {
        {2, TRANSFER_RECORD_SIZE, true},     {1, TRANSFER_RECORD_SIZE, false},
        {1, TRANSFER_RECORD_SIZE + 1, true}, {1, TRANSFER_RECORD_SIZE - 1, true},
        {1, 2 * TRANSFER_RECORD_SIZE, true}, {1000, TRANSFER_RECORD_SIZE, false},
    };
    struct world *w = *state;
    uint8_t records[2 * TRANSFER_RECORD_SIZE] = {0};
    struct oid root = make_large(w, records);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        wait_for_push_end(w, &root);
        assert_int_equal(
            say_need(w, rows[i].objects, records, rows[i].length, rows[i].is_last),
            ERR_PROTOCOL);
    }
}

static void data_without_a_need_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t record[TRANSFER_RECORD_SIZE];
    struct oid root = make_large(w, record);
    struct error err = ERROR_INIT;

    wait_for_push_end(w, &root);
    peer_send_data(w->executor, w->stream, record, sizeof(record), true);
    while (pair_move(w->executor, w->controller, SIZE_MAX, NULL) > 0) {
    }
    assert_int_equal(client_events(w, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void a_need_in_the_middle_of_a_flight_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t record[TRANSFER_RECORD_SIZE];
    struct oid root = make_large(w, record);
    struct peer_event event;

    begin(w, &root, NULL);
    while (pair_move(w->controller, w->executor, SIZE_MAX, NULL) > 0) {
    }
    while (peer_next(w->executor, &event, NULL) > 0) {
    }
    assert_int_equal(say_need(w, 1, record, sizeof(record), true), ERR_PROTOCOL);
}

/* --- a hostile sender ----------------------------------------------------------------
 */

/* Send this as a pack of its own. The code of the executor's refusal. */
static enum error_code send_raw(struct world *w, const void *data, size_t length,
                                bool is_last, bool want_end)
{
    struct error err = ERROR_INIT;

    peer_send_data(w->controller, w->stream, data, length, is_last);
    if (want_end) {
        pair_send(w->controller, w->stream, MSG_PUSH_END);
    }
    while (pair_move(w->controller, w->executor, SIZE_MAX, NULL) > 0) {
    }
    return serve_events(w, &err) < 0 ? err.code : ERR_NONE;
}

static void begin_hostile(struct world *w, const struct oid *root)
{
    dial(w);
    receive_free(w->receive);
    w->receive = receive_new(w->executor, w->stream, w->node, root, NULL, NULL);
}

static void what_is_no_pack_is_refused(void **state)
{
    struct world *w = *state;
    struct oid root = {{1}};

    begin_hostile(w, &root);
    assert_int_equal(send_raw(w, "no pack", 7, true, false), ERR_CORRUPT);
}

static void half_a_pack_before_the_end_is_refused(void **state)
{
    struct world *w = *state;
    struct oid root = {{1}};

    begin_hostile(w, &root);
    assert_int_equal(send_raw(w, "half", 4, false, true), ERR_PROTOCOL);
}

static void a_pack_without_end_is_refused(void **state)
{
    struct world *w = *state;
    CLEANUP_FREE uint8_t *zeros = xcalloc(1, 60000);
    enum error_code code = ERR_NONE;
    struct oid root = {{1}};
    size_t went = 0;

    begin_hostile(w, &root);
    while (code == ERR_NONE && went < 2 * PACK_WIRE_MAX) {
        code = send_raw(w, zeros, 60000, false, false);
        while (pair_move(w->executor, w->controller, SIZE_MAX, NULL) > 0) {
        }
        if (code == ERR_NONE) {
            assert_int_equal(client_events(w, NULL), 0);
        }
        went += 60000;
    }
    assert_int_equal(code, ERR_LIMIT);
    assert_true(went <= PACK_WIRE_MAX + 60000);
}

static void a_root_that_is_no_tree_never_becomes_one(void **state)
{
    struct world *w = *state;
    struct pack_builder *builder = pack_builder_new();
    struct strbuf pack;
    struct oid root;

    strbuf_init(&pack, PACK_WIRE_MAX);
    oid_of(OBJECT_TREE, "nonsense", 8, &root);
    assert_int_equal(pack_builder_add(builder, OBJECT_TREE, &root, "nonsense", 8, NULL),
                     0);
    assert_int_equal(pack_builder_finish(builder, &pack, NULL), 0);
    begin_hostile(w, &root);
    assert_int_equal(send_raw(w, pack.data, pack.length, true, true), ERR_CORRUPT);
    assert_false(store_has_root(w->node, &root));
    strbuf_release(&pack);
    pack_builder_free(builder);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_small_project_goes_in_one_flight),
        WORLD(one_changed_file_sends_the_new_objects_and_nothing_else),
        WORLD(the_same_again_sends_nothing),
        WORLD(a_cold_push_sends_every_object_once_in_few_rounds),
        WORLD(a_base_that_is_not_there_costs_two_rounds_more),
        WORLD(what_another_brought_is_not_sent_again),
        WORLD(a_push_that_broke_goes_on_where_it_was),
        WORLD(what_was_packed_is_not_what_has_arrived),
        WORLD(a_broken_pack_leaves_nothing_half),
        WORLD(equal_files_and_folders_are_sent_once),
        WORLD(a_tree_of_many_places_is_walked_once),
        WORLD(a_large_file_sends_only_the_chunks_that_changed),
        WORLD(a_list_that_is_needed_alone_is_sent),
        WORLD(an_incomplete_closure_is_asked_for),
        WORLD(a_root_that_is_there_needs_no_objects),
        WORLD(an_object_of_the_closure_is_given),
        WORLD(an_object_of_another_closure_is_not_given),
        WORLD(an_object_by_another_kind_is_not_given),
        WORLD(an_object_is_not_given_twice),
        WORLD(a_need_has_as_many_objects_as_it_says),
        WORLD(data_without_a_need_is_refused),
        WORLD(a_need_in_the_middle_of_a_flight_is_refused),
        WORLD(what_is_no_pack_is_refused),
        WORLD(half_a_pack_before_the_end_is_refused),
        WORLD(a_pack_without_end_is_refused),
        WORLD(a_root_that_is_no_tree_never_becomes_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
