#include "common/http.h"

#include "common/clock.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define SAID_MAX 200 /* bytes of an answer that a sentence quotes */

void http_free(struct http *http)
{
    if (http != NULL) {
        http->free(http);
    }
}

void http_response_release(struct http_response *response)
{
    response->status = 0;
    response->content_type[0] = '\0';
    response->location[0] = '\0';
    strbuf_release(&response->body);
}

/* ---- Addresses */

struct address {
    const char *scheme, *host, *port; /* host of a [v6] address with its brackets */
    size_t scheme_length, host_length, port_length;
};

/* Behind the scheme and its "://", or NULL where it is none of ours. */
static const char *after_scheme(const char *url)
{
    static const char *const known[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strncasecmp(url, known[i], strlen(known[i])) == 0) {
            return url + strlen(known[i]);
        }
    }
    return NULL;
}

static void split(const char *url, struct address *out)
{
    const char *host = after_scheme(url);
    size_t length = strcspn(host, "/?#");
    size_t inside = host[0] == '[' ? strcspn(host, "]/?#") : 0;
    const char *colon = memchr(host + inside, ':', length - inside);
    out->scheme = url;
    out->scheme_length = (size_t)(host - url) - strlen("://");
    out->host = host;
    out->host_length = colon != NULL ? (size_t)(colon - host) : length;
    out->port = colon != NULL ? colon + 1 : host + length;
    out->port_length = (size_t)(host + length - out->port);
    if (out->port_length == 0) {
        out->port = out->scheme_length == strlen("https") ? "443" : "80";
        out->port_length = strlen(out->port);
    }
}

int http_check_url(const char *url, struct error *err)
{
    const char *host = after_scheme(url);
    if (host == NULL) {
        return error_set(err, ERR_USAGE,
                         "%.100s is no address that begins with http:// or https://",
                         url);
    }
    if (strlen(url) >= HTTP_URL_MAX) {
        return error_set(err, ERR_USAGE, "an address of %zu bytes is too long",
                         strlen(url));
    }
    size_t length = strcspn(host, "/?#");
    if (length == 0 || host[0] == ':') {
        return error_set(err, ERR_USAGE, "the address %.200s names no host", url);
    }
    if (memchr(host, '@', length) != NULL) { /* not shown: it may hold a password */
        return error_set(err, ERR_USAGE,
                         "an address must not have a user or password before its host");
    }
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c == 0x7f ||
            strchr("\"'\\<>`{}|^", *c) != NULL) {
            return error_set(err, ERR_USAGE,
                             "the address %.200s has a character that must be %%-encoded",
                             url);
        }
    }
    return 0;
}

static bool is_same(const char *a, size_t a_length, const char *b, size_t b_length)
{
    return a_length == b_length && strncasecmp(a, b, a_length) == 0;
}

bool http_is_same_origin(const char *a, const char *b)
{
    struct address left, right;
    split(a, &left);
    split(b, &right);
    return is_same(left.scheme, left.scheme_length, right.scheme, right.scheme_length) &&
           is_same(left.host, left.host_length, right.host, right.host_length) &&
           is_same(left.port, left.port_length, right.port, right.port_length);
}

void http_put_component(struct strbuf *url, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((isalnum((unsigned char)*c) && (unsigned char)*c < 0x80) ||
            strchr("-._~", *c) != NULL) {
            strbuf_putc(url, *c);
        } else {
            strbuf_printf(url, "%%%02X", (unsigned char)*c);
        }
    }
}

/* ---- Asking */

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

/* curl appends the file's name to an address that ends with a slash (curl(1), -T). */
static bool is_body_plain(const struct http_request *request)
{
    size_t length = strcspn(request->url, "?#");
    return request->body_file == NULL ||
           (request->body_length == 0 && request->body_file[0] == '/' && length > 0 &&
            request->url[length - 1] != '/');
}

