#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/yarn.h"
#include "tests/unit/recorded.h"

/* ---- Applications, as a ResourceManager 3.3.6 told of them */

static void read_app(const char *name, struct yarn_app *app)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct error err = ERROR_INIT;

    recorded(name, &body);
    if (yarn_parse_app(body.data, body.length, app, &err) < 0) {
        fail_msg("%s: %s", name, err.text);
    }
}

static void test_an_application_is_read(void **state)
{
    struct yarn_app app;
    (void)state;

    read_app("yarn/exit7.app.json", &app);
    assert_true(yarn_id_is_valid(app.id));
    assert_string_equal(app.user, "root");
    assert_string_equal(app.queue, "default");
    assert_int_equal(app.state, YARN_FINISHED);
    assert_int_equal(app.final, YARN_FINAL_FAILED);
    assert_string_equal(app.diagnostics, "User application exited with status 7");
    assert_non_null(strstr(app.tracking_url, "/proxy/application_"));
    assert_non_null(strstr(app.driver_logs, "/node/containerlogs/container_"));
    assert_true(app.started_utc_ms > 0 && app.finished_utc_ms > app.started_utc_ms);
    assert_int_equal(app.containers, 0);
    assert_true(app.are_logs_collected);
}

static void test_states_mean_phases(void **state)
{
    static const struct {
        const char *name;
        enum yarn_phase phase;
    } rows[] = {
        {"yarn/queued.app.json", YARN_PHASE_WAITING},
        {"yarn/live.accepted.app.json", YARN_PHASE_STARTING},
        {"yarn/live.running.app.json", YARN_PHASE_RUNNING},
        {"yarn/ok.app.json", YARN_PHASE_ENDED},
        {"yarn/no_context.app.json", YARN_PHASE_ENDED},
        {"yarn/live.killed.app.json", YARN_PHASE_ENDED},
        {"yarn/queued.killed.app.json", YARN_PHASE_ENDED},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct yarn_app app;
        read_app(rows[i].name, &app);
        assert_int_equal(yarn_phase(&app), rows[i].phase);
    }
}

/* A killed one that never had a container: its logs are not waited for. */
static void test_logs_of_who_never_ran_are_not_collected(void **state)
{
    struct yarn_app app;
    (void)state;

    read_app("yarn/queued.killed.app.json", &app);
    assert_string_equal(app.driver_logs, "");
    assert_false(app.are_logs_collected);
}

static void test_diagnostics_tell_the_scripts_status(void **state)
{
    static const struct {
        const char *name;
        int script, container; /* -1: not told */
    } rows[] = {
        {"yarn/exit7.app.json", 7, -1},
        {"yarn/exit7_before_context.app.json", 7, 13},
        {"yarn/hard_exit3.app.json", 3, -1},
        {"yarn/text_exit.app.json", 1, -1},
        {"yarn/exception.app.json", 1, -1},
        {"yarn/no_context.app.json", -1, 13},
        {"yarn/ok.app.json", -1, -1},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct yarn_app app;
        int status;
        read_app(rows[i].name, &app);
        assert_int_equal(yarn_script_status(app.diagnostics, &status) ? status : -1,
                         rows[i].script);
        assert_int_equal(yarn_container_status(app.diagnostics, &status) ? status : -1,
                         rows[i].container);
    }
}

static void test_yarns_own_reasons_are_told(void **state)
{
    int status;
    (void)state;

    assert_true(yarn_container_status("AM Container for appattempt_1 exited with  "
                                      "exitCode: -104\nFailing",
                                      &status));
    assert_int_equal(status, -104);
    assert_non_null(strstr(yarn_container_reason(-104), "memory"));
    assert_null(yarn_container_reason(13));
    assert_false(yarn_container_status("exited with  exitCode: ", &status));
    assert_false(yarn_script_status("User application exited with status 99999999999999",
                                    &status));
}

