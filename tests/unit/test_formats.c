/* Test vectors of common/FORMATS.md, section 1, made by tests/vectors/make_formats.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/chunk.h"
#include "common/files.h"
#include "common/json.h"
#include "common/pack.h"
#include "common/tree.h"
#include "tests/unit/objects.h"

#define MIB ((size_t)1 << 20)

static const uint64_t gear[256] = {
#include "common/chunk_gear.def"
};

static int load_vectors(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *source = getenv("ERRAND_SOURCE_DIR");
    CLEANUP_FREE char *path =
        files_join(source ? source : ".", "tests/vectors/formats.json");
    struct error err = ERROR_INIT;

    if (files_read(AT_FDCWD, path, &text, &err) < 0) {
        return -1;
    }
    *state = json_parse(text.data, text.length, &err);
    return *state ? 0 : -1;
}

static int free_vectors(void **state)
{
    json_free(*state);
    return 0;
}

static const struct json *first_of(void **state, const char *key)
{
    const struct json *first = json_first(json_get(*state, key));

    assert_non_null(first);
    return first;
}

static size_t number(const struct json *j, const char *key)
{
    int64_t value;

    assert_int_equal(
        json_get_integer(j, "vector", key, 0, JSON_INTEGER_MAX, &value, NULL), 0);
    return (size_t)value;
}

static const char *text(const struct json *j, const char *key)
{
    const char *value;

    assert_int_equal(json_get_string(j, "vector", key, &value, NULL), 0);
    return value;
}

static void assert_oid(const struct oid *oid, const char *want)
{
    char hex[OID_HEX_SIZE];

    oid_to_hex(oid, hex);
    assert_string_equal(hex, want);
}

/* Bytes of a hexadecimal member; malloc'ed. */
static uint8_t *hex_of(const struct json *j, const char *key, size_t *out_length)
{
    const char *hex = text(j, key);
    uint8_t *out = xmalloc(strlen(hex) / 2 + 1);

    *out_length = strlen(hex) / 2;
    assert_int_equal(bytes_from_hex(out, *out_length, hex, NULL), 0);
    return out;
}

/* The test data stream of make_formats.py; malloc'ed. */
static uint8_t *stream(const char *name, size_t length)
{
    uint8_t *out = xmalloc(length + OID_SIZE);

    for (uint64_t i = 0; i * OID_SIZE < length; i++) {
        struct hasher h;
        struct oid block;
        uint8_t counter[8];

        bytes_put_u64(counter, i);
        hasher_init(&h);
        hasher_add(&h, "errand vector", sizeof("errand vector"));
        hasher_add(&h, name, strlen(name) + 1);
        hasher_add(&h, counter, sizeof(counter));
        hasher_finish(&h, &block);
        memcpy(out + i * OID_SIZE, block.digest, OID_SIZE);
    }
    return out;
}

static void names_are_as_documented(void **state)
{
    static const enum object_kind kinds[] = {OBJECT_CONTENT, OBJECT_LIST, OBJECT_TREE};

    for (const struct json *j = first_of(state, "names"); j; j = json_next(j)) {
        CLEANUP_FREE uint8_t *body = NULL;
        size_t length;
        struct oid oid;

        if (json_get(j, "body")) {
            body = hex_of(j, "body", &length);
        } else {
            length = number(j, "length");
            body = stream(text(j, "stream"), length);
        }
        oid_of_bytes(body, length, &oid);
        assert_oid(&oid, text(j, "plain"));
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
            oid_of(kinds[i], body, length, &oid);
            assert_oid(&oid, text(j, object_kind_name(kinds[i])));
        }
    }
}

static void the_gear_table_is_as_documented(void **state)
{
    uint8_t bytes[sizeof(gear)];
    struct oid oid;

    for (size_t i = 0; i < ARRAY_SIZE(gear); i++) {
        char seed[] = "errand gear\0";

        seed[sizeof(seed) - 1] = (char)i;
        oid_of_bytes(seed, sizeof(seed), &oid);
        assert_int_equal(gear[i], bytes_get_u64(oid.digest));
        bytes_put_u64(bytes + i * 8, gear[i]);
    }
    oid_of_bytes(bytes, sizeof(bytes), &oid);
    assert_oid(&oid, json_string(json_get(*state, "gear")));
}

