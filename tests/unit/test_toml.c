#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "controller/toml.h"

struct row {
    const char *text, *json; /* json: also a part of the sentence where it is refused */
};

static void a_document_becomes_json(void **state)
{
    static const struct row rows[] = {
        {"", "{}"},
        {"\xef\xbb\xbf# only a comment", "{}"},
        {"a = 1\nb=\"x\" # end\n", "{\"a\":1,\"b\":\"x\"}"},
        {"a = 1\r\nb = 2\r\n", "{\"a\":1,\"b\":2}"},
        {"\"a b\" = 1\n'c\"d' = 2\n\"\" = 3", "{\"a b\":1,\"c\\\"d\":2,\"\":3}"},
        {"a.b.c = 1\na.b.d = 2\n\"x\" . y = 3",
         "{\"a\":{\"b\":{\"c\":1,\"d\":2}},\"x\":{\"y\":3}}"},
        {"3.14 = 1", "{\"3\":{\"14\":1}}"},
        {"[t]\na = 1\n[t.u]\nb = 2\n[v]", "{\"t\":{\"a\":1,\"u\":{\"b\":2}},\"v\":{}}"},
        {"[a.b]\nc=1\n[a]\nd=2", "{\"a\":{\"b\":{\"c\":1},\"d\":2}}"},
        {"[[p]]\nn='a'\n[p.s]\nx=1\n[[p.q]]\ny=2\n[[p]]\nn='b'\n",
         "{\"p\":[{\"n\":\"a\",\"s\":{\"x\":1},\"q\":[{\"y\":2}]},{\"n\":\"b\"}]}"},
        {"[fruit]\napple.color = 'red'\n[fruit.apple.taste]\nsweet = true\n",
         "{\"fruit\":{\"apple\":{\"color\":\"red\",\"taste\":{\"sweet\":true}}}}"},
        {"a = [1, 2,]\nb = [\n  'x', # one\n  'y'\n\n]\nc = []\nd=[[1],[{e=2}]]",
         "{\"a\":[1,2],\"b\":[\"x\",\"y\"],\"c\":[],\"d\":[[1],[{\"e\":2}]]}"},
        {"a = {b = 1, c.d = 'x', \"e f\" = [1]}\nb = {}",
         "{\"a\":{\"b\":1,\"c\":{\"d\":\"x\"},\"e f\":[1]},\"b\":{}}"},
        {"a = \"\\t\\\"\\\\\\u00e9\\U0001F600\"",
         "{\"a\":\"\\t\\\"\\\\\xc3\xa9\xf0\x9f\x98\x80\"}"},
        {"a = 'C:\\x'", "{\"a\":\"C:\\\\x\"}"},
        {"a = \"\"\"\nx\n\"y\" \\\n   z\"\"\"\"", "{\"a\":\"x\\n\\\"y\\\" z\\\"\"}"},
        {"a = '''\nx\\n''y'''''", "{\"a\":\"x\\\\n''y''\"}"},
        {"a=\"\"\nb=''\nc=\"\"\"\"\"\"", "{\"a\":\"\",\"b\":\"\",\"c\":\"\"}"},
        {"a=+1\nb=-0\nc=1_000\nd=0xDE_ad\ne=0o17\nf=0b101",
         "{\"a\":1,\"b\":0,\"c\":1000,\"d\":57005,\"e\":15,\"f\":5}"},
        {"a=1.5\nb=-2e3\nc=1_0.2_5E-1\nd=inf\ne=-nan",
         "{\"a\":1.5,\"b\":-2000,\"c\":1.025,\"d\":\"inf\",\"e\":\"-nan\"}"},
        {"a=true\nb=false", "{\"a\":true,\"b\":false}"},
        {"a=1979-05-27\nb=1979-05-27T07:32:00Z\nc=1979-05-27 "
         "07:32:00.5+01:00\nd=07:32:00",
         "{\"a\":\"1979-05-27\",\"b\":\"1979-05-27T07:32:00Z\","
         "\"c\":\"1979-05-27 07:32:00.5+01:00\",\"d\":\"07:32:00\"}"},
        {"a=9223372036854775807", "{\"a\":9.223372036854776e+18}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *j =
            toml_parse("f.toml", rows[i].text, strlen(rows[i].text), &err);

        if (j == NULL) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        json_write(j, false, &out);
        assert_string_equal(out.data, rows[i].json);
    }
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    static const struct row rows[] = {
        {"a", "f.toml:1: \"a\" has no ="},
        {"\n= 1", "f.toml:2: a key is missing"},
        {"a = 1\na = 2", "f.toml:2: \"a\" is there twice"},
        {"a = 1 b = 2", "f.toml:1: something stands behind"},
        {"a = hello", "\"hello\" is no value"},
        {"a = ", "is no value"},
        {"a = 01", "\"01\" is no value"},
        {"a = 1__0", "is no value"},
        {"a = 1.", "is no value"},
        {"a = .5", "is no value"},
        {"a = 0x", "is no value"},
        {"a = 0b2", "is no value"},
        {"a = 1e", "is no value"},
        {"a = 99999999999999999999", "is no value"},
        {"a = 1979-5-27", "is no value"},
        {"a = \"x", "not closed on its line"},
        {"a = \"x\ny\"", "not closed on its line"},
        {"a = \"\"\"x", "a long string is not closed"},
        {"a = \"\\x\"", "unknown escape"},
        {"a = \"\\u12\"", "hexadecimal digits"},
        {"a = \"\\ud800\"", "no character"},
        {"a = \"\\u0000\"", "no character"},
        {"a = \"\x01\"", "not closed on its line"},
        {"# \x01", "control character"},
        {"a = [1 2]", ", or ]"},
        {"a = [1", ", or ]"},
        {"a = {b = 1", ", or }"},
        {"a = {b = 1,}", "a key is missing"},
        {"a = {\nb = 1}", "a key is missing"},
        {"a = {b = 1, b = 2}", "is there twice"},
        {"[a]\n[a]", "f.toml:2: \"a\" is there twice"},
        {"[a", "not closed"},
        {"[]", "a key is missing"},
        {"[[a]", "not closed"},
        {"a = 1\n[a]", "\"a\" is there twice"},
        {"a = 1\n[a.b]", "is a value, not a table"},
        {"a = {}\n[a.b]", "is a value, not a table"},
        {"a = []\n[[a]]", "is no list of tables"},
        {"[a]\n[[a]]", "is no list of tables"},
        {"[[a]]\n[a]", "is there twice"},
        {"a.b = 1\n[a]", "is there twice"},
        {"a = 1\na.b = 2", "is there already"},
        {"a = {b = 1}\na.c = 2", "is there already"},
        {"[a.b]\nc = 1\n[a]\nb.d = 2", "is there already"},
        {"\"\"\"a\"\"\" = 1", "a key is no long string"},
        {"a = \"\xff\"", "no UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *j =
            toml_parse("f.toml", rows[i].text, strlen(rows[i].text), &err);

        if (j != NULL || strstr(err.text, rows[i].json) == NULL) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_int_equal(err.code, ERR_CONFIG);
    }
}

static void what_is_nested_has_a_largest_depth(void **state)
{
    static const char *const heads[] = {"a = ", "a = ", "", "["};
    static const char *const parts[] = {"[", "{a=", "a.", "a."};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        struct error err = ERROR_INIT;

        strbuf_puts(&text, heads[i]);
        for (int k = 0; k < 100000; k++) {
            strbuf_puts(&text, parts[i]);
        }
        assert_null(toml_parse("f", text.data, text.length, &err));
        assert_true(strstr(err.text, "too deep") || strstr(err.text, "too many parts"));
    }
}

static void a_table_has_a_largest_number_of_keys(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i <= TOML_COUNT_MAX; i++) {
        strbuf_printf(&text, "k%d = 1\n", i);
    }
    assert_null(toml_parse("f", text.data, text.length, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_becomes_json),
        cmocka_unit_test(what_is_wrong_is_said_with_its_line),
        cmocka_unit_test(what_is_nested_has_a_largest_depth),
        cmocka_unit_test(a_table_has_a_largest_number_of_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
