#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "executor/http_curl.h"
#include "tests/unit/http_server.h"
#include "tests/unit/scratch.h"

#define PATIENCE_MS 60000

struct meeting {
    struct scratch *scratch;
    struct http_server server;
    struct http *http;
    struct http_response answer;
    struct error err;
    char url[128];
    struct http_request request;
};

static void meet(struct meeting *m, const struct server_answer *answers, size_t count,
                 const struct http_settings *settings)
{
    memset(m, 0, sizeof(*m));
    m->scratch = scratch_new();
    server_start(&m->server, m->scratch, answers, count);
    m->http = http_curl_new("curl", settings);
    m->answer = (struct http_response)HTTP_RESPONSE_INIT;
    snprintf(m->url, sizeof(m->url), "%s/a/b?c=d", m->server.url);
    m->request = (struct http_request){.method = "GET",
                                       .url = m->url,
                                       .timeout_ms = PATIENCE_MS,
                                       .limit_bytes = (uint64_t)1 << 30};
}

static void part(struct meeting *m)
{
    server_stop(&m->server);
    http_free(m->http);
    http_response_release(&m->answer);
    scratch_free(m->scratch);
}

static int perform(struct meeting *m)
{
    return http_perform(m->http, &m->request, &m->answer, &m->err);
}

/* What the client sent with request i: the caller's. */
static char *sent(struct meeting *m, int i)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    char name[32];

    snprintf(name, sizeof(name), "request-%d", i);
    assert_int_equal(files_read(m->scratch->fd, name, &bytes, NULL), 0);
    return strbuf_detach(&bytes);
}

static void assert_sends(struct meeting *m, const char *what)
{
    CLEANUP_FREE char *request = sent(m, 0);
    if (strstr(request, what) == NULL) {
        fail_msg("the request has no %s:\n%s", what, request);
    }
}

static void assert_does_not_send(struct meeting *m, const char *what)
{
    CLEANUP_FREE char *request = sent(m, 0);
    if (strcasestr(request, what) != NULL) {
        fail_msg("the request has %s:\n%s", what, request);
    }
}

#define ANSWERS(...)                                                                     \
    (const struct server_answer[]){__VA_ARGS__},                                         \
        ARRAY_SIZE(((const struct server_answer[]){__VA_ARGS__}))

#define EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* ---- Answers */

static void test_a_body_comes_as_it_was_sent(void **state)
{
    static const char bytes[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=x\r\n"
        "Content-Length: 14\r\n\r\n"
        "a\0\xff\n\n\r\nb\nc\n200";
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = bytes, .length = sizeof(bytes) - 1}), NULL);
    assert_int_equal(perform(&m), 0);
    assert_int_equal(m.answer.status, 200);
    assert_string_equal(m.answer.content_type, "text/plain;charset=x");
    assert_string_equal(m.answer.location, "");
    assert_int_equal(m.answer.body.length, 14);
    assert_memory_equal(m.answer.body.data, "a\0\xff\n\n\r\nb\nc\n200", 14);
    part(&m);
}

static void test_an_empty_body_is_empty(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = EMPTY}), NULL);
    assert_int_equal(perform(&m), 0);
    assert_int_equal(m.answer.status, 200);
    assert_int_equal(m.answer.body.length, 0);
    assert_string_equal(m.answer.content_type, "");
    part(&m);
}

