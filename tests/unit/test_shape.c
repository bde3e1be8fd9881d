#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/shape.h"

static const char *const words[] = {"end", "now", NULL};
static const struct shape a_string = {.kind = SHAPE_STRING, .min = 1, .max = 3};
static const struct shape an_integer = {.kind = SHAPE_INTEGER, .min = -1, .max = 2};
static const struct shape a_bool = {.kind = SHAPE_BOOL};
static const struct shape a_time = {.kind = SHAPE_TIME};
static const struct shape a_hex = {.kind = SHAPE_HEX, .max = 4};
static const struct shape a_run = {.kind = SHAPE_RUN_ID};
static const struct shape a_word = {.kind = SHAPE_WORD, .words = words};
static const struct shape bytes = {.kind = SHAPE_BYTES, .max = 3};
static const struct shape_member members[] = {
    {"must", &an_integer, false, false},
    {"may", &an_integer, true, false},
    {"null", &an_integer, false, true},
    {NULL, NULL, false, false},
};
static const struct shape an_object = {.kind = SHAPE_OBJECT, .members = members};
static const struct shape any_object = {.kind = SHAPE_OBJECT};
static const struct shape an_array = {
    .kind = SHAPE_ARRAY, .min = 1, .max = 2, .item = &an_integer};
static const struct shape a_map = {.kind = SHAPE_MAP, .max = 2, .item = &a_string};

static int refuse_two(const struct json *value, struct error *err)
{
    return json_integer(value) == 2 ? error_set(err, ERR_CORRUPT, "it is two") : 0;
}

static const struct shape not_two = {
    .kind = SHAPE_INTEGER, .max = 9, .check = refuse_two};

/* As an array of one item, because a document of ours is never a bare value. */
static int check(const struct shape *shape, const char *text, struct error *err)
{
    CLEANUP_STRBUF struct strbuf document = STRBUF_INIT;
    CLEANUP_JSON struct json *j = NULL;

    strbuf_printf(&document, "[%s]", text);
    j = json_parse(document.data, document.length, err);
    assert_non_null(j);
    return shape_check(shape, json_first(j), err);
}

static void values_are_judged_by_their_shape(void **state)
{
    static const struct {
        const struct shape *shape;
        const char *text;
        int result;
    } rows[] = {
        {&a_string, "\"a\"", 0},
        {&a_string, "\"abc\"", 0},
        {&a_string, "\"\"", -1},
        {&a_string, "\"abcd\"", -1},
        {&a_string, "1", -1},
        {&a_string, "null", -1},
        {&an_integer, "-1", 0},
        {&an_integer, "2", 0},
        {&an_integer, "-2", -1},
        {&an_integer, "3", -1},
        {&an_integer, "1.5", -1},
        {&an_integer, "\"1\"", -1},
        {&an_integer, "true", -1},
        {&a_bool, "false", 0},
        {&a_bool, "0", -1},
        {&a_time, "\"2026-11-23T10:00:00.000Z\"", 0},
        {&a_time, "\"2026-11-23\"", -1},
        {&a_time, "0", -1},
        {&a_time, "null", -1},
        {&a_hex, "\"09af\"", 0},
        {&a_hex, "\"09aF\"", -1},
        {&a_hex, "\"09a\"", -1},
        {&a_hex, "\"09aff\"", -1},
        {&a_hex, "9999", -1},
        {&a_run, "\"abcd\"", 0},
        {&a_run, "\"abc\"", -1},
        {&a_run, "1234", -1},
        {&a_word, "\"now\"", 0},
        {&a_word, "\"No\"", -1},
        {&a_word, "null", -1},
        {&bytes, "\"abc\"", 0},
        {&bytes, "\"\"", 0},
        {&bytes, "{\"base64\":\"/////w==\"}", -1},
        {&bytes, "{\"base64\":\"//8=\"}", 0},
        {&bytes, "{\"base64\":\"AA==\"}", -1},
        {&bytes, "\"abcd\"", -1},
        {&bytes, "[]", -1},
        {&an_object, "{\"must\":1,\"null\":1}", 0},
        {&an_object, "{\"must\":1,\"null\":null,\"may\":0,\"more\":[]}", 0},
        {&an_object, "{\"null\":1}", -1},
        {&an_object, "{\"must\":1}", -1},
        {&an_object, "{\"must\":null,\"null\":1}", -1},
        {&an_object, "{\"must\":1,\"null\":1,\"may\":null}", -1},
        {&an_object, "{\"must\":9,\"null\":1}", -1},
        {&an_object, "[]", -1},
        {&any_object, "{}", 0},
        {&any_object, "\"{}\"", -1},
        {&an_array, "[1]", 0},
        {&an_array, "[1,2]", 0},
        {&an_array, "[]", -1},
        {&an_array, "[1,2,1]", -1},
        {&an_array, "[1,9]", -1},
        {&an_array, "{\"a\":1}", -1},
        {&a_map, "{}", 0},
        {&a_map, "{\"a\":\"x\",\"b\":\"y\"}", 0},
        {&a_map, "{\"a\":\"x\",\"b\":\"y\",\"c\":\"z\"}", -1},
        {&a_map, "{\"a\":1}", -1},
        {&a_map, "[\"a\"]", -1},
        {&not_two, "1", 0},
        {&not_two, "2", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        int result = check(rows[i].shape, rows[i].text, &err);

        if (result != rows[i].result) {
            print_error("row %zu: %s\n", i, rows[i].text);
        }
        assert_int_equal(result, rows[i].result);
        assert_int_equal(err.code, result < 0 ? ERR_CORRUPT : ERR_NONE);
    }
}

static void nothing_is_of_no_shape(void **state)
{
    static const struct shape *const shapes[] = {
        &a_string, &an_integer, &a_bool,    &a_time,   &a_hex, &a_run,
        &a_word,   &bytes,      &an_object, &an_array, &a_map};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        assert_int_equal(shape_check(shapes[i], NULL, NULL), -1);
    }
}

static void the_sentence_says_where(void **state)
{
    static const struct shape files = {.kind = SHAPE_ARRAY, .max = 9, .item = &an_object};
    static const struct shape_member outer_members[] = {
        {"files", &files, false, false},
        {NULL, NULL, false, false},
    };
    static const struct shape outer = {.kind = SHAPE_OBJECT, .members = outer_members};
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(
        check(&outer, "{\"files\":[{\"must\":1,\"null\":null},{\"must\":5,\"null\":1}]}",
              &err),
        -1);
    assert_string_equal(err.text, "files: item 2: must: not an integer from -1 to 2");
    assert_int_equal(check(&outer, "{}", &err), -1);
    assert_string_equal(err.text, "\"files\" is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_judged_by_their_shape),
        cmocka_unit_test(nothing_is_of_no_shape),
        cmocka_unit_test(the_sentence_says_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
