/* The calls of livy.h. */
#include "common/livy.h"

#include <stdlib.h>
#include <string.h>

#define ASK_MS 60000
#define POST_MS 180000
#define DELETE_MS 170000
#define SMALL_MAX ((size_t)16 << 20) /* an object has the last lines of the log in it */
#define PAGE 100
#define PAGES_MAX 1000

/* Livy wants it where its CSRF protection is on; it is no harm elsewhere. */
static const struct http_header headers[] = {
    {"X-Requested-By", "errand"},
    {"Content-Type", "application/json"},
};

#define NO_LIVY_HINT                                                                     \
    "is this the address of a Livy? Behind a gateway it often ends in /livy"

static char *address(const struct livy *livy, const char *path)
{
    size_t length = strlen(livy->url);
    while (length > 0 && livy->url[length - 1] == '/') {
        length--;
    }
    return xasprintf("%.*s%s", (int)length, livy->url, path);
}

static char *batch_path(const char *which, const char *rest)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    strbuf_puts(&path, "/batches/");
    http_put_component(&path, which);
    strbuf_puts(&path, rest);
    return strbuf_detach(&path);
}

static int fail_status(const struct livy *livy, const struct http_response *answer,
                       const char *url, struct error *err)
{
    static const struct {
        int status;
        enum error_code code;
    } rows[] = {{401, ERR_LOGIN}, {403, ERR_LOGIN}, {429, ERR_BUSY},
                {502, ERR_BUSY},  {503, ERR_BUSY},  {504, ERR_BUSY}};
    CLEANUP_STRBUF struct strbuf reason = STRBUF_INIT, status = STRBUF_INIT;
    enum error_code code = ERR_PROTOCOL;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        code = rows[i].status == answer->status ? rows[i].code : code;
    }
    livy_put_reason(answer, &reason);
    http_put_status(&status, answer->status);
    bool is_status = strcmp(reason.data, status.data) == 0;
    return error_set(err, code, "%s answers %s%s%s%s", url, status.data,
                     is_status ? "" : ": ", is_status ? "" : reason.data,
                     answer->status == 401 ? http_login_doubt(livy->http) : "");
}

static int ask(const struct livy *livy, const char *method, const char *path,
               int64_t timeout_ms, uint64_t limit_bytes, struct http_response *answer,
               bool *out_is_there, struct error *err)
{
    CLEANUP_FREE char *url = address(livy, path);
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .headers = headers,
                                         .header_count = 1,
                                         .timeout_ms = timeout_ms,
                                         .limit_bytes = limit_bytes};
    if (http_perform(livy->http, &request, answer, err) < 0) {
        return -1;
    }
    if (out_is_there != NULL) {
        *out_is_there = answer->status != 404;
        if (answer->status == 404) {
            return 0;
        }
    }
    return answer->status == 200 ? 0 : fail_status(livy, answer, url, err);
}

/* What cannot be read is no answer of Livy's. */
static int unreadable(int result, const struct livy *livy, struct error *err)
{
    if (result < 0 && err != NULL &&
        (err->code == ERR_CORRUPT || err->code == ERR_LIMIT)) {
        err->code = ERR_PROTOCOL;
        error_wrap(err, "%s", livy->url);
    }
    return result;
}

int livy_ask_version(const struct livy *livy, struct livy_server *out, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    if (ask(livy, "GET", "/version", ASK_MS, SMALL_MAX, &answer, NULL, err) < 0) {
        bool is_gateways = answer.status >= 502 && answer.status <= 504;
        return answer.status == 404 ? error_hint(err, NO_LIVY_HINT)
               : is_gateways ? error_hint(err, "the gateway answers, and not the Livy "
                                               "behind it, which may be down")
                             : -1;
    }
    if (unreadable(livy_decode_version(answer.body.data, answer.body.length, out, err),
                   livy, err) < 0) {
        return error_hint(err, NO_LIVY_HINT);
    }
    return 0;
}

int livy_ask_batch(const struct livy *livy, const char *which, struct livy_batch *out,
                   bool *out_is_there, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *path = batch_path(which, "");
    if (ask(livy, "GET", path, ASK_MS, SMALL_MAX, &answer, out_is_there, err) < 0) {
        return -1;
    }
    return !*out_is_there ? 0
                          : unreadable(livy_decode_batch(answer.body.data,
                                                         answer.body.length, out, err),
                                       livy, err);
}

