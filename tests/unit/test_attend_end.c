#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/files.h"
#include "executor/attend_inside.h"
#include "tests/unit/scratch.h"

static int set_up(void **state)
{
    *state = scratch_new();
    return 0;
}

static int tear_down(void **state)
{
    scratch_free(*state);
    return 0;
}

/* An application that has ended as YARN says, and whose container was never read. */
static void begin(struct attendance *a, struct attend_yarn *what, struct log *log,
                  struct scratch *scratch)
{
    log->fd = -1;
    *what = (struct attend_yarn){
        .run = "arun", .run_fd = scratch->fd, .attempt = 1, .log = log};
    *a = (struct attendance){
        .what = what,
        .log = {.driver_fd = -1, .spool_fd = -1},
        .app = {.state = YARN_FINISHED, .final = YARN_FINAL_SUCCEEDED},
    };
    assert_int_equal(enginelog_open(&a->engine, scratch->fd, "yarn", 1, NULL), 0);
    run_engine_set(a->engine.engine.application, sizeof(a->engine.engine.application),
                   "application_1_2");
}

/* It was taken for a driver that left without a last word, and so failed. */
static void a_good_end_whose_output_was_never_seen_is_a_good_one(void **state)
{
    struct attend_verdict out;
    struct attendance a;
    struct attend_yarn what;
    struct log log;
    begin(&a, &what, &log, *state);
    attendance_drain(&a);
    attendance_judge(&a, &out);
    assert_int_equal(out.exit.kind, RUN_EXIT_EXITED);
    assert_int_equal(out.exit.code, 0);
    assert_non_null(strstr(out.text, "could not be read"));
    enginelog_close(&a.engine);
}

static void a_driver_without_a_last_word_has_failed(void **state)
{
    struct attend_verdict out;
    struct attendance a;
    struct attend_yarn what;
    struct log log;
    begin(&a, &what, &log, *state);
    attendance_judge(&a, &out); /* its output was read to the end */
    assert_int_equal(out.exit.kind, RUN_EXIT_EXITED);
    assert_int_equal(out.exit.code, 125);
    enginelog_close(&a.engine);
}

static void what_may_have_been_submitted_long_ago_is_unknown(void **state)
{
    struct attend_verdict out;
    struct attendance a;
    struct attend_yarn what;
    struct log log;
    begin(&a, &what, &log, *state);
    a.engine.engine.application[0] = '\0';
    run_engine_set(a.trouble, sizeof(a.trouble), "it was begun long ago");
    attendance_judge(&a, &out);
    assert_int_equal(out.exit.kind, RUN_EXIT_COULD_NOT_START); /* just now: it was not */
    a.is_lost = true;
    attendance_judge(&a, &out);
    assert_int_equal(out.exit.kind, RUN_EXIT_UNKNOWN);
    assert_string_equal(out.text, "it was begun long ago");
    enginelog_close(&a.engine);
}

/* Judge a failed application whose driver said this of itself, or nothing. */
static struct run_exit judge_failed(struct scratch *scratch, struct run_exit word,
                                    const char *logs, const char *diagnostics)
{
    struct attend_verdict out;
    struct attendance a;
    struct attend_yarn what;
    struct log log;
    begin(&a, &what, &log, scratch);
    a.log.word.exit = word;
    a.app.state = YARN_FAILED;
    a.app.final = YARN_FINAL_FAILED;
    snprintf(a.app.driver_logs, sizeof(a.app.driver_logs), "%s", logs);
    snprintf(a.app.diagnostics, sizeof(a.app.diagnostics), "%s", diagnostics);
    attendance_judge(&a, &out);
    enginelog_close(&a.engine);
    return out.exit;
}

#define LOGS "http://node:8042/node/containerlogs/container_1_2_01_000001/me"

