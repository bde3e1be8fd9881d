#include "common/webhdfs.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/json.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 60000
#define CARRY_MS                                                                         \
    (INT64_C(6) * 3600 * 1000) /* a file on its way; a stalled one ends before */
#define ANSWER_MAX ((size_t)1 << 20)
#define LIST_MAX ((size_t)32 << 20) /* of a folder with 100,000 files */
#define SAID_MAX 500

/* "ROOT/path?op=...&query": more is the rest of the query, or "". */
static char *address(const struct webhdfs *fs, const char *path, const char *op,
                     const char *more)
{
    CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
    size_t length = strcspn(fs->url, "?");
    const char *query = fs->url + length;
    while (length > 0 && fs->url[length - 1] == '/') {
        length--;
    }
    strbuf_printf(&url, "%.*s", (int)length, fs->url);
    while (*path != '\0') {
        CLEANUP_FREE char *part = xstrndup(path, strcspn(path, "/"));
        path += strlen(part);
        http_put_component(&url, part);
        if (*path == '/') {
            strbuf_putc(&url, '/');
            path++;
        }
    }
    strbuf_printf(&url, "?op=%s%s%s%s", op, more, query[0] == '?' ? "&" : "",
                  query[0] == '?' ? query + 1 : "");
    return strbuf_detach(&url);
}

/* The first line of what the server says went wrong ("RemoteException"), malloc'ed, or
 * NULL. */
static char *said_by(const struct http_response *answer)
{
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer->body.data, answer->body.length, NULL);
    const struct json *message = json_get(json_get(j, "RemoteException"), "message");
    if (!json_is_string(message)) {
        return NULL;
    }
    size_t length = strcspn(json_string(message), "\r\n");
    return xstrndup(json_string(message), length < SAID_MAX ? length : SAID_MAX);
}

static int fail_status(const struct http_response *answer, const char *what,
                       const char *path, struct error *err)
{
    static const struct {
        int status;
        enum error_code code;
    } rows[] = {{401, ERR_LOGIN}, {403, ERR_ACCESS}, {429, ERR_BUSY},
                {502, ERR_BUSY},  {503, ERR_BUSY},   {504, ERR_BUSY}};
    CLEANUP_FREE char *said = said_by(answer);
    CLEANUP_STRBUF struct strbuf status = STRBUF_INIT;
    enum error_code code = ERR_PROTOCOL;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        code = rows[i].status == answer->status ? rows[i].code : code;
    }
    http_put_status(&status, answer->status);
    return error_set(err, code, "%s %s in the cluster's file system: %s%s%s", what, path,
                     status.data, said != NULL ? ": " : "", said != NULL ? said : "");
}

static int ask(const struct webhdfs *fs, const char *method, const char *url,
               struct http_response *answer, struct error *err)
{
    const struct http_request request = {
        .method = method, .url = url, .timeout_ms = ASK_MS, .limit_bytes = ANSWER_MAX};
    return http_follow(fs->http, &request, answer, err);
}

/* {"boolean":true}: it was done. */
static bool is_true(const struct http_response *answer)
{
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer->body.data, answer->body.length, NULL);
    const struct json *value = json_get(j, "boolean");
    return json_is_bool(value) && json_bool(value);
}

char *webhdfs_home(const struct webhdfs *fs, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *url = address(fs, "/", "GETHOMEDIRECTORY", "");
    if (ask(fs, "GET", url, &answer, err) < 0) {
        return NULL;
    }
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer.body.data, answer.body.length, NULL);
    const struct json *path = json_get(j, "Path");
    if (answer.status == 200 && json_is_string(path) && json_string(path)[0] == '/') {
        return xstrdup(json_string(path));
    }
    fail_status(&answer, "find", "the home folder", err);
    return NULL;
}

int webhdfs_make_dirs(const struct webhdfs *fs, const char *path, unsigned mode,
                      struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *more = xasprintf("&permission=%o", mode);
    CLEANUP_FREE char *url = address(fs, path, "MKDIRS", more);
    if (ask(fs, "PUT", url, &answer, err) < 0) {
        return -1;
    }
    return answer.status == 200 && is_true(&answer)
               ? 0
               : fail_status(&answer, "make", path, err);
}

