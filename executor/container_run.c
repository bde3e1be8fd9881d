#define _GNU_SOURCE /* O_NOFOLLOW */
#include "executor/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/subprocess.h"
#include "executor/command.h"
#include "executor/secrets.h"
#include "executor/stage.h"

#define EXIT_FAILED 125
#define WORDS_MAX ((size_t)4 << 10)
#define ENGINE_PATIENCE_MS 5000
#define ENGINE_GRACE_MS 1000
#define ENGINE_LOG "container.log"
#define ENGINE_LOG_MAX ((size_t)1 << 20)

/* What was said in the container (contained.c). */
struct words {
    struct strbuf text; /* of a line that is not whole */
    bool has_started, has_failed, has_ended;
    int code;   /* has_failed: 126, 127 */
    int status; /* has_ended: as waitpid has it */
    char sentence[EXITSLOT_TEXT_MAX];
};

static int number_after(const char *line, const char *word)
{
    uint64_t number = 0;
    size_t length = strlen(word);
    if (strncmp(line, word, length) != 0 || line[length] != ' ') {
        return -1;
    }
    CLEANUP_FREE char *digits =
        xstrndup(line + length + 1, strspn(line + length + 1, "0123456789"));
    return bytes_parse_u64(digits, 255, &number, NULL) == 0 ? (int)number : -1;
}

static void take_line(struct words *w, const char *line)
{
    int number;
    if (strcmp(line, "started") == 0) {
        w->has_started = true;
    } else if ((number = number_after(line, "exited")) >= 0) {
        w->has_ended = true;
        w->status = number << 8; /* as wait(2) has it on Linux */
    } else if ((number = number_after(line, "signaled")) > 0) {
        w->has_ended = true;
        w->status = number & 0x7f;
    } else if ((number = number_after(line, "failed")) > 0) {
        const char *text = strchr(line + strlen("failed "), ' ');
        w->has_failed = true;
        w->code = number;
        snprintf(w->sentence, sizeof(w->sentence), "%s in the container",
                 text != NULL ? text + 1 : "the script cannot be started");
    }
}

static void take(struct words *w, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n') {
            take_line(w, w->text.data);
            strbuf_reset(&w->text);
        } else if (w->text.length < WORDS_MAX - 1) {
            strbuf_putc(&w->text, data[i]);
        }
    }
}

/* All that is there. False: no more will come. */
static bool hear(struct words *w, int fd)
{
    char data[1024];
    ssize_t got;
    while ((got = fdio_read(fd, data, sizeof(data))) > 0) {
        take(w, data, (size_t)got);
    }
    return got < 0 && errno == EAGAIN;
}

/* To the supervisor, once. */
struct report {
    int *fd;
    const struct stage_report *said;
};

static void tell_started(const struct words *w, const struct report *report)
{
    if (w->has_started && *report->fd >= 0) {
        (void)fdio_write(*report->fd, report->said, sizeof(*report->said));
        fdio_close(report->fd);
    }
}

/* How long to wait for what comes next; -1: until it does, 0: not any longer. Once the
 * script has ended the engine only cleans up. Podman's program was seen to stay for 20 s
 * then, for an exit status that nobody was left to note. */
static int patience_ms(const struct words *w, int64_t *deadline_ns)
{
    if (!w->has_ended) {
        return -1;
    }
    int64_t now = clock_monotonic_ns();
    if (*deadline_ns == 0) {
        *deadline_ns = now + ENGINE_PATIENCE_MS * NS_PER_MS;
    }
    return now < *deadline_ns ? (int)((*deadline_ns - now) / NS_PER_MS) + 1 : 0;
}

/* Until the engine's program has ended; what it left behind may hold its outputs. One
 * that stays when all is said is ended: its container is ended by name (container_end).
 */
static int attend(struct subprocess *sp, int child_fd, struct words *w,
                  const struct report *report, int *out_status, struct error *err)
{
    bool is_open = true;
    int64_t deadline_ns = 0;
    while (!subprocess_has_ended(sp)) {
        struct pollfd polls[] = {{.fd = child_fd, .events = POLLIN},
                                 {.fd = is_open ? sp->stdout_fd : -1, .events = POLLIN}};
        struct signalfd_siginfo signal;
        int wait_ms = patience_ms(w, &deadline_ns);
        if (wait_ms == 0) {
            subprocess_stop(sp, ENGINE_GRACE_MS);
            *out_status = 0;
            return 0;
        }
        (void)poll(polls, 2, wait_ms);
        (void)fdio_read(child_fd, &signal, sizeof(signal));
        if (is_open) {
            is_open = hear(w, sp->stdout_fd);
            tell_started(w, report);
        }
    }
    (void)hear(w, sp->stdout_fd);
    tell_started(w, report);
    return subprocess_wait(sp, out_status, err);
}

