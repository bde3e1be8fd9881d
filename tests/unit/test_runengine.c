#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/runengine.h"

#define LINE(seq, attempt, event, more)                                                  \
    "{\"seq\":" #seq ",\"time\":\"2026-11-28T10:00:00.000Z\",\"attempt\":" #attempt      \
    ",\"event\":\"" event "\"" more "}"

static int take(struct run_engine *engine, const char *line, struct engine_line *out)
{
    return run_engine_take(engine, line, strlen(line), out, NULL);
}

static void a_line_says_all_that_is_known(void **state)
{
    struct run_engine e;
    struct engine_line said;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    (void)state;
    run_engine_init(&e);
    assert_false(run_engine_is_known(&e));
    assert_int_equal(
        take(&e, LINE(1, 1, "submitting", ",\"kind\":\"yarn\",\"tag\":\"t\""), &said), 0);
    assert_int_equal(said.event, ENGINE_SUBMITTING);
    assert_string_equal(said.text, "");
    assert_int_equal(
        take(&e,
             LINE(2, 1, "state",
                  ",\"kind\":\"yarn\",\"application\":\"a_1\",\"state\":"
                  "\"RUNNING\",\"text\":\"it\\nruns\",\"log\":{},\"other\":7"),
             &said),
        0);
    assert_string_equal(said.text, "it runs");
    assert_int_equal(said.seq, 2);
    assert_true(run_engine_is_known(&e));
    CLEANUP_JSON struct json *j = run_engine_to_json(&e);
    json_write(j, false, &text);
    assert_string_equal(
        text.data, "{\"kind\":\"yarn\",\"application\":\"a_1\",\"state\":\"RUNNING\"}");
    struct run_engine back;
    assert_int_equal(run_engine_from_json(j, &back, NULL), 0);
    assert_string_equal(back.application, "a_1");
}

static void a_further_attempt_begins_anew(void **state)
{
    struct run_engine e;
    (void)state;
    run_engine_init(&e);
    assert_int_equal(
        take(&e, LINE(1, 1, "state", ",\"kind\":\"yarn\",\"application\":\"a_1\""), NULL),
        0);
    assert_int_equal(take(&e, LINE(2, 2, "submitting", ",\"kind\":\"yarn\""), NULL), 0);
    assert_string_equal(e.application, "");
    assert_int_equal(e.attempt, 2);
}

static void what_is_no_line_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        LINE(0, 1, "state", ""),
        LINE(1, 0, "state", ""),
        LINE(1, 1, "dance", ""),
        LINE(1, 1, "state", ",\"state\":7"),
        LINE(1, 1, "state", ",\"kind\":\"more than fifteen characters\""),
        "{\"seq\":1,\"attempt\":1,\"event\":\"state\"}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct run_engine e;
        struct engine_line said = {.seq = 77};
        struct error err = ERROR_INIT;
        run_engine_init(&e);
        assert_int_equal(run_engine_take(&e, bad[i], strlen(bad[i]), &said, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(said.seq, 77);
        assert_int_equal(e.attempt, 0);
    }
}

static void members_are_cut_at_a_character(void **state)
{
    char member[8] = "";
    (void)state;
    assert_true(run_engine_set(member, sizeof(member), "12345\xc3\xbc\xc3\xbc"));
    assert_string_equal(member, "12345\xc3\xbc");
    assert_false(run_engine_set(member, sizeof(member), "12345\xc3\xbc"));
    assert_true(run_engine_set(member, sizeof(member), "a\tb\x1b"));
    assert_string_equal(member, "a b ");
    assert_true(run_engine_set(member, sizeof(member), "123456\xc3\xbc"));
    assert_string_equal(member, "123456");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_all_that_is_known),
        cmocka_unit_test(a_further_attempt_begins_anew),
        cmocka_unit_test(what_is_no_line_changes_nothing),
        cmocka_unit_test(members_are_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
