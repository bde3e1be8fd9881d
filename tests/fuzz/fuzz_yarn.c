/*
 * yarn: a byte says which reader, the rest is a server's answer (for a log, after two
 * bytes that are the size that was asked for). What is read keeps its promises: an id
 * that may stand in an address, text that is UTF-8, a sentence of one line, a log that
 * lies within its answer. A refusal has a code and a sentence.
 */
#include "tests/fuzz/fuzz.h"

#include "common/bytes.h"
#include "common/spark_progress.h"
#include "common/yarn.h"

static void check_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    assert(length < size && bytes_is_utf8(text, length));
}

static void check_app(const struct yarn_app *app)
{
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    struct yarn_container container;
    int status;

    assert(yarn_id_is_valid(app->id));
    check_text(app->user, sizeof(app->user));
    check_text(app->queue, sizeof(app->queue));
    check_text(app->tracking_url, sizeof(app->tracking_url));
    check_text(app->driver_logs, sizeof(app->driver_logs));
    check_text(app->diagnostics, sizeof(app->diagnostics));
    assert(app->started_utc_ms >= 0 && app->containers >= 0);
    yarn_tell(app, &said);
    assert(bytes_is_utf8(said.data, said.length));
    assert(strpbrk(said.data, "\r\n\t\x1b") == NULL);
    assert(!yarn_script_status(app->diagnostics, &status) || status >= 0);
    (void)yarn_container_status(app->diagnostics, &status);
    if (yarn_parse_container(app->driver_logs, &container, NULL) == 0) {
        assert(container.attempt > 0 && strchr(container.id, '/') == NULL);
    }
}

static void try_attempts(const char *body, size_t length, struct error *err)
{
    struct yarn_container containers[YARN_ATTEMPTS_MAX];
    size_t count;

    if (yarn_parse_attempts(body, length, containers, &count, err) < 0) {
        fuzz_check_error(err);
        return;
    }
    assert(count <= YARN_ATTEMPTS_MAX);
    for (size_t i = 1; i < count; i++) {
        assert(containers[i - 1].attempt <= containers[i].attempt);
    }
}

static void try_log(struct fuzz_input *in, struct error *err)
{
    int64_t asked = (int16_t)fuzz_u16(in);
    const char *body = (const char *)in->data;
    size_t head = in->size < YARN_LOG_HEAD_MAX ? in->size : YARN_LOG_HEAD_MAX;
    struct yarn_log log;

    if (yarn_parse_log(body, head, in->size, asked, &log, err) < 0) {
        fuzz_check_error(err);
        return;
    }
    assert(log.content_at <= in->size && log.length <= in->size - log.content_at);
    assert(log.length <= (uint64_t)(asked < 0 ? -asked : asked));
    assert(log.start + log.length <= log.total);
    (void)yarn_is_log_end(body + log.content_at + log.length,
                          in->size - log.content_at - log.length);
}

/* Of the page that YARN's proxy shows. */
static void try_progress(const char *body, size_t length, struct error *err)
{
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;

    if (spark_parse_progress(body, length, &said, err) < 0) {
        fuzz_check_error(err);
        assert(said.length == 0);
        return;
    }
    assert(said.length == 0 || strstr(said.data, "stage ") != NULL);
    assert(strchr(said.data, '-') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {.data = data, .size = size};
    struct error err = ERROR_INIT;
    struct yarn_app app;
    size_t count = 0;
    unsigned reader = fuzz_byte(&in) % 5;
    const char *body = (const char *)in.data;

    (void)yarn_is_unknown(body, in.size);
    (void)yarn_is_standby(body, in.size);
    switch (reader) {
    case 0:
        if (yarn_parse_app(body, in.size, &app, &err) < 0) {
            fuzz_check_error(&err);
        } else {
            check_app(&app);
        }
        break;
    case 1:
        if (yarn_parse_apps(body, in.size, &app, &count, &err) < 0) {
            fuzz_check_error(&err);
        } else if (count > 0) {
            check_app(&app);
        }
        break;
    case 2:
        try_attempts(body, in.size, &err);
        break;
    case 3:
        try_log(&in, &err);
        break;
    default:
        try_progress(body, in.size, &err);
        break;
    }
    return 0;
}
