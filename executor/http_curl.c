#include "executor/http_curl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/subprocess.h"

/*
 * What curl appends to the body on its standard output: type, place and status, each
 * behind a newline that none of them can have (curl(1), -w). So much of what has come is
 * kept back until the end shows where the body stops.
 */
#define TRAILER_FORMAT "\\n%{content_type}\\n%{redirect_url}\\n%{http_code}"
#define TRAILER_MAX ((size_t)16 << 10)
#define SAID_MAX ((size_t)4 << 10) /* of curl's standard error */
#define CONFIG_MAX ((size_t)4 << 20)
#define BLOCK ((size_t)64 << 10)
#define GRACE_MS 200

struct http_curl {
    struct http http;
    const char *program;
    const struct http_settings *settings;
};

/* ---- What curl is told */

/* A line `name = "value"` of a configuration. */
static void put_option(struct strbuf *config, const char *name, const char *value,
                       size_t length)
{
    strbuf_printf(config, "%s = \"", name);
    for (size_t i = 0; i < length; i++) {
        static const char special[] = "\\\"\t\n\r\v";
        static const char letters[] = "\\\"tnrv";
        const char *at = strchr(special, value[i]);
        if (at != NULL) {
            strbuf_putc(config, '\\');
        }
        strbuf_putc(config, *(at != NULL ? &letters[at - special] : &value[i]));
    }
    strbuf_puts(config, "\"\n");
}

static void put_text(struct strbuf *config, const char *name, const char *value)
{
    put_option(config, name, value, strlen(value));
}

static void put_login(struct strbuf *config, const struct http_settings *settings,
                      bool is_foreign)
{
    if (settings == NULL) {
        return;
    }
    if (settings->ca_file != NULL) {
        put_text(config, "cacert", settings->ca_file);
    }
    switch (settings->login) {
    case HTTP_LOGIN_NONE:
        break;
    case HTTP_LOGIN_BASIC:
        if (!is_foreign) {
            CLEANUP_STRBUF struct strbuf user = STRBUF_INIT;
            strbuf_printf(&user, "%s:%s", settings->user, settings->password);
            strbuf_puts(config, "basic\n");
            put_option(config, "user", user.data, user.length);
            mem_wipe(user.data, user.length);
        }
        break;
    case HTTP_LOGIN_NEGOTIATE:
        strbuf_puts(config, "negotiate\n");
        put_text(config, "user", ":"); /* curl(1): the ticket says who */
        break;
    }
}

static void put_headers(struct strbuf *config, const struct http_request *request)
{
    bool has_type = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        strbuf_printf(&line, "%s: %s", header->name, header->value);
        put_text(config, "header", line.data);
        mem_wipe(line.data, line.length);
        has_type = has_type || strcmp(header->name, "Content-Type") == 0;
    }
    put_text(config, "header", "Expect:");
    if (!has_type) {
        put_text(config, "header", "Content-Type:");
    }
}

/* curl's data-binary takes a value that begins with "@" as a file's name, and a
 * configuration has no NUL. Errors: ERR_UNSUPPORTED. */
static int put_body(struct strbuf *config, const struct http_request *request,
                    struct error *err)
{
    const char *body = request->body_length > 0 ? request->body : "";
    if (request->body_file != NULL) {
        put_text(config, "upload-file", request->body_file);
        return 0;
    }
    if (request->body_length == 0 && request->method[0] != 'P') {
        return 0;
    }
    if (body[0] == '@' || memchr(body, '\0', request->body_length) != NULL ||
        request->body_length > CONFIG_MAX / 4) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s %s: such a body must be in a file for the curl program",
                         request->method, request->url);
    }
    put_option(config, "data-binary", body, request->body_length);
    return 0;
}

