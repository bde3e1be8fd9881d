#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <signal.h>
#include <string.h>

#include "common/json.h"
#include "tests/unit/death.h"
#include "tests/unit/json_texts.h"

static void written_numbers_come_back_to_the_last_bit(void **state)
{
    static const double values[] = {
        0.1,
        1.0 / 3,
        DBL_MAX,
        -DBL_MAX,
        DBL_MIN,
        DBL_EPSILON,
        4e-324,
        1e15 + 0.125,
        123456789012345.6,
        9007199254740992.,
        1e21,
        9007199254740994.,
        99999999999999984.,
        0.30000000000000004,
        5e-324,
        1.7976931348623155e308,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        CLEANUP_JSON struct json *j = json_new_number(values[i]);
        CLEANUP_JSON struct json *back = NULL;
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

        json_write(j, false, &out);
        back = parse(out.data);
        assert_true(json_number(back) == values[i]);
    }
}

static void numbers_are_written_short(void **state)
{
    CLEANUP_JSON struct json *j = json_new_array();
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    json_append(j, json_new_number(0.1));
    json_append(j, json_new_number(3));
    json_append(j, json_new_integer(-JSON_INTEGER_MAX));
    json_append(j, json_new_number(9007199254740994.));
    json_write(j, false, &out);
    assert_string_equal(out.data, "[0.1,3,-9007199254740992,9007199254740994.0]");
}

static void strings_are_written_with_few_escapes(void **state)
{
    assert_rewritten("\"\\u0001\\u001f\\b\\t\\n\\f\\r\\\"\\\\\\/\x7f\\u20ac\"",
                     "\"\\u0001\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\x7f\xe2\x82\xac\"");
    (void)state;
}

static void what_is_written_is_utf8_whatever_came_in(void **state)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_JSON struct json *back = NULL;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    json_add_string(j, "k\xe4", "a\xff\xe2\x82 b\xc3\xa4\x80");
    json_write(j, false, &out);
    assert_string_equal(out.data,
                        "{\"k\xef\xbf\xbd\":\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
                        "b\xc3\xa4\xef\xbf\xbd\"}");
    back = parse(out.data);
    assert_non_null(json_get(back, "k\xef\xbf\xbd"));
}

static void pretty_text_is_indented(void **state)
{
    CLEANUP_JSON struct json *j = parse("{\"a\":[1,{}],\"b\":{\"c\":[]}}");
    CLEANUP_JSON struct json *back = NULL;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    json_write(j, true, &out);
    assert_string_equal(out.data, "{\n"
                                  "  \"a\": [\n"
                                  "    1,\n"
                                  "    {}\n"
                                  "  ],\n"
                                  "  \"b\": {\n"
                                  "    \"c\": []\n"
                                  "  }\n"
                                  "}");
    back = parse(out.data);
    assert_int_equal(json_count(back), 2);
}

static void writing_appends(void **state)
{
    CLEANUP_JSON struct json *j = json_new_bool(true);
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    strbuf_puts(&out, "x=");
    json_write(j, false, &out);
    assert_string_equal(out.data, "x=true");
}

static void write_over_the_limit(void)
{
    struct strbuf out;

    strbuf_init(&out, 3);
    json_write(json_new_string("abc"), false, &out);
}

static void writing_over_the_limit_ends_the_program(void **state)
{
    char said[200];

    (void)state;
    assert_int_equal(death_by(write_over_the_limit, said, sizeof(said)), SIGABRT);
    assert_non_null(strstr(said, "limit"));
}

static void sorted_members_say_the_same_in_any_order(void **state)
{
    CLEANUP_JSON struct json *one = parse("{\"b\": {\"z\": 1, \"a\": [2, {\"d\": null, "
                                          "\"c\": true}]}, \"a\": \"\", \"B\": {}}");
    CLEANUP_JSON struct json *other = parse("{\"a\": \"\", \"B\": {}, \"b\": {\"a\": [2, "
                                            "{\"c\": true, \"d\": null}], \"z\": 1}}");
    CLEANUP_STRBUF struct strbuf first = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf second = STRBUF_INIT;

    (void)state;
    json_write_sorted(one, &first);
    json_write_sorted(other, &second);
    assert_string_equal(
        first.data,
        "{\"B\":{},\"a\":\"\",\"b\":{\"a\":[2,{\"c\":true,\"d\":null}],\"z\":1}}");
    assert_string_equal(second.data, first.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_members_say_the_same_in_any_order),
        cmocka_unit_test(written_numbers_come_back_to_the_last_bit),
        cmocka_unit_test(numbers_are_written_short),
        cmocka_unit_test(strings_are_written_with_few_escapes),
        cmocka_unit_test(what_is_written_is_utf8_whatever_came_in),
        cmocka_unit_test(pretty_text_is_indented),
        cmocka_unit_test(writing_appends),
        cmocka_unit_test(writing_over_the_limit_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
