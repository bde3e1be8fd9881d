#define _GNU_SOURCE /* O_NOFOLLOW */
#include "common/enginelog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"

#define NAME "engine"
/* Each line says all that is known, so the last ones are enough. */
#define TAIL_BYTES ((off_t)4 * ENGINE_LINE_MAX)

/* What only an attendant reads in its lines. */
static int take_own(struct enginelog *log, const char *line, size_t length,
                    const struct engine_line *said, struct error *err)
{
    CLEANUP_JSON struct json *j = json_parse(line, length, err);
    const struct json *segment = json_get(j, "log");
    const char *token = json_string(json_get(j, "token"));
    if (j == NULL) {
        return -1;
    }
    if (said->event == ENGINE_SUBMITTING) {
        log->may_be_submitted = true;
        log->submitting_utc_ms = said->utc_ms;
    }
    log->has_ended = said->event == ENGINE_ENDED;
    if (token != NULL) {
        run_engine_set(log->token, sizeof(log->token), token);
    }
    if (segment == NULL) {
        return 0;
    }
    int64_t at, start;
    const char *source, *marker;
    if (json_get_string(segment, NAME, "source", &source, err) < 0 ||
        json_get_string(segment, NAME, "marker", &marker, err) < 0 ||
        json_get_integer(segment, NAME, "at", 0, JSON_INTEGER_MAX, &at, err) < 0 ||
        json_get_integer(segment, NAME, "start", 0, JSON_INTEGER_MAX, &start, err) < 0) {
        return -1;
    }
    run_engine_set(log->segment.source, sizeof(log->segment.source), source);
    log->segment.marker[0] = '\0';
    if (strlen(marker) < sizeof(log->segment.marker)) { /* it has a newline: as it is */
        memcpy(log->segment.marker, marker, strlen(marker) + 1);
    }
    log->segment.at = (uint64_t)at;
    log->segment.start = (uint64_t)start;
    return 0;
}

typedef int take_line(void *context, const char *line, size_t length, struct error *err);

/* Each whole line of text. *out_whole: how far they go. */
static int each_line(const struct strbuf *text, take_line *take, void *context,
                     size_t *out_whole, struct error *err)
{
    size_t at = 0;
    for (;;) {
        const char *from = text->data + at;
        const char *newline = memchr(from, '\n', text->length - at);
        if (newline == NULL) {
            *out_whole = at;
            return 0;
        }
        size_t length = (size_t)(newline - from);
        if (take(context, from, length, err) < 0) {
            return -1;
        }
        at += length + 1;
    }
}

static int take_mine(void *context, const char *line, size_t length, struct error *err)
{
    struct enginelog *log = context;
    struct run_engine engine = {.attempt = log->engine.attempt};
    struct engine_line said;
    /* The first look says whose line it is. */
    if (run_engine_take(&engine, line, length, &said, err) < 0) {
        return -1;
    }
    log->seq = said.seq;
    if (said.attempt != log->engine.attempt) {
        return 0;
    }
    return run_engine_take(&log->engine, line, length, NULL, err) < 0
               ? -1
               : take_own(log, line, length, &said, err);
}

int enginelog_open(struct enginelog *log, int run_fd, const char *kind, int64_t attempt,
                   struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    size_t whole = 0;
    strbuf_init(&text, ENGINE_FILE_MAX);
    memset(log, 0, sizeof(*log));
    log->engine.attempt = attempt;
    log->fd =
        openat(run_fd, NAME, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->fd < 0) {
        return error_sys(err, "open the run's file " NAME);
    }
    int result = fdio_read_all(log->fd, NAME, &text, err);
    if (result == 0) {
        result = each_line(&text, take_mine, log, &whole, err);
    }
    if (result == 0 && whole < text.length && ftruncate(log->fd, (off_t)whole) < 0) {
        result = error_sys(err, "cut a torn line off the run's file " NAME);
    }
    if (result < 0) {
        enginelog_close(log);
        return -1;
    }
    run_engine_set(log->engine.kind, sizeof(log->engine.kind), kind);
    return 0;
}

static void add_segment(struct json *line, const struct engine_segment *segment)
{
    struct json *j = json_add(line, "log", json_new_object());
    json_add_string(j, "source", segment->source);
    json_add_string(j, "marker", segment->marker);
    json_add_integer(j, "at", (int64_t)segment->at);
    json_add_integer(j, "start", (int64_t)segment->start);
}

