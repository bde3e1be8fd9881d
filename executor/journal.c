#define _GNU_SOURCE /* fallocate */
#include "executor/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/subprocess.h"
#include "executor/jsonline.h"

#define JOURNAL_FILE_MAX ((size_t)64 << 20)
#define JOURNAL_ENTRIES_MAX 4 /* in one append */
#define REASON_MAX 1024
#define REASON_SHORT 160

static void reserve(int fd, off_t size)
{
    /* Where the filesystem cannot reserve, a full disk may keep a run from saying its
     * last word; nothing can be done about it here. */
    (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, size, JOURNAL_RESERVE_BYTES);
}

static void put_process(struct jsonline *l, const struct process_id *process)
{
    jsonline_object(l, "process");
    jsonline_string(l, "boot", process->boot);
    jsonline_integer(l, "pid", process->pid);
    jsonline_integer(l, "start", (int64_t)process->start);
    jsonline_end(l);
}

static const char *const exit_kinds[] = {
#define ROW(symbol, name, meaning) [RUN_EXIT_##symbol] = name,
    RUN_EXIT_TABLE(ROW)
#undef ROW
};

static void put_exit(struct jsonline *l, const struct run_exit *exit)
{
    jsonline_object(l, "exit");
    jsonline_string(l, "kind", exit_kinds[exit->kind]);
    if (exit->kind == RUN_EXIT_EXITED || exit->kind == RUN_EXIT_COULD_NOT_START) {
        jsonline_integer(l, "code", exit->code);
    } else if (exit->kind == RUN_EXIT_SIGNALED || exit->kind == RUN_EXIT_OUT_OF_MEMORY) {
        jsonline_string(l, "signal", subprocess_signal_name(exit->signal));
    }
    jsonline_end(l);
}

/* What is not known is left out, as run_environment_to_json leaves it. */
static void put_environment(struct jsonline *l, const struct run_environment *e)
{
    const char *const texts[][2] = {{"kind", e->kind},     {"identity", e->identity},
                                    {"build", e->build},   {"builder", e->builder},
                                    {"python", e->python}, {"lock", e->lock}};
    const struct {
        const char *key;
        int64_t number;
    } numbers[] = {{"spent_ms", e->spent_ms},
                   {"packages", e->packages},
                   {"unpinned", e->unpinned},
                   {"size_bytes", e->size_bytes}};
    jsonline_object(l, "environment");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i][1][0] != '\0') {
            jsonline_string(l, texts[i][0], texts[i][1]);
        }
    }
    jsonline_raw(l, "is_reused", e->is_reused ? "true" : "false");
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (numbers[i].number >= 0) {
            jsonline_integer(l, numbers[i].key, numbers[i].number);
        }
    }
    jsonline_end(l);
}

static void put_engine_text(void *context, const char *key, const char *text)
{
    if (text[0] != '\0') {
        jsonline_string(context, key, text);
    }
}

static void put_took(struct jsonline *l, const int64_t *took_us)
{
    jsonline_object(l, "took");
    for (int i = 0; i < RUN_TOOK_COUNT; i++) {
        if (took_us[i] != RUN_TOOK_UNKNOWN) {
            jsonline_integer(l, run_took_key((enum run_took)i), took_us[i]);
        }
    }
    jsonline_end(l);
}

/* max_reason bounds the reason; without_outputs: the outputs' warnings are too long. */
static void format_line(struct jsonline *l, const struct journal_entry *e, int64_t seq,
                        size_t max_reason, const char *outputs)
{
    jsonline_integer(l, "seq", seq);
    jsonline_time(l, "time", clock_utc_ms());
    jsonline_integer(l, "attempt", e->attempt);
    jsonline_string(l, "state", run_state_name(e->state));
    jsonline_text(l, "reason", e->reason != NULL ? e->reason : "", max_reason);
    const char *const facts[][2] = {{"node", e->node},
                                    {"store", e->store},
                                    {"boot", e->boot},
                                    {"executor", e->executor},
                                    {"queued", e->queued}};
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
        if (facts[i][1] != NULL) {
            jsonline_string(l, facts[i][0], facts[i][1]);
        }
    }
    if (e->process != NULL) {
        put_process(l, e->process);
    }
    if (e->environment != NULL && run_environment_is_known(e->environment)) {
        put_environment(l, e->environment);
    }
    if (e->engine != NULL && run_engine_is_known(e->engine)) {
        jsonline_object(l, "engine");
        run_engine_each(e->engine, put_engine_text, l);
        jsonline_end(l);
    }
    if (e->has_log_offset) {
        jsonline_integer(l, "log_offset", (int64_t)e->log_offset);
    }
    if (e->took_us != NULL) {
        put_took(l, e->took_us);
    }
    if (e->exit != NULL && e->exit->kind != RUN_EXIT_NONE) {
        put_exit(l, e->exit);
    }
    if (e->proof != NULL) {
        jsonline_string(l, "proof", e->proof);
        jsonline_integer(l, "ended", e->ended);
        jsonline_integer(l, "survivors", e->survivors);
    }
    if (e->has_outputs) {
        jsonline_raw(l, "outputs", outputs);
    }
    if (e->has_logs) {
        jsonline_object(l, "logs");
        jsonline_integer(l, "driver.log", (int64_t)e->driver_log_bytes);
        jsonline_integer(l, "control.log", (int64_t)e->control_log_bytes);
        jsonline_integer(l, "metrics", (int64_t)e->metrics_bytes);
        jsonline_end(l);
    }
    jsonline_end(l);
    jsonline_bytes(l, "\n", 1);
}

