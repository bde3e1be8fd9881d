#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/livy.h"
#include "tests/unit/http_fake.h"

#define URL "https://gw.test/livy"

/* ---- Answers, as servers gave them */

static const char batch_07[] =
    "{\"id\":34,\"name\":\"errand-k7m2-1\",\"owner\":null,\"proxyUser\":null,"
    "\"state\":\"running\",\"appId\":null,\"appInfo\":{\"driverLogUrl\":null,"
    "\"sparkUiUrl\":null},\"log\":[\"stdout: \",\"\\nstderr: \"]}";
static const char batch_09[] =
    "{\"id\":7,\"name\":null,\"owner\":\"admin\",\"proxyUser\":\"admin\",\"state\":"
    "\"starting\",\"appId\":\"application_1795420530931_0002\",\"appInfo\":{"
    "\"driverLogUrl\":\"http://w:8042/node/containerlogs/c/u\",\"sparkUiUrl\":"
    "\"http://rm:8088/proxy/a/\",\"executorLogUrls\":{}},\"log\":[]}";
static const char batch_05[] =
    "{\"id\":0,\"state\":\"dead\",\"appId\":null,\"appInfo\":{\"driverLogUrl\":null,"
    "\"sparkUiUrl\":null},\"log\":[\"stdout: \",\"\\nstderr: \"]}";

static void a_batch_of_each_version_is_read(void **state)
{
    struct livy_batch batch;
    (void)state;
    assert_int_equal(livy_decode_batch(batch_07, strlen(batch_07), &batch, NULL), 0);
    assert_int_equal(batch.id, 34);
    assert_string_equal(batch.name, "errand-k7m2-1");
    assert_int_equal(batch.state, LIVY_RUNNING);
    assert_string_equal(batch.application, "");
    assert_false(batch.is_silent);
    assert_int_equal(livy_decode_batch(batch_09, strlen(batch_09), &batch, NULL), 0);
    assert_string_equal(batch.name, "");
    assert_string_equal(batch.application, "application_1795420530931_0002");
    assert_string_equal(batch.tracking_url, "http://rm:8088/proxy/a/");
    assert_string_equal(batch.driver_log_url, "http://w:8042/node/containerlogs/c/u");
    assert_int_equal(livy_decode_batch(batch_05, strlen(batch_05), &batch, NULL), 0);
    assert_int_equal(batch.state, LIVY_DEAD);
    assert_string_equal(batch.name, "");
}

/* A log is whatever a driver writes, and lies in its batch's own answer. */
static void a_batch_whose_log_has_a_nul_is_read(void **state)
{
    static const char text[] = "{\"id\":3,\"state\":\"running\",\"appInfo\":{},"
                               "\"log\":[\"a\\u0000b\",9007199254740993]}";
    struct livy_batch batch;
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(livy_decode_batch(text, strlen(text), &batch, &err), 0);
    assert_int_equal(batch.state, LIVY_RUNNING);
}