static void add_text(void *context, const char *key, const char *text)
{
    if (text[0] != '\0') {
        json_add_string(context, key, text);
    }
}

int enginelog_append(struct enginelog *log, enum engine_event event, const char *text,
                     struct error *err)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    CLEANUP_JSON struct json *j = json_new_object();
    char plain[ENGINE_TEXT_SIZE] = "";
    int64_t now_ms = clock_utc_ms();
    if (event == ENGINE_ENDED) {
        log->engine.progress[0] = '\0';
    }
    run_engine_set(plain, sizeof(plain), text);
    json_add_integer(j, "seq", log->seq + 1);
    json_add_time(j, "time", now_ms);
    json_add_integer(j, "attempt", log->engine.attempt);
    json_add_string(j, "event", engine_event_name(event));
    run_engine_each(&log->engine, add_text, j);
    if (event == ENGINE_SUBMITTING) {
        json_add_string(j, "token", log->token);
    }
    if (event == ENGINE_LOG) {
        add_segment(j, &log->segment);
    }
    json_add_string(j, "text", plain);
    json_write(j, false, &line);
    strbuf_putc(&line, '\n');
    off_t size = lseek(log->fd, 0, SEEK_END);
    if (size < 0 || fdio_write_full(log->fd, line.data, line.length) < 0 ||
        (event != ENGINE_PROGRESS && fdatasync(log->fd) < 0)) {
        int reason = errno;
        if (size >= 0) {
            (void)!ftruncate(log->fd, size); /* a torn line is cut when it is opened */
        }
        errno = reason;
        return error_sys(err, "write the run's file " NAME);
    }
    log->seq++;
    if (event == ENGINE_SUBMITTING) {
        log->may_be_submitted = true;
        log->submitting_utc_ms = now_ms;
    }
    log->has_ended = event == ENGINE_ENDED;
    return 0;
}

bool enginelog_is_followed(const struct enginelog *log)
{
    if (flock(log->fd, LOCK_EX | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK;
    }
    (void)flock(log->fd, LOCK_UN);
    return false;
}

void enginelog_close(struct enginelog *log)
{
    fdio_close(&log->fd);
}

struct reading {
    int64_t attempt;
    struct run_engine *engine;
    struct engine_line *last;
};

static int take_any(void *context, const char *line, size_t length, struct error *err)
{
    struct reading *r = context;
    struct run_engine engine = *r->engine;
    struct engine_line said;
    if (run_engine_take(&engine, line, length, &said, err) < 0) {
        return -1;
    }
    if (said.attempt != r->attempt) {
        return 0;
    }
    *r->engine = engine;
    if (said.text[0] == '\0') {
        memcpy(said.text, r->last->text, sizeof(said.text));
    }
    *r->last = said;
    return 0;
}

/* The last lines of a file, from the beginning of one. */
static int read_tail(int fd, struct strbuf *out, struct error *err)
{
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > TAIL_BYTES ? end - TAIL_BYTES : 0;
    if (end < 0 || lseek(fd, from, SEEK_SET) < 0) {
        return error_sys(err, "read the run's file " NAME);
    }
    if (fdio_read_all(fd, NAME, out, err) < 0) {
        return -1;
    }
    const char *newline = memchr(out->data, '\n', out->length);
    if (from > 0 && newline != NULL) {
        strbuf_consume(out, (size_t)(newline + 1 - out->data));
    }
    return 0;
}

int enginelog_read(int run_fd, int64_t attempt, struct run_engine *out,
                   struct engine_line *last, struct error *err)
{
    CLEANUP_FD int fd = openat(run_fd, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP_STRBUF struct strbuf text;
    size_t whole;
    struct reading r = {.attempt = attempt, .engine = out, .last = last};
    strbuf_init(&text, ENGINE_FILE_MAX);
    run_engine_init(out);
    *last = (struct engine_line){.seq = 0};
    if (fd < 0) {
        return errno == ENOENT ? 0 : error_sys(err, "open the run's file " NAME);
    }
    return read_tail(fd, &text, err) < 0 ||
                   each_line(&text, take_any, &r, &whole, err) < 0
               ? -1
               : 0;
}
