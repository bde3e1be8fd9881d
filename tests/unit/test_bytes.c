#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "tests/unit/death.h"

static void numbers_are_little_endian(void **state)
{
    uint8_t out[8];

    (void)state;
    bytes_put_u16(out, 0x1234);
    assert_memory_equal(out, "\x34\x12", 2);
    bytes_put_u32(out, 0x89abcdef);
    assert_memory_equal(out, "\xef\xcd\xab\x89", 4);
    bytes_put_u64(out, UINT64_C(0x0123456789abcdef));
    assert_memory_equal(out, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8);
}

static void numbers_come_back(void **state)
{
    static const uint64_t values[] = {
        0, 1, 0xff, 0x8000, 0xffffffff, 0x80000000, UINT64_MAX, UINT64_C(1) << 63};
    uint8_t out[9];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        bytes_put_u16(out + 1, (uint16_t)values[i]);
        assert_int_equal(bytes_get_u16(out + 1), (uint16_t)values[i]);
        bytes_put_u32(out + 1, (uint32_t)values[i]);
        assert_int_equal(bytes_get_u32(out + 1), (uint32_t)values[i]);
        bytes_put_u64(out + 1, values[i]);
        assert_true(bytes_get_u64(out + 1) == values[i]);
    }
}

static void hex_goes_both_ways(void **state)
{
    uint8_t all[256];
    uint8_t back[256];
    char hex[513];

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)i;
    }
    bytes_to_hex(hex, all, sizeof(all));
    assert_memory_equal(hex, "000102", 6);
    assert_string_equal(hex + 506, "fdfeff");
    assert_int_equal(bytes_from_hex(back, sizeof(back), hex, NULL), 0);
    assert_memory_equal(back, all, sizeof(all));
    bytes_to_hex(hex, all, 0);
    assert_string_equal(hex, "");
    assert_int_equal(bytes_from_hex(back, 0, "", NULL), 0);
}