/* The engine's last words, for a sentence. */
static void last_words(const struct container *c, struct strbuf *out)
{
    CLEANUP_FREE char *path = files_join(c->folder, ENGINE_LOG);
    struct strbuf text;
    strbuf_init(&text, ENGINE_LOG_MAX);
    if (files_read(AT_FDCWD, path, &text, NULL) == 0) {
        while (text.length > 0 && text.data[text.length - 1] == '\n') {
            strbuf_truncate(&text, text.length - 1);
        }
        const char *newline = strrchr(text.data, '\n');
        strbuf_printf(out, "%.250s", newline != NULL ? newline + 1 : text.data);
    }
    strbuf_release(&text);
}

/* It has ended, and the script's end was not heard. Somebody ended the whole container:
 * 128 + n is the engine's word for that. All else tells of the engine. */
static int judge_unheard(const struct container *c, int status, int *out_status,
                         struct error *err)
{
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    int number = WIFEXITED(status) ? WEXITSTATUS(status) - 128 : WTERMSIG(status);
    if (number > 0 && number < NSIG) {
        *out_status = number;
        return 0;
    }
    subprocess_describe_status(status, &how);
    error_set(err, ERR_SPAWN, "%s %s without a word of how the script ended", c->engine,
              how.data);
    return 1;
}

static int judge(const struct container *c, const struct words *w, int status,
                 int *out_status, int *out_code, struct error *err)
{
    *out_code = EXIT_FAILED;
    if (w->has_failed) {
        *out_code = w->code;
        return error_set(err, ERR_SPAWN, "%s", w->sentence);
    }
    if (w->has_ended) {
        *out_status = w->status;
        return 0;
    }
    if (w->has_started) {
        return judge_unheard(c, status, out_status, err);
    }
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    last_words(c, &said);
    if (said.length == 0) {
        subprocess_describe_status(status, &said);
    }
    return error_set(err, ERR_SPAWN, "%s could not start the container: %s", c->engine,
                     said.data);
}

/* A descriptor that is readable once a child has ended. */
static int watch_children(struct error *err)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    command_stay();
    int fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? error_sys(err, "watch for the engine's end") : fd;
}

/* The engine's own standard error goes into a file of its own, the script's does not pass
 * the engine at all. */
static int start(const struct container *c, const struct strvec *variables,
                 struct strvec *argv, struct subprocess *sp, struct error *err)
{
    CLEANUP_FREE char *path = files_join(c->folder, ENGINE_LOG);
    CLEANUP_FD int log =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_STRBUF struct strbuf settings = STRBUF_INIT;
    for (size_t i = 0; i < variables->count; i++) {
        strbuf_puts(&settings, variables->items[i]);
        strbuf_putc(&settings, '\0');
    }
    CLEANUP_FD int in = secrets_open(settings.data, settings.length, err);
    mem_wipe(settings.data, settings.length);
    if (in < 0 || log < 0) {
        return in < 0 ? -1 : error_sys(err, "open %s", path);
    }
    *sp = (struct subprocess){.argv = (const char *const *)strvec_argv(argv),
                              .in = in,
                              .out = SUBPROCESS_PIPE,
                              .error = log};
    if (subprocess_start(sp, err) < 0) {
        return -1;
    }
    return fdio_set_nonblocking(sp->stdout_fd, true, err);
}

int container_run(const struct container *c, const struct strvec *variables,
                  const struct stage_report *said, int *report_fd, int *out_status,
                  int *out_code, struct error *err)
{
    struct report report = {.said = said};
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT;
    struct words w = {.code = 0};
    struct subprocess sp;
    int status = 0;
    report.fd = report_fd;
    *out_code = EXIT_FAILED;
    CLEANUP_FD int child_fd = watch_children(err);
    if (child_fd < 0 || container_arguments(c, &argv, err) < 0 ||
        start(c, variables, &argv, &sp, err) < 0) {
        return -1;
    }
    strbuf_init(&w.text, WORDS_MAX);
    int result = attend(&sp, child_fd, &w, &report, &status, err);
    if (result == 0) {
        result = judge(c, &w, status, out_status, out_code, err);
    }
    strbuf_release(&w.text);
    return result;
}
