/*
 * http: one request, one answer; the interface that engines are written against. [engine]
 *
 * Who talks to a cluster's servers builds a struct http_request, calls http_perform and
 * reads a struct http_response; what carries it (libcurl in the controller, the node's
 * curl program in the executor) is behind struct http. So engines are tested without a
 * network, by a struct http of the test's own.
 *
 * A carrier does exactly one exchange: it follows no redirect and repeats nothing.
 * Following is http_follow's, repeating is the caller's, who knows what may be done
 * twice. For that the errors say how far it came (http_perform).
 *
 *     CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
 *     struct http_request ask = {.method = "GET", .url = url, .timeout_ms = 5000,
 *                                .limit_bytes = (size_t)1 << 20};
 *     if (http_follow(http, &ask, &answer, err) < 0) ...
 *
 * A struct http belongs to one thread.
 */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_URL_MAX 4096    /* bytes of an address */
#define HTTP_HEADER_MAX 32   /* headers in a request */
#define HTTP_TYPE_MAX 128    /* bytes of a content type, with its NUL */
#define HTTP_REDIRECTS_MAX 4 /* http_follow goes no further */

struct http_header {
    const char *name, *value; /* neither has control characters */
};

/* Zero-initialised, then filled; all is borrowed for the call. */
struct http_request {
    const char *method; /* "GET", "PUT", "POST", "DELETE" */
    const char *url;    /* as http_check_url wants it */
    const struct http_header *headers;
    size_t header_count; /* at most HTTP_HEADER_MAX */
    /* The body: bytes, or a file by its absolute path (then the address does not end with
     * a slash); neither: none, and with PUT and POST "Content-Length: 0". No header of
     * its own is sent with it (no Content-Type, no Expect) but those above. */
    const void *body;
    size_t body_length;
    const char *body_file;
    int64_t timeout_ms; /* for all of it, > 0 */
    /* The longest body that is taken. With has_sink it is written to sink_fd as it comes
     * and response.body stays empty; it is what was asked for where the call succeeds and
     * the status is 2xx. */
    uint64_t limit_bytes;
    bool has_sink;
    int sink_fd;
    /* The address came from another server than the one the user named: neither user nor
     * password goes with it. http_follow sets this itself. */
    bool is_foreign;
};

struct http_response {
    int status;                       /* 200, 404, ... */
    struct strbuf body;               /* exactly as it came, at most limit_bytes */
    char content_type[HTTP_TYPE_MAX]; /* "" where there is none, or it is too long */
    char location[HTTP_URL_MAX];      /* where a 3xx points, absolute; else "" */
};

#define HTTP_RESPONSE_INIT                                                               \
    {                                                                                    \
        .status = 0, .body = STRBUF_INIT                                                 \
    }
#define CLEANUP_HTTP_RESPONSE __attribute__((cleanup(http_response_release)))

/* Who one is to the servers. All is borrowed by the carrier as long as it lives. */
enum http_login {
    HTTP_LOGIN_NONE,
    HTTP_LOGIN_BASIC,     /* user and password */
    HTTP_LOGIN_NEGOTIATE, /* SPNEGO with the Kerberos ticket that is there */
};
struct http_settings {
    enum http_login login;
    const char *user, *password; /* with HTTP_LOGIN_BASIC */
    const char *ca_file;         /* a PEM file of one's own authorities, or NULL */
};

/* A carrier. Its first member in struct of its own; made by http_curl_new
 * (executor/http_curl.h) or http_libcurl_new (controller/http_libcurl.h). */
struct http {
    int (*perform)(struct http *http, const struct http_request *request,
                   struct http_response *out, struct error *err);
    void (*free)(struct http *http);
    enum http_login login; /* how it says who one is: the carrier's */
    /* Where this is readable, perform ends at once with ERR_CANCELED; -1: nothing does.
     * The caller's, to be set and cleared at any time between two calls. */
    int stop_fd;
    /* No exchange goes on beyond this time (clock_monotonic_ns): ERR_TIMED_OUT; 0: none.
     * The caller's too. */
    int64_t deadline_ns;
};

/* Why a server may not believe who one is (401), for behind a sentence: "; user or
 * password may be wrong". "" without a login. */
const char *http_login_doubt(const struct http *http);

void http_free(struct http *http);
DEFINE_CLEANUP_FREE(http)
#define CLEANUP_HTTP __attribute__((cleanup(http_cleanup)))

/*
 * One exchange. 0 where an answer came, whatever its status. out is cleared first and
 * holds nothing after a failure. Blocks for timeout_ms at most.
 * Errors: ERR_CONNECT: nothing of the request reached a server (name, refused, TLS);
 * ERR_LINK, ERR_TIMED_OUT, ERR_LIMIT (the body is longer than limit_bytes), ERR_CANCELED,
 * ERR_IO (the sink): it may have been acted on; ERR_USAGE: the request is malformed;
 * ERR_SPAWN, ERR_UNSUPPORTED: this carrier cannot do it here.
 */
int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *out, struct error *err);

/*
 * The same, going where a redirect points, at most HTTP_REDIRECTS_MAX times, method and
 * body kept: 307 and 308 always, 301, 302 and 303 for GET only (RFC 9110 section
 * 15.4). All other answers are the caller's, such a redirect among them. Errors:
 * also ERR_PROTOCOL (a redirect that points nowhere or in circles). Not for has_sink
 * (ERR_USAGE), which a redirect's own body would go into.
 */
int http_follow(struct http *http, const struct http_request *request,
                struct http_response *out, struct error *err);

/* Free what it holds; empty and usable again. */
void http_response_release(struct http_response *response);

/* An address that may be asked: http:// or https://, a host, no user or password in it,
 * no white space, control characters or quotes, at most HTTP_URL_MAX - 1 bytes. Errors:
 * ERR_USAGE. */
int http_check_url(const char *url, struct error *err);
/* Do both lead to the same server: scheme, host (in any case of letters) and port? Both
 * as http_check_url wants them. */
bool http_is_same_origin(const char *a, const char *b);
/* Append text as one component of a path or value of a query: what is not unreserved is
 * %-encoded (RFC 3986 section 2.3). */
void http_put_component(struct strbuf *url, const char *text);
/* Append "503 Service Unavailable", or the number alone where it has no name here. */
void http_put_status(struct strbuf *out, int status);
/*
 * Say in err that this answer is not one the caller can use: what was asked, the status,
 * and the beginning of a body that is text. The code follows from the status: 401
 * ERR_LOGIN, 403 ERR_ACCESS, 404 and 410 ERR_NOT_FOUND, 429 and 5xx ERR_BUSY, else
 * ERR_PROTOCOL. Returns -1.
 */
int http_unexpected(const struct http_request *request,
                    const struct http_response *response, struct error *err);

#endif