static void hex_has_one_spelling(void **state)
{
    static const char *const wrong[] = {"",     "ab",   "abc",  "abcde", "ab cd", "ABcd",
                                        "abcg", "ab/0", "ab:0", "0xab",  " abc",  "ab`0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error err = ERROR_INIT;
        uint8_t out[2];

        assert_int_equal(bytes_from_hex(out, 2, wrong[i], &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

/* RFC 4648, section 10. */
static const struct {
    const char *plain;
    const char *encoded;
} base64_rows[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void base64_has_the_vectors_of_its_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(base64_rows); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

        strbuf_puts(&out, "<");
        bytes_to_base64(&out, base64_rows[i].plain, strlen(base64_rows[i].plain));
        assert_string_equal(out.data + 1, base64_rows[i].encoded);
        strbuf_truncate(&out, 1);
        assert_int_equal(bytes_from_base64(&out, base64_rows[i].encoded, NULL), 0);
        assert_string_equal(out.data + 1, base64_rows[i].plain);
        assert_int_equal(out.length, 1 + strlen(base64_rows[i].plain));
    }
}

static void base64_carries_every_byte(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf back = STRBUF_INIT;
    uint8_t all[256];

    (void)state;
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)(255 - i);
    }
    bytes_to_base64(&text, all, sizeof(all));
    assert_int_equal(bytes_from_base64(&back, text.data, NULL), 0);
    assert_int_equal(back.length, sizeof(all));
    assert_memory_equal(back.data, all, sizeof(all));
}

static void base64_has_one_spelling(void **state)
{
    static const char *const wrong[] = {
        "Z",        "Zg",    "Zg=",      "Zg===", "=",         "==",
        "====",     "Z===",  "Zm9v\n",   "Zm 9v", " Zm9v",     "Zm9v Zg==",
        "Zg==Zg==", "Zg=v",  "Zm-_",     "Zh==",  "Zm9=",      "Zm9vYg=a",
        "Zm9\x80",  "Zm9v=", "Zm9v====", "Z=g=",  "Zm9vY\n==", "Zm8",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        struct error err = ERROR_INIT;

        strbuf_puts(&out, "kept");
        assert_int_equal(bytes_from_base64(&out, wrong[i], &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_string_equal(out.data, "kept");
        assert_int_equal(out.length, 4);
    }
}

static void base64_keeps_to_the_limit(void **state)
{
    CLEANUP_STRBUF struct strbuf out;
    struct error err = ERROR_INIT;

    (void)state;
    strbuf_init(&out, 4);
    assert_int_equal(bytes_from_base64(&out, "Zm9vYmE=", &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(bytes_from_base64(&out, "Zm9vYg==", &err), 0);
    assert_string_equal(out.data, "foob");
}

static void encode_over_the_limit(void)
{
    struct strbuf out;

    strbuf_init(&out, 3);
    bytes_to_base64(&out, "f", 1);
}

static void encoding_over_the_limit_ends_the_program(void **state)
{
    char said[200];

    (void)state;
    assert_int_equal(death_by(encode_over_the_limit, said, sizeof(said)), SIGABRT);
    assert_non_null(strstr(said, "limit"));
}

/* The edges of each row of Unicode 15, table 3-7. */
static void utf8_takes_the_edges_of_the_table(void **state)
{
    static const char *const good[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xe0\xbf\xbf",
        "\xe1\x80\x80",
        "\xec\xbf\xbf",
        "\xed\x80\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf0\xbf\xbf\xbf",
        "\xf1\x80\x80\x80",
        "\xf3\xbf\xbf\xbf",
        "\xf4\x80\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(bytes_is_utf8(good[i], strlen(good[i])));
    }
    assert_true(bytes_is_utf8("a\0b", 3));
}

static void utf8_refuses_what_lies_beyond(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2\x7f",
        "\xc2\xc0",
        "\xdf",
        "\xe0\x9f\xbf",
        "\xe0\xc0\x80",
        "\xe1\x80",
        "\xe1\x80\x7f",
        "\xe1\x7f\x80",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\xc0\x80\x80",
        "\xf1\x80\x80",
        "\xf1\x80\x80\xc0",
        "\xf1\x80\xc0\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(bytes_is_utf8(bad[i], strlen(bad[i])));
        assert_int_equal(bytes_utf8_prefix(bad[i], strlen(bad[i])), 0);
    }
}

static void utf8_is_seen_at_every_place(void **state)
{
    (void)state;
    for (size_t at = 0; at < 40; at++) {
        char text[48];

        memset(text, 'a', sizeof(text));
        text[at] = '\xff';
        assert_int_equal(bytes_utf8_prefix(text, sizeof(text)), at);
        text[at] = '\xc3';
        assert_int_equal(bytes_utf8_prefix(text, at + 1), at);
        text[at + 1] = '\xa4';
        assert_int_equal(bytes_utf8_prefix(text, at + 2), at + 2);
        assert_true(bytes_is_utf8(text, sizeof(text)));
    }
}

static void random_bytes_differ(void **state)
{
    uint8_t a[600] = {0};
    uint8_t b[600] = {0};

    (void)state;
    bytes_random(a, sizeof(a));
    bytes_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a + 500, b + 500, 100);
    bytes_random(a, 0);
}

static void numbers_are_read_whole(void **state)
{
    uint64_t value = 1;

    (void)state;
    assert_int_equal(bytes_parse_u64("0", 0, &value, NULL), 0);
    assert_true(value == 0);
    assert_int_equal(bytes_parse_u64("007", 7, &value, NULL), 0);
    assert_true(value == 7);
    assert_int_equal(bytes_parse_u64("18446744073709551615", UINT64_MAX, &value, NULL),
                     0);
    assert_true(value == UINT64_MAX);
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const wrong[] = {"",   " 1", "1 ", "-1",  "+1", "0x1",
                                        "1a", "1.", "a",  "1e3", "\n", "\xb2"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error err = ERROR_INIT;
        uint64_t value = 42;

        assert_int_equal(bytes_parse_u64(wrong[i], UINT64_MAX, &value, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_true(value == 42);
    }
}

static void numbers_over_the_limit_are_refused(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
    } rows[] = {
        {"1", 0},
        {"100", 99},
        {"18446744073709551616", UINT64_MAX},
        {"18446744073709551615", UINT64_MAX - 1},
        {"99999999999999999999999999999999", UINT64_MAX},
        {"184467440737095516160", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        uint64_t value = 42;

        assert_int_equal(bytes_parse_u64(rows[i].text, rows[i].max, &value, &err), -1);
        assert_int_equal(err.code, ERR_LIMIT);
        assert_true(value == 42);
    }
}

static void an_end_is_an_end(void **state)
{
    (void)state;
    assert_true(bytes_end_with("train.py", ".py"));
    assert_true(bytes_end_with(".py", ".py"));
    assert_true(bytes_end_with("train.py", ""));
    assert_true(bytes_end_with("", ""));
    assert_false(bytes_end_with("py", ".py"));
    assert_false(bytes_end_with("train.pyc", ".py"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(hex_has_one_spelling),
        cmocka_unit_test(base64_has_the_vectors_of_its_rfc),
        cmocka_unit_test(base64_carries_every_byte),
        cmocka_unit_test(base64_has_one_spelling),
        cmocka_unit_test(base64_keeps_to_the_limit),
        cmocka_unit_test(encoding_over_the_limit_ends_the_program),
        cmocka_unit_test(utf8_takes_the_edges_of_the_table),
        cmocka_unit_test(utf8_refuses_what_lies_beyond),
        cmocka_unit_test(utf8_is_seen_at_every_place),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(numbers_are_read_whole),
        cmocka_unit_test(an_end_is_an_end),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(numbers_over_the_limit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