static int put_config(struct strbuf *config, const struct http_curl *curl,
                      const struct http_request *request, struct error *err)
{
    put_text(config, "url", request->url);
    put_text(config, "proto", "=http,https");
    put_text(config, "noproxy", "*");
    put_text(config, "user-agent", "errand");
    put_text(config, "request", request->method);
    strbuf_printf(config, "silent\nshow-error\ngloboff\nwrite-out = \"%s\"\n",
                  TRAILER_FORMAT);
    /* The deadline is ours; this one is for a curl that we are not there to end. */
    strbuf_printf(config, "max-time = %lld\n", (long long)request->timeout_ms / 1000 + 2);
    put_headers(config, request);
    put_login(config, curl->settings, request->is_foreign);
    return put_body(config, request, err);
}

/* ---- Its turns */

struct exchange {
    const struct http_request *request;
    struct subprocess sp;
    struct strbuf config; /* what is still to be written to it */
    struct strbuf said;   /* on standard error */
    struct strbuf tail;   /* what may be the trailer */
    struct strbuf *body;
    uint64_t taken; /* bytes of the body so far */
    int stop_fd;
};

static int start(struct exchange *x, const struct http_curl *curl, struct error *err)
{
    const char *const argv[] = {curl->program, "-q", "-K", "-", NULL};
    x->sp = (struct subprocess){
        .argv = argv,
        .in = SUBPROCESS_PIPE,
        .out = SUBPROCESS_PIPE,
        .error = SUBPROCESS_PIPE,
        .want_parent_death = true,
        .want_session = true,
    };
    if (subprocess_start(&x->sp, err) < 0) {
        return error_hint(err, "install curl on the node");
    }
    x->sp.argv = NULL; /* it does not outlive this call */
    return fdio_set_nonblocking(x->sp.stdin_fd, true, err);
}

/* A curl that ended early takes no more: its exit status says why. */
static void write_config(struct exchange *x)
{
    ssize_t written = fdio_write(x->sp.stdin_fd, x->config.data, x->config.length);
    if (written > 0) {
        strbuf_consume(&x->config, (size_t)written);
    }
    if (x->config.length == 0 || (written < 0 && errno != EAGAIN)) {
        fdio_close(&x->sp.stdin_fd);
    }
}

/* The first length bytes of what has come are the body's. */
static int keep(struct exchange *x, size_t length, struct error *err)
{
    const struct http_request *request = x->request;
    if (length == 0) {
        return 0;
    }
    if (length > request->limit_bytes - x->taken) {
        return error_set(err, ERR_LIMIT, "%s %s: the answer is longer than %llu bytes",
                         request->method, request->url,
                         (unsigned long long)request->limit_bytes);
    }
    if (request->has_sink) {
        if (fdio_write_full(request->sink_fd, x->tail.data, length) < 0) {
            return error_sys(err, "%s %s: store the answer", request->method,
                             request->url);
        }
    } else if (strbuf_add(x->body, x->tail.data, length, err) < 0) {
        return -1;
    }
    x->taken += length;
    strbuf_consume(&x->tail, length);
    return 0;
}

static int take_output(struct exchange *x, struct error *err)
{
    char *block = strbuf_reserve(&x->tail, BLOCK, err);
    ssize_t got = block != NULL ? fdio_read(x->sp.stdout_fd, block, BLOCK) : -1;
    if (got < 0) {
        return block == NULL ? -1 : error_sys(err, "read what curl says");
    }
    if (got == 0) {
        fdio_close(&x->sp.stdout_fd);
        return 0;
    }
    strbuf_grown(&x->tail, (size_t)got);
    return x->tail.length > TRAILER_MAX ? keep(x, x->tail.length - TRAILER_MAX, err) : 0;
}

static void take_said(struct exchange *x)
{
    char block[1024];
    ssize_t got = fdio_read(x->sp.stderr_fd, block, sizeof(block));
    if (got <= 0) {
        fdio_close(&x->sp.stderr_fd);
        return;
    }
    (void)strbuf_add(&x->said, block, (size_t)got, NULL); /* more is not needed */
}

