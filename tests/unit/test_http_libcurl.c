#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/files.h"
#include "controller/http_libcurl.h"

/* ---- A server that answers as it is told, a connection for each answer */

#define ASKED_MAX 8
#define ASKED_SIZE 4096

#define KEPT "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

struct asked {
    volatile int count; /* requests that came whole */
    char text[ASKED_MAX][ASKED_SIZE];
};

struct server {
    int fd;
    unsigned port;
    pid_t pid;
    struct asked *asked; /* shared with the server's process */
};

/* Read one request, whose body is as long as it says. */
static bool read_request(int fd, char *out)
{
    size_t length = 0, whole = SIZE_MAX;
    while (length < ASKED_SIZE - 1 && length < whole) {
        ssize_t got = fdio_read(fd, out + length, ASKED_SIZE - 1 - length);
        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        out[length] = '\0';
        const char *end = strstr(out, "\r\n\r\n");
        const char *said = strstr(out, "Content-Length: ");
        if (end != NULL) {
            whole =
                (size_t)(end + 4 - out) +
                (said != NULL ? strtoul(said + strlen("Content-Length: "), NULL, 10) : 0);
        }
    }
    return true;
}

/* What comes on a connection that was kept is read, and the connection closed. */
static void watch_kept(const struct server *server, int kept)
{
    struct pollfd fds[] = {{.fd = kept, .events = POLLIN},
                           {.fd = server->fd, .events = POLLIN}};
    (void)poll(fds, 2, -1);
    if (fds[0].revents != 0 &&
        read_request(kept, server->asked->text[server->asked->count])) {
        server->asked->count++;
    }
    close(kept);
}

/* An answer that is NULL is the last one: silence until the client goes away; "" is an
 * end without an answer; after one with KEPT the connection stays until something comes.
 */
static void serve(const struct server *server, const char *const *answers)
{
    for (size_t i = 0;; i++) {
        int fd = accept(server->fd, NULL, NULL);
        char rest[64];
        if (!read_request(fd, server->asked->text[server->asked->count])) {
            _exit(0);
        }
        server->asked->count++;
        if (answers[i] == NULL) {
            (void)fdio_read(fd, rest, sizeof rest);
            _exit(0);
        }
        (void)fdio_write_full(fd, answers[i], strlen(answers[i]));
        if (strcmp(answers[i], KEPT) == 0) {
            watch_kept(server, fd);
        } else {
            close(fd);
        }
    }
}

static void start(struct server *server, const char *const *answers)
{
    struct sockaddr_in place = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof place;
    server->asked = mmap(NULL, sizeof *server->asked, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&place, length), 0);
    assert_int_equal(listen(server->fd, 8), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&place, &length), 0);
    server->port = ntohs(place.sin_port);
    server->pid = fork();
    if (server->pid == 0) {
        serve(server, answers);
    }
}

static void stop(struct server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    munmap(server->asked, sizeof *server->asked);
    close(server->fd);
}

#define OK(body) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" body

struct one {
    struct server server;
    struct http_settings settings;
    struct http *http;
    char url[128];
    struct http_request request;
    struct http_response answer;
    struct error err;
};

static void begin(struct one *one, const char *method, const char *const *answers)
{
    *one = (struct one){.answer = HTTP_RESPONSE_INIT};
    start(&one->server, answers);
    one->http = http_libcurl_new(&one->settings, NULL);
    assert_non_null(one->http);
    snprintf(one->url, sizeof one->url, "http://127.0.0.1:%u/a?b=c", one->server.port);
    one->request = (struct http_request){
        .method = method, .url = one->url, .timeout_ms = 60000, .limit_bytes = 1000};
}

static int ask(struct one *one)
{
    return http_perform(one->http, &one->request, &one->answer, &one->err);
}

static void end(struct one *one)
{
    http_response_release(&one->answer);
    http_free(one->http);
    stop(&one->server);
}

/* ---- Tests */

static void an_answer_comes_with_its_head_and_its_bytes(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 418 Teapot\r\nContent-Type: text/x\r\n"
        "Content-Length: 3\r\nConnection: close\r\n\r\n"
        "abc",
        NULL};
    struct one one;
    (void)state;
    begin(&one, "GET", answers);
    assert_int_equal(ask(&one), 0);
    assert_int_equal(one.answer.status, 418);
    assert_string_equal(one.answer.content_type, "text/x");
    assert_string_equal(one.answer.location, "");
    assert_string_equal(one.answer.body.data, "abc");
    assert_ptr_equal(strstr(one.server.asked->text[0], "GET /a?b=c HTTP/1.1\r\n"),
                     one.server.asked->text[0]);
    assert_null(strstr(one.server.asked->text[0], "Authorization"));
    end(&one);
}

