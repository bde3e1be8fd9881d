#include "controller/terminal.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "controller/progress.h"
#include "controller/terminal_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* How often a progress line is written: on a terminal, and elsewhere. */
#define PROGRESS_REWRITE_NS (100 * NS_PER_MS)
#define PROGRESS_PLAIN_NS (10 * NS_PER_S)
#define ANSWER_MAX 256
#define ANSWER_LINE_MAX 1024
#define OUTPUT_PIECE ((size_t)64 << 10)
#ifndef PIPE_BUF
#define PIPE_BUF 4096
#endif
#define COLUMNS_DEFAULT 80

struct terminal {
    bool is_quiet;
    bool is_out_terminal, is_err_terminal;
    bool want_colour;     /* on stderr */
    bool has_progress;    /* a progress line stands there */
    bool is_out_mid_line; /* the script's last line on the terminal is not ended */
    int64_t progress_ns;  /* when progress was last written */
    struct progress progress;
    struct terminal_filter filter;
    struct strbuf filtered; /* of the script: what a terminal is to show */
    size_t filtered_done;   /* of it, what was written */
    int offer_fd;           /* what terminal_script_offer writes to */
    size_t offer_max;       /* bytes that it writes at once */
    bool owns_offer_fd;
};

/*
 * How to write without waiting. A file takes everything. A pipe or a terminal is opened
 * anew, because O_NONBLOCK on stdout itself would also be set for the programs that share
 * it. Where that is not to be had (a socket, another user's pipe, no /proc), what a
 * descriptor that polls writable takes: PIPE_BUF bytes of a pipe.
 */
static void open_offer(struct terminal *t)
{
    struct stat st;
    t->offer_fd = STDOUT_FILENO;
    t->offer_max = PIPE_BUF;
    if (fstat(STDOUT_FILENO, &st) != 0) {
        return;
    }
    if (S_ISREG(st.st_mode)) {
        t->offer_max = SIZE_MAX;
        return;
    }
    int fd =
        open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_APPEND);
    if (fd >= 0) {
        t->offer_fd = fd;
        t->offer_max = SIZE_MAX;
        t->owns_offer_fd = true;
    }
}

struct terminal *terminal_new(bool is_quiet)
{
    struct terminal *t = xcalloc(1, sizeof *t);
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org */
    bool is_dumb = term == NULL || strcmp(term, "dumb") == 0;
    t->is_quiet = is_quiet;
    t->is_out_terminal = isatty(STDOUT_FILENO);
    t->is_err_terminal = isatty(STDERR_FILENO) && !is_dumb;
    t->want_colour = t->is_err_terminal && (no_colour == NULL || no_colour[0] == '\0');
    progress_init(&t->progress);
    strbuf_init(&t->filtered,
                TERMINAL_FILTER_GROWTH * (OUTPUT_PIECE + TERMINAL_FILTER_HELD_MAX));
    terminal_filter_init(&t->filter, false);
    open_offer(t);
    return t;
}

void terminal_free(struct terminal *t)
{
    if (t == NULL) {
        return;
    }
    terminal_progress_clear(t);
    terminal_filter_finish(&t->filter, &t->filtered);
    fdio_write_full(STDOUT_FILENO, t->filtered.data + t->filtered_done,
                    t->filtered.length - t->filtered_done);
    if (t->owns_offer_fd) {
        fdio_close(&t->offer_fd);
    }
    strbuf_release(&t->filtered);
    progress_release(&t->progress);
    free(t);
}

/* The descriptor of /dev/tty where a person can answer now, else -1. */
static int open_tty(void)
{
    if (!isatty(STDERR_FILENO)) {
        return -1;
    }
    CLEANUP_FD int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    /* In the background a read would stop the process (SIGTTIN). */
    if (fd < 0 || tcgetpgrp(fd) != getpgrp()) {
        return -1;
    }
    return take_fd(&fd);
}

bool terminal_is_live(const struct terminal *t)
{
    return t->is_err_terminal;
}

bool terminal_can_ask(const struct terminal *t)
{
    (void)t;
    CLEANUP_FD int fd = open_tty();
    return fd >= 0;
}

/* What goes to stderr is best effort: there is nobody to tell that it failed. */
static void write_err(const struct strbuf *text)
{
    (void)fdio_write_full(STDERR_FILENO, text->data, text->length);
}

/* End a line of the script, so that ours begins at the left. */
static void begin_line(struct terminal *t, struct strbuf *out)
{
    terminal_progress_clear(t);
    if (t->is_out_mid_line && t->is_err_terminal) {
        strbuf_putc(out, '\n');
        t->is_out_mid_line = false;
    }
}