/* ---- Writing */

/* Of two steps, of which the first says where the second goes. */
struct call {
    const char *method, *path, *op;
    const char *more; /* of the query */
};

/* Where the body of this call is wanted: the first of its two steps sends none. The
 * address is the redirection's, or, where the query says noredirect, in the answer's
 * body; malloc'ed. NULL: err. */
static char *find_place(const struct webhdfs *fs, const struct call *call,
                        struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *url = address(fs, call->path, call->op, call->more);
    const struct http_request request = {.method = call->method,
                                         .url = url,
                                         .timeout_ms = ASK_MS,
                                         .limit_bytes = ANSWER_MAX};
    if (http_perform(fs->http, &request, &answer, err) < 0) {
        return NULL;
    }
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer.body.data, answer.body.length, NULL);
    const struct json *place = json_get(j, "Location");
    if (answer.status == 307 && answer.location[0] != '\0') {
        return xstrdup(answer.location);
    }
    if (answer.status == 200 && json_is_string(place)) {
        return xstrdup(json_string(place));
    }
    fail_status(&answer, "write", call->path, err);
    return NULL;
}

static int carry(const struct webhdfs *fs, const struct call *call, const char *place,
                 struct http_request *request, struct error *err)
{
    /* HttpFS wants to be told that this is the second step. */
    static const struct http_header headers[] = {
        {"Content-Type", "application/octet-stream"}};
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    request->method = call->method;
    request->url = place;
    request->headers = headers;
    request->header_count = ARRAY_SIZE(headers);
    request->timeout_ms = CARRY_MS;
    request->limit_bytes = ANSWER_MAX;
    request->is_foreign = !http_is_same_origin(place, fs->url);
    if (http_perform(fs->http, request, &answer, err) < 0) {
        return -1;
    }
    return answer.status == 201 || answer.status == 200
               ? 0
               : fail_status(&answer, "write", call->path, err);
}

/* Both steps. request has the body. */
static int put(const struct webhdfs *fs, const struct call *call,
               struct http_request *request, struct error *err)
{
    CLEANUP_FREE char *place = find_place(fs, call, err);
    return place == NULL || http_check_url(place, err) < 0
               ? -1
               : carry(fs, call, place, request, err);
}

static int create(const struct webhdfs *fs, const char *path, unsigned mode,
                  struct http_request *request, struct error *err)
{
    CLEANUP_FREE char *more = xasprintf("&overwrite=true&permission=%o", mode);
    const struct call call = {"PUT", path, "CREATE", more};
    return put(fs, &call, request, err);
}

int webhdfs_put_file(const struct webhdfs *fs, const char *path, unsigned mode,
                     const char *file, struct error *err)
{
    struct http_request request = {.body_file = file};
    return create(fs, path, mode, &request, err);
}

/* What is left of the open file, behind what the cluster has of it. */
static int append_rest(const struct webhdfs *fs, const char *path, int fd,
                       struct error *err)
{
    const struct call call = {"POST", path, "APPEND", ""};
    CLEANUP_FREE char *piece = xmalloc(WEBHDFS_PIECE);
    ssize_t got;
    while ((got = fdio_read_full(fd, piece, WEBHDFS_PIECE)) > 0) {
        struct http_request request = {.body = piece, .body_length = (size_t)got};
        if (put(fs, &call, &request, err) < 0) {
            return -1;
        }
    }
    return got < 0 ? error_sys(err, "read what is sent to %s", path) : 0;
}

