#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "executor/jsonline.h"

static void every_kind_of_member_reads_back(void **state)
{
    char text[512];
    struct jsonline l;
    (void)state;
    jsonline_init(&l, text, sizeof(text));
    jsonline_string(&l, "s", "a\"b\\c\n\x01 \xc3\xa9");
    jsonline_string(&l, "none", NULL);
    jsonline_integer(&l, "n", -42);
    jsonline_time(&l, "t", 0);
    jsonline_object(&l, "o");
    jsonline_end(&l);
    jsonline_object(&l, "p");
    jsonline_integer(&l, "x", 1);
    jsonline_raw(&l, "r", "[1,2]");
    jsonline_end(&l);
    jsonline_raw(&l, "z", NULL);
    jsonline_end(&l);
    assert_false(l.is_full);
    CLEANUP_JSON struct json *j = json_parse(text, l.length, NULL);
    assert_non_null(j);
    assert_string_equal(json_string(json_get(j, "s")), "a\"b\\c\n\x01 \xc3\xa9");
    assert_true(json_is_null(json_get(j, "none")));
    assert_int_equal(json_integer(json_get(j, "n")), -42);
    assert_string_equal(json_string(json_get(j, "t")), "1970-01-01T00:00:00.000Z");
    assert_int_equal(json_count(json_get(j, "o")), 0);
    assert_int_equal(json_integer(json_get(json_get(j, "p"), "x")), 1);
    assert_int_equal(json_count(json_get(json_get(j, "p"), "r")), 2);
    assert_true(json_is_null(json_get(j, "z")));
}

static void bytes_that_are_no_text_are_marked(void **state)
{
    char text[128];
    struct jsonline l;
    (void)state;
    jsonline_init(&l, text, sizeof(text));
    jsonline_string(&l, "s", "a\xff\xc3z");
    jsonline_end(&l);
    CLEANUP_JSON struct json *j = json_parse(text, l.length, NULL);
    assert_string_equal(json_string(json_get(j, "s")), "a??z");
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t max = 0; max < 8; max++) {
        static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 7};
        char text[128];
        struct jsonline l;
        jsonline_init(&l, text, sizeof(text));
        jsonline_text(&l, "s", "a\xc3\xa9\xe2\x82\xac!", max);
        jsonline_end(&l);
        CLEANUP_JSON struct json *j = json_parse(text, l.length, NULL);
        assert_non_null(j);
        assert_int_equal(strlen(json_string(json_get(j, "s"))), whole[max]);
    }
}

static void a_buffer_that_is_too_small_says_so(void **state)
{
    (void)state;
    for (size_t size = 0; size < 60; size++) {
        char text[64];
        struct jsonline l;
        memset(text, 'x', sizeof(text));
        jsonline_init(&l, text, size);
        jsonline_string(&l, "key", "value\n");
        jsonline_integer(&l, "number", 123456);
        jsonline_end(&l);
        jsonline_pad(&l, 50);
        assert_true(l.length <= size);
        assert_int_equal(l.is_full, size < 50);
        assert_int_equal(text[size], 'x');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_member_reads_back),
        cmocka_unit_test(bytes_that_are_no_text_are_marked),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(a_buffer_that_is_too_small_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
