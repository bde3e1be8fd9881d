#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/pack.h"
#include "tests/unit/objects.h"

#define ZSTD_BLOCK ((size_t)128 << 10)

static uint8_t *noise(size_t length, uint64_t seed)
{
    uint8_t *out = xmalloc(length + 1);
    uint64_t x = seed * 2685821657736338717u + 1;

    for (size_t i = 0; i < length; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)(x >> 24);
    }
    return out;
}

static void add(struct pack_builder *builder, enum object_kind kind, const void *body,
                size_t length)
{
    struct error err = ERROR_INIT;
    struct oid oid;

    oid_of(kind, body, length, &oid);
    if (pack_builder_add(builder, kind, &oid, body, length, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void finish(struct pack_builder *builder, struct strbuf *out)
{
    struct error err = ERROR_INIT;

    strbuf_init(out, PACK_WIRE_MAX);
    if (pack_builder_finish(builder, out, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void assert_reads(const struct strbuf *pack, struct objects *objects)
{
    struct error err = ERROR_INIT;

    if (pack_read(pack->data, pack->length, &objects->sink, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void what_goes_in_comes_out(void **state)
{
    static const size_t lengths[] = {0, 1, 511, 512, 513, 70000, OBJECT_SIZE_MAX};
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_STRBUF struct strbuf pack;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        CLEANUP_FREE uint8_t *body = noise(lengths[i], i);

        assert_int_equal(pack_builder_is_empty(builder), i == 0);
        add(builder, i % 2 ? OBJECT_CONTENT : OBJECT_TREE, body, lengths[i]);
    }
    finish(builder, &pack);
    assert_true(pack_builder_is_empty(builder));
    assert_reads(&pack, objects);
    assert_int_equal(objects->count, ARRAY_SIZE(lengths));
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        CLEANUP_FREE uint8_t *body = noise(lengths[i], i);

        assert_int_equal(objects->bodies[i].length, lengths[i]);
        assert_memory_equal(objects->bodies[i].data, body, lengths[i]);
    }
}

static void less_effort_makes_another_pack_of_the_same(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_STRBUF struct strbuf small, fast;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        strbuf_printf(&text, "%u words of %u\n", i * 7919 % 1000, i * 104729 % 100);
    }
    add(builder, OBJECT_CONTENT, text.data, text.length);
    finish(builder, &small);
    pack_builder_set_effort(builder, PACK_FAST);
    add(builder, OBJECT_CONTENT, text.data, text.length);
    finish(builder, &fast);
    assert_true(small.length != fast.length);
    assert_reads(&fast, objects);
    assert_int_equal(objects->bodies[0].length, text.length);
    assert_memory_equal(objects->bodies[0].data, text.data, text.length);
}

static void the_same_objects_make_the_same_bytes(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_STRBUF struct strbuf first, second;

    (void)state;
    add(builder, OBJECT_CONTENT, "hello", 5);
    add(builder, OBJECT_LIST, "hello", 5);
    finish(builder, &first);
    add(builder, OBJECT_CONTENT, "hello", 5);
    add(builder, OBJECT_LIST, "hello", 5);
    finish(builder, &second);
    assert_int_equal(first.length, second.length);
    assert_memory_equal(first.data, second.data, first.length);
}

static void a_full_pack_is_within_its_bounds(void **state)
{
    static const size_t lengths[] = {0, 700, 100000, OBJECT_SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
        CLEANUP_OBJECTS struct objects *objects = objects_new();
        CLEANUP_FREE uint8_t *body = noise(lengths[i] + 8, i);
        CLEANUP_STRBUF struct strbuf pack;
        size_t padded = 512 + (lengths[i] + 511) / 512 * 512, count = 0;

        while (pack_builder_fits(builder, lengths[i])) {
            bytes_put_u64(body, count++);
            add(builder, OBJECT_CONTENT, body, lengths[i]);
        }
        assert_int_equal(count, (PACK_SIZE_MAX - 1024) / padded);
        finish(builder, &pack);
        assert_reads(&pack, objects);
        assert_int_equal(objects->puts, count);
    }
    assert_true(PACK_OBJECTS_MAX >= PACK_SIZE_MAX / 512);
}

static void nothing_larger_than_an_object_fits(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();

    (void)state;
    assert_true(pack_builder_fits(builder, OBJECT_SIZE_MAX));
    assert_false(pack_builder_fits(builder, OBJECT_SIZE_MAX + 1));
    assert_false(pack_builder_fits(builder, SIZE_MAX));
}

static void a_pack_of_nothing_is_a_pack(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_STRBUF struct strbuf pack;

    (void)state;
    finish(builder, &pack);
    assert_reads(&pack, objects);
    assert_int_equal(objects->puts, 0);
}

static void an_out_buffer_that_is_too_small_is_an_error(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_STRBUF struct strbuf small, pack;
    struct error err = ERROR_INIT;

    (void)state;
    strbuf_init(&small, 10);
    add(builder, OBJECT_CONTENT, "hello", 5);
    assert_int_equal(pack_builder_finish(builder, &small, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(pack_builder_is_empty(builder));
    add(builder, OBJECT_CONTENT, "hello", 5);
    finish(builder, &pack);
    assert_reads(&pack, objects);
}

static void a_builder_that_was_not_finished_is_freed(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_FREE uint8_t *body = noise(1000000, 1);

    (void)state;
    add(builder, OBJECT_CONTENT, body, 1000000);
}

static void the_sink_s_error_comes_through(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_STRBUF struct strbuf pack;
    struct error err = ERROR_INIT;

    (void)state;
    add(builder, OBJECT_CONTENT, "1", 1);
    add(builder, OBJECT_CONTENT, "2", 1);
    finish(builder, &pack);
    objects->fail_after = 1;
    assert_int_equal(pack_read(pack.data, pack.length, &objects->sink, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(objects->count, 1);
}

/* Packs that no builder makes, from here on. */

static void add_block(struct strbuf *frame, bool is_last, unsigned type, size_t size)
{
    uint32_t head = (uint32_t)size << 3 | type << 1 | is_last;
    uint8_t bytes[4];

    bytes_put_u32(bytes, head);
    assert_int_equal(strbuf_add(frame, bytes, 3, NULL), 0);
}

/* A zstd frame of uncompressed blocks; window: its descriptor byte. */
static void frame_of(struct strbuf *frame, const void *data, size_t length,
                     uint8_t window)
{
    const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, window};
    const uint8_t *bytes = data;

    assert_int_equal(strbuf_add(frame, head, sizeof(head), NULL), 0);
    do {
        size_t size = length < ZSTD_BLOCK ? length : ZSTD_BLOCK;

        add_block(frame, size == length, 0, size);
        assert_int_equal(strbuf_add(frame, bytes, size, NULL), 0);
        bytes += size;
        length -= size;
    } while (length > 0);
}

#define WINDOW_1_MIB 0x50

static void put_octal(char *field, size_t width, uint64_t value)
{
    for (size_t i = width - 1; i-- > 0; value >>= 3) {
        field[i] = (char)('0' + (value & 7));
    }
}

/* One ustar header, as POSIX.1-1988 has it, and the data. */
static void add_tar(struct strbuf *tar, const char *name, char type, const char *link,
                    const void *data, size_t length)
{
    static const char zeros[512];
    char header[512] = {0};
    unsigned sum = 0;

    (void)snprintf(header, 100, "%s", name);
    put_octal(header + 100, 8, 0400);
    put_octal(header + 108, 8, 0);
    put_octal(header + 116, 8, 0);
    put_octal(header + 124, 12, length);
    put_octal(header + 136, 12, 0);
    memset(header + 148, ' ', 8);
    header[156] = type;
    (void)snprintf(header + 157, 100, "%s", link);
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < sizeof(header); i++) {
        sum += (uint8_t)header[i];
    }
    put_octal(header + 148, 7, sum);
    assert_int_equal(strbuf_add(tar, header, sizeof(header), NULL), 0);
    assert_int_equal(strbuf_add(tar, data, length, NULL), 0);
    assert_int_equal(strbuf_add(tar, zeros, (512 - length % 512) % 512, NULL), 0);
}

static void end_tar(struct strbuf *tar)
{
    static const char zeros[1024];

    assert_int_equal(strbuf_add(tar, zeros, sizeof(zeros), NULL), 0);
}

static void name_of(char out[128], const char *kind, enum object_kind hashed,
                    const void *body, size_t length)
{
    char hex[OID_HEX_SIZE];
    struct oid oid;

    oid_of(hashed, body, length, &oid);
    oid_to_hex(&oid, hex);
    (void)snprintf(out, 128, "%s/%s", kind, hex);
}

static void add_good(struct strbuf *tar)
{
    char name[128];

    name_of(name, "content", OBJECT_CONTENT, "hello", 5);
    add_tar(tar, name, '0', "", "hello", 5);
}

static enum error_code read_code(const void *data, size_t length, size_t *out_puts)
{
    CLEANUP_OBJECTS struct objects *objects = objects_new();
    CLEANUP_FREE void *copy = xmemdup(data, length + (length == 0));
    struct error err = ERROR_INIT;
    int result = pack_read(copy, length, &objects->sink, &err);

    if (out_puts) {
        *out_puts = objects->puts;
    }
    assert_int_equal(result < 0, err.code != ERR_NONE);
    return err.code;
}

static enum error_code read_tar(const struct strbuf *tar, size_t *out_puts)
{
    CLEANUP_STRBUF struct strbuf frame = STRBUF_INIT;

    frame_of(&frame, tar->data, tar->length, WINDOW_1_MIB);
    return read_code(frame.data, frame.length, out_puts);
}

static void a_hand_made_pack_is_read(void **state)
{
    CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT;
    size_t puts;

    (void)state;
    add_good(&tar);
    end_tar(&tar);
    assert_int_equal(read_tar(&tar, &puts), ERR_NONE);
    assert_int_equal(puts, 1);
}

static void an_entry_that_is_no_object_is_refused(void **state)
{
    char good[128], wrong_kind[128], wrong_digest[128], upper[128], longer[130];
    struct {
        const char *name;
        char type;
        const char *link;
    } rows[] = {
        {"content", '0', ""},
        {"content/", '0', ""},
        {"/content/abc", '0', ""},
        {"../../etc/passwd", '0', ""},
        {wrong_kind, '0', ""},
        {wrong_digest, '0', ""},
        {upper, '0', ""},
        {longer, '0', ""},
        {good, '1', "/etc/passwd"},
        {good, '2', "/etc/passwd"},
        {good, '3', ""},
        {good, '4', ""},
        {good, '5', ""},
        {good, '6', ""},
    };

    (void)state;
    name_of(good, "content", OBJECT_CONTENT, "hello", 5);
    name_of(wrong_kind, "tree", OBJECT_CONTENT, "hello", 5);
    name_of(wrong_digest, "content", OBJECT_CONTENT, "hallo", 5);
    name_of(upper, "content", OBJECT_CONTENT, "hello", 5);
    upper[strcspn(upper + 8, "abcdef") + 8] = 'A';
    (void)snprintf(longer, sizeof(longer), "%s0", good);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT;
        size_t puts;

        add_good(&tar);
        add_tar(&tar, rows[i].name, rows[i].type, rows[i].link, "hello",
                rows[i].type == '0' ? 5 : 0);
        end_tar(&tar);
        if (read_tar(&tar, &puts) != ERR_CORRUPT) {
            fail_msg("row %zu was taken", i);
        }
        assert_int_equal(puts, 1); /* the good one before it */
    }
}

/* Each of these says something about the header behind it. */
static void extended_headers_are_refused(void **state)
{
    static const char path[] = "28 path=content/0123456789ab\n";
    static const char size[] = "20 size=99999999999\n";
    static const char comment[] = "16 comment=hello\n";
    static const struct {
        char type;
        const char *data;
    } rows[] = {{'x', path}, {'x', size}, {'x', comment},    {'g', comment},
                {'L', path}, {'K', path}, {'V', ""},         {'N', path},
                {'x', ""},   {'A', ""},   {'S', "whatever"}, {'D', "whatever"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t before = 0; before < 2; before++) {
            CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT;

            if (before) {
                add_good(&tar);
            }
            add_tar(&tar, "x", rows[i].type, "", rows[i].data, strlen(rows[i].data));
            add_good(&tar);
            end_tar(&tar);
            if (read_tar(&tar, NULL) != ERR_CORRUPT) {
                fail_msg("row %zu was taken", i);
            }
        }
    }
}

static void an_archive_ends_where_it_should(void **state)
{
    CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT;

    (void)state;
    add_good(&tar);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT); /* no end */
    assert_int_equal(strbuf_add(&tar, tar.data, 0, NULL), 0);
    end_tar(&tar);
    strbuf_truncate(&tar, tar.length - 512);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT); /* half an end */
    end_tar(&tar);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT); /* an end and a half */
    strbuf_truncate(&tar, tar.length - 513);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT); /* a byte too few */
    strbuf_putc(&tar, 'x');
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT); /* not zero */
    strbuf_truncate(&tar, tar.length - 1);
    strbuf_putc(&tar, '\0');
    assert_int_equal(read_tar(&tar, NULL), ERR_NONE);
    add_good(&tar);
    end_tar(&tar);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT); /* an archive behind it */
}

static void an_object_s_size_is_bounded(void **state)
{
    CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT;
    CLEANUP_FREE uint8_t *body = xcalloc(1, OBJECT_SIZE_MAX + 1);
    char name[128];

    (void)state;
    name_of(name, "content", OBJECT_CONTENT, body, OBJECT_SIZE_MAX + 1);
    add_tar(&tar, name, '0', "", body, OBJECT_SIZE_MAX + 1);
    end_tar(&tar);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT);
    /* A header that promises more than there is, in both notations tar has. */
    strbuf_reset(&tar);
    add_good(&tar);
    memcpy(tar.data + 124, "77777777777", 12);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT);
    memset(tar.data + 124, 0xff, 12);
    assert_int_equal(read_tar(&tar, NULL), ERR_CORRUPT);
}

