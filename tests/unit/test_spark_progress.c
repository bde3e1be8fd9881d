#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/spark_progress.h"
#include "tests/unit/http_fake.h"

#define JOB(status, stages, more)                                                        \
    "{\"jobId\":0,\"stageIds\":" stages ",\"status\":\"" status "\"" more "}"
#define ONE                                                                              \
    JOB("RUNNING", "[0,1,2,3]",                                                          \
        ",\"numTasks\":400,\"numCompletedTasks\":100,\"numSkippedTasks\":20,"            \
        "\"numCompletedStages\":1,\"numSkippedStages\":1")
#define TWO                                                                              \
    JOB("RUNNING", "[4,5]",                                                              \
        ",\"numTasks\":10,\"numCompletedTasks\":10,"                                     \
        "\"numCompletedStages\":2")

static void what_is_under_way_is_added_up(void **state)
{
    static const struct {
        const char *body, *said;
    } rows[] = {
        {"[]", ""},
        {"[" ONE "]", "stage 3 of 4, 120/400 tasks"},
        {"[" TWO "]", "stage 2 of 2, 10/10 tasks"},
        {"[" ONE "," TWO "]", "2 jobs, stage 5 of 6, 130/410 tasks"},
        {"[" ONE "," JOB("SUCCEEDED", "[7]", ",\"numTasks\":9") "]",
         "stage 3 of 4, 120/400 tasks"},
        {"[" JOB("RUNNING", "[1]", ",\"numTasks\":-7,\"numCompletedTasks\":\"x\"") "]",
         "stage 1 of 1, 0/0 tasks"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
        struct error err = ERROR_INIT;
        const char *body = rows[i].body;
        assert_int_equal(spark_parse_progress(body, strlen(body), &said, &err), 0);
        assert_string_equal(said.data, rows[i].said);
    }
}

static void what_is_no_answer_says_nothing(void **state)
{
    static const char *const bodies[] = {
        "", "<html>", "{}", "[7]", "[{\"status\":\"RUNNING\"}]", "[{\"stageIds\":[]}]",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
        struct error err = ERROR_INIT;
        assert_int_equal(spark_parse_progress(bodies[i], strlen(bodies[i]), &said, &err),
                         -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_int_equal(said.length, 0);
    }
}

static void the_page_is_asked_with_and_without_its_slash(void **state)
{
    static const char url[] = "http://rm/proxy/a_1/api/v1/applications/a_1/jobs"
                              "?status=running";
    const struct fake_answer answers[] = {
        {.method = "GET", .url = url, .status = 200, .body = "[" ONE "]"},
        {.method = "GET", .url = url, .status = 500, .body = "no"},
    };
    struct fake_http fake;
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    struct error err = ERROR_INIT;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(
        spark_ask_progress(&fake.http, "http://rm/proxy/a_1/", "a_1", 1000, &said, &err),
        0);
    assert_string_equal(said.data, "stage 3 of 4, 120/400 tasks");
    assert_int_equal(
        spark_ask_progress(&fake.http, "http://rm/proxy/a_1", "a_1", 1000, &said, &err),
        -1);
    assert_int_equal(err.code, ERR_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_under_way_is_added_up),
        cmocka_unit_test(what_is_no_answer_says_nothing),
        cmocka_unit_test(the_page_is_asked_with_and_without_its_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