static void a_redirect_is_an_answer(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 307 T\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", NULL};
    struct one one;
    char there[128];
    (void)state;
    begin(&one, "PUT", answers);
    assert_int_equal(ask(&one), 0);
    assert_int_equal(one.answer.status, 307);
    snprintf(there, sizeof there, "http://127.0.0.1:%u/there", one.server.port);
    assert_string_equal(one.answer.location, there);
    assert_non_null(strstr(one.server.asked->text[0], "Content-Length: 0\r\n"));
    end(&one);
}

static void only_what_was_asked_for_is_sent(void **state)
{
    static const char *const answers[] = {OK(""), OK(""), NULL};
    static const struct http_header headers[] = {{"X-Requested-By", "errand"},
                                                 {"Content-Type", "application/json"}};
    struct one one;
    (void)state;
    begin(&one, "POST", answers);
    one.request.body = "{\"a\":1}";
    one.request.body_length = 7;
    assert_int_equal(ask(&one), 0);
    const char *first = one.server.asked->text[0];
    assert_null(strstr(first, "Content-Type"));
    assert_null(strstr(first, "Expect"));
    assert_non_null(strstr(first, "\r\n\r\n{\"a\":1}"));
    one.request.headers = headers;
    one.request.header_count = 2;
    assert_int_equal(ask(&one), 0);
    const char *second = one.server.asked->text[1];
    assert_non_null(strstr(second, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(second, "X-Requested-By: errand\r\n"));
    end(&one);
}

static void a_password_goes_to_the_named_server_alone(void **state)
{
    static const char *const answers[] = {OK(""), OK(""), NULL};
    struct one one;
    (void)state;
    begin(&one, "GET", answers);
    one.settings = (struct http_settings){
        .login = HTTP_LOGIN_BASIC, .user = "admin", .password = "p:w"};
    assert_int_equal(ask(&one), 0);
    assert_non_null(
        strstr(one.server.asked->text[0], "Authorization: Basic YWRtaW46cDp3\r\n"));
    one.request.is_foreign = true;
    assert_int_equal(ask(&one), 0);
    assert_null(strstr(one.server.asked->text[1], "Authorization"));
    end(&one);
}

static void a_file_is_sent_as_it_is(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\n",
                                          NULL};
    char path[] = "/tmp/errand-test-XXXXXX";
    int fd = mkstemp(path);
    struct one one;
    (void)state;
    assert_int_equal(fdio_write_full(fd, "file's bytes", 12), 0);
    close(fd);
    begin(&one, "PUT", answers);
    one.request.body_file = path;
    assert_int_equal(ask(&one), 0);
    assert_int_equal(one.answer.status, 201);
    assert_non_null(strstr(one.server.asked->text[0], "Content-Length: 12\r\n"));
    assert_non_null(strstr(one.server.asked->text[0], "\r\n\r\nfile's bytes"));
    unlink(path);
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_NOT_FOUND);
    end(&one);
}

static void a_sink_gets_the_bytes_of_a_success_alone(void **state)
{
    static const char *const answers[] = {
        OK("good"), "HTTP/1.1 404 N\r\nConnection: close\r\n\r\nbad", NULL};
    char text[16] = "";
    int ends[2];
    struct one one;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    begin(&one, "GET", answers);
    one.request.has_sink = true;
    one.request.sink_fd = ends[1];
    assert_int_equal(ask(&one), 0);
    assert_int_equal(one.answer.body.length, 0);
    assert_int_equal(ask(&one), 0);
    assert_string_equal(one.answer.body.data, "bad");
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text), 4);
    assert_string_equal(text, "good");
    close(ends[0]);
    end(&one);
}

static void an_answer_beyond_its_bound_is_a_failure(void **state)
{
    static const char *const answers[] = {OK("0123456789"), OK("0123456789"), NULL};
    struct one one;
    (void)state;
    begin(&one, "GET", answers);
    one.request.limit_bytes = 10;
    assert_int_equal(ask(&one), 0);
    one.request.limit_bytes = 9;
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_LIMIT);
    assert_int_equal(one.answer.body.length, 0);
    end(&one);
}