static void what_is_no_batch_is_refused(void **state)
{
    static const char *const rows[] = {"",
                                       "[]",
                                       "\"Session '9' not found.\"",
                                       "{}",
                                       "{\"id\":1}",
                                       "{\"state\":\"x\"}",
                                       "{\"id\":-1,\"state\":\"dead\"}",
                                       "{\"id\":1.5,\"state\":\"dead\"}",
                                       "{\"id\":1,\"state\":7}",
                                       "<html>",
                                       "{\"id\":99999999999,\"state\":\"dead\"}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct livy_batch batch;
        struct error err = ERROR_INIT;
        assert_int_equal(livy_decode_batch(rows[i], strlen(rows[i]), &batch, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void texts_too_long_count_as_not_there(void **state)
{
    struct livy_batch batch;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    (void)state;
    strbuf_puts(&text, "{\"id\":1,\"state\":\"dead\",\"name\":\"");
    for (int i = 0; i < 5000; i++) {
        strbuf_putc(&text, 'n');
    }
    strbuf_puts(&text, "\"}");
    assert_int_equal(livy_decode_batch(text.data, text.length, &batch, NULL), 0);
    assert_string_equal(batch.name, "");
}

static void a_version_says_whether_batches_have_names(void **state)
{
    static const struct {
        const char *text;
        bool has_names;
    } rows[] = {{"{\"url\":\"u\",\"version\":\"0.5.0-incubating\"}", false},
                {"{\"version\":\"0.6.0\"}", true},
                {"{\"version\":\"0.7.1-incubating\"}", true},
                {"{\"version\":\"0.10.0\"}", true},
                {"{\"version\":\"1.0\"}", true},
                {"{\"version\":\"unknown\"}", false},
                {"{\"version\":\"0\"}", false}};
    struct livy_server server;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(
            livy_decode_version(rows[i].text, strlen(rows[i].text), &server, NULL), 0);
        assert_int_equal(server.has_names, rows[i].has_names);
    }
    assert_int_equal(livy_decode_version("{}", 2, &server, NULL), -1);
}

static void a_state_of_no_version_is_not_final(void **state)
{
    (void)state;
    assert_int_equal(livy_state_parse("recovering"), LIVY_RECOVERING);
    assert_int_equal(livy_state_parse("pondering"), LIVY_OTHER);
    assert_int_equal(livy_state_parse(""), LIVY_OTHER);
    assert_false(livy_state_is_final(LIVY_OTHER));
    assert_false(livy_state_is_final(LIVY_SHUTTING_DOWN));
    assert_true(livy_state_is_final(LIVY_ERROR));
    assert_true(livy_state_is_final(LIVY_SUCCESS));
}

static void a_refused_batch_that_stayed_is_told_from_one_that_starts(void **state)
{
    struct livy_batch batch = {.state = LIVY_STARTING, .is_silent = true};
    (void)state;
    assert_true(livy_is_zombie(&batch));
    batch.is_silent = false;
    assert_false(livy_is_zombie(&batch));
    batch = (struct livy_batch){
        .state = LIVY_STARTING, .is_silent = true, .application = "application_1_2"};
    assert_false(livy_is_zombie(&batch));
    batch = (struct livy_batch){.state = LIVY_RECOVERING, .is_silent = true};
    assert_false(livy_is_zombie(&batch));
}

static const struct {
    int status;
    const char *body, *reason;
    enum livy_fate fate;
} refusals[] = {
    {400, "{\"msg\":\"Rejected, Reason: Local path /x cannot be added\"}",
     "Rejected, Reason: Local path /x cannot be added", LIVY_REFUSED},
    {400, "\"Unrecognized field \\\"bogus\\\" \\n at [Source: x]\"",
     "Unrecognized field \"bogus\" at [Source: x]", LIVY_REFUSED},
    {400, "{\"msg\":\"Duplicate session name: Some(gw2) for session 36\"}",
     "Duplicate session name: Some(gw2) for session 36", LIVY_DUPLICATE},
    {400, "{\"msg\":\"Rejected, too many sessions are being created!\"}",
     "Rejected, too many sessions are being created!", LIVY_CROWDED},
    {400,
     "<html><head><title>Error 400</title></head><body><pre>    Missing Required Header "
     "for CSRF protection.</pre></body></html>",
     "Missing Required Header for CSRF protection.", LIVY_REFUSED},
    {401, "<html>\r\n<head><title>401 Authorization Required</title></head></html>",
     "401 Authorization Required", LIVY_REFUSED},
    {413, "<p>Request <b>Entity</b>\nToo Large</p>", "Request Entity Too Large",
     LIVY_REFUSED},
    {500, "\"java.io.IOException: error=7, Argument list too long\"",
     "java.io.IOException: error=7, Argument list too long", LIVY_REFUSED},
    {502, "", "502 Bad Gateway", LIVY_UNCERTAIN},
    {503, "", "503 Service Unavailable", LIVY_UNCERTAIN},
    {504, "<title>504 Gateway Time-out</title>", "504 Gateway Time-out", LIVY_UNCERTAIN},
    {301, "", "301", LIVY_REFUSED},
    {429, "slow down", "slow down", LIVY_CROWDED},
    {201, "{}", "{}", LIVY_TAKEN},
    {400, "{\"other\":1}", "{\"other\":1}", LIVY_REFUSED},
    {400, "\xff\xfe", "400 Bad Request", LIVY_REFUSED},
};

static void an_answer_says_why_and_what_became_of_a_post(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
        CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT;
        answer.status = refusals[i].status;
        strbuf_puts(&answer.body, refusals[i].body);
        livy_put_reason(&answer, &reason);
        assert_true(
            strncmp(reason.data, refusals[i].reason, strlen(refusals[i].reason)) == 0);
        assert_int_equal(livy_judge_post(&answer), refusals[i].fate);
    }
}

static void a_long_reason_is_cut_between_characters(void **state)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT;
    (void)state;
    answer.status = 400;
    strbuf_puts(&answer.body, "{\"msg\":\"x");
    for (int i = 0; i < 1000; i++) {
        strbuf_puts(&answer.body, "\xe2\x82\xac");
    }
    strbuf_puts(&answer.body, "\"}");
    livy_put_reason(&answer, &reason);
    assert_in_range(reason.length, 590, 600);
    assert_int_equal((reason.length - 1) % 3, 0);
}

/* ---- The log */

struct heard {
    struct strbuf text;
    bool want_failure;
};

static int hear(void *context, const char *line, bool is_hole, struct error *err)
{
    struct heard *heard = context;
    if (heard->want_failure) {
        return error_set(err, ERR_IO, "the disk is full");
    }
    strbuf_printf(&heard->text, "%s|", is_hole ? "HOLE" : line);
    return 0;
}

/* What is new in a window with these lines, each behind a '|'. */
static void take(struct livy_tail *tail, const char *lines, const char *news)
{
    struct heard heard = {.text = STRBUF_INIT};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "{\"id\":1,\"from\":0,\"total\":9,\"log\":[%s]}", lines);
    assert_int_equal(livy_tail_take(tail, text.data, text.length, hear, &heard, NULL), 0);
    assert_string_equal(heard.text.data, news);
    strbuf_release(&heard.text);
}

