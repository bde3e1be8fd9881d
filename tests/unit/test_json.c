#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "tests/unit/death.h"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    if (j == NULL) {
        print_error("%s: %s\n", text, err.text);
    }
    assert_non_null(j);
    assert_int_equal(err.code, ERR_NONE);
    return j;
}

static void assert_refused(const char *text, size_t length, enum error_code code,
                           const char *said)
{
    struct error err = ERROR_INIT;
    struct json *j = json_parse(text, length, &err);

    if (j != NULL || err.code != code || strstr(err.text, said) == NULL) {
        print_error("%.*s: \"%s\", expected \"%s\"\n", (int)length, text, err.text, said);
    }
    assert_null(j);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, said));
}

/* As text reads when it was parsed and written again. */
static void assert_rewritten(const char *text, const char *expected)
{
    CLEANUP_JSON struct json *j = parse(text);
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

    json_write(j, false, &out);
    assert_string_equal(out.data, expected);
}

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

static void white_space_around_values_is_passed_over(void **state)
{
    (void)state;
    assert_rewritten(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
                     "{\"a\":[1,2],\"b\":{}}");
}

static void the_text_ends_at_its_length(void **state)
{
    CLEANUP_JSON struct json *j = json_parse("12345", 3, NULL);

    (void)state;
    assert_int_equal(json_integer(j), 123);
    assert_refused("true", 3, ERR_CORRUPT, "byte 0");
    assert_refused("", 0, ERR_CORRUPT, "byte 0");
    assert_refused("[1]\0", 4, ERR_CORRUPT, "byte 3");
}

static void malformed_text_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } rows[] = {
        {" ", "a value at byte 1"},
        {"[1,2] x", "behind the document at byte 6"},
        {"{}{}", "behind the document at byte 2"},
        {"1 2", "behind the document at byte 2"},
        {"\xef\xbb\xbf{}", "a value at byte 0"},
        {"[1,]", "a value at byte 3"},
        {"[,1]", "a value at byte 1"},
        {"[1 2]", "expected ',' or ']' at byte 3"},
        {"[1", "expected ',' or ']' at byte 2"},
        {"[", "a value at byte 1"},
        {"]", "a value at byte 0"},
        {"[1}", "expected ',' or ']' at byte 2"},
        {"{\"a\":1,}", "a string at byte 7"},
        {"{\"a\" 1}", "expected ':' at byte 5"},
        {"{\"a\":}", "a value at byte 5"},
        {"{a:1}", "a string at byte 1"},
        {"{1:1}", "a string at byte 1"},
        {"{\"a\":1", "expected ',' or '}' at byte 6"},
        {"{\"a\"", "expected ':' at byte 4"},
        {"{'a':1}", "a string at byte 1"},
        {"tru", "a value at byte 0"},
        {"True", "a value at byte 0"},
        {"nul", "a value at byte 0"},
        {"truex", "behind the document at byte 4"},
        {"NaN", "a value at byte 0"},
        {"Infinity", "a value at byte 0"},
        {"undefined", "a value at byte 0"},
        {"// note\n1", "a value at byte 0"},
        {"[1]/**/", "behind the document at byte 3"},
        {"\v1", "a value at byte 0"},
        {"\f1", "a value at byte 0"},
        {"\xc2\xa0 1", "a value at byte 0"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_refused(rows[i].text, strlen(rows[i].text), ERR_CORRUPT, rows[i].said);
    }
}

static void numbers_follow_the_grammar(void **state)
{
    static const char *const wrong[] = {"01",    "-",  "-01", "+1",   "1.",  ".5",
                                        "1.e3",  "1e", "1e+", "--1",  "0x1", "1e1.5",
                                        "1_000", "00", "-a",  "1.5.5"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_refused(wrong[i], strlen(wrong[i]), ERR_CORRUPT, "JSON: ");
    }
    assert_rewritten("[1E2,1e+2,10e-1,-0.0,1.50]", "[100,100,1,0,1.5]");
}

static void integers_end_at_two_to_the_53(void **state)
{
    static const char *const over[] = {"9007199254740993", "-9007199254740993",
                                       "[9007199254740994]", "18446744073709551616",
                                       "99999999999999999999999999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(over); i++) {
        assert_refused(over[i], strlen(over[i]), ERR_CORRUPT, "2^53");
    }
    assert_rewritten("[9007199254740992,-9007199254740992,9007199254740991]",
                     "[9007199254740992,-9007199254740992,9007199254740991]");
}

static void fractions_are_any_finite_double(void **state)
{
    (void)state;
    assert_rewritten("[1e30,-2.5e-300,1e-400]", "[1e+30,-2.5e-300,0]");
    assert_refused("1e400", 5, ERR_CORRUPT, "too large");
    assert_refused("{\"a\":[-1e400]}", 14, ERR_CORRUPT, "too large");
}

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

static void nest(struct strbuf *out, const char *open, const char *close, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        strbuf_puts(out, open);
    }
    strbuf_puts(out, "1");
    for (size_t i = 0; i < depth; i++) {
        strbuf_puts(out, close);
    }
}

