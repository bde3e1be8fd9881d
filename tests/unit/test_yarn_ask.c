#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/yarn_ask.h"
#include "tests/unit/http_fake.h"
#include "tests/unit/scratch.h"

#define RM1 "http://rm1:8088"
#define RM2 "http://rm2:8088"
#define ID "application_17_0002"
#define APP "/ws/v1/cluster/apps/" ID
#define KNOWN "{\"app\":{\"id\":\"" ID "\",\"state\":\"RUNNING\"}}"
#define UNKNOWN                                                                          \
    "{\"RemoteException\":{\"exception\":\"NotFoundException\",\"message\":\"no\"}}"

struct asking {
    struct fake_http fake;
    struct strvec managers;
    struct yarn yarn;
    struct yarn_app app;
    struct error err;
};

static void begin(struct asking *a, const struct fake_answer *answers, size_t count)
{
    memset(a, 0, sizeof(*a));
    fake_init(&a->fake, answers, count);
    strvec_push(&a->managers, RM1);
    strvec_push(&a->managers, RM2);
    a->yarn = (struct yarn){.http = &a->fake.http,
                            .managers = &a->managers,
                            .history = "http://jhs:19888",
                            .timeout_ms = 1000};
}

static void end(struct asking *a)
{
    fake_assert_done(&a->fake);
    strvec_release(&a->managers);
}

#define BEGIN(a, ...)                                                                    \
    static const struct fake_answer answers_[] = {__VA_ARGS__};                          \
    begin(a, answers_, ARRAY_SIZE(answers_))

/* ---- ResourceManagers */

static void test_the_manager_that_answers_is_asked_first_next_time(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a, {.method = "GET", .url = RM1 APP, .error = ERR_CONNECT},
          {.method = "GET", .url = RM2 APP, .status = 200, .body = KNOWN},
          {.method = "GET", .url = RM2 APP, .status = 200, .body = KNOWN});
    assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), 0);
    assert_int_equal(a.app.state, YARN_RUNNING);
    assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), 0);
    end(&a);
}

static void test_a_standby_sends_to_its_twin(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a, {.method = "GET", .url = RM1 APP, .status = 307, .location = RM2 APP},
          {.method = "GET", .url = RM2 APP, .status = 200, .body = KNOWN});
    assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), 0);
    end(&a);
}

static void test_while_none_is_active_nothing_is_known(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a,
          {.method = "GET",
           .url = RM1 APP,
           .status = 200,
           .body = "There is no active RM right now.\n"},
          {.method = "GET", .url = RM2 APP, .error = ERR_CONNECT});
    assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), -1);
    assert_int_equal(a.err.code, ERR_CONNECT);
    end(&a);
}

static void test_only_a_managers_word_makes_an_application_unknown(void **state)
{
    static const struct {
        const char *body;
        enum error_code code;
        size_t asked;
    } rows[] = {{UNKNOWN, ERR_NOT_FOUND, 1}, {"<html>404", ERR_PROTOCOL, 2}};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct fake_answer answers[] = {
            {.method = "GET", .url = RM1 APP, .status = 404, .body = rows[i].body},
            {.method = "GET", .url = RM2 APP, .status = 404, .body = rows[i].body},
        };
        struct asking a;
        begin(&a, answers, rows[i].asked);
        assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), -1);
        assert_int_equal(a.err.code, rows[i].code);
        end(&a);
    }
}

static void test_a_refusal_is_final(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a, {.method = "PUT", .url = RM1 APP "/state", .status = 401, .body = ""});
    assert_int_equal(yarn_kill(&a.yarn, ID, &a.err), -1);
    assert_int_equal(a.err.code, ERR_LOGIN);
    end(&a);
}

static void test_who_is_stopped_asks_no_twin(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a, {.method = "GET", .url = RM1 APP, .error = ERR_CANCELED});
    assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), -1);
    assert_int_equal(a.err.code, ERR_CANCELED);
    end(&a);
}

static void test_a_kill_is_put(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a, {.method = "PUT",
               .url = RM1 APP "/state?user.name=an%40na",
               .status = 202,
               .body = "{\"state\":\"RUNNING\"}"});
    a.yarn.user = "an@na";
    assert_int_equal(yarn_kill(&a.yarn, ID, &a.err), 0);
    assert_string_equal(a.fake.body[0], "{\"state\":\"KILLED\"}");
    end(&a);
}

