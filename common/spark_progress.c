#include "common/spark_progress.h"

#include <string.h>

#include "common/json.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define WHAT "Spark's jobs"

struct sum {
    int64_t jobs, stages, stages_done, tasks, tasks_done;
};

static int64_t count_of(const struct json *job, const char *key)
{
    int64_t count = 0;
    (void)json_get_integer(job, WHAT, key, 0, INT32_MAX, &count, NULL);
    return count;
}

static int add_job(struct sum *sum, const struct json *job, struct error *err)
{
    const char *status;
    const struct json *stages;
    if (json_get_string(job, WHAT, "status", &status, err) < 0 ||
        json_get_array(job, WHAT, "stageIds", SIZE_MAX, &stages, err) < 0) {
        return -1;
    }
    if (strcmp(status, "RUNNING") != 0) {
        return 0;
    }
    sum->jobs++;
    for (const struct json *at = json_first(stages); at != NULL; at = json_next(at)) {
        sum->stages++;
    }
    sum->stages_done +=
        count_of(job, "numCompletedStages") + count_of(job, "numSkippedStages");
    sum->tasks += count_of(job, "numTasks");
    sum->tasks_done +=
        count_of(job, "numCompletedTasks") + count_of(job, "numSkippedTasks");
    return 0;
}

static void describe(const struct sum *sum, struct strbuf *out)
{
    int64_t stage = sum->stages_done < sum->stages ? sum->stages_done + 1 : sum->stages;
    if (sum->jobs > 1) {
        strbuf_printf(out, "%lld jobs, ", (long long)sum->jobs);
    }
    if (sum->jobs > 0) {
        strbuf_printf(out, "stage %lld of %lld, %lld/%lld tasks", (long long)stage,
                      (long long)sum->stages, (long long)sum->tasks_done,
                      (long long)sum->tasks);
    }
}

int spark_parse_progress(const char *body, size_t length, struct strbuf *out,
                         struct error *err)
{
    struct error inner = ERROR_INIT;
    struct sum sum = {0};
    CLEANUP_JSON struct json *jobs = json_parse_lenient(body, length, &inner);
    if (jobs != NULL && !json_is_array(jobs)) {
        error_set(&inner, ERR_PROTOCOL, "they are no list");
    }
    for (const struct json *job = inner.code == ERR_NONE ? json_first(jobs) : NULL;
         job != NULL && inner.code == ERR_NONE; job = json_next(job)) {
        (void)add_job(&sum, job, &inner);
    }
    if (inner.code != ERR_NONE) {
        return error_set(err, ERR_PROTOCOL, WHAT ": %s", inner.text);
    }
    describe(&sum, out);
    return 0;
}

int spark_ask_progress(struct http *http, const char *page, const char *application,
                       int64_t timeout_ms, struct strbuf *out, struct error *err)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
    size_t length = strlen(page);
    strbuf_printf(&url, "%.*s/api/v1/applications/",
                  (int)(length > 0 && page[length - 1] == '/' ? length - 1 : length),
                  page);
    http_put_component(&url, application);
    strbuf_puts(&url, "/jobs?status=running");
    const struct http_request request = {.method = "GET",
                                         .url = url.data,
                                         .timeout_ms = timeout_ms,
                                         .limit_bytes = ANSWER_MAX};
    if (http_follow(http, &request, &answer, err) < 0) {
        return -1;
    }
    if (answer.status != 200) {
        http_unexpected(&request, &answer, err);
        return -1;
    }
    return spark_parse_progress(answer.body.data, answer.body.length, out, err);
}
