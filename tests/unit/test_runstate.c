#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/runstate.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define STORE "0123456789abcdef0123456789abcdef"
#define BOOT "6a1b2c3d-0000-4000-8000-1234567890ab"
#define TIME(n) "\"time\":\"2026-11-23T10:00:0" #n ".000Z\""

#define FIRST                                                                            \
    "{\"seq\":1," TIME(0) ",\"attempt\":1,\"state\":\"Starting\",\"reason\":\"\","       \
                          "\"node\":\"" DIGEST "\",\"store\":\"" STORE                   \
                          "\",\"boot\":\"" BOOT "\",\"executor\":\"" DIGEST "\"}"
#define QUEUED                                                                           \
    "{\"seq\":2," TIME(1) ",\"attempt\":1,\"state\":\"Queued\",\"reason\":\"r2\","       \
                          "\"queued\":\"a slot\"}"
#define RUNNING                                                                          \
    "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"r3\","      \
                          "\"process\":{\"boot\":\"" BOOT                                \
                          "\",\"pid\":42,\"start\":99},\"log_offset\":7}"
#define FINALIZING                                                                       \
    "{\"seq\":4," TIME(3) ",\"attempt\":1,\"state\":\"Finalizing\",\"reason\":\"\"}"
#define COMPLETED                                                                        \
    "{\"seq\":5," TIME(4) ",\"attempt\":1,\"state\":\"Completed\",\"reason\":\"done\","  \
                          "\"exit\":{\"kind\":\"exited\",\"code\":0},"                   \
                          "\"proof\":\"tree\",\"ended\":2,\"survivors\":1,"              \
                          "\"outputs\":{\"root\":\"" DIGEST                              \
                          "\",\"files\":3,\"size_bytes\":4,"                             \
                          "\"warnings\":[\"w1\",\"w2\"]},\"logs\":{\"driver.log\":10,"   \
                          "\"control.log\":11,\"metrics\":12}}"

static int take(struct run_status *status, const char *line)
{
    return run_status_take(status, line, strlen(line), NULL);
}

/* A line with nothing special; 0 where it was folded. */
static int take_plain(struct run_status *status, int seq, int attempt, const char *state)
{
    char line[256];

    snprintf(line, sizeof(line),
             "{\"seq\":%d," TIME(5) ",\"attempt\":%d,\"state\":\"%s\",\"reason\":\"\"}",
             seq, attempt, state);
    return take(status, line);
}

static void every_state_has_a_name_that_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < RUN_STATE_COUNT; i++) {
        enum run_state parsed;

        assert_int_equal(
            run_state_parse(run_state_name((enum run_state)i), &parsed, NULL), 0);
        assert_int_equal(parsed, i);
        assert_int_equal(run_state_is_final((enum run_state)i),
                         i == RUN_COMPLETED || i == RUN_FAILED || i == RUN_CANCELED);
    }
}

