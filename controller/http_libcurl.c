#include "controller/http_libcurl.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

/* The macros that check types would call the library by its names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CONNECT_MS 20000
#define POLL_MS 1000

/* What is called of the library: FUNCTION(name without its curl_). */
#define FUNCTION_TABLE(FUNCTION)                                                         \
    FUNCTION(global_init)                                                                \
    FUNCTION(global_cleanup)                                                             \
    FUNCTION(version_info)                                                               \
    FUNCTION(easy_init)                                                                  \
    FUNCTION(easy_cleanup)                                                               \
    FUNCTION(easy_reset)                                                                 \
    FUNCTION(easy_setopt)                                                                \
    FUNCTION(easy_getinfo)                                                               \
    FUNCTION(easy_strerror)                                                              \
    FUNCTION(multi_init)                                                                 \
    FUNCTION(multi_cleanup)                                                              \
    FUNCTION(multi_add_handle)                                                           \
    FUNCTION(multi_remove_handle)                                                        \
    FUNCTION(multi_perform)                                                              \
    FUNCTION(multi_poll)                                                                 \
    FUNCTION(multi_info_read)                                                            \
    FUNCTION(slist_append)                                                               \
    FUNCTION(slist_free_all)

struct library {
    void *handle;
#define FUNCTION(name) __typeof__(&curl_##name) name;
    FUNCTION_TABLE(FUNCTION)
#undef FUNCTION
};

struct http_libcurl {
    struct http http;
    const struct http_settings *settings;
    struct library curl;
    char version[128];
    CURL *easy;
    CURLM *multi;
    char said[CURL_ERROR_SIZE];
};

/* What the callbacks of one exchange work on. */
struct exchange {
    struct http_libcurl *carrier;
    const struct http_request *request;
    struct http_response *out;
    struct curl_slist *headers;
    int body_fd;
    uint64_t taken_bytes; /* of the answer's body */
    struct error why;     /* of a callback that ended it; ERR_NONE: none did */
};

/* ---- The library */

static void *find_library(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4",
                                        "libcurl-nss.so.4", "libcurl.4.dylib"};
    void *handle = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(names) && handle == NULL; i++) {
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    }
    return handle;
}

static int load(struct library *curl, struct error *err)
{
    curl->handle = find_library();
    if (curl->handle == NULL) {
        error_set(err, ERR_UNSUPPORTED,
                  "libcurl, which speaks HTTP, is not on this machine");
        return error_hint(err, "install it: apt-get install libcurl4, or "
                               "dnf install libcurl");
    }
    struct {
        const char *name;
        void *place;
    } rows[] = {
#define FUNCTION(name) {"curl_" #name, &curl->name},
        FUNCTION_TABLE(FUNCTION)
#undef FUNCTION
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        void *found = dlsym(curl->handle, rows[i].name);
        if (found == NULL) {
            return error_set(err, ERR_UNSUPPORTED,
                             "libcurl here is older than 7.66: it has no %s",
                             rows[i].name);
        }
        /* A function's address through an object pointer, as dlsym(3) has it. */
        memcpy(rows[i].place, &found, sizeof found);
    }
    return 0;
}

static int check_login(struct http_libcurl *c, struct error *err)
{
    const curl_version_info_data *facts = c->curl.version_info(CURLVERSION_NOW);
    (void)snprintf(c->version, sizeof c->version, "libcurl %s, %s", facts->version,
                   facts->ssl_version != NULL ? facts->ssl_version : "no TLS");
    if (c->settings->login == HTTP_LOGIN_NEGOTIATE &&
        (facts->features & CURL_VERSION_SPNEGO) == 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s was built without SPNEGO, which Kerberos needs", c->version);
    }
    return 0;
}

const char *http_libcurl_version(const struct http *http)
{
    return ((const struct http_libcurl *)http)->version;
}

/* ---- Callbacks of an exchange */