static void depth_ends_at_its_limit(void **state)
{
    static const struct {
        const char *open;
        const char *close;
    } rows[] = {{"[", "]"}, {"{\"a\":", "}"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf good = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf deep = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf abyss = STRBUF_INIT;

        nest(&good, rows[i].open, rows[i].close, JSON_DEPTH_MAX);
        assert_rewritten(good.data, good.data);
        nest(&deep, rows[i].open, rows[i].close, JSON_DEPTH_MAX + 1);
        assert_refused(deep.data, deep.length, ERR_LIMIT, "levels deep");
        nest(&abyss, rows[i].open, rows[i].close, 100000);
        assert_refused(abyss.data, abyss.length, ERR_LIMIT, "levels deep");
    }
}

static void siblings_do_not_add_to_the_depth(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)state;
    strbuf_puts(&text, "[[]");
    for (size_t i = 0; i < 100; i++) {
        strbuf_puts(&text, ",[],{}");
    }
    strbuf_puts(&text, "]");
    assert_rewritten(text.data, text.data);
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

static void strings_are_read_with_their_escapes(void **state)
{
    static const struct {
        const char *text;
        const char *value;
    } rows[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e4\\u20AC\"", "A\xc3\xa4\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\"\\uffff\\ud7ff\\ue000\"", "\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80"},
        {"\"\x7f\xc3\xa4\"", "\x7f\xc3\xa4"},
        {"\"\\u0001\"", "\x01"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_JSON struct json *j = parse(rows[i].text);

        assert_string_equal(json_string(j), rows[i].value);
    }
}

static void malformed_strings_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } rows[] = {
        {"\"abc", "without end at byte 4"},
        {"\"abc\\", "escape at byte 5"},
        {"\"abc\\\"", "without end at byte 6"},
        {"\"\\x41\"", "escape at byte 2"},
        {"\"\\'\"", "escape at byte 2"},
        {"\"\\U0041\"", "escape at byte 2"},
        {"\"\\u004\"", "escape"},
        {"\"\\u00g0\"", "escape"},
        {"\"\\u", "escape"},
        {"\"\\u+041\"", "escape"},
        {"\"\\u0000\"", "NUL"},
        {"{\"a\\u0000b\":1}", "NUL"},
        {"\"a\nb\"", "control character in a string at byte 2"},
        {"\"\t\"", "control character"},
        {"\"\x1f\"", "control character"},
        {"{\"a\x01\":1}", "control character"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"\\ud800x\"", "surrogate"},
        {"\"\\ud800\\n\"", "surrogate"},
        {"\"\\ud800\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\\ud800\\u00\"", "surrogate"},
        {"\"\\udc00\\ud800\"", "surrogate"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_refused(rows[i].text, strlen(rows[i].text), ERR_CORRUPT, rows[i].said);
    }
    assert_refused("\"a\0b\"", 5, ERR_CORRUPT, "control character in a string at byte 2");
}

static void bytes_that_are_not_utf8_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } rows[] = {
        {"\"a\xff\"", "UTF-8 at byte 2"},    {"\"\xed\xa0\x80\"", "UTF-8 at byte 1"},
        {"\"\xc0\x80\"", "UTF-8 at byte 1"}, {"\"\xf4\x90\x80\x80\"", "UTF-8 at byte 1"},
        {"{\"\xe4\":1}", "UTF-8 at byte 2"}, {"[1,\xc3", "UTF-8 at byte 3"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_refused(rows[i].text, strlen(rows[i].text), ERR_CORRUPT, rows[i].said);
    }
}

static void every_cut_of_a_document_is_refused(void **state)
{
    static const char text[] = "{\"a\": [1.5e3, \"\\u20ac\\ud83d\\ude00\", null], \"b\": "
                               "{\"c\": true, \"d\": \"\xe2\x82\xac\"}}";
    CLEANUP_JSON struct json *whole = parse(text);

    (void)state;
    assert_int_equal(json_count(whole), 2);
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        CLEANUP_FREE char *cut =
            xmemdup(text, length); /* so that a sanitizer sees the end */
        struct error err = ERROR_INIT;

        assert_null(json_parse(cut, length, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read_and_written),
        cmocka_unit_test(white_space_around_values_is_passed_over),
        cmocka_unit_test(the_text_ends_at_its_length),
        cmocka_unit_test(malformed_text_is_refused_with_its_place),
        cmocka_unit_test(numbers_follow_the_grammar),
        cmocka_unit_test(integers_end_at_two_to_the_53),
        cmocka_unit_test(fractions_are_any_finite_double),
        cmocka_unit_test(written_numbers_come_back_to_the_last_bit),
        cmocka_unit_test(numbers_are_written_short),
        cmocka_unit_test(depth_ends_at_its_limit),
        cmocka_unit_test(siblings_do_not_add_to_the_depth),
        cmocka_unit_test(a_key_stands_once_in_an_object),
        cmocka_unit_test(large_objects_are_checked_for_keys_too),
        cmocka_unit_test(strings_are_read_with_their_escapes),
        cmocka_unit_test(malformed_strings_are_refused),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(every_cut_of_a_document_is_refused),
        cmocka_unit_test(strings_are_written_with_few_escapes),
        cmocka_unit_test(what_is_written_is_utf8_whatever_came_in),
        cmocka_unit_test(pretty_text_is_indented),
        cmocka_unit_test(writing_appends),
        cmocka_unit_test(writing_over_the_limit_ends_the_program),
        cmocka_unit_test(documents_are_built),
        cmocka_unit_test(byte_strings_have_two_forms),
        cmocka_unit_test(malformed_byte_strings_are_refused),
        cmocka_unit_test(byte_strings_keep_to_the_limit),
        cmocka_unit_test(values_are_looked_at),
        cmocka_unit_test(nothing_is_a_value_of_no_type),
        cmocka_unit_test(members_and_items_are_visited_in_order),
        cmocka_unit_test(required_members_are_read),
        cmocka_unit_test(what_is_missing_or_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