/* The data of a row of "chunks"; malloc'ed. */
static uint8_t *chunk_data(const struct json *j)
{
    const char *what = text(j, "what");
    size_t size = number(j, "size");
    uint8_t *data;

    if (strcmp(what, "zeros") == 0) {
        return xcalloc(1, size);
    }
    if (strcmp(what, "a period") != 0) {
        return stream("chunks", size);
    }
    data = xmalloc(size);
    for (size_t at = 0; at < size; at += 4096) {
        CLEANUP_FREE uint8_t *period = at == 0 ? stream("period", 4096) : NULL;

        memcpy(data + at, period ? period : data, 4096);
    }
    return data;
}

static void files_are_cut_as_documented(void **state)
{
    for (const struct json *j = first_of(state, "chunks"); j; j = json_next(j)) {
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        CLEANUP(chunk_list_writer_cleanup)
        struct chunk_list_writer *writer = chunk_list_writer_new();
        const struct json *length = json_first(json_get(j, "lengths"));
        CLEANUP_FREE uint8_t *data = chunk_data(j);
        size_t size = number(j, "size");
        struct oid oid;

        for (size_t at = 0; at < size; length = json_next(length)) {
            size_t cut = chunk_cut(data + at, size - at);

            assert_non_null(length);
            assert_int_equal(cut, json_integer(length));
            oid_of(OBJECT_CONTENT, data + at, cut, &oid);
            if (at == 0) {
                assert_oid(&oid, text(j, "first"));
            }
            chunk_list_writer_add(writer, &oid, cut);
            at += cut;
        }
        assert_null(length);
        assert_int_equal(chunk_list_writer_finish(writer, &objects->sink, &oid, NULL), 0);
        assert_oid(&oid, text(j, "list"));
    }
}

static void lists_are_cut_as_documented(void **state)
{
    for (const struct json *j = first_of(state, "lists"); j; j = json_next(j)) {
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        CLEANUP(chunk_list_writer_cleanup)
        struct chunk_list_writer *writer = chunk_list_writer_new();
        size_t count = number(j, "count");
        const struct body *body;
        struct chunk_list list;
        struct oid oid;

        for (size_t i = 0; i < count; i++) {
            char name[32];
            int length = snprintf(name, sizeof(name), "chunk %zu", i);

            oid_of_bytes(name, (size_t)length, &oid);
            chunk_list_writer_add(writer, &oid, MIB + i % 1000);
        }
        assert_int_equal(chunk_list_writer_finish(writer, &objects->sink, &oid, NULL), 0);
        assert_oid(&oid, text(j, "list"));
        body = objects_find(objects, OBJECT_LIST, &oid);
        assert_int_equal(chunk_list_decode(body->data, body->length, &list, NULL), 0);
        assert_int_equal(list.level, number(j, "level"));
        assert_int_equal(list.count, number(j, "entries"));
    }
}

static void add_entry(struct tree_writer *writer, const struct json *j)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    struct tree_entry entry = {.kind = (enum tree_kind)text(j, "kind")[0],
                               .size_bytes = number(j, "size")};

    assert_int_equal(json_get_bytes(j, "vector", "name", &name, NULL), 0);
    assert_int_equal(oid_from_hex(text(j, "object"), &entry.oid, NULL), 0);
    entry.name = name.data;
    entry.name_length = name.length;
    assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
}

static void trees_are_as_documented(void **state)
{
    for (const struct json *j = first_of(state, "trees"); j; j = json_next(j)) {
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
        size_t length;
        CLEANUP_FREE uint8_t *want = hex_of(j, "body", &length);
        const struct json *entries = json_get(j, "entries");
        const struct body *body;
        uint64_t size_bytes;
        struct oid oid;

        for (const struct json *e = json_first(entries); e; e = json_next(e)) {
            add_entry(writer, e);
        }
        assert_int_equal(
            tree_writer_finish(writer, &objects->sink, &oid, &size_bytes, NULL), 0);
        assert_oid(&oid, text(j, "tree"));
        body = objects_find(objects, OBJECT_TREE, &oid);
        assert_int_equal(body->length, length);
        assert_memory_equal(body->data, want, length);
    }
}