int livy_ask_state(const struct livy *livy, int64_t id, char word[32], bool *out_is_there,
                   struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *path = xasprintf("/batches/%lld/state", (long long)id);
    if (ask(livy, "GET", path, ASK_MS, SMALL_MAX, &answer, out_is_there, err) < 0) {
        return -1;
    }
    return !*out_is_there ? 0
                          : unreadable(livy_decode_state(answer.body.data,
                                                         answer.body.length, word, err),
                                       livy, err);
}

int livy_ask_log(const struct livy *livy, int64_t id, struct http_response *answer,
                 bool *out_is_there, struct error *err)
{
    CLEANUP_FREE char *path =
        xasprintf("/batches/%lld/log?from=0&size=-1", (long long)id);
    return ask(livy, "GET", path, ASK_MS, LIVY_ANSWER_MAX, answer, out_is_there, err);
}

struct paging {
    livy_visitor *visit;
    void *context;
    size_t count;
};

static int count_batch(void *opaque, const struct livy_batch *batch)
{
    struct paging *paging = opaque;
    paging->count++;
    return paging->visit(paging->context, batch);
}

int livy_ask_batches(const struct livy *livy, livy_visitor *visit, void *context,
                     struct error *err)
{
    for (int page = 0; page < PAGES_MAX; page++) {
        CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
        CLEANUP_FREE char *path =
            xasprintf("/batches?from=%d&size=%d", page * PAGE, PAGE);
        struct paging paging = {.visit = visit, .context = context};
        if (ask(livy, "GET", path, ASK_MS, SMALL_MAX, &answer, NULL, err) < 0) {
            return -1;
        }
        int result = livy_decode_batches(answer.body.data, answer.body.length,
                                         count_batch, &paging, err);
        if (result != 0 || paging.count < PAGE) {
            return unreadable(result, livy, err);
        }
    }
    return 0;
}

int livy_ask_delete(const struct livy *livy, const char *which, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_FREE char *path = batch_path(which, "");
    bool is_there = false;
    return ask(livy, "DELETE", path, DELETE_MS, SMALL_MAX, &answer, &is_there, err);
}

/* ---- POST */

static void add_texts(struct json *body, const char *key, const struct strvec *texts)
{
    if (texts != NULL && texts->count > 0) {
        json_add(body, key, json_new_strings(texts));
    }
}

static void add_conf(struct json *body, const struct strvec *conf)
{
    if (conf == NULL || conf->count == 0) {
        return;
    }
    struct json *map = json_add(body, "conf", json_new_object());
    for (size_t i = 0; i < conf->count; i++) {
        size_t length = strcspn(conf->items[i], "=");
        CLEANUP_FREE char *key = xstrndup(conf->items[i], length);
        const char *rest = conf->items[i] + length;
        json_add_string(map, key, *rest == '=' ? rest + 1 : rest);
    }
}

void livy_encode_job(const struct livy_job *job, struct strbuf *out)
{
    CLEANUP_JSON struct json *body = json_new_object();
    const struct {
        const char *key, *text;
    } texts[] = {
        {"file", job->file},
        {"name", job->name},
        {"queue", job->queue},
        {"proxyUser", job->proxy_user},
        {"driverMemory", job->driver_memory},
        {"executorMemory", job->executor_memory},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i].text != NULL && texts[i].text[0] != '\0') {
            json_add_string(body, texts[i].key, texts[i].text);
        }
    }
    if (job->executor_cores > 0) {
        json_add_integer(body, "executorCores", job->executor_cores);
    }
    if (job->num_executors > 0) {
        json_add_integer(body, "numExecutors", job->num_executors);
    }
    add_texts(body, "args", job->args);
    add_texts(body, "jars", job->jars);
    add_texts(body, "pyFiles", job->py_files);
    add_texts(body, "files", job->files);
    add_texts(body, "archives", job->archives);
    add_conf(body, job->conf);
    json_write(body, false, out);
}

int livy_ask_post(const struct livy *livy, const struct livy_job *job,
                  struct http_response *answer, struct error *err)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    CLEANUP_FREE char *url = address(livy, "/batches");
    livy_encode_job(job, &body);
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .header_count = ARRAY_SIZE(headers),
                                         .body = body.data,
                                         .body_length = body.length,
                                         .timeout_ms = POST_MS,
                                         .limit_bytes = SMALL_MAX};
    return http_perform(livy->http, &request, answer, err);
}
