#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/json_scan.h"
#include "tests/unit/json_texts.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_around_values_is_passed_over),
        cmocka_unit_test(the_text_ends_at_its_length),
        cmocka_unit_test(malformed_text_is_refused_with_its_place),
        cmocka_unit_test(numbers_follow_the_grammar),
        cmocka_unit_test(integers_end_at_two_to_the_53),
        cmocka_unit_test(depth_ends_at_its_limit),
        cmocka_unit_test(siblings_do_not_add_to_the_depth),
        cmocka_unit_test(strings_are_read_with_their_escapes),
        cmocka_unit_test(malformed_strings_are_refused),
        cmocka_unit_test(bytes_that_are_not_utf8_are_refused),
        cmocka_unit_test(every_cut_of_a_document_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