/* The bound is the request's own, however large: a log has no other. */
static void an_answer_may_be_as_long_as_its_bound(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    size_t length = (size_t)17 << 20;
    CLEANUP_FREE char *text = xmalloc(sizeof head + length);
    const char *answers[] = {text, NULL};
    struct one one;
    (void)state;
    memcpy(text, head, sizeof head - 1);
    memset(text + sizeof head - 1, 'a', length);
    text[sizeof head - 1 + length] = '\0';
    begin(&one, "GET", answers);
    one.request.limit_bytes = length;
    assert_int_equal(ask(&one), 0);
    assert_int_equal(one.answer.body.length, length);
    end(&one);
}

static void who_was_never_reached_did_nothing(void **state)
{
    static const char *const answers[] = {OK(""), NULL};
    struct one one;
    (void)state;
    begin(&one, "POST", answers);
    int port = socket(AF_INET, SOCK_STREAM, 0); /* bound, but nobody listens */
    struct sockaddr_in place = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof place;
    assert_int_equal(bind(port, (struct sockaddr *)&place, length), 0);
    assert_int_equal(getsockname(port, (struct sockaddr *)&place, &length), 0);
    snprintf(one.url, sizeof one.url, "http://127.0.0.1:%u/", ntohs(place.sin_port));
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_CONNECT);
    assert_non_null(strstr(one.err.text, one.url));
    close(port);
    /* One that speaks no TLS, and waits, got nothing of the request either. */
    one.request.timeout_ms = 300;
    snprintf(one.url, sizeof one.url, "https://127.0.0.1:%u/", one.server.port);
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_CONNECT);
    end(&one);
}

/* On a connection that was kept libcurl sends again where the server closed it. */
static void a_post_whose_answer_is_lost_is_not_sent_again(void **state)
{
    static const char *const answers[] = {KEPT, "", OK("second"), NULL};
    struct one one;
    (void)state;
    begin(&one, "GET", answers);
    assert_int_equal(ask(&one), 0);
    one.request.method = "POST";
    one.request.body = "x";
    one.request.body_length = 1;
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_LINK);
    assert_int_equal(one.server.asked->count, 2);
    end(&one);
}

static void silence_ends_at_the_deadline(void **state)
{
    static const char *const answers[] = {NULL};
    struct one one;
    (void)state;
    begin(&one, "POST", answers);
    one.request.timeout_ms = 300;
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_TIMED_OUT);
    end(&one);
}

static void a_word_on_stop_fd_ends_it_at_once(void **state)
{
    static const char *const answers[] = {NULL};
    struct one one;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    begin(&one, "GET", answers);
    one.http->stop_fd = ends[0];
    assert_int_equal(ask(&one), -1);
    assert_int_equal(one.err.code, ERR_CANCELED);
    close(ends[0]);
    close(ends[1]);
    end(&one);
}

static void a_carrier_goes_on_after_failures(void **state)
{
    static const char *const answers[] = {"", OK("well"), NULL};
    struct one one;
    (void)state;
    begin(&one, "GET", answers);
    assert_int_equal(ask(&one), -1);
    assert_int_equal(ask(&one), 0);
    assert_string_equal(one.answer.body.data, "well");
    assert_non_null(strstr(http_libcurl_version(one.http), "libcurl "));
    end(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_its_head_and_its_bytes),
        cmocka_unit_test(a_redirect_is_an_answer),
        cmocka_unit_test(only_what_was_asked_for_is_sent),
        cmocka_unit_test(a_password_goes_to_the_named_server_alone),
        cmocka_unit_test(a_file_is_sent_as_it_is),
        cmocka_unit_test(a_sink_gets_the_bytes_of_a_success_alone),
        cmocka_unit_test(an_answer_beyond_its_bound_is_a_failure),
        cmocka_unit_test(an_answer_may_be_as_long_as_its_bound),
        cmocka_unit_test(who_was_never_reached_did_nothing),
        cmocka_unit_test(a_post_whose_answer_is_lost_is_not_sent_again),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(a_word_on_stop_fd_ends_it_at_once),
        cmocka_unit_test(a_carrier_goes_on_after_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