/* Write the line into out (JOURNAL_LINE_MAX bytes). Returns its length. What is too long
 * is cut: the reason first, then what the outputs' collection had to say. */
static size_t make_line(char *out, const struct journal_entry *e, int64_t seq)
{
    const size_t reasons[] = {REASON_MAX, REASON_SHORT, REASON_SHORT};
    const char *const outputs[] = {e->outputs_json, e->outputs_json, NULL};
    struct jsonline l;
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        jsonline_init(&l, out, JOURNAL_LINE_MAX);
        format_line(&l, e, seq, reasons[i], outputs[i]);
        if (!l.is_full) {
            return l.length;
        }
    }
    mem_abort("a journal line is longer than a line may be");
}

/* Append at size, all or nothing. */
static int append_bytes(int fd, off_t size, const char *text, size_t length,
                        struct error *err)
{
    if (fdio_pwrite_full(fd, text, length, (uint64_t)size) == 0 && fdatasync(fd) == 0) {
        return 0;
    }
    error_sys(err, "append to the journal");
    if (ftruncate(fd, size) < 0) {
        return error_wrap(err, "cut a half line off the journal");
    }
    reserve(fd, size);
    return -1;
}

int journal_create(int run_fd, const struct journal_entry *first, struct error *err)
{
    CLEANUP_FD int fd =
        openat(run_fd, "journal", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_sys(err, "make the journal");
    }
    reserve(fd, 0);
    char line[JOURNAL_LINE_MAX];
    size_t length = make_line(line, first, 1);
    if (fdio_write_full(fd, line, length) < 0) {
        return error_sys(err, "write the journal's first line");
    }
    return 0;
}

/* What is behind the last line that counts goes. */
static int cut_torn(int fd, uint64_t end, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return error_sys(err, "look at the journal");
    }
    if (end >= (uint64_t)st.st_size) {
        return 0;
    }
    if (ftruncate(fd, (off_t)end) < 0 || fdatasync(fd) < 0) {
        return error_sys(err, "cut a torn line off the journal");
    }
    reserve(fd, (off_t)end);
    return 0;
}

int journal_open(struct journal *j, int run_fd, struct error *err)
{
    CLEANUP(run_status_release) struct run_status status;
    CLEANUP_FD int fd = openat(run_fd, "journal", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    uint64_t end = 0;
    *j = (struct journal){.fd = -1};
    run_status_init(&status);
    if (fd < 0) {
        return error_sys(err, "open the journal");
    }
    /* By its reader's rules: what one writes the other must be able to read. */
    if (journal_read_more(run_fd, &end, &status, NULL, err) < 0) {
        return -1;
    }
    if (status.seq == 0) {
        return error_set(err, ERR_CORRUPT, "the journal has no whole line");
    }
    if (cut_torn(fd, end, err) < 0) {
        return -1;
    }
    *j = (struct journal){.fd = take_fd(&fd),
                          .seq = status.seq,
                          .attempt = status.attempt,
                          .state = status.state};
    return 0;
}

int journal_append(struct journal *j, const struct journal_entry *entries, size_t count,
                   struct error *err)
{
    if (count > JOURNAL_ENTRIES_MAX) {
        return error_set(err, ERR_INTERNAL, "%zu journal lines at once", count);
    }
    char text[JOURNAL_ENTRIES_MAX * JOURNAL_LINE_MAX];
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += make_line(text + length, &entries[i], j->seq + 1 + (int64_t)i);
    }
    struct stat st;
    if (fstat(j->fd, &st) < 0) {
        return error_sys(err, "look at the journal");
    }
    if (append_bytes(j->fd, st.st_size, text, length, err) < 0) {
        return -1;
    }
    j->seq += (int64_t)count;
    j->attempt = entries[count - 1].attempt;
    j->state = entries[count - 1].state;
    return 0;
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0) {
        fdio_close(&j->fd);
    }
}

int journal_read(int run_fd, struct run_status *status, struct error *err)
{
    uint64_t offset = 0;
    return journal_read_more(run_fd, &offset, status, NULL, err);
}

/* Take the whole lines of text; *used: their bytes. A bad line is an error, unless it is
 * the last: then it is as if never written. */
static int take_lines(const struct strbuf *text, struct run_status *status,
                      struct strvec *lines, size_t *used, struct error *err)
{
    *used = 0;
    for (;;) {
        const char *line = text->data + *used;
        const char *end = memchr(line, '\n', text->length - *used);
        if (end == NULL) {
            return 0;
        }
        size_t length = (size_t)(end - line);
        struct error failure = ERROR_INIT;
        if (run_status_take(status, line, length, &failure) < 0) {
            if (*used + length + 1 == text->length) {
                return 0;
            }
            if (err != NULL) {
                *err = failure;
            }
            return error_wrap(err, "the journal");
        }
        if (lines != NULL) {
            strvec_adopt(lines, xstrndup(line, length));
        }
        *used += length + 1;
    }
}

int journal_read_more(int run_fd, uint64_t *offset, struct run_status *status,
                      struct strvec *lines, struct error *err)
{
    CLEANUP_FD int fd = openat(run_fd, "journal", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || lseek(fd, (off_t)*offset, SEEK_SET) < 0) {
        return error_sys(err, "open the journal");
    }
    struct strbuf text;
    strbuf_init(&text, JOURNAL_FILE_MAX);
    size_t used = 0;
    int result = fdio_read_all(fd, "the journal", &text, err);
    if (result == 0) {
        result = take_lines(&text, status, lines, &used, err);
    }
    *offset += used;
    strbuf_release(&text);
    return result;
}