static size_t take_body(char *data, size_t size, size_t count, void *opaque)
{
    struct exchange *x = opaque;
    size_t length = size * count;
    long status = 0;
    (void)x->carrier->curl.easy_getinfo(x->carrier->easy, CURLINFO_RESPONSE_CODE,
                                        &status);
    if (length > x->request->limit_bytes - x->taken_bytes) {
        error_set(&x->why, ERR_LIMIT, "the answer is longer than %llu bytes",
                  (unsigned long long)x->request->limit_bytes);
        return 0;
    }
    x->taken_bytes += length;
    if (x->request->has_sink && status / 100 == 2) {
        if (fdio_write_full(x->request->sink_fd, data, length) != 0) {
            error_sys(&x->why, "keep the answer");
            x->why.code = ERR_IO;
            return 0;
        }
        return length;
    }
    return strbuf_add(&x->out->body, data, length, &x->why) == 0 ? length : 0;
}

static size_t give_body(char *out, size_t size, size_t count, void *opaque)
{
    struct exchange *x = opaque;
    ssize_t got = fdio_read(x->body_fd, out, size * count);
    if (got < 0) {
        error_sys(&x->why, "read %s", x->request->body_file);
        return CURL_READFUNC_ABORT;
    }
    return (size_t)got;
}

static int seek_body(void *opaque, curl_off_t offset, int origin)
{
    const struct exchange *x = opaque;
    return lseek(x->body_fd, offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

/* ---- Setting up an exchange */

static int add_header(struct exchange *x, const char *line)
{
    struct curl_slist *more = x->carrier->curl.slist_append(x->headers, line);
    if (more == NULL) {
        return -1;
    }
    x->headers = more;
    return 0;
}

static int set_headers(struct exchange *x, struct error *err)
{
    const struct http_request *request = x->request;
    bool has_type = false;
    int result = add_header(x, "Expect:");
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *h = &request->headers[i];
        CLEANUP_FREE char *line =
            xasprintf("%s%s%s", h->name, h->value[0] == '\0' ? ";" : ": ", h->value);
        has_type = has_type || strcasecmp(h->name, "Content-Type") == 0;
        result |= add_header(x, line);
    }
    result |= has_type ? 0 : add_header(x, "Content-Type:");
    if (result != 0) {
        return error_set(err, ERR_LIMIT, "no memory for the headers");
    }
    (void)x->carrier->curl.easy_setopt(x->carrier->easy, CURLOPT_HTTPHEADER, x->headers);
    return 0;
}

static int set_body_file(struct exchange *x, struct error *err)
{
    struct http_libcurl *c = x->carrier;
    struct stat st;
    x->body_fd = open(x->request->body_file, O_RDONLY | O_CLOEXEC);
    if (x->body_fd < 0 || fstat(x->body_fd, &st) != 0) {
        return error_sys(err, "open %s", x->request->body_file);
    }
    c->curl.easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
    c->curl.easy_setopt(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
    c->curl.easy_setopt(c->easy, CURLOPT_READFUNCTION, give_body);
    c->curl.easy_setopt(c->easy, CURLOPT_READDATA, x);
    c->curl.easy_setopt(c->easy, CURLOPT_SEEKFUNCTION, seek_body);
    c->curl.easy_setopt(c->easy, CURLOPT_SEEKDATA, x);
    return 0;
}

static int set_method(struct exchange *x, struct error *err)
{
    struct http_libcurl *c = x->carrier;
    const struct http_request *request = x->request;
    bool has_body =
        strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0;
    if (request->body_file != NULL && set_body_file(x, err) != 0) {
        return -1;
    }
    if (request->body_file == NULL && (has_body || request->body_length > 0)) {
        c->curl.easy_setopt(c->easy, CURLOPT_POST, 1L);
        c->curl.easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t)request->body_length);
        c->curl.easy_setopt(c->easy, CURLOPT_POSTFIELDS,
                            request->body_length > 0 ? request->body : "");
    }
    if (strcmp(request->method, "GET") != 0) {
        c->curl.easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, request->method);
        /* See the header: what is sent here is never sent twice. */
        c->curl.easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
    }
    return 0;
}

