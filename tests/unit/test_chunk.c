#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/chunk.h"
#include "tests/unit/objects.h"

#define MIB ((size_t)1 << 20)

static uint8_t *noise(size_t length, uint64_t seed)
{
    uint8_t *out = xmalloc(length);
    uint64_t x = seed * 2685821657736338717u + 1;

    for (size_t i = 0; i < length; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)(x >> 24);
    }
    return out;
}

static void short_data_is_one_chunk(void **state)
{
    static const size_t lengths[] = {1, 2, 63, 64, 65, 4096, CHUNK_MIN - 1, CHUNK_MIN};
    CLEANUP_FREE uint8_t *data = noise(CHUNK_MIN, 1);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        assert_int_equal(chunk_cut(data, lengths[i]), lengths[i]);
    }
}

/* Every length around the minimum and the average, where the rules change. */
static void no_chunk_is_longer_than_the_data(void **state)
{
    CLEANUP_FREE uint8_t *zeros = xcalloc(1, CHUNK_MAX + 2);

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(chunk_cut(zeros, CHUNK_MIN - 2 + i), CHUNK_MIN - 2 + i);
        assert_int_equal(chunk_cut(zeros, CHUNK_AVERAGE - 2 + i), CHUNK_AVERAGE - 2 + i);
    }
    assert_int_equal(chunk_cut(zeros, CHUNK_MAX - 1), CHUNK_MAX - 1);
    assert_int_equal(chunk_cut(zeros, CHUNK_MAX), CHUNK_MAX);
    assert_int_equal(chunk_cut(zeros, CHUNK_MAX + 2), CHUNK_MAX);
}

/* The definition of FORMATS.md 1.1, word for word. */
static size_t cut_by_the_book(const uint8_t *data, size_t length)
{
    uint64_t gear[256], h = 0;

    for (unsigned i = 0; i < 256; i++) {
        uint8_t seed[12] = "errand gear";
        struct hasher hasher;
        struct oid oid;
        uint8_t byte = (uint8_t)i;

        hasher_init(&hasher);
        hasher_add(&hasher, seed, sizeof(seed));
        hasher_add(&hasher, &byte, 1);
        hasher_finish(&hasher, &oid);
        gear[i] = bytes_get_u64(oid.digest);
    }
    for (size_t n = 0; n < length; n++) {
        h = (h << 1) + gear[data[n]];
        if (n + 1 == CHUNK_MAX ||
            (n + 1 >= CHUNK_MIN &&
             (h & (n + 1 < CHUNK_AVERAGE ? UINT64_C(0xfffffc0000000000)
                                         : UINT64_C(0xffffc00000000000))) == 0)) {
            return n + 1;
        }
    }
    return length;
}

static void cuts_are_those_of_the_definition(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        size_t length = seed % 3 == 0 ? CHUNK_MAX : CHUNK_MIN + seed * 100001;
        CLEANUP_FREE uint8_t *data = noise(length, seed);

        assert_int_equal(chunk_cut(data, length), cut_by_the_book(data, length));
    }
}

static void what_follows_a_chunk_does_not_move_its_end(void **state)
{
    CLEANUP_FREE uint8_t *data = noise(2 * CHUNK_MAX, 5);
    size_t cut = chunk_cut(data, 2 * CHUNK_MAX);

    (void)state;
    assert_true(cut < CHUNK_MAX);
    memset(data + cut, 0, 2 * CHUNK_MAX - cut);
    assert_int_equal(chunk_cut(data, 2 * CHUNK_MAX), cut);
    assert_int_equal(chunk_cut(data, cut), cut);
}

/* Add the names of all chunks of data to set; how many were new. */
static size_t add_chunks(struct oidset *set, const uint8_t *data, size_t length)
{
    size_t added = 0;

    for (size_t at = 0; at < length;) {
        size_t cut = chunk_cut(data + at, length - at);
        struct oid oid;

        assert_true(cut <= CHUNK_MAX && (cut >= CHUNK_MIN || at + cut == length));
        oid_of(OBJECT_CONTENT, data + at, cut, &oid);
        added += (size_t)oidset_add(set, OBJECT_CONTENT, &oid, 0, NULL);
        at += cut;
    }
    return added;
}

