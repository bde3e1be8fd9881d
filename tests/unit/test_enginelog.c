#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/enginelog.h"
#include "tests/unit/scratch.h"

static void begin(struct enginelog *log, struct scratch *scratch, int64_t attempt)
{
    struct error err = ERROR_INIT;
    if (enginelog_open(log, scratch->fd, "yarn", attempt, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void what_was_written_is_known_to_who_goes_on(void **state)
{
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    struct enginelog log;
    (void)state;
    begin(&log, scratch, 1);
    assert_false(log.may_be_submitted);
    run_engine_set(log.token, sizeof(log.token), "abc");
    assert_int_equal(enginelog_append(&log, ENGINE_SUBMITTING, "", NULL), 0);
    run_engine_set(log.engine.application, sizeof(log.engine.application), "a_1");
    assert_int_equal(enginelog_append(&log, ENGINE_SUBMITTED, "", NULL), 0);
    log.segment = (struct engine_segment){
        .source = "c_1", .marker = "a line\n", .at = 7, .start = 5};
    assert_int_equal(enginelog_append(&log, ENGINE_LOG, "", NULL), 0);
    assert_int_equal(enginelog_append(&log, ENGINE_STATE, "it runs", NULL), 0);
    enginelog_close(&log);

    begin(&log, scratch, 1);
    assert_true(log.may_be_submitted);
    assert_true(log.submitting_utc_ms > 0);
    assert_false(log.has_ended);
    assert_int_equal(log.seq, 4);
    assert_string_equal(log.token, "abc");
    assert_string_equal(log.engine.application, "a_1");
    assert_string_equal(log.segment.source, "c_1");
    assert_string_equal(log.segment.marker, "a line\n");
    assert_int_equal(log.segment.at, 7);
    assert_int_equal(log.segment.start, 5);
    assert_int_equal(enginelog_append(&log, ENGINE_ENDED, "over", NULL), 0);
    assert_true(log.has_ended);
    enginelog_close(&log);

    struct run_engine engine;
    struct engine_line last;
    assert_int_equal(enginelog_read(scratch->fd, 1, &engine, &last, NULL), 0);
    assert_string_equal(engine.kind, "yarn");
    assert_string_equal(last.text, "over");
    assert_int_equal(last.seq, 5);
}

static void another_attempt_starts_from_nothing(void **state)
{
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    struct enginelog log;
    struct run_engine engine;
    struct engine_line last;
    (void)state;
    begin(&log, scratch, 1);
    assert_int_equal(enginelog_append(&log, ENGINE_SUBMITTING, "one", NULL), 0);
    enginelog_close(&log);
    begin(&log, scratch, 2);
    assert_false(log.may_be_submitted);
    assert_string_equal(log.token, "");
    assert_int_equal(log.seq, 1);
    run_engine_set(log.engine.application, sizeof(log.engine.application), "a_2");
    assert_int_equal(enginelog_append(&log, ENGINE_SUBMITTED, "two", NULL), 0);
    enginelog_close(&log);
    assert_int_equal(enginelog_read(scratch->fd, 2, &engine, &last, NULL), 0);
    assert_string_equal(engine.application, "a_2");
    assert_int_equal(enginelog_read(scratch->fd, 1, &engine, &last, NULL), 0);
    assert_string_equal(engine.application, "");
    assert_string_equal(last.text, "one");
}

static void a_torn_line_never_happened(void **state)
{
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT;
    struct enginelog log;
    (void)state;
    begin(&log, scratch, 1);
    assert_int_equal(enginelog_append(&log, ENGINE_NOTE, "one", NULL), 0);
    assert_int_equal(enginelog_append(&log, ENGINE_SUBMITTING, "two", NULL), 0);
    enginelog_close(&log);
    assert_int_equal(files_read(scratch->fd, "engine", &whole, NULL), 0);
    size_t first = (size_t)(strchr(whole.data, '\n') - whole.data) + 1;
    for (size_t length = first; length < whole.length; length++) {
        scratch_write_bytes(scratch, "engine", whole.data, length, 0600);
        begin(&log, scratch, 1);
        assert_false(log.may_be_submitted);
        assert_int_equal(log.seq, 1);
        assert_int_equal(enginelog_append(&log, ENGINE_NOTE, "three", NULL), 0);
        enginelog_close(&log);
        begin(&log, scratch, 1);
        assert_int_equal(log.seq, 2);
        enginelog_close(&log);
    }
}

static void a_file_that_is_no_such_journal_is_refused(void **state)
{
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    struct enginelog log;
    struct error err = ERROR_INIT;
    (void)state;
    scratch_write(scratch, "engine", "hello\n");
    assert_int_equal(enginelog_open(&log, scratch->fd, "yarn", 1, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(log.fd, -1);
}

static void a_run_without_one_has_none(void **state)
{
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    struct run_engine engine;
    struct engine_line last;
    (void)state;
    assert_int_equal(enginelog_read(scratch->fd, 1, &engine, &last, NULL), 0);
    assert_false(run_engine_is_known(&engine));
    assert_string_equal(last.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_known_to_who_goes_on),
        cmocka_unit_test(another_attempt_starts_from_nothing),
        cmocka_unit_test(a_torn_line_never_happened),
        cmocka_unit_test(a_file_that_is_no_such_journal_is_refused),
        cmocka_unit_test(a_run_without_one_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