static void set_login(const struct exchange *x)
{
    const struct http_libcurl *c = x->carrier;
    const struct http_settings *settings = c->settings;
    if (settings->ca_file != NULL) {
        c->curl.easy_setopt(c->easy, CURLOPT_CAINFO, settings->ca_file);
    }
    if (x->request->is_foreign || settings->login == HTTP_LOGIN_NONE) {
        return;
    }
    bool is_basic = settings->login == HTTP_LOGIN_BASIC;
    c->curl.easy_setopt(c->easy, CURLOPT_HTTPAUTH,
                        is_basic ? CURLAUTH_BASIC : CURLAUTH_NEGOTIATE);
    /* An empty user is whoever the ticket is of. */
    c->curl.easy_setopt(c->easy, CURLOPT_USERNAME, is_basic ? settings->user : "");
    c->curl.easy_setopt(c->easy, CURLOPT_PASSWORD, is_basic ? settings->password : "");
}

static int set_up(struct exchange *x, struct error *err)
{
    struct http_libcurl *c = x->carrier;
    const struct http_request *request = x->request;
    int64_t connect_ms =
        request->timeout_ms < CONNECT_MS ? request->timeout_ms : CONNECT_MS;
    c->curl.easy_reset(c->easy);
    c->said[0] = '\0';
    c->curl.easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->said);
    c->curl.easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    c->curl.easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    c->curl.easy_setopt(c->easy, CURLOPT_URL, request->url);
    c->curl.easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    c->curl.easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    c->curl.easy_setopt(c->easy, CURLOPT_USERAGENT, "errand");
    c->curl.easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, take_body);
    c->curl.easy_setopt(c->easy, CURLOPT_WRITEDATA, x);
    set_login(x);
    return set_method(x, err) != 0 ? -1 : set_headers(x, err);
}

/* ---- The exchange */

/* How it ended: the library's code, or -1 with err. */
static int transfer(struct exchange *x, struct error *err)
{
    struct http_libcurl *c = x->carrier;
    int stop_fd = c->http.stop_fd;
    struct curl_waitfd stop = {.fd = stop_fd, .events = CURL_WAIT_POLLIN};
    for (;;) {
        int running = 0, left = 0;
        CURLMcode code = c->curl.multi_perform(c->multi, &running);
        const CURLMsg *message = c->curl.multi_info_read(c->multi, &left);
        if (message != NULL && message->msg == CURLMSG_DONE) {
            return (int)message->data.result;
        }
        stop.revents = 0;
        if (code == CURLM_OK) {
            code =
                c->curl.multi_poll(c->multi, &stop, stop_fd >= 0 ? 1 : 0, POLL_MS, NULL);
        }
        if (code != CURLM_OK) {
            return error_set(err, ERR_INTERNAL, "libcurl failed with code %d", (int)code);
        }
        if (stop.revents != 0) {
            return error_set(err, ERR_CANCELED, "%s: canceled", x->request->url);
        }
    }
}

static bool is_connect_failure(const struct http_libcurl *c, int code)
{
    static const CURLcode codes[] = {
        CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
        CURLE_COULDNT_CONNECT,      CURLE_SSL_CONNECT_ERROR,
        CURLE_SSL_CACERT_BADFILE,   CURLE_SSL_ISSUER_ERROR,
        CURLE_SSL_CERTPROBLEM,      CURLE_SSL_CIPHER,
        CURLE_UNSUPPORTED_PROTOCOL,
    };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if ((int)codes[i] == code) {
            return true;
        }
    }
    curl_off_t ready_us = 0; /* when the connection, with TLS, stood; 0: never */
    (void)c->curl.easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    return code == (int)CURLE_OPERATION_TIMEDOUT && ready_us == 0;
}