static void names_of_no_state_are_refused(void **state)
{
    static const char *const names[] = {"", "completed", "Complete", "Completed "};
    struct error err = ERROR_INIT;
    enum run_state parsed;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(run_state_parse(names[i], &parsed, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void signals_have_names_that_read_back(void **state)
{
    char name[RUN_SIGNAL_SIZE];

    (void)state;
    for (int i = 1; i <= 64; i++) {
        assert_int_equal(run_signal_parse(run_signal_name(i, name)), i);
    }
    assert_string_equal(run_signal_name(SIGKILL, name), "SIGKILL");
    assert_string_equal(run_signal_name(40, name), "SIG40");
    assert_int_equal(run_signal_parse("SIGNONE"), 0);
    assert_int_equal(run_signal_parse("KILL"), 0);
    assert_int_equal(run_signal_parse("SIG128"), 0);
    assert_int_equal(run_signal_parse("SIG-1"), 0);
    assert_int_equal(run_signal_parse(""), 0);
}

static void every_exit_reads_back(void **state)
{
    (void)state;
    for (int kind = RUN_EXIT_NONE + 1; kind < RUN_EXIT_COUNT; kind++) {
        struct run_exit exit = {.kind = (enum run_exit_kind)kind};
        struct run_exit back;
        struct json *j;

        exit.code = kind == RUN_EXIT_EXITED || kind == RUN_EXIT_COULD_NOT_START ? 126 : 0;
        exit.signal =
            kind == RUN_EXIT_SIGNALED || kind == RUN_EXIT_OUT_OF_MEMORY ? SIGTERM : 0;
        j = run_exit_to_json(&exit);
        assert_int_equal(run_exit_from_json(j, &back, NULL), 0);
        assert_memory_equal(&back, &exit, sizeof(exit));
        json_free(j);
    }
}

static void an_exit_is_written_as_the_formats_say(void **state)
{
    struct run_exit exit = {.kind = RUN_EXIT_SIGNALED, .signal = SIGSEGV};
    CLEANUP_JSON struct json *j = run_exit_to_json(&exit);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)state;
    json_write(j, false, &text);
    assert_string_equal(text.data, "{\"kind\":\"signaled\",\"signal\":\"SIGSEGV\"}");
}

static void exits_that_are_none_are_refused(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"kind\":1}",
        "{\"kind\":\"none\"}",
        "{\"kind\":\"Exited\",\"code\":0}",
        "{\"kind\":\"exited\"}",
        "{\"kind\":\"exited\",\"code\":256}",
        "{\"kind\":\"exited\",\"code\":-1}",
        "{\"kind\":\"exited\",\"code\":\"0\"}",
        "{\"kind\":\"signaled\"}",
        "{\"kind\":\"signaled\",\"signal\":9}",
        "{\"kind\":\"could_not_start\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_JSON struct json *j = json_parse(texts[i], strlen(texts[i]), NULL);
        struct run_exit exit = {.kind = RUN_EXIT_TIMED_OUT};
        struct error err = ERROR_INIT;

        assert_int_equal(run_exit_from_json(j, &exit, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(exit.kind, RUN_EXIT_TIMED_OUT);
    }
}

static void a_signal_that_this_platform_lacks_is_still_an_exit(void **state)
{
    static const char text[] = "{\"kind\":\"signaled\",\"signal\":\"SIGEMT\"}";
    CLEANUP_JSON struct json *j = json_parse(text, sizeof(text) - 1, NULL);
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    struct run_exit exit;

    (void)state;
    assert_int_equal(run_exit_from_json(j, &exit, NULL), 0);
    assert_int_equal(exit.kind, RUN_EXIT_SIGNALED);
    assert_int_equal(exit.signal, 0);
    run_exit_describe(&exit, &said);
    assert_string_equal(said.data, "was killed by a signal");
}

static void exits_are_described(void **state)
{
    static const struct {
        struct run_exit exit;
        const char *text;
    } rows[] = {
        {{RUN_EXIT_NONE, 0, 0}, "has not ended"},
        {{RUN_EXIT_EXITED, 3, 0}, "exited with status 3"},
        {{RUN_EXIT_SIGNALED, 0, SIGKILL}, "was killed by SIGKILL"},
        {{RUN_EXIT_OUT_OF_MEMORY, 0, SIGKILL}, "ran out of memory"},
        {{RUN_EXIT_TIMED_OUT, 0, 0}, "reached its time limit"},
        {{RUN_EXIT_UNKNOWN, 0, 0}, "ended in a way that is not known"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

        run_exit_describe(&rows[i].exit, &text);
        assert_string_equal(text.data, rows[i].text);
    }
}

static void the_exit_status_is_what_the_command_line_promises(void **state)
{
    static const struct {
        enum run_state state;
        struct run_exit exit;
        int status;
    } rows[] = {
        {RUN_COMPLETED, {RUN_EXIT_EXITED, 0, 0}, 0},
        {RUN_FAILED, {RUN_EXIT_EXITED, 3, 0}, 3},
        {RUN_FAILED, {RUN_EXIT_EXITED, 255, 0}, 255},
        /* A run that failed never ends a pipeline well. */
        {RUN_FAILED, {RUN_EXIT_EXITED, 0, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_SIGNALED, 0, 11}, 139},
        {RUN_FAILED, {RUN_EXIT_OUT_OF_MEMORY, 0, 9}, 137},
        {RUN_FAILED, {RUN_EXIT_TIMED_OUT, 0, 0}, 124},
        {RUN_FAILED, {RUN_EXIT_COULD_NOT_START, 126, 0}, 126},
        {RUN_FAILED, {RUN_EXIT_COULD_NOT_START, 127, 0}, 127},
        {RUN_FAILED, {RUN_EXIT_COULD_NOT_START, 125, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_COULD_NOT_START, 0, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_NODE_RESTARTED, 0, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_SUPERVISOR_LOST, 0, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_ENVIRONMENT_FAILED, 0, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_UNKNOWN, 0, 0}, 125},
        {RUN_FAILED, {RUN_EXIT_NONE, 0, 0}, 125},
        {RUN_CANCELED, {RUN_EXIT_CANCELED, 0, 0}, 143},
        {RUN_CANCELED, {RUN_EXIT_EXITED, 0, 0}, 143},
        {RUN_RUNNING, {RUN_EXIT_NONE, 0, 0}, 125},
        {RUN_FINALIZING, {RUN_EXIT_EXITED, 0, 0}, 125},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(run_exit_status(rows[i].state, &rows[i].exit), rows[i].status);
    }
}

static void a_journal_is_folded(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(s.seq, 0);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(s.state, RUN_STARTING);
    assert_string_equal(s.node, DIGEST);
    assert_string_equal(s.store, STORE);
    assert_string_equal(s.boot, BOOT);
    assert_string_equal(s.executor, DIGEST);
    assert_string_equal(s.reason, "");
    assert_int_equal(take(&s, QUEUED), 0);
    assert_string_equal(s.queued, "a slot");
    assert_int_equal(take(&s, RUNNING), 0);
    assert_null(s.queued);
    assert_int_equal(s.process.pid, 42);
    assert_int_equal(s.process.start, 99);
    assert_string_equal(s.process.boot, BOOT);
    assert_int_equal(s.log_offset, 7);
    assert_int_equal(s.ended_utc_ms, 0);
    assert_int_equal(take(&s, FINALIZING), 0);
    assert_int_equal(take(&s, COMPLETED), 0);
    assert_int_equal(s.seq, 5);
    assert_int_equal(s.state, RUN_COMPLETED);
    assert_string_equal(s.reason, "done");
    assert_int_equal(s.exit.kind, RUN_EXIT_EXITED);
    assert_int_equal(s.started_utc_ms - s.created_utc_ms, 2000);
    assert_int_equal(s.ended_utc_ms - s.created_utc_ms, 4000);
    assert_string_equal(s.proof, "tree");
    assert_int_equal(s.ended, 2);
    assert_int_equal(s.survivors, 1);
    assert_true(s.has_outputs);
    assert_int_equal(s.outputs_root.digest[1], 0x23);
    assert_int_equal(s.outputs_files, 3);
    assert_int_equal(s.outputs_size_bytes, 4);
    assert_int_equal(s.outputs_warnings->count, 2);
    assert_int_equal(s.driver_log_bytes, 10);
    assert_int_equal(s.control_log_bytes, 11);
    assert_int_equal(s.metrics_bytes, 12);
    run_status_release(&s);
    assert_null(s.reason);
}

static void lines_taken_before_are_ignored(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, QUEUED), 0);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, QUEUED), 0);
    assert_int_equal(s.seq, 2);
    assert_int_equal(s.state, RUN_QUEUED);
    assert_int_equal(take(&s, RUNNING), 0);
    run_status_release(&s);
}