/* A large one, over many turns, in memory and into a file. */
static void large_body(bool has_sink)
{
    const size_t length = (size_t)5 << 20;
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT, got = STRBUF_INIT;
    CLEANUP_FD int sink = -1;
    struct meeting m;

    strbuf_printf(&bytes, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    size_t head = bytes.length;
    for (size_t i = 0; i < length; i++) {
        strbuf_putc(&bytes, (char)(i * 7 + i / 251));
    }
    meet(&m, ANSWERS({.bytes = bytes.data, .length = bytes.length}), NULL);
    if (has_sink) {
        sink = openat(m.scratch->fd, "sink", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        m.request.has_sink = true;
        m.request.sink_fd = sink;
    }
    assert_int_equal(perform(&m), 0);
    if (has_sink) {
        assert_int_equal(m.answer.body.length, 0);
        assert_int_equal(files_read(m.scratch->fd, "sink", &got, NULL), 0);
    } else {
        assert_int_equal(strbuf_add(&got, m.answer.body.data, m.answer.body.length, NULL),
                         0);
    }
    assert_int_equal(got.length, length);
    assert_memory_equal(got.data, bytes.data + head, length);
    part(&m);
}

static void test_a_large_body_comes_whole(void **state)
{
    (void)state;
    large_body(false);
}

static void test_a_large_body_goes_into_a_file(void **state)
{
    (void)state;
    large_body(true);
}

static void test_chunks_are_one_body(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m,
         ANSWERS({.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"}),
         NULL);
    assert_int_equal(perform(&m), 0);
    assert_string_equal(m.answer.body.data, "abcdefg");
    part(&m);
}

static void test_every_status_is_an_answer(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m,
         ANSWERS({.bytes = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"}),
         NULL);
    assert_int_equal(perform(&m), 0);
    assert_int_equal(m.answer.status, 404);
    assert_string_equal(m.answer.body.data, "nope");
    part(&m);
}

static void test_a_redirect_is_told_and_not_followed(void **state)
{
    struct meeting m;
    char place[128];
    (void)state;

    meet(&m,
         ANSWERS({.bytes = "HTTP/1.1 307 TEMPORARY_REDIRECT\r\nLocation: /x?y=z\r\n"
                           "Content-Length: 2\r\n\r\nhi"},
                 {.bytes = EMPTY}),
         NULL);
    assert_int_equal(perform(&m), 0);
    assert_int_equal(m.answer.status, 307);
    assert_string_equal(m.answer.body.data, "hi");
    snprintf(place, sizeof(place), "%s/x?y=z", m.server.url);
    assert_string_equal(m.answer.location, place);
    part(&m);
}

static void test_http_follow_asks_there_again(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m,
         ANSWERS({.bytes = "HTTP/1.1 307 X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"},
                 {.bytes = EMPTY}),
         NULL);
    m.request.method = "PUT";
    m.request.body = "{\"a\": 1}";
    m.request.body_length = 8;
    assert_int_equal(http_follow(m.http, &m.request, &m.answer, &m.err), 0);
    assert_int_equal(m.answer.status, 200);
    CLEANUP_FREE char *second = sent(&m, 1);
    assert_ptr_equal(strstr(second, "PUT /x HTTP/1.1\r\n"), second);
    assert_non_null(strstr(second, "\r\n\r\n{\"a\": 1}"));
    part(&m);
}

/* ---- Requests */

static void test_headers_and_body_are_sent_as_given(void **state)
{
    const struct http_header headers[] = {{"X-Requested-By", "a \"b\" \\c"},
                                          {"Content-Type", "application/json"}};
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = EMPTY}), NULL);
    m.request.method = "POST";
    m.request.headers = headers;
    m.request.header_count = ARRAY_SIZE(headers);
    m.request.body = "{\"s\":\t\"\\u00fc\r\n\v\xc3\xbc\"}\n";
    m.request.body_length = strlen(m.request.body);
    assert_int_equal(perform(&m), 0);
    assert_sends(&m, "POST /a/b?c=d HTTP/1.1\r\n");
    assert_sends(&m, "\r\nX-Requested-By: a \"b\" \\c\r\n");
    assert_sends(&m, "\r\nContent-Type: application/json\r\n");
    assert_sends(&m, "\r\n\r\n{\"s\":\t\"\\u00fc\r\n\v\xc3\xbc\"}\n");
    assert_does_not_send(&m, "Expect:");
    assert_does_not_send(&m, "Authorization:");
    part(&m);
}