static void a_bomb_is_bounded(void **state)
{
    static const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, WINDOW_1_MIB};
    CLEANUP_STRBUF struct strbuf frame = STRBUF_INIT;

    (void)state;
    /* 1 GiB of zeros in 32 KiB; also with a good archive before them. */
    for (int with_archive = 0; with_archive < 2; with_archive++) {
        strbuf_reset(&frame);
        assert_int_equal(strbuf_add(&frame, head, sizeof(head), NULL), 0);
        if (with_archive) {
            CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT;

            add_good(&tar);
            end_tar(&tar);
            add_block(&frame, false, 0, tar.length);
            assert_int_equal(strbuf_add(&frame, tar.data, tar.length, NULL), 0);
        }
        for (size_t i = 0; i < 8192; i++) {
            add_block(&frame, i == 8191, 1, ZSTD_BLOCK);
            strbuf_putc(&frame, '\0');
        }
        assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_LIMIT);
    }
}

static void a_frame_s_own_structure_is_checked(void **state)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'};
    CLEANUP_STRBUF struct strbuf tar = STRBUF_INIT, frame = STRBUF_INIT;
    size_t length;

    (void)state;
    add_good(&tar);
    end_tar(&tar);
    frame_of(&frame, tar.data, tar.length, WINDOW_1_MIB);
    length = frame.length;
    assert_int_equal(read_code(frame.data, length, NULL), ERR_NONE);
    strbuf_putc(&frame, '\0');
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    strbuf_truncate(&frame, length);
    assert_int_equal(strbuf_add(&frame, skippable, sizeof(skippable), NULL), 0);
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    strbuf_truncate(&frame, length);
    frame_of(&frame, "", 0, WINDOW_1_MIB);
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    strbuf_reset(&frame);
    assert_int_equal(strbuf_add(&frame, skippable, sizeof(skippable), NULL), 0);
    frame_of(&frame, tar.data, tar.length, WINDOW_1_MIB);
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    /* A window of 128 MiB, a dictionary, a reserved bit. */
    strbuf_consume(&frame, sizeof(skippable));
    frame.data[5] = (char)0x88;
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_LIMIT);
    frame.data[5] = WINDOW_1_MIB;
    frame.data[4] = 1;
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    frame.data[4] = 8;
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    frame.data[4] = 0;
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_NONE);
    frame.data[6] |= 6; /* a reserved type of block */
    assert_int_equal(read_code(frame.data, frame.length, NULL), ERR_CORRUPT);
    /* An archive that is not compressed at all. */
    assert_int_equal(read_code(tar.data, tar.length, NULL), ERR_CORRUPT);
}