static void a_torn_line_leaves_the_status_as_it_was(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    for (size_t length = 0; length < strlen(QUEUED); length++) {
        struct error err = ERROR_INIT;

        assert_int_equal(run_status_take(&s, QUEUED, length, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(s.seq, 1);
        assert_int_equal(s.state, RUN_STARTING);
        assert_string_equal(s.reason, "");
    }
    assert_int_equal(take(&s, QUEUED), 0);
    run_status_release(&s);
}

static void lines_out_of_order_are_refused(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, QUEUED), -1);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, RUNNING), -1);
    assert_int_equal(s.seq, 1);
    assert_int_equal(take(&s, QUEUED), 0);
    assert_int_equal(take(&s, RUNNING), 0);
    assert_int_equal(s.seq, 3);
    run_status_release(&s);
}

static void states_follow_one_another_only_as_they_may(void **state)
{
    static const struct {
        const char *before;
        const char *after;
        int attempt; /* of after; before has 1 */
        int result;
    } rows[] = {
        {"Starting", "Running", 1, 0},
        {"Running", "Queued", 1, -1},
        {"Running", "Starting", 1, -1},
        {"Queued", "Queued", 1, 0},
        {"Running", "CancelRequested", 1, 0},
        {"CancelRequested", "Running", 1, -1},
        {"CancelRequested", "Canceled", 1, 0},
        {"CancelRequested", "Finalizing", 1, 0},
        {"Finalizing", "CancelRequested", 1, 0},
        {"Running", "Starting", 2, 0},
        {"Running", "Queued", 2, 0},
        {"Running", "Running", 3, -1},
        {"Running", "NotResponding", 1, -1},
        {"Completed", "Starting", 2, -1},
        {"Failed", "Failed", 1, -1},
        {"Canceled", "CancelRequested", 1, -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct run_status s;

        run_status_init(&s);
        assert_int_equal(take(&s, FIRST), 0);
        assert_int_equal(take_plain(&s, 2, 1, rows[i].before), 0);
        assert_int_equal(take_plain(&s, 3, rows[i].attempt, rows[i].after),
                         rows[i].result);
        run_status_release(&s);
    }
}

static void attempts_only_go_up(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take_plain(&s, 1, 2, "Starting"), -1);
    assert_int_equal(take_plain(&s, 1, 1, "Running"), -1);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take_plain(&s, 2, 2, "Starting"), 0);
    assert_int_equal(take_plain(&s, 3, 1, "Running"), -1);
    assert_int_equal(s.attempt, 2);
    run_status_release(&s);
}