static void test_a_put_without_body_says_so(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = EMPTY}), NULL);
    m.request.method = "PUT";
    assert_int_equal(perform(&m), 0);
    assert_sends(&m, "PUT /a/b?c=d HTTP/1.1\r\n");
    assert_sends(&m, "\r\nContent-Length: 0\r\n");
    assert_does_not_send(&m, "Content-Type:");
    part(&m);
}

static void test_a_file_is_sent_byte_for_byte(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = EMPTY}), NULL);
    scratch_write_bytes(m.scratch, "a \"file\"", "@\n\r\nb", 5, 0600);
    CLEANUP_FREE char *path = scratch_path(m.scratch, "a \"file\"");
    m.request.method = "PUT";
    m.request.body_file = path;
    assert_int_equal(perform(&m), 0);
    assert_sends(&m, "\r\nContent-Length: 5\r\n");
    assert_sends(&m, "\r\n\r\n@\n\r\nb");
    assert_does_not_send(&m, "Content-Type:");
    assert_does_not_send(&m, "Expect:");
    part(&m);
}

static void test_a_body_that_curl_would_misread_is_refused(void **state)
{
    static const struct {
        const char *body;
        size_t length;
    } rows[] = {{"@/etc/passwd", 12}, {"a\0b", 3}};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct meeting m;
        meet(&m, ANSWERS({.bytes = EMPTY}), NULL);
        m.request.method = "POST";
        m.request.body = rows[i].body;
        m.request.body_length = rows[i].length;
        assert_int_equal(perform(&m), -1);
        assert_int_equal(m.err.code, ERR_UNSUPPORTED);
        part(&m);
    }
}

static void test_a_password_goes_to_the_server_that_was_named(void **state)
{
    const struct http_settings settings = {
        .login = HTTP_LOGIN_BASIC, .user = "admin", .password = "se\"c\\r:et"};
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = EMPTY}), &settings);
    assert_int_equal(perform(&m), 0);
    assert_sends(&m, "\r\nAuthorization: Basic YWRtaW46c2UiY1xyOmV0\r\n");
    part(&m);

    meet(&m, ANSWERS({.bytes = EMPTY}), &settings);
    m.request.is_foreign = true;
    assert_int_equal(perform(&m), 0);
    assert_does_not_send(&m, "Authorization:");
    part(&m);
}

/* A curl that writes down how it was called and says what a file has. */
static char *make_stand_in(struct scratch *scratch, const char *ending)
{
    CLEANUP_STRBUF struct strbuf script = STRBUF_INIT;

    strbuf_printf(&script,
                  "#!/bin/sh\ncd '%s'\necho \"$*\" > arguments\ncat > config\n%s\n",
                  scratch->path, ending);
    scratch_write_bytes(scratch, "curl", script.data, script.length, 0755);
    return scratch_path(scratch, "curl");
}

static void test_nothing_of_a_request_is_on_the_command_line(void **state)
{
    const struct http_settings settings = {.login = HTTP_LOGIN_NEGOTIATE,
                                           .ca_file = "/etc/ca \"x\".pem"};
    const struct http_header header = {"X-Secret", "hush"};
    CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
    CLEANUP_FREE char *program = make_stand_in(scratch, "printf 'body\\n\\n\\n200'");
    CLEANUP_HTTP struct http *http = http_curl_new(program, &settings);
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf config = STRBUF_INIT;
    const struct http_request request = {.method = "GET",
                                         .url = "http://h/",
                                         .headers = &header,
                                         .header_count = 1,
                                         .timeout_ms = PATIENCE_MS,
                                         .limit_bytes = 100};
    struct error err = ERROR_INIT;
    (void)state;

    assert_int_equal(http_perform(http, &request, &answer, &err), 0);
    assert_string_equal(answer.body.data, "body");
    assert_file(scratch, "arguments", "-q -K -\n");
    assert_int_equal(files_read(scratch->fd, "config", &config, NULL), 0);
    assert_non_null(strstr(config.data, "\nheader = \"X-Secret: hush\"\n"));
    assert_non_null(strstr(config.data, "\nnegotiate\nuser = \":\"\n"));
    assert_non_null(strstr(config.data, "\ncacert = \"/etc/ca \\\"x\\\".pem\"\n"));
    assert_non_null(strstr(config.data, "\nnoproxy = \"*\"\n"));
}