static void a_pack_cut_anywhere_is_refused(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_FREE uint8_t *body = noise(300, 1);
    CLEANUP_STRBUF struct strbuf pack;

    (void)state;
    add(builder, OBJECT_CONTENT, body, 300);
    add(builder, OBJECT_TREE, "hello", 5);
    finish(builder, &pack);
    for (size_t length = 0; length < pack.length; length++) {
        assert_int_equal(read_code(pack.data, length, NULL), ERR_CORRUPT);
    }
}

/* Whatever one bit becomes: no object is put under a wrong name (the sink checks), and
 * most of it is noticed. */
static void a_flipped_bit_does_no_harm(void **state)
{
    CLEANUP(pack_builder_cleanup) struct pack_builder *builder = pack_builder_new();
    CLEANUP_FREE uint8_t *body = noise(300, 1);
    CLEANUP_STRBUF struct strbuf pack;
    size_t taken = 0;

    (void)state;
    add(builder, OBJECT_CONTENT, body, 300);
    add(builder, OBJECT_TREE, "hello", 5);
    finish(builder, &pack);
    for (size_t bit = 0; bit < pack.length * 8; bit++) {
        pack.data[bit / 8] = (char)(pack.data[bit / 8] ^ (1 << bit % 8));
        taken += read_code(pack.data, pack.length, NULL) == ERR_NONE;
        pack.data[bit / 8] = (char)(pack.data[bit / 8] ^ (1 << bit % 8));
    }
    assert_true(taken < pack.length);
}