static int left_ms(int64_t deadline_ns)
{
    int64_t left = (deadline_ns - clock_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* Until it has closed both its outputs. */
static int converse(struct exchange *x, struct error *err)
{
    const struct http_request *request = x->request;
    int64_t deadline_ns = clock_monotonic_ns() + request->timeout_ms * NS_PER_MS;
    while (x->sp.stdout_fd >= 0 || x->sp.stderr_fd >= 0) {
        struct pollfd polls[] = {{.fd = x->stop_fd, .events = POLLIN},
                                 {.fd = x->sp.stdin_fd, .events = POLLOUT},
                                 {.fd = x->sp.stdout_fd, .events = POLLIN},
                                 {.fd = x->sp.stderr_fd, .events = POLLIN}};
        int count = poll(polls, ARRAY_SIZE(polls), left_ms(deadline_ns));
        if (count < 0 && errno != EINTR) {
            return error_sys(err, "%s %s: wait for curl", request->method, request->url);
        }
        /* After a signal what poll left in polls says nothing. */
        if (count > 0 && polls[0].revents != 0) {
            return error_set(err, ERR_CANCELED, "%s %s: interrupted", request->method,
                             request->url);
        }
        if (count > 0 && polls[1].revents != 0) {
            write_config(x);
        }
        if (count > 0 && polls[2].revents != 0 && take_output(x, err) < 0) {
            return -1;
        }
        if (count > 0 && polls[3].revents != 0) {
            take_said(x);
        }
        if (clock_monotonic_ns() >= deadline_ns) {
            return error_set(err, ERR_TIMED_OUT, "%s %s: no answer within %lld ms",
                             request->method, request->url,
                             (long long)request->timeout_ms);
        }
    }
    return 0;
}

/* ---- Its end */

struct curl_exit {
    int status;
    enum error_code code;
    const char *hint; /* NULL: none */
};

#define HINT_CA                                                                          \
    "the server's certificate is not signed by an authority this node knows; "           \
    "add the cluster's to the node's list"

/* curl(1), EXIT CODES. What is not here broke after the request was on its way. */
static const struct curl_exit curl_exits[] = {
    {1, ERR_UNSUPPORTED, "this curl cannot do that; install a complete one on the node"},
    {2, ERR_UNSUPPORTED, "this curl cannot do that; install a newer one on the node"},
    {3, ERR_USAGE, NULL},
    {4, ERR_UNSUPPORTED, "this curl was built without what the request needs"},
    {5, ERR_CONNECT, NULL},
    {6, ERR_CONNECT, NULL},
    {7, ERR_CONNECT, NULL},
    {26, ERR_IO, NULL},
    {28, ERR_TIMED_OUT, NULL},
    {35, ERR_CONNECT, NULL},
    {51, ERR_CONNECT, HINT_CA},
    {60, ERR_CONNECT, HINT_CA},
    {77, ERR_CONNECT, "the file of certificate authorities cannot be read"},
    {83, ERR_CONNECT, HINT_CA},
};

/* "curl: (7) Failed to connect ...": what is behind the number. */
static const char *last_words(struct strbuf *said)
{
    static const char prefix[] = "curl: (";
    while (said->length > 0 && strchr("\r\n ", said->data[said->length - 1]) != NULL) {
        strbuf_truncate(said, said->length - 1);
    }
    const char *from = strstr(said->data, prefix);
    const char *close = from != NULL ? strstr(from, ") ") : NULL;
    if (close == NULL) {
        return said->data;
    }
    said->data[strcspn(said->data, "\r\n")] = '\0';
    return close + strlen(") ");
}

static int explain(struct exchange *x, int status, struct error *err)
{
    const struct http_request *request = x->request;
    const struct curl_exit *row = NULL;
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    for (size_t i = 0; WIFEXITED(status) && i < ARRAY_SIZE(curl_exits); i++) {
        if (curl_exits[i].status == WEXITSTATUS(status)) {
            row = &curl_exits[i];
        }
    }
    const char *words = last_words(&x->said);
    if (words[0] == '\0') {
        strbuf_puts(&how, "curl ");
        subprocess_describe_status(status, &how);
        words = how.data;
    }
    error_set(err, row != NULL ? row->code : ERR_LINK, "%s %s: %s", request->method,
              request->url, words);
    return row != NULL && row->hint != NULL ? error_hint(err, "%s", row->hint) : -1;
}

/* Cut the last line off text; borrowed from it, NULL where there is no newline. */
static const char *cut_line(struct strbuf *text)
{
    const char *newline = NULL;
    for (size_t i = text->length; i > 0 && newline == NULL; i--) {
        newline = text->data[i - 1] == '\n' ? &text->data[i - 1] : NULL;
    }
    if (newline == NULL) {
        return NULL;
    }
    text->length = (size_t)(newline - text->data);
    text->data[text->length] = '\0';
    return newline + 1;
}

static int take_trailer(struct exchange *x, struct http_response *out, struct error *err)
{
    const char *status = cut_line(&x->tail);
    const char *place = status != NULL ? cut_line(&x->tail) : NULL;
    const char *type = place != NULL ? cut_line(&x->tail) : NULL;
    uint64_t number;
    if (type == NULL || bytes_parse_u64(status, 999, &number, NULL) < 0 || number < 100 ||
        strlen(place) >= sizeof(out->location)) {
        return error_set(err, ERR_PROTOCOL, "%s %s: the answer's head makes no sense",
                         x->request->method, x->request->url);
    }
    out->status = (int)number;
    memcpy(out->location, place, strlen(place) + 1);
    if (strlen(type) < sizeof(out->content_type)) {
        memcpy(out->content_type, type, strlen(type) + 1);
    }
    return keep(x, x->tail.length, err);
}

static int finish(struct exchange *x, struct http_response *out, struct error *err)
{
    int status;
    if (subprocess_wait(&x->sp, &status, err) < 0) {
        return -1;
    }
    if (status != 0) {
        return explain(x, status, err);
    }
    return take_trailer(x, out, err);
}

static void exchange_release(struct exchange *x)
{
    if (x->config.capacity > 0) {
        mem_wipe(x->config.data, x->config.capacity);
    }
    strbuf_release(&x->config);
    strbuf_release(&x->said);
    strbuf_release(&x->tail);
}

static int curl_perform(struct http *http, const struct http_request *request,
                        struct http_response *out, struct error *err)
{
    struct http_curl *curl = (struct http_curl *)http;
    struct exchange x = {
        .request = request,
        .sp = {.pid = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1},
        .body = &out->body,
        .stop_fd = http->stop_fd,
    };
    strbuf_init(&x.config, CONFIG_MAX);
    strbuf_init(&x.said, SAID_MAX);
    strbuf_init(&x.tail, TRAILER_MAX + 2 * BLOCK);
    int result = -1;
    if (put_config(&x.config, curl, request, err) == 0 && start(&x, curl, err) == 0 &&
        converse(&x, err) == 0) {
        result = finish(&x, out, err);
    }
    if (x.sp.pid > 0) {
        subprocess_stop(&x.sp, GRACE_MS);
    }
    exchange_release(&x);
    return result;
}

static void curl_free(struct http *http)
{
    free(http);
}

struct http *http_curl_new(const char *program, const struct http_settings *settings)
{
    struct http_curl *curl = xcalloc(1, sizeof(*curl));
    curl->http = (struct http){
        .perform = curl_perform,
        .free = curl_free,
        .login = settings != NULL ? settings->login : HTTP_LOGIN_NONE,
        .stop_fd = -1,
    };
    curl->program = program;
    curl->settings = settings;
    return &curl->http;
}