static void an_insertion_changes_few_chunks(void **state)
{
    const size_t length = 64 * MIB, where = 30 * MIB + 12345, more = 1024;
    CLEANUP(oidset_cleanup) struct oidset *set = oidset_new(1000);
    CLEANUP_FREE uint8_t *data = noise(length, 7);
    CLEANUP_FREE uint8_t *grown = xmalloc(length + more);
    size_t count = add_chunks(set, data, length);

    (void)state;
    assert_in_range(count, 64 / 3, 64 * 2);
    memcpy(grown, data, where);
    memset(grown + where, 'x', more);
    memcpy(grown + where + more, data + where, length - where);
    assert_in_range(add_chunks(set, grown, length + more), 1, 4);
}

/* Chunk i of a made-up file. */
static struct oid chunk_name(size_t i)
{
    struct oid oid;
    char name[32];
    int length = snprintf(name, sizeof(name), "chunk %zu", i);

    oid_of_bytes(name, (size_t)length, &oid);
    return oid;
}

static size_t chunk_size(size_t i)
{
    return CHUNK_MIN + i % 1000;
}

static struct oid write_list(struct objects *objects, size_t count, uint64_t *out_size)
{
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *writer = chunk_list_writer_new();
    struct oid oid;

    *out_size = 0;
    for (size_t i = 0; i < count; i++) {
        oid = chunk_name(i);
        chunk_list_writer_add(writer, &oid, chunk_size(i));
        *out_size += chunk_size(i);
    }
    assert_int_equal(chunk_list_writer_finish(writer, &objects->sink, &oid, NULL), 0);
    return oid;
}

struct seen {
    size_t count, stop_at;
    uint64_t offset;
};

static int see_chunk(void *context, const struct oid *chunk, uint64_t offset,
                     size_t length, struct error *err)
{
    struct seen *seen = context;
    struct oid want = chunk_name(seen->count);

    if (seen->count == seen->stop_at) {
        return error_set(err, ERR_CANCELED, "enough");
    }
    assert_true(oid_equal(chunk, &want));
    assert_int_equal(length, chunk_size(seen->count));
    assert_int_equal(offset, seen->offset);
    seen->offset += length;
    seen->count++;
    return 0;
}

static void chunks_are_visited_in_order(void **state)
{
    static const size_t counts[] = {17, 26214, 26215, 200000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        struct seen seen = {.stop_at = SIZE_MAX};
        uint64_t size_bytes;
        struct oid oid = write_list(objects, counts[i], &size_bytes);

        assert_int_equal(
            chunk_list_visit(&objects->source, &oid, size_bytes, see_chunk, &seen, NULL),
            0);
        assert_int_equal(seen.count, counts[i]);
        assert_int_equal(seen.offset, size_bytes);
    }
}

