#include "common/yarn_ask.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/fdio.h"

/* The first look at a log takes so much of its end: enough for what a script says in a
 * second, and little where it says nothing. What is asked for at the next is so much more
 * than was missing before; where it grew by more than that meanwhile, the margin grows.
 */
#define PEEK_BYTES INT64_C(4096)
#define MARGIN_BYTES INT64_C(65536)
#define MARGIN_FACTOR 16
#define LOOKS_MAX 5
#define LOG_MAX (UINT64_C(1) << 40)

/* ---- ResourceManagers */

/* One manager's answer: 0, or whose word it is. *is_final: no twin is to be asked. */
static int judge(const struct http_request *request, const struct http_response *answer,
                 bool *is_final, struct error *err)
{
    *is_final = false;
    if (yarn_is_standby(answer->body.data, answer->body.length)) {
        return error_set(err, ERR_BUSY, "%s: no ResourceManager is active right now",
                         request->url);
    }
    *is_final = answer->status < 500;
    if (answer->status >= 200 && answer->status < 300) {
        return 0;
    }
    http_unexpected(request, answer, err);
    if (answer->status == 404 &&
        !yarn_is_unknown(answer->body.data, answer->body.length)) {
        *is_final = false;
        err->code = ERR_PROTOCOL; /* a gateway's word, not the manager's */
    }
    return -1;
}

static int ask_managers(struct yarn *yarn, const char *method, const char *path,
                        const char *body, struct http_response *answer, struct error *err)
{
    static const struct http_header headers[] = {{"Accept", "application/json"},
                                                 {"Content-Type", "application/json"}};
    struct error last = ERROR_INIT;
    for (size_t i = 0; i < yarn->managers->count; i++) {
        size_t at = (yarn->active + i) % yarn->managers->count;
        CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
        bool is_final = false;
        strbuf_printf(&url, "%s%s", yarn->managers->items[at], path);
        if (yarn->user != NULL) {
            strbuf_printf(&url, "%cuser.name=", strchr(path, '?') != NULL ? '&' : '?');
            http_put_component(&url, yarn->user);
        }
        const struct http_request request = {
            .method = method,
            .url = url.data,
            .headers = headers,
            .header_count = body != NULL ? 2 : 1,
            .body = body,
            .body_length = body != NULL ? strlen(body) : 0,
            .timeout_ms = yarn->timeout_ms,
            .limit_bytes = YARN_ANSWER_MAX,
        };
        if (http_follow(yarn->http, &request, answer, &last) < 0) {
            is_final = last.code == ERR_CANCELED || last.code == ERR_SPAWN;
        } else if (judge(&request, answer, &is_final, &last) == 0) {
            yarn->active = at;
            return 0;
        }
        if (is_final) {
            break;
        }
    }
    error_set(err, last.code, "%s", last.text);
    return last.hint[0] != '\0' ? error_hint(err, "%s", last.hint) : -1;
}

int yarn_find(struct yarn *yarn, const char *tag, struct yarn_app *out, size_t *out_count,
              struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    strbuf_puts(&path, "/ws/v1/cluster/apps?applicationTags=");
    http_put_component(&path, tag);
    if (ask_managers(yarn, "GET", path.data, NULL, &answer, err) < 0) {
        return error_wrap(err, "look for the application with the tag %s", tag);
    }
    return yarn_parse_apps(answer.body.data, answer.body.length, out, out_count, err);
}

/* GET or PUT of what is below an application. */
static int ask_about(struct yarn *yarn, const char *method, const char *id,
                     const char *below, const char *body, struct http_response *answer,
                     struct error *err)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    if (!yarn_id_is_valid(id)) {
        return error_set(err, ERR_USAGE, "%.80s is no application's id", id);
    }
    strbuf_printf(&path, "/ws/v1/cluster/apps/%s%s", id, below);
    return ask_managers(yarn, method, path.data, body, answer, err);
}

int yarn_look(struct yarn *yarn, const char *id, struct yarn_app *out, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    if (ask_about(yarn, "GET", id, "", NULL, &answer, err) < 0) {
        return error_wrap(err, "look at %s", id);
    }
    if (yarn_parse_app(answer.body.data, answer.body.length, out, err) < 0) {
        return error_wrap(err, "look at %s", id);
    }
    return strcmp(out->id, id) == 0
               ? 0
               : error_set(err, ERR_PROTOCOL, "asked about %s, YARN told of %s", id,
                           out->id);
}

int yarn_attempts(struct yarn *yarn, const char *id,
                  struct yarn_container out[YARN_ATTEMPTS_MAX], size_t *out_count,
                  struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    if (ask_about(yarn, "GET", id, "/appattempts", NULL, &answer, err) < 0) {
        return error_wrap(err, "look at the attempts of %s", id);
    }
    return yarn_parse_attempts(answer.body.data, answer.body.length, out, out_count, err);
}