static void a_pack_that_is_too_long_is_not_looked_at(void **state)
{
    CLEANUP_FREE uint8_t *data = xcalloc(1, PACK_WIRE_MAX + 1);

    (void)state;
    assert_int_equal(read_code(data, PACK_WIRE_MAX + 1, NULL), ERR_LIMIT);
    assert_int_equal(read_code(data, PACK_WIRE_MAX, NULL), ERR_CORRUPT);
    assert_int_equal(read_code(data, 0, NULL), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(less_effort_makes_another_pack_of_the_same),
        cmocka_unit_test(the_same_objects_make_the_same_bytes),
        cmocka_unit_test(a_full_pack_is_within_its_bounds),
        cmocka_unit_test(nothing_larger_than_an_object_fits),
        cmocka_unit_test(a_pack_of_nothing_is_a_pack),
        cmocka_unit_test(an_out_buffer_that_is_too_small_is_an_error),
        cmocka_unit_test(a_builder_that_was_not_finished_is_freed),
        cmocka_unit_test(the_sink_s_error_comes_through),
        cmocka_unit_test(a_hand_made_pack_is_read),
        cmocka_unit_test(an_entry_that_is_no_object_is_refused),
        cmocka_unit_test(extended_headers_are_refused),
        cmocka_unit_test(an_archive_ends_where_it_should),
        cmocka_unit_test(an_object_s_size_is_bounded),
        cmocka_unit_test(a_bomb_is_bounded),
        cmocka_unit_test(a_frame_s_own_structure_is_checked),
        cmocka_unit_test(a_pack_cut_anywhere_is_refused),
        cmocka_unit_test(a_flipped_bit_does_no_harm),
        cmocka_unit_test(a_pack_that_is_too_long_is_not_looked_at),
    };

    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