int webhdfs_put_pieces(const struct webhdfs *fs, const char *path, unsigned mode,
                       const char *file, struct error *err)
{
    CLEANUP_FREE char *more = xasprintf("&overwrite=true&permission=%o", mode);
    const struct call call = {"PUT", path, "CREATE", more};
    CLEANUP_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
    CLEANUP_FREE char *piece = xmalloc(WEBHDFS_PIECE);
    ssize_t got = fd < 0 ? -1 : fdio_read_full(fd, piece, WEBHDFS_PIECE);
    if (got < 0) {
        return error_sys(err, "read %s", file);
    }
    CLEANUP_FREE char *place = find_place(fs, &call, err);
    if (place == NULL || http_check_url(place, err) < 0) {
        return -1;
    }
    bool is_whole = got < (ssize_t)WEBHDFS_PIECE || !http_is_same_origin(place, fs->url);
    struct http_request whole = {.body_file = file};
    struct http_request first = {.body = piece, .body_length = (size_t)got};
    if (is_whole) {
        return carry(fs, &call, place, &whole, err);
    }
    return carry(fs, &call, place, &first, err) < 0 ? -1 : append_rest(fs, path, fd, err);
}

int webhdfs_rename(const struct webhdfs *fs, const char *from, const char *to,
                   struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf more = STRBUF_INIT;
    strbuf_puts(&more, "&destination=");
    http_put_component(&more, to);
    CLEANUP_FREE char *url = address(fs, from, "RENAME", more.data);
    if (ask(fs, "PUT", url, &answer, err) < 0) {
        return -1;
    }
    if (answer.status != 200) {
        return fail_status(&answer, "rename", from, err);
    }
    return is_true(&answer) ? 0
                            : error_set(err, ERR_EXISTS,
                                        "rename %s in the cluster's file system: %s is "
                                        "there already, or the first is gone",
                                        from, to);
}

/* ---- Looking and reading */

/* Its later time. */
static void take_entry(const struct json *entry, const char *name,
                       struct webhdfs_entry *out)
{
    const char *type = json_string(json_get(entry, "type"));
    int64_t length = 0, written = 0, read = 0;
    (void)json_get_integer(entry, "FileStatus", "length", 0, JSON_INTEGER_MAX, &length,
                           NULL);
    (void)json_get_integer(entry, "FileStatus", "modificationTime", 0, JSON_INTEGER_MAX,
                           &written, NULL);
    (void)json_get_integer(entry, "FileStatus", "accessTime", 0, JSON_INTEGER_MAX, &read,
                           NULL);
    *out = (struct webhdfs_entry){.name = name,
                                  .is_folder =
                                      type != NULL && strcmp(type, "DIRECTORY") == 0,
                                  .used_utc_ms = written > read ? written : read,
                                  .size_bytes = (uint64_t)length};
}

int webhdfs_look(const struct webhdfs *fs, const char *path, bool *out_is_there,
                 struct webhdfs_entry *out, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *url = address(fs, path, "GETFILESTATUS", "");
    int64_t length = 0;
    if (ask(fs, "GET", url, &answer, err) < 0) {
        return -1;
    }
    *out_is_there = answer.status != 404;
    if (answer.status == 404) {
        return 0;
    }
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer.body.data, answer.body.length, NULL);
    const struct json *entry = json_get(j, "FileStatus");
    if (answer.status != 200 || json_get_integer(entry, "FileStatus", "length", 0,
                                                 JSON_INTEGER_MAX, &length, NULL) < 0) {
        return fail_status(&answer, "look at", path, err);
    }
    take_entry(entry, "", out);
    return 0;
}

int webhdfs_size(const struct webhdfs *fs, const char *path, bool *out_is_there,
                 uint64_t *out_size, struct error *err)
{
    struct webhdfs_entry entry = {0};
    if (webhdfs_look(fs, path, out_is_there, &entry, err) < 0) {
        return -1;
    }
    if (*out_is_there) {
        *out_size = entry.size_bytes;
    }
    return 0;
}