static void a_new_attempt_has_no_process_yet(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, QUEUED), 0);
    assert_int_equal(take(&s, RUNNING), 0);
    assert_int_equal(take_plain(&s, 4, 2, "Preparing"), 0);
    assert_int_equal(s.process.pid, 0);
    assert_string_equal(s.process.boot, "");
    run_status_release(&s);
}

static void times_are_of_the_current_attempt(void **state)
{
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(s.took_us[RUN_TOOK_CHECKOUT], RUN_TOOK_UNKNOWN);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(
        take(&s, "{\"seq\":2," TIME(
                     1) ",\"attempt\":1,"
                        "\"state\":\"Running\",\"reason\":\"\","
                        "\"took\":{\"checkout_us\":5,\"launch_us\":6,\"x\":null}}"),
        0);
    assert_int_equal(s.took_us[RUN_TOOK_CHECKOUT], 5);
    assert_int_equal(s.took_us[RUN_TOOK_LAUNCH], 6);
    assert_int_equal(s.took_us[RUN_TOOK_SCRIPT], RUN_TOOK_UNKNOWN);
    assert_int_equal(take_plain(&s, 3, 2, "Starting"), 0);
    assert_int_equal(s.took_us[RUN_TOOK_CHECKOUT], RUN_TOOK_UNKNOWN);
    run_status_release(&s);
}

/* FIRST and QUEUED, then a third line with one thing wrong. */
static void lines_with_bad_members_are_refused(void **state)
{
    static const char *const lines[] = {
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"reason\":\"\"}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\"}",
        "{\"seq\":3,\"attempt\":1,\"state\":\"Running\",\"reason\":\"\"}",
        "{\"seq\":3," TIME(2) ",\"state\":\"Running\",\"reason\":\"\"}",
        "{\"seq\":\"3\"," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\"}",
        "{" TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\"}",
        "{\"seq\":3," TIME(2) ",\"attempt\":0,\"state\":\"Running\",\"reason\":\"\"}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"log_offset\":-1}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"took\":{\"launch_us\":-1}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"took\":{\"checkout_us\":\"1\"}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"process\":{\"boot\":\"\",\"pid\":1}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"node\":\"" DIGEST "0\"}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"boot\":\"../x\"}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"environment\":{\"identity\":\"0\"}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\","
                              "\"exit\":{\"kind\":\"exited\"}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\","
                              "\"proof\":\"word\"}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\","
                              "\"outputs\":{\"root\":\"0\"}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\","
                              "\"outputs\":{\"root\":null,\"warnings\":[\"w\",1]}}",
        "{\"seq\":3," TIME(2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\","
                              "\"logs\":{\"driver.log\":\"1\"}}",
        "[]",
        "3",
        "{\"seq\":3",
    };
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, QUEUED), 0);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct run_status before = s;
        struct error err = ERROR_INIT;

        assert_int_equal(run_status_take(&s, lines[i], strlen(lines[i]), &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_memory_equal(&s, &before, sizeof(s));
    }
    run_status_release(&s);
}

