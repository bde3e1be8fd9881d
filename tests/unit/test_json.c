#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "tests/unit/json_texts.h"

static void every_kind_of_value_is_read_and_written(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-7",
        "0.5",
        "\"\"",
        "\"text\"",
        "[]",
        "{}",
        "[1,[2,[]],{}]",
        "{\"a\":{\"b\":[null,true,false]},\"c\":\"d\"}",
        "{\"\":1}",
        "{\"a\":1,\"A\":2}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_rewritten(texts[i], texts[i]);
    }
}

static void fractions_are_any_finite_double(void **state)
{
    (void)state;
    assert_rewritten("[1e30,-2.5e-300,1e-400]", "[1e+30,-2.5e-300,0]");
    assert_refused("1e400", 5, ERR_CORRUPT, "too large");
    assert_refused("{\"a\":[-1e400]}", 14, ERR_CORRUPT, "too large");
}

static void a_key_stands_once_in_an_object(void **state)
{
    static const char *const texts[] = {
        "{\"a\":1,\"a\":1}",       "{\"a\":1,\"b\":2,\"a\":3}",
        "{\"a\":1,\"\\u0061\":2}", "[{},{\"x\":{\"k\":1,\"k\":2}}]",
        "{\"\":1,\"\":2}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_refused(texts[i], strlen(texts[i]), ERR_CORRUPT, "twice");
    }
    assert_rewritten("[{\"a\":1},{\"a\":2}]", "[{\"a\":1},{\"a\":2}]");
    assert_rewritten("{\"a\":{\"a\":2}}", "{\"a\":{\"a\":2}}");
}

static void large_objects_are_checked_for_keys_too(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *j = NULL;

    (void)state;
    strbuf_puts(&text, "{\"k0\":0");
    for (int i = 1; i < 20000; i++) {
        strbuf_printf(&text, ",\"k%d\":%d", i, i);
    }
    strbuf_puts(&text, "}");
    j = parse(text.data);
    assert_int_equal(json_count(j), 20000);
    strbuf_truncate(&text, text.length - 1);
    strbuf_puts(&text, ",\"k777\":1}");
    assert_refused(text.data, text.length, ERR_CORRUPT, "\"k777\" twice");
}

static void documents_are_built(void **state)
{
    CLEANUP_JSON struct json *j = json_new_object();
    struct json *list = json_add(j, "list", json_new_array());
    struct json *first;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    (void)state;
    first = json_append(list, json_new_object());
    assert_ptr_equal(first, json_at(list, 0));
    json_append(list, json_new_null());
    json_append(list, json_new_number(2.5));
    json_add_string(j, "s", "text");
    json_add_string(j, "none", NULL);
    json_add_integer(j, "n", -5);
    json_add_bool(j, "yes", true);
    json_add_bool(j, "no", false);
    json_add_time(j, "at", 1795478399123);
    json_add_time(j, "never", 0);
    json_write(j, false, &out);
    assert_string_equal(out.data, "{\"list\":[{},null,2.5],\"s\":\"text\",\"none\":null,"
                                  "\"n\":-5,\"yes\":true,\"no\":false,"
                                  "\"at\":\"2026-11-23T23:59:59.123Z\",\"never\":null}");
}

static const struct {
    const char *bytes;
    size_t length;
    const char *text;
} byte_rows[] = {
    {"", 0, "\"\""},
    {"path/\xc3\xa4", 7, "\"path/\xc3\xa4\""},
    {"a\nb", 3, "\"a\\nb\""},
    {"\xff", 1, "{\"base64\":\"/w==\"}"},
    {"a\0b", 3, "{\"base64\":\"YQBi\"}"},
    {"\0", 1, "{\"base64\":\"AA==\"}"},
};

static void byte_strings_have_two_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(byte_rows); i++) {
        CLEANUP_JSON struct json *j = json_new_object();
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf back = STRBUF_INIT;
        CLEANUP_FREE char *expected = xasprintf("{\"k\":%s}", byte_rows[i].text);

        json_add_bytes(j, "k", byte_rows[i].bytes, byte_rows[i].length);
        json_write(j, false, &out);
        assert_string_equal(out.data, expected);
        strbuf_puts(&back, "<");
        assert_int_equal(json_get_bytes(j, "doc", "k", &back, NULL), 0);
        assert_int_equal(back.length, 1 + byte_rows[i].length);
        assert_memory_equal(back.data + 1, byte_rows[i].bytes, byte_rows[i].length);
    }
}