static void test_applications_are_found_by_tag(void **state)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct yarn_app app;
    size_t count;
    (void)state;

    recorded("yarn/exit7.by_tag.json", &body);
    assert_int_equal(yarn_parse_apps(body.data, body.length, &app, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(app.diagnostics, "User application exited with status 7");
    strbuf_reset(&body);
    recorded("yarn/by_tag.none.json", &body);
    assert_int_equal(yarn_parse_apps(body.data, body.length, &app, &count, NULL), 0);
    assert_int_equal(count, 0);
}

#define APP(number, started)                                                             \
    "{\"id\":\"application_17_" #number "\",\"startedTime\":" #started "}"

static void test_of_several_the_first_that_was_started_counts(void **state)
{
    static const struct {
        const char *body;
        size_t count;
        const char *id;
    } rows[] = {
        {"{\"apps\":{\"app\":[" APP(3, 30) "," APP(1, 10) "," APP(2, 20) "]}}", 3,
         "application_17_1"},
        {"{\"apps\":{\"app\":" APP(5, 50) "}}", 1, "application_17_5"},
        {"{\"apps\":{\"app\":[]}}", 0, ""},
        {"{\"apps\":null}", 0, ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct yarn_app app = {.id = ""};
        size_t count;
        assert_int_equal(
            yarn_parse_apps(rows[i].body, strlen(rows[i].body), &app, &count, NULL), 0);
        assert_int_equal(count, rows[i].count);
        assert_string_equal(app.id, rows[i].id);
    }
}

static void test_what_is_no_answer_of_yarn_is_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "<html>login</html>",
        "There is no active RM right now.",
        "{}",
        "[]",
        "{\"app\":{}}",
        "{\"app\":{\"id\":7}}",
        "{\"app\":{\"id\":\"application_1_2/../../x\"}}",
        "{\"app\":{\"id\":\"application__2\"}}",
        "{\"app\":{\"id\":\"job_1_2\"}}",
        "{\"apps\":{\"app\":[{\"id\":\"x\"}]}}",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct error err = ERROR_INIT;
        struct yarn_app app;
        size_t count;
        assert_int_equal(yarn_parse_app(bodies[i], strlen(bodies[i]), &app, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        if (strcmp(bodies[i], "{\"apps\":null}") != 0) {
            assert_int_equal(
                yarn_parse_apps(bodies[i], strlen(bodies[i]), &app, &count, &err), -1);
            assert_int_equal(err.code, ERR_PROTOCOL);
        }
    }
}

static void test_long_diagnostics_are_cut_at_a_character(void **state)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct yarn_app app;
    (void)state;

    strbuf_puts(&body, "{\"app\":{\"id\":\"application_1_2\",\"diagnostics\":\"x");
    for (int i = 0; i < YARN_DIAGNOSTICS_SIZE; i++) {
        strbuf_puts(&body, "\xc3\xbc");
    }
    strbuf_puts(&body, "\"}}");
    assert_int_equal(yarn_parse_app(body.data, body.length, &app, NULL), 0);
    assert_int_equal(strlen(app.diagnostics), YARN_DIAGNOSTICS_SIZE - 1);
    assert_int_equal(app.diagnostics[YARN_DIAGNOSTICS_SIZE - 2], '\xbc');
}

static void test_unknown_and_standby_are_told_apart(void **state)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    static const char standby[] = "There is no active RM right now.\n";
    static const char page[] = "<html><body>404 Not Found</body></html>";
    (void)state;

    recorded("yarn/app.none.json", &body);
    assert_true(yarn_is_unknown(body.data, body.length));
    assert_false(yarn_is_standby(body.data, body.length));
    assert_false(yarn_is_unknown(page, strlen(page)));
    assert_true(yarn_is_standby(standby, strlen(standby)));
    assert_false(yarn_is_unknown(standby, strlen(standby)));
}

/* ---- Sentences */

