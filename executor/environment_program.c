#define _GNU_SOURCE /* memmem */
#include "executor/environment_program.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/subprocess.h"

#define LINE_MAX_BYTES ((size_t)64 << 10)
#define SECRET_MIN 4
#define SILENCE_LOOK_MS 1000
#define END_LOOK_MS 20 /* where the kernel does not tell of a program's end */
#define BLOCK ((size_t)16384)
#define STARS 3 /* what is shown instead; a secret is never shorter */

struct programs {
    int stop_fd, run_log_fd, build_log_fd, dir_fd;
    struct strvec environment, secrets;
    struct strbuf line; /* what has come of the line that is not whole yet */
    struct strbuf text;
    const struct log *control; /* or NULL */
    bool is_quiet;
    bool has_returned; /* to the line's beginning: what follows begins it anew */
    int64_t limit_ms;  /* 0: none */
    int grace_ms, silence_s;
    uint64_t logged; /* bytes so far */
};

struct programs *programs_new(int stop_fd, int run_log_fd)
{
    struct programs *p = xcalloc(1, sizeof(*p));
    p->stop_fd = stop_fd;
    p->run_log_fd = run_log_fd;
    p->build_log_fd = p->dir_fd = -1;
    programs_set_patience(p, PROGRAM_GRACE_MS, PROGRAM_SILENCE_S);
    strbuf_init(&p->line, 4 * LINE_MAX_BYTES);
    strbuf_init(&p->text, PROGRAM_TEXT_MAX + 4 * LINE_MAX_BYTES);
    return p;
}

/* Secrets are among them. */
static void wipe(struct strvec *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mem_wipe(list->items[i], strlen(list->items[i]));
    }
    strvec_release(list);
}

void programs_free(struct programs *p)
{
    if (p == NULL) {
        return;
    }
    wipe(&p->environment);
    wipe(&p->secrets);
    strbuf_release(&p->line);
    strbuf_release(&p->text);
    free(p);
}

struct strvec *programs_environment(struct programs *p)
{
    return &p->environment;
}

static int longest_first(const void *a, const void *b)
{
    size_t left = strlen(*(char *const *)a), right = strlen(*(char *const *)b);
    return left < right ? 1 : left > right ? -1 : 0;
}

/* Output is looked at line by line, and so are secrets. The longest first: one that
 * begins another would leave the other's end. */
void programs_hide(struct programs *p, const char *secret)
{
    while (*secret != '\0') {
        size_t length = strcspn(secret, "\r\n");
        if (length >= SECRET_MIN) {
            strvec_adopt(&p->secrets, xstrndup(secret, length));
        }
        secret += length + (secret[length] != '\0');
    }
    if (p->secrets.count > 1) { /* qsort's array may not be NULL */
        qsort(p->secrets.items, p->secrets.count, sizeof(*p->secrets.items),
              longest_first);
    }
}

void programs_set_log(struct programs *p, int build_log_fd)
{
    p->build_log_fd = build_log_fd;
}

void programs_set_control(struct programs *p, const struct log *control)
{
    p->control = control;
}

void programs_set_folder(struct programs *p, int dir_fd)
{
    p->dir_fd = dir_fd;
}

void programs_limit(struct programs *p, int64_t timeout_ms)
{
    p->limit_ms = timeout_ms;
}

void programs_set_patience(struct programs *p, int grace_ms, int silence_s)
{
    p->silence_s = silence_s;
    p->grace_ms = grace_ms;
}

struct strbuf *programs_text(struct programs *p)
{
    return &p->text;
}

const char *programs_last_line(struct programs *p)
{
    struct strbuf *text = &p->text;
    while (text->length > 0 && text->data[text->length - 1] == '\n') {
        strbuf_truncate(text, text->length - 1);
    }
    const char *newline = strrchr(text->data, '\n');
    return newline != NULL ? newline + 1 : text->data;
}

/* ---- Lines */