#define TAIL __attribute__((cleanup(livy_tail_release))) struct livy_tail
#define OUT "\"stdout: \""
#define ERR "\"\\nstderr: \""

static void new_lines_are_those_behind_what_the_window_still_has(void **state)
{
    TAIL tail = {{{NULL, 0}}};
    (void)state;
    take(&tail, OUT "," ERR, "");
    take(&tail, OUT ",\"a\",\"b\"," ERR, "a|b|");
    take(&tail, OUT ",\"a\",\"b\"," ERR, "");
    take(&tail, OUT ",\"a\",\"b\",\"c\"," ERR, "c|");
    take(&tail, OUT ",\"c\",\"d\",\"e\"," ERR, "d|e|");
}

static void lines_that_were_lost_are_said_to_be(void **state)
{
    TAIL tail = {{{NULL, 0}}};
    (void)state;
    take(&tail, OUT ",\"a\",\"b\",\"c\"," ERR, "a|b|c|");
    take(&tail, OUT ",\"x\",\"y\",\"z\"," ERR, "HOLE|x|y|z|");
    take(&tail, OUT ",\"y\",\"z\",\"w\"," ERR, "w|");
}

static void equal_lines_in_a_growing_window_are_counted(void **state)
{
    TAIL tail = {{{NULL, 0}}};
    (void)state;
    take(&tail, OUT ",\"t\"," ERR, "t|");
    take(&tail, OUT ",\"t\",\"t\",\"t\"," ERR, "t|t|");
    take(&tail, OUT ",\"t\",\"u\",\"t\"," ERR, "u|t|");
}