static void a_visitor_may_stop(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    struct seen seen = {.stop_at = 30000};
    struct error err = ERROR_INIT;
    uint64_t size_bytes;
    struct oid oid = write_list(objects, 60000, &size_bytes);

    (void)state;
    assert_int_equal(
        chunk_list_visit(&objects->source, &oid, size_bytes, see_chunk, &seen, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
    assert_int_equal(seen.count, 30000);
}

/* A list of one chunk more shares all parts but those at its end. */
static void an_appended_chunk_changes_the_last_part_alone(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    uint64_t size_bytes;
    size_t before;

    (void)state;
    (void)write_list(objects, 100000, &size_bytes);
    before = objects->count;
    assert_true(before > 10);
    (void)write_list(objects, 100001, &size_bytes);
    assert_in_range(objects->count - before, 1, 2);
}

static void a_full_sink_stops_the_writer(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *writer = chunk_list_writer_new();
    struct error err = ERROR_INIT;
    struct oid oid;

    (void)state;
    for (size_t i = 0; i < 60000; i++) {
        oid = chunk_name(i);
        chunk_list_writer_add(writer, &oid, 1);
    }
    objects->fail_after = 1;
    assert_int_equal(chunk_list_writer_finish(writer, &objects->sink, &oid, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
}

/* A hand-made list body. */
static struct oid forge(struct objects *objects, unsigned level,
                        const struct chunk_list_entry *entries, size_t count)
{
    uint8_t body[16 + 40 * 8] = {1, (uint8_t)level};
    uint64_t sum = 0;
    struct oid oid;

    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        memcpy(body + 16 + 40 * i, entries[i].oid.digest, OID_SIZE);
        bytes_put_u64(body + 16 + 40 * i + 32, entries[i].size_bytes);
        sum += entries[i].size_bytes;
    }
    bytes_put_u32(body + 4, (uint32_t)count);
    bytes_put_u64(body + 8, sum);
    objects_add(objects, OBJECT_LIST, body, 16 + 40 * count, &oid);
    return oid;
}

static int take_chunk(void *context, const struct oid *chunk, uint64_t offset,
                      size_t length, struct error *err)
{
    (void)context;
    (void)chunk;
    (void)offset;
    (void)length;
    (void)err;
    return 0;
}

static void assert_refused(struct objects *objects, const struct oid *list,
                           uint64_t size_bytes, enum error_code code)
{
    struct error err = ERROR_INIT;

    assert_int_equal(
        chunk_list_visit(&objects->source, list, size_bytes, take_chunk, NULL, &err), -1);
    assert_int_equal(err.code, code);
}

static void a_list_must_be_what_the_tree_says(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    uint64_t size_bytes;
    struct oid oid = write_list(objects, 100, &size_bytes), none = chunk_name(0);
    struct chunk_list_entry small[] = {{.oid = none, .size_bytes = 100}};

    (void)state;
    assert_refused(objects, &oid, size_bytes + 1, ERR_CORRUPT);
    assert_refused(objects, &none, size_bytes, ERR_NOT_FOUND);
    oid = forge(objects, 0, small, 1);
    assert_refused(objects, &oid, 100, ERR_CORRUPT); /* a file that needs no list */
}

static void forged_lists_are_refused(void **state)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    const uint64_t large = CHUNK_MAX;
    struct chunk_list_entry entries[4] = {{.size_bytes = 1}, {.size_bytes = large}};
    struct oid oid, leaf;

    (void)state;
    /* A tiny chunk in the middle: a list of millions of them would fit in no time. */
    oid = forge(objects, 0, entries, 2);
    assert_refused(objects, &oid, large + 1, ERR_CORRUPT);
    /* A level for a single part. */
    entries[0].size_bytes = large;
    leaf = forge(objects, 0, entries, 2);
    entries[0] = (struct chunk_list_entry){.oid = leaf, .size_bytes = 2 * large};
    oid = forge(objects, 1, entries, 1);
    assert_refused(objects, &oid, 2 * large, ERR_CORRUPT);
    /* A part of level 0 below one of level 2. */
    entries[1] = entries[0];
    oid = forge(objects, 2, entries, 2);
    assert_refused(objects, &oid, 4 * large, ERR_CORRUPT);
    /* A part that has fewer bytes than its parent says. */
    entries[1].size_bytes++;
    oid = forge(objects, 1, entries, 2);
    assert_refused(objects, &oid, 4 * large + 1, ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_data_is_one_chunk),
        cmocka_unit_test(no_chunk_is_longer_than_the_data),
        cmocka_unit_test(cuts_are_those_of_the_definition),
        cmocka_unit_test(what_follows_a_chunk_does_not_move_its_end),
        cmocka_unit_test(an_insertion_changes_few_chunks),
        cmocka_unit_test(chunks_are_visited_in_order),
        cmocka_unit_test(a_visitor_may_stop),
        cmocka_unit_test(an_appended_chunk_changes_the_last_part_alone),
        cmocka_unit_test(a_full_sink_stops_the_writer),
        cmocka_unit_test(a_list_must_be_what_the_tree_says),
        cmocka_unit_test(forged_lists_are_refused),
    };

    return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