/* ---- Failures */

static void test_failures_say_how_far_it_came(void **state)
{
    static const struct {
        const char *ending;
        enum error_code code;
        const char *text;
        const char *hint;
    } rows[] = {
        {"echo 'curl: (6) Could not resolve host: h' >&2; exit 6", ERR_CONNECT,
         "GET http://h/: Could not resolve host: h", ""},
        {"echo 'curl: (60) SSL certificate problem' >&2; echo 'More: x' >&2; exit 60",
         ERR_CONNECT, "GET http://h/: SSL certificate problem", "authority"},
        {"echo 'curl: (52) Empty reply from server' >&2; exit 52", ERR_LINK,
         "GET http://h/: Empty reply from server", ""},
        {"printf 'half\\n\\n\\n200'; echo 'curl: (18) transfer closed' >&2; exit 18",
         ERR_LINK, "GET http://h/: transfer closed", ""},
        {"exit 99", ERR_LINK, "GET http://h/: curl exited with status 99", ""},
        {"kill -9 $$", ERR_LINK, "GET http://h/: curl was killed by SIGKILL", ""},
        {"echo gibberish", ERR_PROTOCOL,
         "GET http://h/: the answer's head makes no sense", ""},
        {"printf '\\n\\n\\nabc'", ERR_PROTOCOL,
         "GET http://h/: the answer's head makes no sense", ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_SCRATCH struct scratch *scratch = scratch_new();
        CLEANUP_FREE char *program = make_stand_in(scratch, rows[i].ending);
        CLEANUP_HTTP struct http *http = http_curl_new(program, NULL);
        CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
        const struct http_request request = {.method = "GET",
                                             .url = "http://h/",
                                             .timeout_ms = PATIENCE_MS,
                                             .limit_bytes = 100};
        struct error err = ERROR_INIT;

        assert_int_equal(http_perform(http, &request, &answer, &err), -1);
        assert_string_equal(err.text, rows[i].text);
        assert_int_equal(err.code, rows[i].code);
        assert_non_null(strstr(err.hint, rows[i].hint));
        assert_int_equal(answer.status, 0);
        assert_int_equal(answer.body.length, 0);
    }
}

static void test_a_server_that_is_not_there_was_told_nothing(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = EMPTY}), NULL);
    server_stop(&m.server);
    assert_int_equal(perform(&m), -1);
    assert_int_equal(m.err.code, ERR_CONNECT);
    m.server.pid = fork();
    if (m.server.pid == 0) {
        _exit(0);
    }
    part(&m);
}

static void test_a_broken_answer_is_none(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}),
         NULL);
    assert_int_equal(perform(&m), -1);
    assert_int_equal(m.err.code, ERR_LINK);
    assert_int_equal(m.answer.body.length, 0);
    part(&m);
}

static void test_a_silent_server_costs_the_time_allowed(void **state)
{
    struct meeting m;
    (void)state;

    meet(&m, ANSWERS({.bytes = "HTTP/1.1 200 OK\r\n", .is_silent = true}), NULL);
    m.request.timeout_ms = 300;
    assert_int_equal(perform(&m), -1);
    assert_int_equal(m.err.code, ERR_TIMED_OUT);
    part(&m);
}