static void malformed_byte_strings_are_refused(void **state)
{
    static const char *const texts[] = {
        "1",
        "null",
        "[]",
        "{}",
        "{\"base64\":1}",
        "{\"base64\":\"Zg\"}",
        "{\"base64\":\"Zg==\",\"more\":1}",
        "{\"BASE64\":\"Zg==\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_JSON struct json *j = parse(texts[i]);
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(json_bytes(j, "argument 3", &out, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_memory_equal(err.text, "argument 3: ", 12);
        assert_int_equal(out.length, 0);
    }
}

static void byte_strings_keep_to_the_limit(void **state)
{
    CLEANUP_JSON struct json *j =
        parse("{\"a\":\"abcd\",\"b\":{\"base64\":\"Zm9vYg==\"}}");
    CLEANUP_STRBUF struct strbuf out;
    struct error err = ERROR_INIT;

    (void)state;
    strbuf_init(&out, 3);
    assert_int_equal(json_get_bytes(j, "doc", "a", &out, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(json_get_bytes(j, "doc", "b", &out, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_memory_equal(err.text, "doc: b: ", 8);
    assert_int_equal(out.length, 0);
}

static void values_are_looked_at(void **state)
{
    CLEANUP_JSON struct json *j =
        parse("{\"o\":{},\"a\":[],\"s\":\"x\",\"n\":null,\"t\":true,\"i\":7,\"f\":0.5}");

    (void)state;
    assert_true(json_is_object(json_get(j, "o")));
    assert_true(json_is_array(json_get(j, "a")));
    assert_true(json_is_string(json_get(j, "s")));
    assert_true(json_is_null(json_get(j, "n")));
    assert_string_equal(json_string(json_get(j, "s")), "x");
    assert_true(json_bool(json_get(j, "t")));
    assert_int_equal(json_integer(json_get(j, "i")), 7);
    assert_true(json_number(json_get(j, "i")) == 7 &&
                json_number(json_get(j, "f")) == 0.5);
    assert_int_equal(json_integer(json_get(j, "f")), 0);
    assert_null(json_get(j, "S"));
    assert_null(json_get(json_get(j, "a"), "s"));
    assert_null(json_string(json_get(j, "i")));
    assert_int_equal(json_integer(json_get(j, "s")), 0);
    assert_true(json_number(json_get(j, "s")) == 0);
    assert_false(json_bool(json_get(j, "i")));
}

static void nothing_is_a_value_of_no_type(void **state)
{
    (void)state;
    assert_false(json_is_object(NULL) || json_is_array(NULL) || json_is_string(NULL) ||
                 json_is_null(NULL) || json_bool(NULL));
    assert_null(json_get(NULL, "a"));
    assert_null(json_at(NULL, 0));
    assert_null(json_first(NULL));
    assert_null(json_string(NULL));
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_integer(NULL), 0);
    json_free(NULL);
}

static void members_and_items_are_visited_in_order(void **state)
{
    CLEANUP_JSON struct json *j = parse("{\"z\":[10,20,30],\"a\":2}");
    const struct json *list = json_get(j, "z");
    const struct json *item;
    int64_t sum = 0;

    (void)state;
    assert_string_equal(json_key(json_first(j)), "z");
    assert_string_equal(json_key(json_next(json_first(j))), "a");
    assert_null(json_next(json_next(json_first(j))));
    assert_null(json_key(json_first(list)));
    for (item = json_first(list); item != NULL; item = json_next(item)) {
        sum = sum * 100 + json_integer(item);
    }
    assert_int_equal(sum, 102030);
    assert_int_equal(json_integer(json_at(list, 2)), 30);
    assert_null(json_at(list, 3));
    assert_int_equal(json_count(list), 3);
    assert_int_equal(json_count(json_at(list, 0)), 0);
}

static void required_members_are_read(void **state)
{
    CLEANUP_JSON struct json *j =
        parse("{\"s\":\"x\",\"i\":7,\"b\":true,\"o\":{},\"a\":[1,2],"
              "\"t\":\"1970-01-01T00:00:01.000Z\",\"never\":null}");
    const struct json *part = NULL;
    const char *text = NULL;
    int64_t number = 0;
    bool flag = false;

    (void)state;
    assert_int_equal(json_get_string(j, "doc", "s", &text, NULL), 0);
    assert_string_equal(text, "x");
    assert_int_equal(json_get_integer(j, "doc", "i", 7, 7, &number, NULL), 0);
    assert_int_equal(number, 7);
    assert_int_equal(json_get_bool(j, "doc", "b", &flag, NULL), 0);
    assert_true(flag);
    assert_int_equal(json_get_object(j, "doc", "o", &part, NULL), 0);
    assert_true(json_is_object(part));
    assert_int_equal(json_get_array(j, "doc", "a", 2, &part, NULL), 0);
    assert_int_equal(json_count(part), 2);
    assert_int_equal(json_get_time(j, "doc", "t", &number, NULL), 0);
    assert_int_equal(number, 1000);
    assert_int_equal(json_get_time(j, "doc", "never", &number, NULL), 0);
    assert_int_equal(number, 0);
}

/* Each getter on one key; returns its result. */
static int get_with(const char *getter, const struct json *j, const char *key,
                    struct error *err)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    const struct json *part;
    const char *text;
    int64_t number;
    bool flag;

    switch (getter[0]) {
    case 's':
        return json_get_string(j, "doc", key, &text, err);
    case 'i':
        return json_get_integer(j, "doc", key, 1, 9, &number, err);
    case 'b':
        return json_get_bool(j, "doc", key, &flag, err);
    case 'o':
        return json_get_object(j, "doc", key, &part, err);
    case 'a':
        return json_get_array(j, "doc", key, 1, &part, err);
    case 't':
        return json_get_time(j, "doc", key, &number, err);
    default:
        return json_get_bytes(j, "doc", key, &bytes, err);
    }
}

static void what_is_missing_or_wrong_is_named(void **state)
{
    static const struct {
        const char *getter;
        const char *key;
        const char *said;
    } rows[] = {
        {"string", "i", "doc: \"i\" is not a string"},
        {"string", "n", "doc: \"n\" is not a string"},
        {"integer", "s", "doc: \"s\" is not an integer"},
        {"integer", "f", "doc: \"f\" is not an integer"},
        {"integer", "big", "doc: \"big\" is not an integer"},
        {"integer", "zero", "doc: \"zero\" is 0, not within 1 and 9"},
        {"integer", "ten", "doc: \"ten\" is 10, not within 1 and 9"},
        {"bool", "i", "doc: \"i\" is not true or false"},
        {"object", "a", "doc: \"a\" is not an object"},
        {"array", "o", "doc: \"o\" is not an array"},
        {"array", "a", "doc: \"a\" has more than 1 items"},
        {"time", "i", "doc: \"i\" is not a time"},
        {"time", "s", "doc: \"s\": not a time"},
        {"x bytes", "i", "doc: i: neither"},
    };
    CLEANUP_JSON struct json *j =
        parse("{\"i\":7,\"n\":null,\"s\":\"x\",\"f\":1.5,\"big\":1e300,\"zero\":0,"
              "\"ten\":10,\"a\":[1,2],\"o\":{}}");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        assert_int_equal(get_with(rows[i].getter, j, rows[i].key, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_memory_equal(err.text, rows[i].said, strlen(rows[i].said));
        assert_int_equal(get_with(rows[i].getter, j, "absent", &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_string_equal(err.text, "doc: \"absent\" is missing");
        assert_int_equal(get_with(rows[i].getter, json_get(j, "a"), "k", &err), -1);
        assert_string_equal(err.text, "doc: not an object");
        assert_int_equal(get_with(rows[i].getter, NULL, "k", NULL), -1);
    }
}

static void what_others_write_is_read_leniently(void **state)
{
    static const char text[] = "{\"e\":{\"key\":\"a\"},\"e\":{\"key\":\"b\"},"
                               "\"max\":9223372036854775807,\"s\":\"a\\u0000b\"}";
    CLEANUP_JSON struct json *j = json_parse_lenient(text, sizeof(text) - 1, NULL);

    (void)state;
    assert_non_null(j);
    assert_string_equal(json_string(json_get(json_get(j, "e"), "key")), "a");
    assert_true(json_is_number(json_get(j, "max")));
    assert_false(json_is_integer(json_get(j, "max")));
    assert_string_equal(json_string(json_get(j, "s")), "a");
    assert_int_equal(json_count(j), 4);
}

static void leniency_does_not_make_json_of_what_is_none(void **state)
{
    static const char *const texts[] = {"{\"a\":1} x",
                                        "{\"a\":}",
                                        "[1,]",
                                        "{'a':1}",
                                        "\"\xff\"",
                                        "1e999",
                                        "\"\\ud800\"",
                                        "<html>",
                                        "There is no active RM right now.",
                                        ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct error err = ERROR_INIT;
        assert_null(json_parse_lenient(texts[i], strlen(texts[i]), &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read_and_written),
        cmocka_unit_test(fractions_are_any_finite_double),
        cmocka_unit_test(a_key_stands_once_in_an_object),
        cmocka_unit_test(large_objects_are_checked_for_keys_too),
        cmocka_unit_test(documents_are_built),
        cmocka_unit_test(byte_strings_have_two_forms),
        cmocka_unit_test(malformed_byte_strings_are_refused),
        cmocka_unit_test(byte_strings_keep_to_the_limit),
        cmocka_unit_test(values_are_looked_at),
        cmocka_unit_test(nothing_is_a_value_of_no_type),
        cmocka_unit_test(members_and_items_are_visited_in_order),
        cmocka_unit_test(required_members_are_read),
        cmocka_unit_test(what_is_missing_or_wrong_is_named),
        cmocka_unit_test(what_others_write_is_read_leniently),
        cmocka_unit_test(leniency_does_not_make_json_of_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
