#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/http.h"
#include "tests/unit/http_fake.h"

static struct http_request ask(const char *method, const char *url)
{
    return (struct http_request){
        .method = method, .url = url, .timeout_ms = 1000, .limit_bytes = 1000};
}

static void test_only_plain_http_addresses_are_asked(void **state)
{
    static const char *const good[] = {"http://h", "https://h.example:8443/a?b=c#d",
                                       "HTTP://[::1]:8088/ws/v1", "http://10.0.0.4:8088"};
    static const char *const bad[] = {"",
                                      "ftp://h/",
                                      "file:///etc/passwd",
                                      "http://",
                                      "http:///x",
                                      "http://:80/",
                                      "http://u:secret@h/",
                                      "http://h/a b",
                                      "http://h/\n",
                                      "http://h/\"",
                                      "http://h/\\",
                                      "http://h/{1,2}",
                                      "//h/x"};
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(http_check_url(good[i], NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_INIT;
        assert_int_equal(http_check_url(bad[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(strstr(err.text, "secret"));
    }
}

static void test_an_address_has_a_limit(void **state)
{
    char url[HTTP_URL_MAX + 1];
    struct error err = ERROR_INIT;
    (void)state;

    memset(url, 'a', sizeof(url));
    memcpy(url, "http://", strlen("http://"));
    url[HTTP_URL_MAX - 1] = '\0';
    assert_int_equal(http_check_url(url, NULL), 0);
    url[HTTP_URL_MAX - 1] = 'a';
    url[HTTP_URL_MAX] = '\0';
    assert_int_equal(http_check_url(url, &err), -1);
}

static void test_one_server_has_scheme_host_and_port(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"http://h/a", "http://H:80/b?c", true},
        {"https://h", "https://h:443/", true},
        {"http://h:8088/", "http://h:8090/", false},
        {"http://h/", "https://h/", false},
        {"http://h/", "http://h2/", false},
        {"http://[::1]:80/", "http://[::1]/x", true},
        {"http://[::1]/", "http://[::2]/", false},
        {"http://h?x", "http://h#y", true},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(http_is_same_origin(rows[i].a, rows[i].b), rows[i].is_same);
    }
}

static void test_a_component_is_encoded(void **state)
{
    CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
    (void)state;

    http_put_component(&url, "errand-2026_a.b~c/d e&\xc3\xbc%");
    assert_string_equal(url.data, "errand-2026_a.b~c%2Fd%20e%26%C3%BC%25");
}

static void test_a_malformed_request_is_not_made(void **state)
{
    const struct http_header split = {"X-A", "b\r\nX-C: d"};
    const struct http_header name = {"X A", "b"};
    struct http_request requests[] = {
        ask("TRACE", "http://h/"), ask("GET", "http://u@h/"),
        ask("GET", "http://h/"),   ask("GET", "http://h/"),
        ask("GET", "http://h/"),   ask("PUT", "http://h/a/?b=c"),
        ask("PUT", "http://h/a")};
    struct fake_http fake;
    (void)state;

    requests[2].headers = &split;
    requests[2].header_count = 1;
    requests[3].headers = &name;
    requests[3].header_count = 1;
    requests[4].timeout_ms = 0;
    requests[5].body_file = "/etc/passwd"; /* curl would make it /a/passwd */
    requests[6].body_file = "relative";
    fake_init(&fake, NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
        struct error err = ERROR_INIT;
        assert_int_equal(http_perform(&fake.http, &requests[i], &answer, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

static void test_a_307_is_followed_with_method_and_body(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT",
         .url = "http://rm1:8088/x",
         .status = 307,
         .location = "http://rm2:8088/x"},
        {.method = "PUT", .url = "http://rm2:8088/x", .status = 202, .body = "done"},
    };
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct http_request request = ask("PUT", "http://rm1:8088/x");
    struct fake_http fake;
    (void)state;

    request.body = "{}";
    request.body_length = 2;
    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(http_follow(&fake.http, &request, &answer, NULL), 0);
    fake_assert_done(&fake);
    assert_int_equal(answer.status, 202);
    assert_string_equal(answer.body.data, "done");
    assert_string_equal(fake.body[1], "{}");
    assert_false(fake.is_foreign[0]);
    assert_true(fake.is_foreign[1]);
}

static void test_a_redirect_to_the_same_server_is_not_foreign(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "GET",
         .url = "http://h/a",
         .status = 302,
         .location = "http://h:80/b"},
        {.method = "GET", .url = "http://h:80/b", .status = 200},
    };
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct http_request request = ask("GET", "http://h/a");
    struct fake_http fake;
    (void)state;

    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(http_follow(&fake.http, &request, &answer, NULL), 0);
    fake_assert_done(&fake);
    assert_false(fake.is_foreign[1]);
}

static void test_a_302_of_a_put_is_the_callers(void **state)
{
    static const struct fake_answer answers[] = {
        {.method = "PUT", .url = "http://h/a", .status = 302, .location = "http://h/b"},
    };
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct http_request request = ask("PUT", "http://h/a");
    struct fake_http fake;
    (void)state;

    fake_init(&fake, answers, ARRAY_SIZE(answers));
    assert_int_equal(http_follow(&fake.http, &request, &answer, NULL), 0);
    assert_int_equal(answer.status, 302);
    assert_string_equal(answer.location, "http://h/b");
}

static void test_a_redirect_is_not_followed_into_a_file(void **state)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    struct http_request request = ask("GET", "http://h/a");
    struct error err = ERROR_INIT;
    struct fake_http fake;
    (void)state;

    request.has_sink = true;
    fake_init(&fake, NULL, 0);
    assert_int_equal(http_follow(&fake.http, &request, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
}

static void test_circles_and_dead_ends_are_errors(void **state)
{
    static const struct fake_answer circle[] = {
        {.method = "GET", .url = "http://h/a", .status = 307, .location = "http://h/a"},
        {.method = "GET", .url = "http://h/a", .status = 307, .location = "http://h/a"},
        {.method = "GET", .url = "http://h/a", .status = 307, .location = "http://h/a"},
        {.method = "GET", .url = "http://h/a", .status = 307, .location = "http://h/a"},
        {.method = "GET", .url = "http://h/a", .status = 307, .location = "http://h/a"},
    };
    static const struct fake_answer nowhere[] = {
        {.method = "GET", .url = "http://h/a", .status = 307},
    };
    static const struct fake_answer file[] = {
        {.method = "GET", .url = "http://h/a", .status = 307, .location = "file:///x"},
    };
    static const struct {
        const struct fake_answer *answers;
        size_t count;
        enum error_code code;
        const char *said;
    } rows[] = {
        {circle, ARRAY_SIZE(circle), ERR_PROTOCOL, "again and again"},
        {nowhere, ARRAY_SIZE(nowhere), ERR_PROTOCOL, "nowhere"},
        {file, ARRAY_SIZE(file), ERR_USAGE, "cannot be asked"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
        struct http_request request = ask("GET", "http://h/a");
        struct error err = ERROR_INIT;
        struct fake_http fake;

        fake_init(&fake, rows[i].answers, rows[i].count);
        assert_int_equal(http_follow(&fake.http, &request, &answer, &err), -1);
        fake_assert_done(&fake);
        assert_int_equal(err.code, rows[i].code);
        assert_non_null(strstr(err.text, rows[i].said));
        assert_int_equal(answer.status, 0);
    }
}

static void test_an_unexpected_answer_is_a_sentence(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum error_code code;
        const char *said;
    } rows[] = {
        {401, "", ERR_LOGIN, "GET http://h/a: the server answered 401 Unauthorized"},
        {404, "\n no such thing\nmore", ERR_NOT_FOUND,
         "GET http://h/a: the server answered 404 Not Found: no such thing"},
        {503, "<html>x", ERR_BUSY,
         "GET http://h/a: the server answered 503 Service Unavailable"},
        {599, "", ERR_BUSY, "GET http://h/a: the server answered 599"},
        {400, "{\"a\":\t1}", ERR_PROTOCOL,
         "GET http://h/a: the server answered 400 Bad Request: {\"a\": 1}"},
    };
    struct http_request request = ask("GET", "http://h/a");
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
        struct error err = ERROR_INIT;

        answer.status = rows[i].status;
        strbuf_puts(&answer.body, rows[i].body);
        assert_int_equal(http_unexpected(&request, &answer, &err), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_string_equal(err.text, rows[i].said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_plain_http_addresses_are_asked),
        cmocka_unit_test(test_an_address_has_a_limit),
        cmocka_unit_test(test_one_server_has_scheme_host_and_port),
        cmocka_unit_test(test_a_component_is_encoded),
        cmocka_unit_test(test_a_malformed_request_is_not_made),
        cmocka_unit_test(test_a_307_is_followed_with_method_and_body),
        cmocka_unit_test(test_a_redirect_to_the_same_server_is_not_foreign),
        cmocka_unit_test(test_a_302_of_a_put_is_the_callers),
        cmocka_unit_test(test_a_redirect_is_not_followed_into_a_file),
        cmocka_unit_test(test_circles_and_dead_ends_are_errors),
        cmocka_unit_test(test_an_unexpected_answer_is_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