static void add_prefix(const struct terminal *t, const char *colour, const char *word,
                       struct strbuf *out)
{
    strbuf_puts(out, "errand: ");
    if (word[0] != '\0' && t->want_colour) {
        strbuf_printf(out, "\x1b[%sm%s:\x1b[0m ", colour, word);
    } else if (word[0] != '\0') {
        strbuf_printf(out, "%s: ", word);
    }
}

enum voice {
    VOICE_SHOW,
    VOICE_NOTE,
    VOICE_WARN,
};

static void say(struct terminal *t, enum voice voice, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void say(struct terminal *t, enum voice voice, const char *format, va_list args)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, line = STRBUF_INIT;
    strbuf_vprintf(&text, format, args);
    begin_line(t, &line);
    if (voice != VOICE_SHOW) {
        add_prefix(t, "33", voice == VOICE_WARN ? "warning" : "", &line);
    }
    terminal_make_safe(text.data, text.length, &line);
    strbuf_putc(&line, '\n');
    write_err(&line);
}

void terminal_note(struct terminal *t, const char *format, ...)
{
    if (t->is_quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    say(t, VOICE_NOTE, format, args);
    va_end(args);
}

void terminal_warn(struct terminal *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(t, VOICE_WARN, format, args);
    va_end(args);
}

void terminal_show(struct terminal *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(t, VOICE_SHOW, format, args);
    va_end(args);
}

void terminal_error(struct terminal *t, const struct error *err)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    begin_line(t, &line);
    add_prefix(t, "31", "error", &line);
    terminal_make_safe(err->text, strlen(err->text), &line);
    strbuf_putc(&line, '\n');
    if (err->hint[0] != '\0') {
        strbuf_puts(&line, "  ");
        terminal_make_safe(err->hint, strlen(err->hint), &line);
        strbuf_putc(&line, '\n');
    }
    write_err(&line);
}

static size_t columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return COLUMNS_DEFAULT;
    }
    return size.ws_col;
}

/* Put text, as much of it as fits, where the last such line stands. */
static void rewrite_line(struct terminal *t, const struct strbuf *text)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    size_t shown = columns() - 1;
    if (!t->has_progress) {
        begin_line(t, &line);
    }
    strbuf_puts(&line, "\r\x1b[K");
    terminal_make_safe(text->data, text->length < shown ? text->length : shown, &line);
    t->has_progress = true;
    write_err(&line);
}

void terminal_progress(struct terminal *t, const char *what, uint64_t done_bytes,
                       uint64_t total_bytes)
{
    if (t->is_quiet) {
        return;
    }
    int64_t now = clock_monotonic_ns();
    bool is_new = strcmp(t->progress.what.data, what) != 0;
    int64_t pause = t->is_err_terminal ? PROGRESS_REWRITE_NS : PROGRESS_PLAIN_NS;
    if (is_new) {
        /* Elsewhere than on a terminal what is soon done says nothing. */
        t->progress_ns = t->is_err_terminal ? now - pause : now;
    }
    bool is_due = now - t->progress_ns >= pause;
    if (!is_new && !is_due) {
        return;
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, line = STRBUF_INIT;
    progress_describe(&t->progress, what, done_bytes, total_bytes, now, &text);
    if (!is_due) {
        return;
    }
    t->progress_ns = now;
    if (t->is_err_terminal) {
        rewrite_line(t, &text);
        return;
    }
    strbuf_puts(&line, "errand: ");
    terminal_make_safe(text.data, text.length, &line);
    strbuf_putc(&line, '\n');
    write_err(&line);
}

void terminal_status(struct terminal *t, const char *format, ...)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    va_list args;
    if (t->is_quiet || !t->is_err_terminal) {
        return;
    }
    va_start(args, format);
    strbuf_vprintf(&text, format, args);
    va_end(args);
    rewrite_line(t, &text);
}

bool terminal_is_mid_line(const struct terminal *t)
{
    return t->is_out_mid_line;
}

void terminal_progress_clear(struct terminal *t)
{
    if (t->has_progress) {
        (void)fdio_write_full(STDERR_FILENO, "\r\x1b[K", 4);
        t->has_progress = false;
    }
    progress_clear(&t->progress);
}

/* ---- questions ---- */

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