static void diagnostics_are_a_list_of_their_own(void **state)
{
    TAIL tail = {{{NULL, 0}}};
    (void)state;
    take(&tail, OUT ",\"a\"," ERR ",\"\\nYARN Diagnostics: \"",
         "a|\nYARN Diagnostics: |");
    take(&tail, OUT ",\"a\",\"b\"," ERR ",\"\\nYARN Diagnostics: \",\"refused\"",
         "b|refused|");
    take(&tail, OUT ",\"a\",\"b\"," ERR ",\"killed\"", "killed|");
}

static void an_empty_window_forgets_nothing(void **state)
{
    TAIL tail = {{{NULL, 0}}};
    (void)state;
    take(&tail, OUT ",\"a\"," ERR, "a|");
    take(&tail, "", "");
    take(&tail, OUT ",\"a\",\"b\"," ERR, "b|");
}

/* It hides the rest of its line, and neither other lines nor what comes after. */
static void a_line_with_a_nul_does_not_stop_the_log(void **state)
{
    TAIL tail = {{{NULL, 0}}};
    (void)state;
    take(&tail, OUT ",\"a\\u0000b\",\"c\"," ERR, "a|c|");
    take(&tail, OUT ",\"a\\u0000b\",\"c\",\"d\"," ERR, "d|");
}