static void the_environment_is_what_was_said_last(void **state)
{
    static const char running[] = "{\"seq\":3," TIME(
        2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\",\"environment\":{"
           "\"kind\":\"packages\",\"build\":\"b\",\"spent_ms\":5}}";
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, QUEUED), 0);
    assert_false(run_environment_is_known(&s.environment));
    assert_int_equal(take(&s, running), 0);
    assert_int_equal(take_plain(&s, 4, 1, "Finalizing"), 0);
    assert_string_equal(s.environment.build, "b");
    assert_int_equal(s.environment.spent_ms, 5);
    run_status_release(&s);
    assert_false(run_environment_is_known(&s.environment));
}

static void the_engine_is_what_was_said_last(void **state)
{
    static const char running[] = "{\"seq\":3," TIME(
        2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\",\"engine\":{"
           "\"kind\":\"yarn\",\"application\":\"a_1\"}}";
    static const char wrong[] = "{\"seq\":5," TIME(
        2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\",\"engine\":7}";
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, QUEUED), 0);
    assert_false(run_engine_is_known(&s.engine));
    assert_int_equal(take(&s, running), 0);
    assert_int_equal(take_plain(&s, 4, 1, "Finalizing"), 0);
    assert_string_equal(s.engine.application, "a_1");
    assert_int_equal(take(&s, wrong), -1);
    run_status_release(&s);
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    char line[JOURNAL_LINE_MAX + 2];
    struct run_status s;

    (void)state;
    run_status_init(&s);
    memset(line, ' ', sizeof(line));
    memcpy(line, FIRST, strlen(FIRST));
    assert_int_equal(run_status_take(&s, line, JOURNAL_LINE_MAX + 1, NULL), -1);
    assert_int_equal(run_status_take(&s, line, JOURNAL_LINE_MAX, NULL), 0);
    run_status_release(&s);
}

static void outputs_that_are_none_are_told_from_none_that_were_collected(void **state)
{
    static const char nothing[] = "{\"seq\":2," TIME(
        2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\",\"outputs\":null}";
    static const char empty[] = "{\"seq\":2," TIME(
        2) ",\"attempt\":1,\"state\":\"Failed\",\"reason\":\"\",\"outputs\":{\"root\":"
           "null,\"files\":0,\"size_bytes\":0,\"warnings\":[]}}";
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, nothing), 0);
    assert_false(s.has_outputs);
    run_status_release(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, empty), 0);
    assert_true(s.has_outputs);
    assert_true(oid_is_zero(&s.outputs_root));
    assert_null(s.outputs_warnings);
    run_status_release(&s);
}

static void members_of_a_later_version_are_ignored(void **state)
{
    static const char line[] =
        "{\"seq\":2," TIME(2) ",\"attempt\":1,\"state\":\"Running\",\"reason\":\"\","
                              "\"weather\":{\"a\":[1]}}";
    struct run_status s;

    (void)state;
    run_status_init(&s);
    assert_int_equal(take(&s, FIRST), 0);
    assert_int_equal(take(&s, line), 0);
    run_status_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_a_name_that_reads_back),
        cmocka_unit_test(names_of_no_state_are_refused),
        cmocka_unit_test(signals_have_names_that_read_back),
        cmocka_unit_test(every_exit_reads_back),
        cmocka_unit_test(an_exit_is_written_as_the_formats_say),
        cmocka_unit_test(exits_that_are_none_are_refused),
        cmocka_unit_test(a_signal_that_this_platform_lacks_is_still_an_exit),
        cmocka_unit_test(exits_are_described),
        cmocka_unit_test(the_exit_status_is_what_the_command_line_promises),
        cmocka_unit_test(a_journal_is_folded),
        cmocka_unit_test(lines_taken_before_are_ignored),
        cmocka_unit_test(a_torn_line_leaves_the_status_as_it_was),
        cmocka_unit_test(lines_out_of_order_are_refused),
        cmocka_unit_test(states_follow_one_another_only_as_they_may),
        cmocka_unit_test(attempts_only_go_up),
        cmocka_unit_test(a_new_attempt_has_no_process_yet),
        cmocka_unit_test(times_are_of_the_current_attempt),
        cmocka_unit_test(lines_with_bad_members_are_refused),
        cmocka_unit_test(the_environment_is_what_was_said_last),
        cmocka_unit_test(the_engine_is_what_was_said_last),
        cmocka_unit_test(a_line_that_is_too_long_is_refused),
        cmocka_unit_test(outputs_that_are_none_are_told_from_none_that_were_collected),
        cmocka_unit_test(members_of_a_later_version_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