int yarn_kill(struct yarn *yarn, const char *id, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    if (ask_about(yarn, "PUT", id, "/state", "{\"state\":\"KILLED\"}", &answer, err) <
        0) {
        return error_wrap(err, "kill %s", id);
    }
    return 0;
}

/* ---- Logs */

struct log_question {
    struct yarn *yarn;
    enum yarn_keeper keeper;
    const struct yarn_container *container;
    const char *file;
    int spool_fd;
};

static void put_log_url(const struct log_question *q, int64_t size, struct strbuf *url)
{
    const struct yarn_container *container = q->container;
    if (q->keeper == YARN_KEEPER_NODE) {
        strbuf_printf(url, "%s/ws/v1/node/containers/%s/logs/", container->node,
                      container->id);
    } else {
        strbuf_printf(url, "%s/ws/v1/history/containerlogs/%s/", q->yarn->history,
                      container->id);
    }
    http_put_component(url, q->file);
    strbuf_printf(url, "?size=%lld", (long long)size);
}

/* What a keeper answers that is not 200, or is no log. */
static int refuse(const struct http_request *request, struct http_response *answer,
                  int spool_fd, uint64_t size, struct error *err)
{
    char *block = strbuf_reserve(&answer->body, YARN_LOG_HEAD_MAX, NULL);
    ssize_t got = block != NULL && size > 0
                      ? fdio_pread_full(spool_fd, block, YARN_LOG_HEAD_MAX, 0)
                      : 0;
    strbuf_grown(&answer->body, got > 0 ? (size_t)got : 0);
    http_unexpected(request, answer, err);
    if (answer->status >= 300 && answer->status < 400) {
        err->code = ERR_NOT_FOUND; /* a node that points to who has it now */
    }
    return -1;
}

/* Is the content followed by what ends an answer? */
static int check_end(int spool_fd, const struct yarn_log *log, struct error *err)
{
    char bytes[64];
    ssize_t got =
        fdio_pread_full(spool_fd, bytes, sizeof(bytes), log->content_at + log->length);
    if (got < 0) {
        return error_sys(err, "read a container's log");
    }
    return yarn_is_log_end(bytes, (size_t)got)
               ? 0
               : error_set(err, ERR_PROTOCOL,
                           "a container's log is not as long as was said");
}

static int ask_keeper(const struct log_question *q, int64_t size, struct yarn_log *out,
                      struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
    char head[YARN_LOG_HEAD_MAX];
    put_log_url(q, size, &url);
    const struct http_request request = {
        .method = "GET",
        .url = url.data,
        .timeout_ms = q->yarn->timeout_ms,
        .limit_bytes = LOG_MAX,
        .has_sink = true,
        .sink_fd = q->spool_fd,
    };
    if (ftruncate(q->spool_fd, 0) < 0 || lseek(q->spool_fd, 0, SEEK_SET) < 0) {
        return error_sys(err, "empty the file for a container's log");
    }
    if (http_perform(q->yarn->http, &request, &answer, err) < 0) {
        return -1;
    }
    off_t length = lseek(q->spool_fd, 0, SEEK_CUR);
    ssize_t got = fdio_pread_full(q->spool_fd, head, sizeof(head), 0);
    if (length < 0 || got < 0) {
        return error_sys(err, "read a container's log");
    }
    if (answer.status != 200) {
        return refuse(&request, &answer, q->spool_fd, (uint64_t)length, err);
    }
    if (yarn_parse_log(head, (size_t)got, (uint64_t)length, size, out, err) < 0) {
        return -1;
    }
    return check_end(q->spool_fd, out, err);
}

int yarn_read_log(struct yarn *yarn, enum yarn_keeper keeper,
                  const struct yarn_container *container, const char *file, uint64_t have,
                  int spool_fd, struct yarn_log *out, struct error *err)
{
    const struct log_question q = {yarn, keeper, container, file, spool_fd};
    if (keeper == YARN_KEEPER_HISTORY && yarn->history == NULL) {
        return error_set(err, ERR_NOT_FOUND,
                         "this cluster has no history server that keeps logs");
    }
    if (ask_keeper(&q, -PEEK_BYTES, out, err) < 0) {
        return -1;
    }
    int64_t margin = MARGIN_BYTES;
    for (int looks = 1; looks < LOOKS_MAX && out->total > have && out->start > have;
         looks++) {
        int64_t missing = (int64_t)(out->total - have);
        if (ask_keeper(&q, -(missing + margin), out, err) < 0) {
            return -1;
        }
        margin *= MARGIN_FACTOR;
    }
    if (out->total < have) {
        return error_set(err, ERR_CHANGED,
                         "%s of %s is shorter than it was: %llu bytes after %llu", file,
                         container->id, (unsigned long long)out->total,
                         (unsigned long long)have);
    }
    if (out->start > have) {
        return error_set(err, ERR_BUSY, "%s of %s grows faster than it is read", file,
                         container->id);
    }
    out->content_at += have - out->start;
    out->length = out->total - have;
    out->start = have;
    return 0;
}