/* Replace in place: what stands for a secret is never longer than it. */
static void hide(struct strbuf *line, const char *secret)
{
    size_t length = strlen(secret);
    size_t from = 0;
    for (;;) {
        char *at = memmem(line->data + from, line->length - from, secret, length);
        if (at == NULL) {
            return;
        }
        size_t offset = (size_t)(at - line->data);
        memset(at, '*', STARS);
        memmove(at + STARS, at + length, line->length - offset - length + 1);
        strbuf_truncate(line, line->length - length + STARS);
        from = offset + STARS;
    }
}

/* Logs are best effort: a full disk is found out by the build itself. */
static void write_logs(struct programs *p, const char *data, size_t length)
{
    static const char end[] = "(what follows is not shown: the log is full)\n";
    if (p->logged > PROGRAM_LOG_MAX) {
        return;
    }
    p->logged += length;
    if (p->logged > PROGRAM_LOG_MAX) {
        data = end;
        length = strlen(end);
    }
    const int fds[] = {p->run_log_fd, p->build_log_fd};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        if (fds[i] >= 0) {
            (void)fdio_write_full(fds[i], data, length);
        }
    }
}

static void hide_all(struct programs *p)
{
    for (size_t i = 0; i < p->secrets.count; i++) {
        hide(&p->line, p->secrets.items[i]);
    }
}

static void end_line(struct programs *p)
{
    hide_all(p);
    strbuf_putc(&p->line, '\n');
    if (!p->is_quiet) {
        write_logs(p, p->line.data, p->line.length);
    }
    if (p->text.length + p->line.length > PROGRAM_TEXT_MAX) {
        strbuf_consume(&p->text, p->text.length / 2);
    }
    (void)strbuf_add(&p->text, p->line.data, p->line.length, NULL);
    strbuf_reset(&p->line);
    p->has_returned = false;
}

/* What follows a carriage return begins the line anew, as on a terminal; no program is
 * told that it has one, so that it is rare. */
static void take(struct programs *p, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' || p->line.length >= LINE_MAX_BYTES) {
            end_line(p);
        }
        if (data[i] == '\r') {
            p->has_returned = true;
        } else if (data[i] != '\n') {
            if (p->has_returned) {
                strbuf_reset(&p->line);
                p->has_returned = false;
            }
            strbuf_putc(&p->line, (char)(data[i] == '\0' ? '?' : data[i]));
        }
    }
}

void programs_say(struct programs *p, const char *format, ...)
{
    va_list args;
    bool was_quiet = p->is_quiet;
    va_start(args, format);
    strbuf_reset(&p->line);
    strbuf_vprintf(&p->line, format, args);
    va_end(args);
    hide_all(p);
    if (p->control != NULL) {
        log_line(p->control, "%s", p->line.data);
    }
    p->is_quiet = false;
    end_line(p);
    p->is_quiet = was_quiet;
}

/* ---- Running */

static bool is_stopped(const struct programs *p, int timeout_ms)
{
    struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};
    return poll(&stop, 1, timeout_ms) > 0;
}

int programs_stop_fd(const struct programs *p)
{
    return p->stop_fd;
}

bool programs_wait(struct programs *p, int timeout_ms)
{
    return !is_stopped(p, timeout_ms);
}

/* Some of what is there, at most that much. Closes the descriptor at its end. */
static void take_some(struct programs *p, int *fd, size_t most)
{
    char data[BLOCK];
    ssize_t got = fdio_read(*fd, data, most < BLOCK ? most : BLOCK);
    if (got > 0) {
        take(p, data, (size_t)got);
    } else {
        fdio_close(fd);
    }
}

/* What a program that has ended left in the pipe. Somebody it started may hold that open
 * for long, and go on talking. */
static void take_rest(struct programs *p, int *fd)
{
    size_t left = *fd >= 0 ? fdio_waiting(*fd) : 0;
    while (left > 0 && *fd >= 0) {
        size_t most = left < BLOCK ? left : BLOCK;
        take_some(p, fd, most);
        left -= most; /* a pipe gives what it has */
    }
}