static void large_folders_are_cut_as_documented(void **state)
{
    for (const struct json *j = first_of(state, "large_trees"); j; j = json_next(j)) {
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
        const struct json *want = json_first(json_get(j, "parts"));
        size_t count = number(j, "count");
        const struct body *body;
        struct tree_part part;
        uint64_t size_bytes;
        struct tree tree;
        struct oid oid;

        for (size_t i = count; i-- > 0;) {
            char name[32];
            struct tree_entry entry = {.kind = TREE_FILE, .size_bytes = i, .name = name};

            entry.name_length = (size_t)snprintf(name, sizeof(name), "file-%08zu", i);
            oid_of_bytes(name, entry.name_length, &entry.oid);
            assert_int_equal(tree_writer_add(writer, &entry, NULL), 0);
        }
        assert_int_equal(
            tree_writer_finish(writer, &objects->sink, &oid, &size_bytes, NULL), 0);
        assert_oid(&oid, text(j, "tree"));
        assert_int_equal(size_bytes, (uint64_t)count * (count - 1) / 2);
        body = objects_find(objects, OBJECT_TREE, &oid);
        assert_int_equal(tree_decode(body->data, body->length, &tree, NULL), 0);
        assert_int_equal(tree.level, number(j, "level"));
        for (; tree.level > 0 && tree_next_part(&tree, &part); want = json_next(want)) {
            assert_non_null(want);
            assert_oid(&part.oid, json_string(want));
        }
        assert_null(want);
    }
}

static void broken_trees_are_refused(void **state)
{
    for (const struct json *j = first_of(state, "bad_trees"); j; j = json_next(j)) {
        struct error err = ERROR_INIT;
        struct tree tree;
        size_t length;
        CLEANUP_FREE uint8_t *body = hex_of(j, "body", &length);

        if (tree_decode(body, length, &tree, &err) == 0) {
            fail_msg("taken as a tree: %s", text(j, "what"));
        }
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void broken_lists_are_refused(void **state)
{
    for (const struct json *j = first_of(state, "bad_lists"); j; j = json_next(j)) {
        struct error err = ERROR_INIT;
        struct chunk_list list;
        size_t length;
        CLEANUP_FREE uint8_t *body = hex_of(j, "body", &length);

        if (chunk_list_decode(body, length, &list, &err) == 0) {
            fail_msg("taken as a chunk list: %s", text(j, "what"));
        }
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void a_pack_made_by_others_is_read(void **state)
{
    const struct json *j = json_get(*state, "pack");
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_STRBUF struct strbuf pack = STRBUF_INIT;
    const struct json *want = json_first(json_get(j, "objects"));
    struct error err = ERROR_INIT;
    size_t count = 0;

    assert_int_equal(bytes_from_base64(&pack, text(j, "pack"), NULL), 0);
    if (pack_read(pack.data, pack.length, &objects->sink, &err) < 0) {
        fail_msg("%s", err.text);
    }
    for (; want; want = json_next(want), count++) {
        enum object_kind kind;
        struct oid oid;

        assert_int_equal(object_kind_parse((uint8_t)text(want, "kind")[0], &kind), 0);
        assert_int_equal(oid_from_hex(text(want, "digest"), &oid, NULL), 0);
        assert_non_null(objects_find(objects, kind, &oid));
        assert_int_equal(objects_find(objects, kind, &oid)->length,
                         number(want, "length"));
    }
    assert_int_equal(objects->count, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_as_documented),
        cmocka_unit_test(the_gear_table_is_as_documented),
        cmocka_unit_test(files_are_cut_as_documented),
        cmocka_unit_test(lists_are_cut_as_documented),
        cmocka_unit_test(trees_are_as_documented),
        cmocka_unit_test(large_folders_are_cut_as_documented),
        cmocka_unit_test(broken_trees_are_refused),
        cmocka_unit_test(broken_lists_are_refused),
        cmocka_unit_test(a_pack_made_by_others_is_read),
    };

    return cmocka_run_group_tests_name("formats", tests, load_vectors, free_vectors);
}