int webhdfs_list(const struct webhdfs *fs, const char *path, webhdfs_visit *visit,
                 void *context, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *url = address(fs, path, "LISTSTATUS", "");
    const struct http_request request = {
        .method = "GET", .url = url, .timeout_ms = ASK_MS, .limit_bytes = LIST_MAX};
    if (http_follow(fs->http, &request, &answer, err) < 0) {
        return -1;
    }
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer.body.data, answer.body.length, NULL);
    const struct json *list = json_get(json_get(j, "FileStatuses"), "FileStatus");
    if (answer.status != 404 && (answer.status != 200 || list == NULL)) {
        return fail_status(&answer, "list", path, err);
    }
    for (const struct json *entry = json_first(list); entry != NULL;
         entry = json_next(entry)) {
        const char *name = json_string(json_get(entry, "pathSuffix"));
        if (name != NULL && name[0] != '\0') {
            struct webhdfs_entry found;
            take_entry(entry, name, &found);
            visit(context, &found);
        }
    }
    return 0;
}

int webhdfs_touch(const struct webhdfs *fs, const char *path, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *more = xasprintf("&accesstime=%lld", (long long)clock_utc_ms());
    CLEANUP_FREE char *url = address(fs, path, "SETTIMES", more);
    if (ask(fs, "PUT", url, &answer, err) < 0) {
        return -1;
    }
    return answer.status == 200 ? 0 : fail_status(&answer, "mark", path, err);
}

/* A file that ends before the offset: the name node's words, or the data node's. */
static bool is_behind_end(const struct http_response *answer)
{
    CLEANUP_FREE char *said = said_by(answer);
    return said != NULL && (strstr(said, "out of the range") != NULL ||
                            strstr(said, "seek after EOF") != NULL);
}

/* Where the bytes come from, for a sink: into one no redirect is followed. */
static char *find_source(const struct webhdfs *fs, const char *url, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *ask_url = xasprintf("%s&noredirect=true", url);
    const struct http_request request = {
        .method = "GET", .url = ask_url, .timeout_ms = ASK_MS, .limit_bytes = ANSWER_MAX};
    if (http_perform(fs->http, &request, &answer, err) < 0) {
        return NULL;
    }
    CLEANUP_JSON struct json *j =
        json_parse_lenient(answer.body.data, answer.body.length, NULL);
    const struct json *place = json_get(j, "Location");
    return answer.status == 307 && answer.location[0] != '\0' ? xstrdup(answer.location)
           : answer.status == 200 && json_is_string(place) ? xstrdup(json_string(place))
                                                           : xstrdup(url);
}

int webhdfs_read(const struct webhdfs *fs, const char *path, uint64_t offset,
                 uint64_t length, int sink_fd, struct http_response *answer,
                 bool *out_is_there, struct error *err)
{
    CLEANUP_FREE char *more =
        xasprintf("&offset=%llu&length=%llu", (unsigned long long)offset,
                  (unsigned long long)length);
    CLEANUP_FREE char *url = address(fs, path, "OPEN", more);
    CLEANUP_FREE char *source = sink_fd >= 0 ? find_source(fs, url, err) : xstrdup(url);
    if (source == NULL || http_check_url(source, err) < 0) {
        return -1;
    }
    const struct http_request request = {
        .method = "GET",
        .url = source,
        .timeout_ms = sink_fd >= 0 ? CARRY_MS : ASK_MS,
        .limit_bytes = length < ANSWER_MAX ? ANSWER_MAX : length,
        .has_sink = sink_fd >= 0,
        .sink_fd = sink_fd,
        .is_foreign = !http_is_same_origin(source, fs->url)};
    int result = sink_fd >= 0 ? http_perform(fs->http, &request, answer, err)
                              : http_follow(fs->http, &request, answer, err);
    if (result < 0) {
        return -1;
    }
    *out_is_there = answer->status != 404;
    if (answer->status == 200 || answer->status == 404) {
        return 0;
    }
    if (is_behind_end(answer)) {
        http_response_release(answer);
        return 0;
    }
    return fail_status(answer, "read", path, err);
}

int webhdfs_remove(const struct webhdfs *fs, const char *path, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *url = address(fs, path, "DELETE", "&recursive=true");
    if (ask(fs, "DELETE", url, &answer, err) < 0) {
        return -1;
    }
    return answer.status == 200 || answer.status == 404
               ? 0
               : fail_status(&answer, "remove", path, err);
}