static int check_request(const struct http_request *request, struct error *err)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE"};
    size_t i = 0;
    while (i < ARRAY_SIZE(methods) && strcmp(request->method, methods[i]) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(methods) || request->timeout_ms <= 0 ||
        request->header_count > HTTP_HEADER_MAX || !is_body_plain(request)) {
        return error_set(err, ERR_USAGE, "a malformed request to %.200s", request->url);
    }
    for (i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (header->name[strspn(header->name,
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-")] != '\0' ||
            has_control(header->value)) {
            return error_set(err, ERR_USAGE, "a malformed header for %.200s",
                             request->url);
        }
    }
    return http_check_url(request->url, err);
}

int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *out, struct error *err)
{
    http_response_release(out);
    if (check_request(request, err) < 0) {
        return -1;
    }
    struct http_request bounded = *request;
    /* Beside a sink there are only a server's words of what went wrong. */
    size_t most = request->has_sink ? STRBUF_TEXT_LIMIT : SIZE_MAX;
    out->body.limit_bytes =
        request->limit_bytes < most ? (size_t)request->limit_bytes : most;
    if (http->deadline_ns != 0) {
        int64_t left_ms = (http->deadline_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (left_ms <= 0) {
            return error_set(err, ERR_TIMED_OUT, "%s: no time is left to ask",
                             request->url);
        }
        bounded.timeout_ms =
            left_ms < request->timeout_ms ? left_ms : request->timeout_ms;
    }
    if (http->perform(http, &bounded, out, err) < 0) {
        http_response_release(out);
        return -1;
    }
    return 0;
}

static bool must_follow(const char *method, int status)
{
    bool is_reading = strcmp(method, "GET") == 0;
    return status == 307 || status == 308 ||
           (is_reading && (status == 301 || status == 302 || status == 303));
}

int http_follow(struct http *http, const struct http_request *request,
                struct http_response *out, struct error *err)
{
    struct http_request next = *request;
    char url[HTTP_URL_MAX];
    if (request->has_sink) {
        return error_set(err, ERR_USAGE, "a redirect is not followed into a file");
    }
    for (int hops = 0;; hops++) {
        if (http_perform(http, &next, out, err) < 0) {
            return -1;
        }
        if (!must_follow(next.method, out->status)) {
            return 0;
        }
        if (out->location[0] == '\0' || hops == HTTP_REDIRECTS_MAX) {
            http_response_release(out);
            return error_set(err, ERR_PROTOCOL, "%s %s: redirected %s", request->method,
                             request->url,
                             hops == HTTP_REDIRECTS_MAX ? "again and again" : "nowhere");
        }
        memcpy(url, out->location, sizeof(url));
        if (http_check_url(url, err) < 0) {
            http_response_release(out);
            return error_wrap(err, "%s %s: redirected to a place that cannot be asked",
                              request->method, request->url);
        }
        next.is_foreign = request->is_foreign || !http_is_same_origin(request->url, url);
        next.url = url;
    }
}

/* ---- Sentences */

void http_put_status(struct strbuf *out, int status)
{
    static const struct {
        int status;
        const char *name;
    } names[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };
    strbuf_printf(out, "%d", status);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].status == status) {
            strbuf_printf(out, " %s", names[i].name);
        }
    }
}

const char *http_login_doubt(const struct http *http)
{
    switch (http->login) {
    case HTTP_LOGIN_BASIC:
        return "; user or password may be wrong";
    case HTTP_LOGIN_NEGOTIATE:
        return "; the Kerberos ticket may be missing or over (kinit gets one)";
    case HTTP_LOGIN_NONE:
        break;
    }
    return "";
}

static enum error_code code_of(int status)
{
    switch (status) {
    case 401:
    case 407:
        return ERR_LOGIN;
    case 403:
        return ERR_ACCESS;
    case 404:
    case 410:
        return ERR_NOT_FOUND;
    case 429:
        return ERR_BUSY;
    default:
        return status >= 500 ? ERR_BUSY : ERR_PROTOCOL;
    }
}

/* The first words of a body that is text; a page's markup says nothing. */
static void put_said(const struct http_response *response, struct strbuf *out)
{
    const char *body = response->body.data;
    body += strspn(body, " \t\r\n");
    size_t length = strcspn(body, "\r\n");
    if (length == 0 || body[0] == '<') {
        return;
    }
    strbuf_puts(out, ": ");
    for (size_t i = 0; i < length && i < SAID_MAX; i++) {
        strbuf_putc(out, (char)((unsigned char)body[i] < ' ' ? ' ' : body[i]));
    }
}

int http_unexpected(const struct http_request *request,
                    const struct http_response *response, struct error *err)
{
    CLEANUP_STRBUF struct strbuf answer = STRBUF_INIT;
    http_put_status(&answer, response->status);
    put_said(response, &answer);
    return error_set(err, code_of(response->status), "%s %s: the server answered %s",
                     request->method, request->url, answer.data);
}