static void test_a_tag_is_looked_for(void **state)
{
    struct asking a;
    size_t count;
    (void)state;

    BEGIN(&a, {.method = "GET",
               .url = RM1 "/ws/v1/cluster/apps?applicationTags=errand-x-1&user.name=u",
               .status = 200,
               .body = "{\"apps\":{\"app\":[{\"id\":\"" ID "\"}]}}"});
    a.yarn.user = "u";
    assert_int_equal(yarn_find(&a.yarn, "errand-x-1", &a.app, &count, &a.err), 0);
    assert_int_equal(count, 1);
    assert_string_equal(a.app.id, ID);
    end(&a);
}

static void test_an_answer_about_another_is_none(void **state)
{
    struct asking a;
    (void)state;

    BEGIN(&a, {.method = "GET",
               .url = RM1 APP,
               .status = 200,
               .body = "{\"app\":{\"id\":\"application_17_0003\"}}"});
    assert_int_equal(yarn_look(&a.yarn, ID, &a.app, &a.err), -1);
    assert_int_equal(a.err.code, ERR_PROTOCOL);
    end(&a);
}

static void test_what_is_no_id_is_not_asked_about(void **state)
{
    struct asking a;
    (void)state;

    begin(&a, NULL, 0);
    assert_int_equal(yarn_kill(&a.yarn, "application_1_2?x", &a.err), -1);
    assert_int_equal(a.err.code, ERR_USAGE);
    end(&a);
}

/* ---- Logs: a keeper that answers as one does, for a log of this test's */

struct keeper {
    struct http http; /* first */
    const char *log;
    size_t length, growth; /* so much more at each request */
    size_t asked;
    bool is_history;
};

static int keeper_perform(struct http *http, const struct http_request *request,
                          struct http_response *out, struct error *err)
{
    struct keeper *k = (struct keeper *)http;
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    const char *size = strstr(request->url, "?size=");
    assert_non_null(size);
    int64_t asked = strtoll(size + strlen("?size="), NULL, 10);
    size_t wanted = asked < 0 ? (size_t)-asked : (size_t)asked;
    size_t length = wanted < k->length ? wanted : k->length;
    const char *from = asked < 0 ? k->log + k->length - length : k->log;
    strbuf_printf(&body,
                  "Container: c on n\nLogType:stdout\nLogLength:%zu\nLogContents:\n",
                  k->length);
    assert_int_equal(strbuf_add(&body, from, length, err), 0);
    strbuf_printf(&body, "%sEnd of LogType:stdout\n", k->is_history ? "\n" : "");
    assert_true(request->has_sink);
    assert_int_equal(fdio_write_full(request->sink_fd, body.data, body.length), 0);
    out->status = 200;
    k->asked++;
    k->length += k->growth;
    return 0;
}

#define LOG_SIZE ((size_t)300000)