/* It was told as the status that its ApplicationMaster ended with, or as SIGTERM. */
static void a_driver_that_yarn_waited_for_in_vain_has_timed_out(void **state)
{
    static const char said[] = "exited with  exitCode: 13\nException: Futures timed out "
                               "after [100000 milliseconds]";
    const struct run_exit none = {.kind = RUN_EXIT_NONE};
    const struct run_exit ended = {.kind = RUN_EXIT_SIGNALED, .signal = 15};
    assert_int_equal(judge_failed(*state, none, LOGS, said).kind, RUN_EXIT_TIMED_OUT);
    assert_int_equal(judge_failed(*state, ended, LOGS, said).kind, RUN_EXIT_TIMED_OUT);
}

/* Each was told as if the script had exited with 1. */
static void what_yarn_did_is_no_status_of_the_scripts(void **state)
{
    static const struct {
        const char *said;
        enum run_exit_kind kind;
        int signal;
    } rows[] = {
        {"exited with  exitCode: -100", RUN_EXIT_UNKNOWN, 0}, /* its node was lost */
        {"exited with  exitCode: -102", RUN_EXIT_SIGNALED, 15},
        {"exited with  exitCode: -104", RUN_EXIT_SIGNALED, 9},
        {"exited with  exitCode: 137", RUN_EXIT_SIGNALED, 9},
    };
    const struct run_exit none = {.kind = RUN_EXIT_NONE};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct run_exit exit = judge_failed(*state, none, LOGS, rows[i].said);
        assert_int_equal(exit.kind, rows[i].kind);
        assert_int_equal(exit.signal, rows[i].signal);
    }
}

static void a_loss_of_output_is_told(void **state)
{
    struct attend_verdict out;
    struct attendance a;
    struct attend_yarn what;
    struct log log;
    begin(&a, &what, &log, *state);
    a.app.final = YARN_FINAL_FAILED;
    a.is_log_lost = true;
    attendance_judge(&a, &out); /* it never had a container */
    assert_null(strstr(out.text, "could not be read"));
    a.log.container.attempt = 1;
    attendance_judge(&a, &out);
    assert_non_null(strstr(out.text, "output could not be read"));
    enginelog_close(&a.engine);
}

/* It was told as if the script had exited with 1. */
static void what_yarn_never_started_could_not_start(void **state)
{
    const struct run_exit none = {.kind = RUN_EXIT_NONE};
    assert_int_equal(judge_failed(*state, none, "", "to unknown queue: x\n").kind,
                     RUN_EXIT_COULD_NOT_START);
    assert_int_equal(
        judge_failed(*state, none, LOGS, "exited with  exitCode: -1000").kind,
        RUN_EXIT_COULD_NOT_START);
    assert_int_equal(judge_failed(*state, none, LOGS, "exited with  exitCode: 5").kind,
                     RUN_EXIT_EXITED);
}

/* It said neither what was wrong nor of which run the logs are. */
static void what_spark_submit_said_last_is_told(void **state)
{
    static const struct {
        const char *log, *said;
    } rows[] = {
        {"Exception in thread \"main\" java.lang.X: why\n\tat a.b(C.java)\n",
         "spark-submit exited with status 1 and YARN has no application of this run: "
         "Exception in thread \"main\" java.lang.X: why; see errand logs --engine arun"},
        {"INFO Client: x\n",
         "spark-submit exited with status 1 and YARN has no application of this run; see "
         "errand logs --engine arun"},
    };
    struct scratch *s = *state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct attend_verdict out;
        struct attendance a;
        struct attend_yarn what;
        struct log log;
        begin(&a, &what, &log, s);
        a.engine.engine.application[0] = '\0';
        a.submit_status = 1 << 8;
        assert_int_equal(files_write_atomic(s->fd, "engine.log", rows[i].log,
                                            strlen(rows[i].log), 0600, NULL),
                         0);
        attendance_judge(&a, &out);
        assert_int_equal(out.exit.kind, RUN_EXIT_COULD_NOT_START);
        assert_string_equal(out.text, rows[i].said);
        enginelog_close(&a.engine);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_good_end_whose_output_was_never_seen_is_a_good_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_driver_without_a_last_word_has_failed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_may_have_been_submitted_long_ago_is_unknown,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_driver_that_yarn_waited_for_in_vain_has_timed_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_yarn_did_is_no_status_of_the_scripts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_spark_submit_said_last_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_loss_of_output_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_yarn_never_started_could_not_start, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