static int explain(const struct exchange *x, int code, struct error *err)
{
    const struct http_libcurl *c = x->carrier;
    const char *said =
        c->said[0] != '\0' ? c->said : c->curl.easy_strerror((CURLcode)code);
    const char *url = x->request->url;
    if (x->why.code != ERR_NONE) {
        return error_set(err, x->why.code, "%s: %s", url, x->why.text);
    }
    if (code == (int)CURLE_PEER_FAILED_VERIFICATION) { /* no waiting helps */
        error_set(err, ERR_HOST_KEY, "%s: %s", url, said);
        return error_hint(err, "a certificate of an authority of one's own is trusted "
                               "by naming its PEM file (ca)");
    }
    if (is_connect_failure(c, code)) {
        return error_set(err, ERR_CONNECT, "%s: %s", url, said);
    }
    enum error_code kind =
        code == (int)CURLE_OPERATION_TIMEDOUT ? ERR_TIMED_OUT : ERR_LINK;
    return error_set(err, kind, "%s: %s", url, said);
}

static void take_head(const struct exchange *x)
{
    const struct http_libcurl *c = x->carrier;
    long status = 0;
    char *type = NULL, *location = NULL;
    (void)c->curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)c->curl.easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
    (void)c->curl.easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &location);
    x->out->status = (int)status;
    if (type != NULL && strlen(type) < sizeof x->out->content_type) {
        (void)snprintf(x->out->content_type, sizeof x->out->content_type, "%s", type);
    }
    if (location != NULL && strlen(location) < sizeof x->out->location) {
        (void)snprintf(x->out->location, sizeof x->out->location, "%s", location);
    }
}

static int exchange_once(struct exchange *x, struct error *err)
{
    struct http_libcurl *c = x->carrier;
    if (set_up(x, err) != 0) {
        return -1;
    }
    if (c->curl.multi_add_handle(c->multi, c->easy) != CURLM_OK) {
        return error_set(err, ERR_INTERNAL, "libcurl did not take the request");
    }
    int code = transfer(x, err);
    int result = code;
    if (code == (int)CURLE_OK) {
        take_head(x);
    } else if (code > 0) {
        result = explain(x, code, err);
    }
    (void)c->curl.multi_remove_handle(c->multi, c->easy);
    return result;
}

static int perform(struct http *http, const struct http_request *request,
                   struct http_response *out, struct error *err)
{
    struct exchange x = {.carrier = (struct http_libcurl *)http,
                         .request = request,
                         .out = out,
                         .body_fd = -1,
                         .why = ERROR_INIT};
    int result = exchange_once(&x, err);
    x.carrier->curl.slist_free_all(x.headers);
    fdio_close(&x.body_fd);
    return result;
}

static void free_carrier(struct http *http)
{
    struct http_libcurl *c = (struct http_libcurl *)http;
    if (c->easy != NULL) {
        c->curl.easy_cleanup(c->easy);
    }
    if (c->multi != NULL) {
        (void)c->curl.multi_cleanup(c->multi);
        c->curl.global_cleanup();
    }
    /* The library stays loaded: it may have left threads and handlers of its own. */
    free(c);
}

struct http *http_libcurl_new(const struct http_settings *settings, struct error *err)
{
    struct http_libcurl *c = xcalloc(1, sizeof *c);
    c->http = (struct http){.perform = perform,
                            .free = free_carrier,
                            .login = settings->login,
                            .stop_fd = -1};
    c->settings = settings;
    if (load(&c->curl, err) != 0 || check_login(c, err) != 0) {
        free(c);
        return NULL;
    }
    if (c->curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        c->multi = c->curl.multi_init();
        c->easy = c->curl.easy_init();
    }
    if (c->multi == NULL || c->easy == NULL) {
        error_set(err, ERR_UNSUPPORTED, "%s cannot be used here", c->version);
        free_carrier(&c->http);
        return NULL;
    }
    return &c->http;
}