static void read_beyond(struct keeper *k, uint64_t have, bool is_history, size_t asked)
{
    static const struct yarn_container container = {
        .node = "http://n:8042", .id = "container_1_2_01_000001", .attempt = 1};
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    CLEANUP_FD int spool =
        openat(scratch->fd, "spool", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CLEANUP_FREE char *bytes = xmalloc(LOG_SIZE + 1);
    struct yarn yarn = {
        .http = &k->http, .history = "http://jhs:19888", .timeout_ms = 1000};
    struct yarn_log log;
    struct error err = ERROR_INIT;

    k->http = (struct http){.perform = keeper_perform, .free = fake_free, .stop_fd = -1};
    k->is_history = is_history;
    k->asked = 0;
    int result = yarn_read_log(&yarn, is_history ? YARN_KEEPER_HISTORY : YARN_KEEPER_NODE,
                               &container, "stdout", have, spool, &log, &err);
    if (result < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(k->asked, asked);
    assert_int_equal(log.start, have);
    assert_int_equal(log.start + log.length, log.total);
    assert_int_equal(fdio_pread_full(spool, bytes, log.length, log.content_at),
                     log.length);
    assert_memory_equal(bytes, k->log + have, log.length);
}

static char *make_log(void)
{
    char *log = xmalloc(LOG_SIZE);
    for (size_t i = 0; i < LOG_SIZE; i++) {
        log[i] = (char)(i * 31 + i / 253);
    }
    return log;
}

static void test_a_log_is_read_from_where_one_is(void **state)
{
    static const struct {
        uint64_t have;
        size_t asked;
    } rows[] = {{0, 2},      {1, 2},      {150000, 2}, {199999, 1},
                {200000, 1}, {196000, 1}, {195000, 2}};
    CLEANUP_FREE char *bytes = make_log();
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct keeper k = {.log = bytes, .length = 200000};
        read_beyond(&k, rows[i].have, i % 2 == 1, rows[i].asked);
    }
}

static void test_what_grows_meanwhile_is_not_lost(void **state)
{
    CLEANUP_FREE char *bytes = make_log();
    struct keeper k = {.log = bytes, .length = 100000, .growth = 60000};
    struct keeper fast = {.log = bytes, .length = 100000, .growth = 90000};
    (void)state;

    read_beyond(&k, 10, false, 2);
    read_beyond(&fast, 10, false, 3);
}

static int read_with(const struct fake_answer *answer, uint64_t have, struct error *err)
{
    static const struct yarn_container container = {
        .node = "http://n:8042", .id = "c_1_2_3_4", .attempt = 3};
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    CLEANUP_FD int spool =
        openat(scratch->fd, "spool", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct asking a;
    struct yarn_log log;

    begin(&a, answer, 1);
    int result = yarn_read_log(&a.yarn, YARN_KEEPER_NODE, &container, "stdout", have,
                               spool, &log, err);
    end(&a);
    return result;
}

static void test_a_keeper_without_the_log_says_so(void **state)
{
#define URL "http://n:8042/ws/v1/node/containers/c_1_2_3_4/logs/stdout?size=-4096"
#define LOG(length, content, end)                                                        \
    "Container: c on n\nLogType:stdout\nLogLength:" #length "\nLogContents:\n" content end
    static const struct {
        struct fake_answer answer;
        enum error_code code;
    } rows[] = {
        {{.status = 404, .body = "java.lang.Exception: Unknown container."},
         ERR_NOT_FOUND},
        {{.status = 307, .location = "http://jhs/"}, ERR_NOT_FOUND},
        {{.status = 200, .body = "Can not find logs for container:c"}, ERR_NOT_FOUND},
        {{.status = 500, .body = "<html>"}, ERR_BUSY},
        {{.status = 200, .body = LOG(3, "abc", "End of LogType:stdout\n")}, ERR_CHANGED},
        {{.status = 200, .body = LOG(3, "abcdef", "End of LogType:stdout\n")},
         ERR_PROTOCOL},
        {{.status = 200, .body = LOG(9, "abc", "End of LogType:")}, ERR_PROTOCOL},
        {{.error = ERR_CONNECT}, ERR_CONNECT},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fake_answer answer = rows[i].answer;
        struct error err = ERROR_INIT;
        answer.method = "GET";
        answer.url = URL;
        assert_int_equal(read_with(&answer, 5, &err), -1);
        assert_int_equal(err.code, rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_manager_that_answers_is_asked_first_next_time),
        cmocka_unit_test(test_a_standby_sends_to_its_twin),
        cmocka_unit_test(test_while_none_is_active_nothing_is_known),
        cmocka_unit_test(test_only_a_managers_word_makes_an_application_unknown),
        cmocka_unit_test(test_a_refusal_is_final),
        cmocka_unit_test(test_who_is_stopped_asks_no_twin),
        cmocka_unit_test(test_a_kill_is_put),
        cmocka_unit_test(test_a_tag_is_looked_for),
        cmocka_unit_test(test_an_answer_about_another_is_none),
        cmocka_unit_test(test_what_is_no_id_is_not_asked_about),
        cmocka_unit_test(test_a_log_is_read_from_where_one_is),
        cmocka_unit_test(test_what_grows_meanwhile_is_not_lost),
        cmocka_unit_test(test_a_keeper_without_the_log_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