static bool is_over(const struct programs *p, int64_t begun_ns)
{
    return p->limit_ms > 0 && clock_monotonic_ns() - begun_ns >= p->limit_ms * NS_PER_MS;
}

/* How long to wait for something to happen. */
static int look_ms(const struct programs *p, int64_t begun_ns, bool hears_end)
{
    int most_ms = hears_end ? SILENCE_LOOK_MS : END_LOOK_MS;
    int64_t left_ms = p->limit_ms - (clock_monotonic_ns() - begun_ns) / NS_PER_MS;
    if (p->limit_ms == 0 || left_ms > most_ms) {
        return most_ms;
    }
    return left_ms > 0 ? (int)left_ms : 0;
}

/* Everything that it says until it has ended. -1: ERR_CANCELED, ERR_TIMED_OUT. */
static int listen_to(struct programs *p, int *fd, const struct subprocess *sp,
                     struct error *err)
{
    CLEANUP_FD int end_fd = subprocess_open_end(sp);
    int64_t begun_ns = clock_monotonic_ns();
    int64_t deadline_ns = begun_ns + p->silence_s * NS_PER_S;
    while (!subprocess_has_ended(sp)) {
        struct pollfd polls[] = {{.fd = p->stop_fd, .events = POLLIN},
                                 {.fd = end_fd, .events = POLLIN},
                                 {.fd = *fd, .events = POLLIN}};
        (void)poll(polls, ARRAY_SIZE(polls), look_ms(p, begun_ns, end_fd >= 0));
        if (polls[0].revents != 0) {
            return error_set(err, ERR_CANCELED, "the run is being ended");
        }
        if (is_over(p, begun_ns)) {
            return error_set(err, ERR_TIMED_OUT, "%s had not ended after %lld s",
                             sp->argv[0], (long long)(p->limit_ms / 1000));
        }
        if (polls[2].revents != 0) {
            take_some(p, fd, BLOCK);
            deadline_ns = clock_monotonic_ns() + p->silence_s * NS_PER_S;
        } else if (clock_monotonic_ns() >= deadline_ns) {
            error_set(err, ERR_TIMED_OUT, "%s said nothing for %d minutes", sp->argv[0],
                      p->silence_s / 60);
            return error_hint(err, "see the build log for what it did last");
        }
    }
    take_rest(p, fd);
    return 0;
}

/* Start with one pipe as both outputs. */
static int start(struct programs *p, const char *const *argv, struct subprocess *sp,
                 int *out_fd, struct error *err)
{
    int ends[2];
    if (fdio_pipe(ends, err) < 0) {
        return -1;
    }
    *sp = (struct subprocess){
        .argv = argv,
        .env = (const char *const *)strvec_argv(&p->environment),
        .in = SUBPROCESS_NULL,
        .out = ends[1],
        .error = ends[1],
        .dir_fd = p->dir_fd,
        .has_dir = p->dir_fd >= 0,
        .want_session = true,
        .want_parent_death = true,
    };
    int result = subprocess_start(sp, err);
    fdio_close(&ends[1]);
    if (result < 0) {
        fdio_close(&ends[0]);
        return -1;
    }
    *out_fd = ends[0];
    return 0;
}

int programs_run(struct programs *p, const char *const *argv, bool is_quiet,
                 struct error *err)
{
    struct subprocess sp;
    CLEANUP_FD int fd = -1;
    int status = 0;
    strbuf_reset(&p->text);
    strbuf_reset(&p->line);
    p->is_quiet = is_quiet;
    if (start(p, argv, &sp, &fd, err) < 0) {
        return -1;
    }
    int result = listen_to(p, &fd, &sp, err);
    if (result < 0) {
        subprocess_stop(&sp, p->grace_ms);
        take_rest(p, &fd); /* how it ended what it did */
    } else if (subprocess_wait(&sp, &status, err) < 0) {
        result = -1;
    }
    if (p->line.length > 0) {
        end_line(p);
    }
    if (result < 0) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