/* The terminal, and what signals did, as they were before a question. */
struct asking {
    int fd;
    int signal_fds[2]; /* the numbers of those that came */
    struct sigaction actions[ARRAY_SIZE(ending_signals)];
    bool is_changed;
    struct termios before;
    char interrupt; /* what is typed for Ctrl-C; NUL: nothing is */
    terminal_farewell *farewell;
    void *farewell_context;
};

/* For a signal's handler.
 * NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static volatile sig_atomic_t question_fd;

static void note_signal(int signal_number)
{
    int saved = errno;
    unsigned char number = (unsigned char)signal_number;
    if (write(question_fd, &number, 1) < 0) {
        errno = saved; /* full: one is enough */
    }
    errno = saved;
}

/*
 * While a question stands nothing goes on that would see a signal, and an echo that is
 * off must not stay so. So signals that end a program are waited for with the answer, and
 * Ctrl-C ends the line, as a character of it. Best effort: where the settings cannot be
 * had a person sees what they type.
 */
static void begin_asking(struct asking *a, bool is_shown)
{
    const struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    struct termios now;
    question_fd = a->signal_fds[1];
    for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++) {
        (void)sigaction(ending_signals[i], NULL, &a->actions[i]);
        if (a->actions[i].sa_handler != SIG_IGN) {
            (void)sigaction(ending_signals[i], &action, NULL);
        }
    }
    if (tcgetattr(a->fd, &a->before) != 0) {
        return;
    }
    now = a->before;
    if ((now.c_lflag & ISIG) != 0 && now.c_cc[VINTR] != _POSIX_VDISABLE) {
        a->interrupt = (char)now.c_cc[VINTR];
        now.c_cc[VEOL] = now.c_cc[VINTR];
        now.c_cc[VINTR] = _POSIX_VDISABLE;
    }
    now.c_lflag = is_shown ? now.c_lflag : now.c_lflag & ~(tcflag_t)ECHO;
    /* What was typed before the question was asked is no answer to it. */
    a->is_changed = tcsetattr(a->fd, TCSAFLUSH, &now) == 0;
}

static void end_asking(const struct asking *a)
{
    if (a->is_changed) {
        (void)tcsetattr(a->fd, TCSADRAIN, &a->before);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++) {
        (void)sigaction(ending_signals[i], &a->actions[i], NULL);
    }
}

/* As the signal does where nobody handles it. */
static int end_by(const struct asking *a, int signal_number, struct error *err)
{
    end_asking(a);
    (void)fdio_write_full(a->fd, "\n", 1);
    if (a->farewell != NULL) {
        a->farewell(a->farewell_context);
    }
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
    return error_set(err, ERR_CANCELED, "interrupted");
}

/* Wait for a character or a signal; its number, or 0. */
static int wait_for_answer(const struct asking *a)
{
    unsigned char number = 0;
    struct pollfd fds[] = {{.fd = a->signal_fds[0], .events = POLLIN},
                           {.fd = a->fd, .events = POLLIN}};
    while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR) {
    }
    return fds[0].revents != 0 && fdio_read(a->signal_fds[0], &number, 1) == 1 ? number
                                                                               : 0;
}

/* A line of at most size bytes, without its end; the rest of a longer one is dropped.
 * Ctrl-C and signals end the program. */
static int read_answer(const struct asking *a, char *out, size_t size, struct error *err)
{
    size_t length = 0;
    for (;;) {
        char c = 0;
        int signal_number = wait_for_answer(a);
        if (signal_number != 0) {
            return end_by(a, signal_number, err);
        }
        ssize_t got = fdio_read(a->fd, &c, 1);
        if (got < 0) {
            return error_sys(err, "read the answer from the terminal");
        }
        if (got == 0) {
            return error_set(err, ERR_CANCELED,
                             "the terminal ended instead of an answer");
        }
        if (c == '\n') {
            out[length] = '\0';
            return 0;
        }
        if (a->interrupt != '\0' && c == a->interrupt) {
            return end_by(a, SIGINT, err);
        }
        if (length + 1 < size) {
            out[length++] = c;
        }
    }
}

/* Ask one question, of which nothing stands on the terminal yet; a says what to do before
 * a signal ends the program. */
static int ask(struct asking a, const char *question, bool is_shown, char *out,
               size_t size, struct error *err)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    CLEANUP_FD int fd = open_tty();
    if (fd < 0) {
        return error_set(err, ERR_USAGE, "there is no terminal to ask: %s", question);
    }
    if (fdio_pipe(a.signal_fds, err) != 0) {
        return -1;
    }
    a.fd = fd;
    terminal_make_safe(question, strlen(question), &line);
    begin_asking(&a, is_shown); /* who answers at once is not shown either */
    int result = fdio_write_full(fd, line.data, line.length) == 0
                     ? read_answer(&a, out, size, err)
                     : error_sys(err, "write to the terminal");
    end_asking(&a);
    fdio_close(&a.signal_fds[0]);
    fdio_close(&a.signal_fds[1]);
    if (!is_shown) {
        (void)fdio_write_full(fd, "\n", 1);
    }
    return result;
}