static void a_window_that_was_not_kept_comes_again(void **state)
{
    static const char text[] = "{\"log\":[\"stdout: \",\"a\"]}";
    TAIL tail = {{{NULL, 0}}};
    struct heard heard = {.text = STRBUF_INIT, .want_failure = true};
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(livy_tail_take(&tail, text, strlen(text), hear, &heard, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    take(&tail, OUT ",\"a\"", "a|");
}

static void what_is_no_log_is_refused(void **state)
{
    static const char *const rows[] = {
        "", "{}", "{\"log\":{}}", "{\"log\":[1]}", "{\"log\":[\"a\"", "[]"};
    TAIL tail = {{{NULL, 0}}};
    struct heard heard = {.text = STRBUF_INIT};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        assert_int_equal(
            livy_tail_take(&tail, rows[i], strlen(rows[i]), hear, &heard, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    strbuf_release(&heard.text);
}

/* ---- Asking */

/* A gateway's page in its place ended who did not want to know why. */
static void what_is_no_answer_of_livys_is_a_failure_for_everybody(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET", .url = URL "/batches/7", .status = 200, .body = "<html>"},
        {.method = "GET", .url = URL "/batches/7", .status = 200, .body = "<html>"}};
    struct fake_http fake;
    struct livy livy = {.http = &fake.http, .url = URL};
    struct error err = ERROR_INIT;
    struct livy_batch batch;
    bool is_there;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(livy_ask_batch(&livy, "7", &batch, &is_there, NULL), -1);
    assert_int_equal(livy_ask_batch(&livy, "7", &batch, &is_there, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void a_job_is_written_without_what_was_not_said(void **state)
{
    struct strvec args = STRVEC_INIT, conf = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct livy_job job = {.file = "hdfs:/a.py", .name = "errand-x-1", .queue = ""};
    (void)state;
    livy_encode_job(&job, &text);
    assert_string_equal(text.data, "{\"file\":\"hdfs:/a.py\",\"name\":\"errand-x-1\"}");
    strvec_push(&args, "a b");
    strvec_push(&conf, "spark.a=b=c");
    strvec_push(&conf, "spark.empty=");
    job.args = &args;
    job.conf = &conf;
    job.executor_cores = 2;
    job.num_executors = 3;
    job.driver_memory = "1g";
    strbuf_reset(&text);
    livy_encode_job(&job, &text);
    assert_string_equal(
        text.data, "{\"file\":\"hdfs:/a.py\",\"name\":\"errand-x-1\",\"driverMemory\":"
                   "\"1g\",\"executorCores\":2,\"numExecutors\":3,\"args\":[\"a b\"],"
                   "\"conf\":{\"spark.a\":\"b=c\",\"spark.empty\":\"\"}}");
    strvec_release(&args);
    strvec_release(&conf);
}

static void a_batch_that_is_not_there_is_no_failure(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = URL "/batches/errand-a-1",
         .status = 404,
         .body = "{\"msg\":\"Session 'errand-a-1' not found.\"}"},
        {.method = "GET", .url = URL "/batches/34/state", .status = 404},
        {.method = "DELETE", .url = URL "/batches/34", .status = 404},
        {.method = "GET", .url = URL "/batches/34", .status = 200, .body = batch_07},
        {.method = "DELETE",
         .url = URL "/batches/a%2Fb",
         .status = 200,
         .body = "{\"msg\":\"deleted\"}"},
    };
    struct fake_http fake;
    struct livy livy = {.http = &fake.http, .url = URL "//"};
    struct livy_batch batch;
    char word[32];
    bool is_there = true;
    (void)state;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(livy_ask_batch(&livy, "errand-a-1", &batch, &is_there, NULL), 0);
    assert_false(is_there);
    is_there = true;
    assert_int_equal(livy_ask_state(&livy, 34, word, &is_there, NULL), 0);
    assert_false(is_there);
    assert_int_equal(livy_ask_delete(&livy, "34", NULL), 0);
    assert_int_equal(livy_ask_batch(&livy, "34", &batch, &is_there, NULL), 0);
    assert_true(is_there);
    assert_int_equal(livy_ask_delete(&livy, "a/b", NULL), 0);
    fake_assert_done(&fake);
}

static void what_the_gateway_says_is_told_apart(void **state)
{
    static const struct {
        struct fake_answer answer;
        enum error_code code;
        const char *said;
    } rows[] = {
        {{.method = "GET",
          .url = URL "/version",
          .status = 401,
          .body = "<title>401 Authorization Required</title>"},
         ERR_LOGIN,
         URL "/version answers 401 Unauthorized: 401 Authorization Required"},
        {{.method = "GET", .url = URL "/version", .status = 502},
         ERR_BUSY,
         URL "/version answers 502 Bad Gateway"},
        {{.method = "GET", .url = URL "/version", .status = 504}, ERR_BUSY, "504"},
        {{.method = "GET", .url = URL "/version", .status = 301}, ERR_PROTOCOL, "301"},
        {{.method = "GET", .url = URL "/version", .status = 200, .body = "<html>"},
         ERR_PROTOCOL,
         URL ": Livy's answer"},
        {{.method = "GET", .url = URL "/version", .error = ERR_CONNECT},
         ERR_CONNECT,
         "the test wants a failure"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fake_http fake;
        struct livy livy = {.http = &fake.http, .url = URL};
        struct livy_server server;
        struct error err = ERROR_INIT;
        fake_init(&fake, &rows[i].answer, 1);
        assert_int_equal(livy_ask_version(&livy, &server, &err), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_non_null(strstr(err.text, rows[i].said));
    }
}

static void who_is_not_believed_is_told_why_that_may_be(void **state)
{
    static const struct {
        enum http_login login;
        const char *end;
    } rows[] = {{HTTP_LOGIN_NONE, "401 Unauthorized"},
                {HTTP_LOGIN_BASIC, "; user or password may be wrong"},
                {HTTP_LOGIN_NEGOTIATE,
                 "; the Kerberos ticket may be missing or over (kinit gets one)"}};
    static const struct fake_answer answer = {
        .method = "GET", .url = URL "/version", .status = 401};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fake_http fake;
        struct livy livy = {.http = &fake.http, .url = URL};
        struct livy_server server;
        struct error err = ERROR_INIT;
        fake_init(&fake, &answer, 1);
        fake.http.login = rows[i].login;
        assert_int_equal(livy_ask_version(&livy, &server, &err), -1);
        size_t length = strlen(rows[i].end);
        assert_string_equal(err.text + strlen(err.text) - length, rows[i].end);
    }
}

static int count(void *context, const struct livy_batch *batch)
{
    size_t *sum = context;
    *sum += (size_t)batch->id;
    return batch->id == 777 ? 5 : 0;
}

static void all_batches_are_asked_for_page_by_page(void **state)
{
    CLEANUP_STRBUF struct strbuf page = STRBUF_INIT;
    struct fake_http fake;
    struct livy livy = {.http = &fake.http, .url = URL};
    size_t sum = 0;
    (void)state;
    strbuf_puts(&page, "{\"from\":0,\"total\":101,\"sessions\":[");
    for (int i = 0; i < 100; i++) {
        strbuf_printf(&page, "%s{\"id\":1,\"state\":\"dead\"}", i > 0 ? "," : "");
    }
    strbuf_puts(&page, "]}");
    const struct fake_answer answers[] = {
        {.method = "GET",
         .url = URL "/batches?from=0&size=100",
         .status = 200,
         .body = page.data},
        {.method = "GET",
         .url = URL "/batches?from=100&size=100",
         .status = 200,
         .body =
             "{\"from\":100,\"total\":101,\"sessions\":[{\"id\":11,\"state\":\"x\"}]}"},
        {.method = "GET",
         .url = URL "/batches?from=0&size=100",
         .status = 200,
         .body =
             "{\"sessions\":[{\"id\":777,\"state\":\"x\"},{\"id\":1,\"state\":\"x\"}]}"},
    };
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(livy_ask_batches(&livy, count, &sum, NULL), 0);
    assert_int_equal(sum, 111);
    sum = 0;
    assert_int_equal(livy_ask_batches(&livy, count, &sum, NULL), 5);
    assert_int_equal(sum, 777);
}

static void a_post_is_one_exchange_with_the_header_against_forgery(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "POST", .url = URL "/batches", .status = 504}};
    struct fake_http fake;
    struct livy livy = {.http = &fake.http, .url = URL};
    struct livy_job job = {.file = "f", .name = "n"};
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    (void)state;
    fake_init(&fake, answers, 1);
    assert_int_equal(livy_ask_post(&livy, &job, &answer, NULL), 0);
    assert_int_equal(livy_judge_post(&answer), LIVY_UNCERTAIN);
    assert_string_equal(fake.body[0], "{\"file\":\"f\",\"name\":\"n\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_of_each_version_is_read),
        cmocka_unit_test(a_batch_whose_log_has_a_nul_is_read),
        cmocka_unit_test(what_is_no_batch_is_refused),
        cmocka_unit_test(texts_too_long_count_as_not_there),
        cmocka_unit_test(a_version_says_whether_batches_have_names),
        cmocka_unit_test(a_state_of_no_version_is_not_final),
        cmocka_unit_test(a_refused_batch_that_stayed_is_told_from_one_that_starts),
        cmocka_unit_test(an_answer_says_why_and_what_became_of_a_post),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
        cmocka_unit_test(new_lines_are_those_behind_what_the_window_still_has),
        cmocka_unit_test(lines_that_were_lost_are_said_to_be),
        cmocka_unit_test(equal_lines_in_a_growing_window_are_counted),
        cmocka_unit_test(diagnostics_are_a_list_of_their_own),
        cmocka_unit_test(an_empty_window_forgets_nothing),
        cmocka_unit_test(a_line_with_a_nul_does_not_stop_the_log),
        cmocka_unit_test(a_window_that_was_not_kept_comes_again),
        cmocka_unit_test(what_is_no_log_is_refused),
        cmocka_unit_test(what_is_no_answer_of_livys_is_a_failure_for_everybody),
        cmocka_unit_test(a_job_is_written_without_what_was_not_said),
        cmocka_unit_test(a_batch_that_is_not_there_is_no_failure),
        cmocka_unit_test(what_the_gateway_says_is_told_apart),
        cmocka_unit_test(who_is_not_believed_is_told_why_that_may_be),
        cmocka_unit_test(all_batches_are_asked_for_page_by_page),
        cmocka_unit_test(a_post_is_one_exchange_with_the_header_against_forgery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
