#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/oid.h"
#include "tests/unit/scratch.h"

static void assert_hex(const struct oid *oid, const char *hex)
{
    char text[OID_HEX_SIZE];

    oid_to_hex(oid, text);
    assert_string_equal(text, hex);
}

/* FIPS 180-4's examples (NIST, "SHA256.pdf"). */
static void the_plain_digest_is_sha_256(void **state)
{
    struct oid oid;

    (void)state;
    oid_of_bytes("abc", 3, &oid);
    assert_hex(&oid, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    oid_of_bytes(NULL, 0, &oid);
    assert_hex(&oid, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void the_kind_is_part_of_the_name(void **state)
{
    struct oid content, list, tree, plain;

    (void)state;
    oid_of(OBJECT_CONTENT, "bc", 2, &content);
    oid_of(OBJECT_LIST, "bc", 2, &list);
    oid_of(OBJECT_TREE, "bc", 2, &tree);
    oid_of_bytes("cbc", 3, &plain);
    assert_true(oid_equal(&content, &plain));
    assert_false(oid_equal(&content, &list));
    assert_false(oid_equal(&content, &tree));
    assert_false(oid_equal(&list, &tree));
}

static void it_does_not_matter_how_bytes_are_added(void **state)
{
    uint8_t data[1000];
    struct oid whole, parts;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7);
    }
    oid_of(OBJECT_CONTENT, data, sizeof(data), &whole);
    for (size_t step = 1; step < 200; step += 13) {
        struct hasher h, copy;

        hasher_init_kind(&h, OBJECT_CONTENT);
        for (size_t at = 0; at < sizeof(data); at += step) {
            hasher_add(&h, data + at,
                       at + step < sizeof(data) ? step : sizeof(data) - at);
            hasher_add(&h, NULL, 0);
        }
        copy = h;
        hasher_finish(&h, &parts);
        assert_true(oid_equal(&whole, &parts));
        hasher_finish(&copy, &parts);
        assert_true(oid_equal(&whole, &parts));
    }
}

static void the_rest_of_a_file_has_a_digest(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    CLEANUP_FREE uint8_t *data = xcalloc(1, 200001);
    CLEANUP_FD int fd = -1;
    struct error err = ERROR_INIT;
    struct oid want, got;

    (void)state;
    data[200000] = 1;
    scratch_write_bytes(s, "f", data, 200001, 0644);
    fd = openat(s->fd, "f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, 1, SEEK_SET), 1);
    assert_int_equal(oid_of_fd(fd, &got, &err), 0);
    oid_of_bytes(data + 1, 200000, &want);
    assert_true(oid_equal(&want, &got));
    assert_int_equal(oid_of_fd(s->fd, &got, &err), -1); /* a folder */
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(err.sys, EISDIR);
}

static void hexadecimal_is_strict(void **state)
{
    static const char good[] =
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char text[OID_HEX_SIZE + 1];
    struct oid oid;

    (void)state;
    assert_int_equal(oid_from_hex(good, &oid, NULL), 0);
    assert_hex(&oid, good);
    memcpy(text, good, sizeof(good));
    text[20] = 'A';
    assert_int_equal(oid_from_hex(text, &oid, NULL), -1);
    text[20] = 'g';
    assert_int_equal(oid_from_hex(text, &oid, NULL), -1);
    memcpy(text, good, sizeof(good));
    text[63] = '\0';
    assert_int_equal(oid_from_hex(text, &oid, NULL), -1);
    memcpy(text, good, sizeof(good));
    memcpy(text + 64, "0", 2);
    assert_int_equal(oid_from_hex(text, &oid, NULL), -1);
    assert_int_equal(oid_from_hex("", &oid, NULL), -1);
}

static void names_have_an_order_and_a_zero(void **state)
{
    struct oid a = {{0}}, b = {{0}};

    (void)state;
    assert_true(oid_is_zero(&a));
    b.digest[31] = 1;
    assert_false(oid_is_zero(&b));
    assert_true(oid_compare(&a, &b) < 0);
    a.digest[0] = 0x80;
    assert_true(oid_compare(&a, &b) > 0);
    assert_false(oid_equal(&a, &b));
}

static void kinds_have_names_and_bytes(void **state)
{
    static const struct {
        enum object_kind kind;
        uint8_t byte;
        const char *name;
    } rows[] = {{OBJECT_CONTENT, 'c', "content"},
                {OBJECT_LIST, 'l', "list"},
                {OBJECT_TREE, 't', "tree"}};

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        enum object_kind kind;
        bool is_kind = c == 'c' || c == 'l' || c == 't';

        assert_int_equal(object_kind_parse((uint8_t)c, &kind), is_kind ? 0 : -1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum object_kind kind;

        assert_int_equal(object_kind_parse(rows[i].byte, &kind), 0);
        assert_int_equal(kind, rows[i].kind);
        assert_string_equal(object_kind_name(kind), rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_digest_is_sha_256),
        cmocka_unit_test(the_kind_is_part_of_the_name),
        cmocka_unit_test(it_does_not_matter_how_bytes_are_added),
        cmocka_unit_test(the_rest_of_a_file_has_a_digest),
        cmocka_unit_test(hexadecimal_is_strict),
        cmocka_unit_test(names_have_an_order_and_a_zero),
        cmocka_unit_test(kinds_have_names_and_bytes),
    };

    return cmocka_run_group_tests_name("oid", tests, NULL, NULL);
}