int terminal_ask_yes_no(struct terminal *t, const char *question, bool by_default,
                        terminal_farewell *farewell, void *context, bool *out,
                        struct error *err)
{
    const struct asking a = {.farewell = farewell, .farewell_context = context};
    CLEANUP_FREE char *line =
        xasprintf("%s %s ", question, by_default ? "[Y/n]" : "[y/N]");
    terminal_progress_clear(t);
    for (;;) {
        char answer[ANSWER_MAX];
        if (ask(a, line, true, answer, sizeof answer, err) != 0) {
            return -1;
        }
        if (answer[0] == '\0') {
            *out = by_default;
            return 0;
        }
        bool is_yes = strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
        if (is_yes || strcasecmp(answer, "n") == 0 || strcasecmp(answer, "no") == 0) {
            *out = is_yes;
            return 0;
        }
    }
}

int terminal_ask_line(struct terminal *t, const char *question, bool is_shown,
                      struct strbuf *out, struct error *err)
{
    char answer[ANSWER_LINE_MAX];
    terminal_progress_clear(t);
    int result = ask((struct asking){0}, question, is_shown, answer, sizeof answer, err);
    if (result == 0) {
        result = strbuf_add(out, answer, strlen(answer), err);
    }
    mem_wipe(answer, sizeof answer);
    return result;
}

/* Write as much as stdout takes now. Bytes written; 0: it takes nothing; -1: err. */
static ssize_t offer(const struct terminal *t, const void *data, size_t length,
                     struct error *err)
{
    size_t piece = length < t->offer_max ? length : t->offer_max;
    ssize_t written = fdio_write(t->offer_fd, data, piece);
    if (written < 0 && errno == EAGAIN) {
        return 0;
    }
    return written < 0 ? error_sys(err, "write to the standard output") : written;
}

/* What was filtered goes on. */
static int offer_filtered(struct terminal *t, struct error *err)
{
    ssize_t written = offer(t, t->filtered.data + t->filtered_done,
                            t->filtered.length - t->filtered_done, err);
    if (written < 0) {
        return -1;
    }
    t->filtered_done += (size_t)written;
    if (t->filtered_done == t->filtered.length) {
        strbuf_reset(&t->filtered);
        t->filtered_done = 0;
    }
    return 0;
}

bool terminal_has_held(const struct terminal *t)
{
    return t->filtered.length > 0;
}

int terminal_script_offer(struct terminal *t, const void *data, size_t length,
                          size_t *out_taken, struct error *err)
{
    *out_taken = 0;
    terminal_progress_clear(t);
    if (terminal_has_held(t)) {
        return offer_filtered(t, err);
    }
    if (!t->is_out_terminal) {
        ssize_t written = offer(t, data, length, err);
        *out_taken = written > 0 ? (size_t)written : 0;
        return written < 0 ? -1 : 0;
    }
    size_t piece = length < OUTPUT_PIECE ? length : OUTPUT_PIECE;
    terminal_filter_feed(&t->filter, data, piece, &t->filtered);
    *out_taken = piece;
    if (terminal_has_held(t)) {
        t->is_out_mid_line = t->filtered.data[t->filtered.length - 1] != '\n';
        return offer_filtered(t, err);
    }
    return 0;
}

int terminal_script_output(struct terminal *t, const void *data, size_t length,
                           struct error *err)
{
    const char *bytes = data;
    while (length > 0 || terminal_has_held(t)) {
        size_t taken = 0;
        if (terminal_script_offer(t, bytes, length, &taken, err) != 0) {
            return -1;
        }
        bytes += taken;
        length -= taken;
        struct pollfd writable = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if ((length > 0 || terminal_has_held(t)) && poll(&writable, 1, -1) < 0 &&
            errno != EINTR) {
            return error_sys(err, "wait for the standard output");
        }
    }
    return 0;
}

void terminal_make_safe(const void *data, size_t length, struct strbuf *out)
{
    struct terminal_filter filter;
    terminal_filter_init(&filter, true);
    terminal_filter_feed(&filter, data, length, out);
    terminal_filter_finish(&filter, out);
}