static void test_a_longer_body_is_not_taken(void **state)
{
    static const struct {
        uint64_t limit;
        bool has_sink;
        int result;
    } rows[] = {{9, false, -1}, {10, false, 0}, {9, true, -1}, {10, true, 0}};
    CLEANUP_FD int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct meeting m;
        meet(
            &m,
            ANSWERS({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"}),
            NULL);
        m.request.limit_bytes = rows[i].limit;
        m.request.has_sink = rows[i].has_sink;
        m.request.sink_fd = sink;
        assert_int_equal(perform(&m), rows[i].result);
        if (rows[i].result < 0) {
            assert_int_equal(m.err.code, ERR_LIMIT);
        }
        part(&m);
    }
}

/* Endless, from a server that never stops: the limit ends it. */
static void test_an_endless_body_ends_at_the_limit(void **state)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    struct meeting m;
    (void)state;

    strbuf_puts(&bytes, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 300000; i++) {
        strbuf_putc(&bytes, 'x');
    }
    meet(&m, ANSWERS({.bytes = bytes.data, .length = bytes.length, .is_silent = true}),
         NULL);
    m.request.limit_bytes = 200000;
    assert_int_equal(perform(&m), -1);
    assert_int_equal(m.err.code, ERR_LIMIT);
    part(&m);
}

static void test_who_is_stopped_waits_no_longer(void **state)
{
    int ends[2];
    struct meeting m;
    (void)state;

    assert_int_equal(fdio_pipe(ends, NULL), 0);
    assert_int_equal(fdio_write_full(ends[1], "x", 1), 0);
    meet(&m, ANSWERS({.bytes = "HTTP/1.1 200 OK\r\n", .is_silent = true}), NULL);
    m.http->stop_fd = ends[0];
    assert_int_equal(perform(&m), -1);
    assert_int_equal(m.err.code, ERR_CANCELED);
    part(&m);
    fdio_close(&ends[0]);
    fdio_close(&ends[1]);
}

static void test_a_node_without_curl_is_told_to_have_one(void **state)
{
    CLEANUP_HTTP struct http *http = http_curl_new("/nowhere/curl", NULL);
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    const struct http_request request = {
        .method = "GET", .url = "http://h/", .timeout_ms = 1000, .limit_bytes = 100};
    struct error err = ERROR_INIT;
    (void)state;

    assert_int_equal(http_perform(http, &request, &answer, &err), -1);
    assert_int_equal(err.code, ERR_SPAWN);
    assert_non_null(strstr(err.hint, "install curl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_comes_as_it_was_sent),
        cmocka_unit_test(test_an_empty_body_is_empty),
        cmocka_unit_test(test_a_large_body_comes_whole),
        cmocka_unit_test(test_a_large_body_goes_into_a_file),
        cmocka_unit_test(test_chunks_are_one_body),
        cmocka_unit_test(test_every_status_is_an_answer),
        cmocka_unit_test(test_a_redirect_is_told_and_not_followed),
        cmocka_unit_test(test_http_follow_asks_there_again),
        cmocka_unit_test(test_headers_and_body_are_sent_as_given),
        cmocka_unit_test(test_a_put_without_body_says_so),
        cmocka_unit_test(test_a_file_is_sent_byte_for_byte),
        cmocka_unit_test(test_a_body_that_curl_would_misread_is_refused),
        cmocka_unit_test(test_a_password_goes_to_the_server_that_was_named),
        cmocka_unit_test(test_nothing_of_a_request_is_on_the_command_line),
        cmocka_unit_test(test_failures_say_how_far_it_came),
        cmocka_unit_test(test_a_server_that_is_not_there_was_told_nothing),
        cmocka_unit_test(test_a_broken_answer_is_none),
        cmocka_unit_test(test_a_silent_server_costs_the_time_allowed),
        cmocka_unit_test(test_a_longer_body_is_not_taken),
        cmocka_unit_test(test_an_endless_body_ends_at_the_limit),
        cmocka_unit_test(test_who_is_stopped_waits_no_longer),
        cmocka_unit_test(test_a_node_without_curl_is_told_to_have_one),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
