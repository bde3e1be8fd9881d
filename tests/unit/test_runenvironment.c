#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/runenvironment.h"

#define IDENTITY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WHOLE                                                                            \
    "{\"kind\":\"packages\",\"identity\":\"" IDENTITY                                    \
    "\",\"build\":\"20261128T061500Z-ab12\",\"builder\":\"uv 0.5.1\",\"python\":"        \
    "\"3.11.7\",\"lock\":\"" IDENTITY                                                    \
    "\",\"is_reused\":false,\"spent_ms\":2500,\"packages\":12,\"unpinned\":3,"           \
    "\"size_bytes\":262000000}"

static int parse(const char *text, struct run_environment *out, struct error *err)
{
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), NULL);
    assert_non_null(j);
    return run_environment_from_json(j, out, err);
}

static void assert_described(const char *text, const char *expected)
{
    struct run_environment e;
    CLEANUP_STRBUF struct strbuf described = STRBUF_INIT;
    assert_int_equal(parse(text, &e, NULL), 0);
    run_environment_describe(&e, &described);
    assert_string_equal(described.data, expected);
}

static void what_is_written_reads_back(void **state)
{
    struct run_environment e;
    (void)state;
    assert_int_equal(parse(WHOLE, &e, NULL), 0);
    assert_true(run_environment_is_known(&e));
    assert_string_equal(e.identity, IDENTITY);
    assert_int_equal(e.unpinned, 3);
    CLEANUP_JSON struct json *written = run_environment_to_json(&e);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(written, false, &text);
    assert_string_equal(text.data, WHOLE);
}

static void only_the_kind_must_be_known(void **state)
{
    struct run_environment e;
    (void)state;
    assert_int_equal(
        parse("{\"kind\":\"existing\",\"identity\":null,\"packages\":null}", &e, NULL),
        0);
    assert_string_equal(e.identity, "");
    assert_int_equal(e.packages, RUN_ENVIRONMENT_UNKNOWN);
    CLEANUP_JSON struct json *written = run_environment_to_json(&e);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_write(written, false, &text);
    assert_string_equal(text.data, "{\"kind\":\"existing\",\"is_reused\":false}");
    run_environment_init(&e);
    assert_false(run_environment_is_known(&e));
}

static void members_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"kind\":\"\"}",
        "{\"kind\":7}",
        "{\"kind\":\"Packages\"}",
        "{\"kind\":\"packages-of-more-than-thirty-one-letters\"}",
        "{\"kind\":\"packages\",\"identity\":\"../x\"}",
        "{\"kind\":\"packages\",\"build\":\"a/b\"}",
        "{\"kind\":\"packages\",\"python\":\"3\\u001b[31m\"}",
        "{\"kind\":\"packages\",\"spent_ms\":-1}",
        "{\"kind\":\"packages\",\"is_reused\":1}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct run_environment e;
        struct error err = ERROR_INIT;
        run_environment_init(&e);
        assert_int_equal(parse(bad[i], &e, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_false(run_environment_is_known(&e));
    }
}

static void it_is_described_as_far_as_it_is_known(void **state)
{
    (void)state;
    assert_described(WHOLE,
                     "12 packages, 262 MB, built in 2.5 s with uv 0.5.1, Python 3.11.7");
    assert_described("{\"kind\":\"packages\",\"build\":\"b\",\"is_reused\":true,"
                     "\"spent_ms\":3,\"packages\":1,\"python\":\"3.8.20\"}",
                     "1 package, Python 3.8.20");
    assert_described("{\"kind\":\"existing\",\"spent_ms\":3,\"python\":\"3.8.20\"}",
                     "Python 3.8.20");
    assert_described("{\"kind\":\"image\"}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(only_the_kind_must_be_known),
        cmocka_unit_test(members_that_are_none_are_refused),
        cmocka_unit_test(it_is_described_as_far_as_it_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