static void test_where_it_is_is_told_in_one_sentence(void **state)
{
    static const struct {
        const char *name;
        const char *said;
    } rows[] = {
        {"yarn/queued.app.json",
         " waits in queue default: the queue's share for drivers is used up by other "
         "applications; it asks for 2432 MB and 1 core"},
        {"yarn/live.accepted.app.json",
         " is starting: its driver has a container and the script may already run; YARN "
         "says ACCEPTED until there is a SparkContext"},
        {"yarn/live.running.app.json", " is RUNNING in queue default"},
        {"yarn/ok.app.json", " has ended: FINISHED, SUCCEEDED"},
        {"yarn/exit7.app.json",
         " has ended: FINISHED, FAILED: User application exited with status 7"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
        struct yarn_app app;
        read_app(rows[i].name, &app);
        yarn_tell(&app, &said);
        assert_memory_equal(said.data, app.id, strlen(app.id));
        assert_string_equal(said.data + strlen(app.id), rows[i].said);
    }
}

static void test_reasons_for_waiting_are_plain(void **state)
{
    static const struct {
        const char *diagnostics;
        const char *said;
    } rows[] = {
        {"[x] A line\twith\x1b[31m colour\nand more", "a_b: A line"},
        {"A line with\x1b[31m colour", "a_b: A line with [31m colour"},
        {"[Mon Nov 23 07:57:46 +0000 2026] Application is Activated, waiting for "
         "resources to be assigned for AM.  Details : AM Partition = "
         "<DEFAULT_PARTITION> ; Partition Resource = <memory:8192, vCores:8> ; AM "
         "Resource Request = <memory:7168, vCores:2> ; ",
         "a_b: no node has room for its driver at the moment; it asks for 7168 MB and 2 "
         "cores"},
        {"[x] Application is added to the scheduler and is not yet activated. Skipping "
         "AM assignment as cluster resource is empty.  Details : AM Resource Request = "
         "<memory:1, vCores:1>",
         "a_b: no node of the cluster is ready to run anything; it asks for 1 MB and 1 "
         "core"},
        {"[x] Application is added to the scheduler and is not yet activated. User's AM "
         "resource limit exceeded. ",
         "a_b: your share of the queue for drivers is used up by your other "
         "applications"},
        {"[date] Something new.\tmore\nand more", "a_b: Something new."},
        {"", "a_b"},
        {"AM Resource Request = <memory:999999999999999999, vCores:1>",
         "a_b: AM Resource Request = <memory:999999999999999999, vCores:1>"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
        struct yarn_app app = {.state = YARN_ACCEPTED, .queue = "a_b"};
        snprintf(app.diagnostics, sizeof(app.diagnostics), "%s", rows[i].diagnostics);
        yarn_tell(&app, &said);
        assert_memory_equal(said.data, " waits in queue ", 16);
        assert_string_equal(said.data + 16, rows[i].said);
    }
}

/* Its first words, "Application x failed 1 times (global limit =2; ...", tell nothing. */
static void test_the_end_of_a_container_is_plain(void **state)
{
#define FAILED                                                                           \
    "Application application_1_2 failed 1 times (global limit =2; local limit is =1) "   \
    "due to AM Container for appattempt_1_2_000001 exited with "
    static const struct {
        const char *diagnostics;
        const char *said;
    } rows[] = {
        {FAILED " exitCode: 13\nFailing this attempt.Diagnostics: [x]Exception from",
         "its container exited with status 13"},
        {FAILED "exitCode: -104\nFailing", "it used more memory than its container may"},
        {FAILED " exitCode: 13\n(reason: User application exited with status 7)",
         "User application exited with status 7"},
        {"Application rejected by queue", "Application rejected by queue"},
        {FAILED " exitCode: -1000\nFailing", FAILED " exitCode: -1000"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
        struct yarn_app app = {.state = YARN_FAILED, .final = YARN_FINAL_FAILED};
        snprintf(app.diagnostics, sizeof(app.diagnostics), "%s", rows[i].diagnostics);
        yarn_tell(&app, &said);
        assert_memory_equal(said.data, " has ended: FAILED: ", 20);
        assert_string_equal(said.data + 20, rows[i].said);
    }
#undef FAILED
}

/* ---- Containers */

static void test_a_container_is_known_by_its_logs_address(void **state)
{
    static const struct {
        const char *url;
        const char *node, *id;
        int attempt; /* 0: refused */
    } rows[] = {
        {"http://n1:8042/node/containerlogs/container_1795420530931_0002_01_000001/root",
         "http://n1:8042", "container_1795420530931_0002_01_000001", 1},
        {"https://n1:8044/node/containerlogs/container_e17_1795420530931_0002_12_000001"
         "/a/b?c",
         "https://n1:8044", "container_e17_1795420530931_0002_12_000001", 12},
        {"http://n1/node/containerlogs/container_1_2/root", "", "", 0},
        {"http://n1/node/containerlogs/container_1_2_x_1/root", "", "", 0},
        {"http://n1/node/containerlogs/container_1_2_3_4%2f../root", "", "", 0},
        {"http://n1/node/containerlogs/../../x_1_2_3_4", "", "", 0},
        {"http://n1/cluster/app/application_1_2", "", "", 0},
        {"/node/containerlogs/container_1_2_3_4/x", "", "", 0},
        {"", "", "", 0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct yarn_container container;
        struct error err = ERROR_INIT;
        int result = yarn_parse_container(rows[i].url, &container, &err);
        assert_int_equal(result, rows[i].attempt > 0 ? 0 : -1);
        if (result == 0) {
            assert_string_equal(container.node, rows[i].node);
            assert_string_equal(container.id, rows[i].id);
            assert_int_equal(container.attempt, rows[i].attempt);
        } else {
            assert_int_equal(err.code, ERR_PROTOCOL);
        }
    }
}

static void test_attempts_are_listed_oldest_first(void **state)
{
    static const char two[] = "{\"appAttempts\":{\"appAttempt\":["
                              "{\"id\":2,\"logsLink\":\"http://n2:1/node/containerlogs/"
                              "container_1_2_02_000001/u\"},"
                              "{\"id\":3,\"logsLink\":\"\"},"
                              "{\"id\":1,\"logsLink\":\"http://n1:1/node/containerlogs/"
                              "container_1_2_01_000001/u\"}]}}";
    struct yarn_container containers[YARN_ATTEMPTS_MAX];
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct error err = ERROR_INIT;
    size_t count;
    (void)state;

    assert_int_equal(yarn_parse_attempts(two, strlen(two), containers, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(containers[0].node, "http://n1:1");
    assert_int_equal(containers[1].attempt, 2);
    recorded("yarn/live.attempts.json", &body);
    assert_int_equal(
        yarn_parse_attempts(body.data, body.length, containers, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(containers[0].attempt, 1);
    assert_int_equal(yarn_parse_attempts("{}", 2, containers, &count, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

/* ---- Logs */

static void test_a_log_is_cut_by_its_length(void **state)
{
    static const struct {
        const char *name;
        int64_t asked;
        uint64_t start, length;
    } rows[] = {
        {"yarn/live.log.size0.txt", 0, 0, 0},
        {"yarn/live.log.size6.txt", 6, 0, 6},
        {"yarn/live.log.size-10.txt", -10, 50, 10},
        {"yarn/live.log.size-100000.txt", -100000, 0, 60},
        {"yarn/live.ended.log.size0.txt", 0, 60, 0},
        {"yarn/live.ended.log.size-10.txt", -10, 50, 10},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
        struct yarn_log log;
        struct error err = ERROR_INIT;
        recorded(rows[i].name, &body);
        if (yarn_parse_log(body.data, body.length, body.length, rows[i].asked, &log,
                           &err) < 0) {
            fail_msg("%s: %s", rows[i].name, err.text);
        }
        assert_int_equal(log.total, 60);
        assert_int_equal(log.length, rows[i].length);
        if (rows[i].asked != 0) {
            assert_int_equal(log.start, rows[i].start);
        }
        const char *end = body.data + log.content_at + log.length;
        assert_true(yarn_is_log_end(end, (size_t)(body.data + body.length - end)));
    }
}

#define HEAD "Container: c on n:1\nLogAggregationType: LOCAL\n====\nLogType:stdout\n"

static void test_a_log_may_hold_what_looks_like_its_frame(void **state)
{
    static const char body[] = HEAD "LogLength:43\nLogContents:\n"
                                    "LogLength:9\nLogContents:\nEnd of LogType:std"
                                    "End of LogType:stdout\n";
    struct yarn_log log;
    (void)state;

    assert_int_equal(yarn_parse_log(body, strlen(body), strlen(body), -1000, &log, NULL),
                     0);
    assert_int_equal(log.total, 43);
    assert_int_equal(log.length, 43);
    assert_memory_equal(body + log.content_at, "LogLength:9\n", 12);
    assert_true(yarn_is_log_end(body + log.content_at + 43, 20));
    assert_false(yarn_is_log_end(body + log.content_at + 42, 20));
}

static void test_what_is_no_log_is_refused(void **state)
{
    static const struct {
        const char *body;
        enum error_code code;
    } rows[] = {
        {"Can not find logs for container:container_1", ERR_NOT_FOUND},
        {"", ERR_PROTOCOL},
        {"<html>", ERR_PROTOCOL},
        {"LogLength:3\nLogContents:\nabc", ERR_PROTOCOL},
        {HEAD "LogLength:\nLogContents:\nabc", ERR_PROTOCOL},
        {HEAD "LogLength:-3\nLogContents:\nabc", ERR_PROTOCOL},
        {HEAD "LogLength:99999999999999999999999\nLogContents:\nabc", ERR_PROTOCOL},
        {HEAD "LogLength:4\nLogContents:\nabc", ERR_PROTOCOL},
        {HEAD "LogContents:\nLogLength:3\nabc", ERR_PROTOCOL},
        {HEAD "LogLength:3\n", ERR_PROTOCOL},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct yarn_log log;
        struct error err = ERROR_INIT;
        size_t length = strlen(rows[i].body);
        assert_int_equal(yarn_parse_log(rows[i].body, length, length, -10, &log, &err),
                         -1);
        assert_int_equal(err.code, rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_application_is_read),
        cmocka_unit_test(test_states_mean_phases),
        cmocka_unit_test(test_logs_of_who_never_ran_are_not_collected),
        cmocka_unit_test(test_diagnostics_tell_the_scripts_status),
        cmocka_unit_test(test_yarns_own_reasons_are_told),
        cmocka_unit_test(test_applications_are_found_by_tag),
        cmocka_unit_test(test_of_several_the_first_that_was_started_counts),
        cmocka_unit_test(test_what_is_no_answer_of_yarn_is_refused),
        cmocka_unit_test(test_long_diagnostics_are_cut_at_a_character),
        cmocka_unit_test(test_unknown_and_standby_are_told_apart),
        cmocka_unit_test(test_where_it_is_is_told_in_one_sentence),
        cmocka_unit_test(test_reasons_for_waiting_are_plain),
        cmocka_unit_test(test_the_end_of_a_container_is_plain),
        cmocka_unit_test(test_a_container_is_known_by_its_logs_address),
        cmocka_unit_test(test_attempts_are_listed_oldest_first),
        cmocka_unit_test(test_a_log_is_cut_by_its_length),
        cmocka_unit_test(test_a_log_may_hold_what_looks_like_its_frame),
        cmocka_unit_test(test_what_is_no_log_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
