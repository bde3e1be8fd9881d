#define _GNU_SOURCE /* signalfd, O_NOFOLLOW */
#include "controller/attend_livy_inside.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/variables.h"
#include "controller/http_libcurl.h"
#include "controller/livy_uses.h"
#include "controller/target_livy.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_FAILED 125
#define FAILURES_TOLD 3
/* For all of a cancel: the supervisors kill an attendant after ATTENDED_GRACE_MS, 120 s
 * (executor/attended.h). */
#define CANCEL_NS (100 * NS_PER_S)
#define PIN_MAX ((size_t)16 << 10)

/* ---- What the parts share */

void attendance_say(struct attendance *a, enum engine_event event, const char *format,
                    ...)
{
    char text[ENGINE_TEXT_SIZE];
    struct error err = ERROR_INIT;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (a->task != ATTEND_LIVY_SCRIPT) {
        a->engine.may_be_submitted |= event == ENGINE_SUBMITTING;
        (void)fdio_write_line(STDERR_FILENO, "%s", text); /* the prepare stage's log */
        return;
    }
    log_line(&a->log, "%s", text);
    if (enginelog_append(&a->engine, event, text, &err) < 0) {
        log_line(&a->log, "%s", err.text);
    }
}

static void note_cancel(struct attendance *a)
{
    a->is_canceled = true;
    a->http->stop_fd = -1; /* what is asked from now on is to end it */
    a->http->deadline_ns = clock_monotonic_ns() + CANCEL_NS;
}

bool attendance_pause(struct attendance *a, int64_t ms)
{
    struct pollfd stop = {.fd = a->stop_fd, .events = POLLIN};
    int64_t until_ns = clock_monotonic_ns() + ms * NS_PER_MS;
    while (!a->is_canceled) {
        int64_t left_ms = (until_ns - clock_monotonic_ns()) / NS_PER_MS;
        if (poll(&stop, 1, left_ms > 0 ? (int)left_ms : 0) > 0) {
            note_cancel(a);
            return false;
        }
        if (left_ms <= 0) {
            return true;
        }
    }
    while (clock_monotonic_ns() < until_ns) {
        (void)poll(NULL, 0, (int)((until_ns - clock_monotonic_ns()) / NS_PER_MS) + 1);
    }
    return true;
}

bool attendance_may_pass(struct attendance *a, const struct error *err)
{
    static const enum error_code passing[] = {ERR_CONNECT, ERR_LINK, ERR_TIMED_OUT,
                                              ERR_BUSY};
    for (size_t i = 0; i < ARRAY_SIZE(passing); i++) {
        if (passing[i] == err->code) {
            if (++a->failures == FAILURES_TOLD) {
                attendance_say(a, ENGINE_NOTE, "waiting for an answer: %s", err->text);
            }
            return true;
        }
    }
    return false;
}

void attendance_passed(struct attendance *a)
{
    if (a->failures >= FAILURES_TOLD) {
        attendance_say(a, ENGINE_NOTE, "it answers again");
    }
    a->failures = 0;
}

void attendance_end(struct attendance *a, const char *kind, const char *format, ...)
{
    va_list args;
    a->ending.kind = kind;
    va_start(args, format);
    (void)vsnprintf(a->ending.text, sizeof a->ending.text, format, args);
    va_end(args);
}

/* ---- Beginning */

static int read_spec(struct attendance *a, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, RUNSPEC_SIZE_MAX);
    int result = files_read(a->run_fd, "spec.json", &text, err);
    if (result == 0) {
        result = runspec_decode(text.data, text.length, &a->spec, err);
    }
    strbuf_release(&text);
    if (result == 0 && (a->spec.spark == NULL || a->spec.spark->livy == NULL)) {
        result = error_set(err, ERR_CORRUPT, "the run is none for Livy");
    }
    a->spark = a->spec.spark;
    return result;
}

static int open_file(const struct attendance *a, const char *name, struct error *err)
{
    int fd = openat(a->run_fd, name,
                    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? error_sys(err, "open %s", name) : fd;
}

const char *attendance_log_name(const struct attendance *a)
{
    return a->task == ATTEND_LIVY_SCRIPT ? "engine.log" : "question.log";
}

static int open_files(struct attendance *a, struct error *err)
{
    bool is_script = a->task == ATTEND_LIVY_SCRIPT;
    a->log_fd = is_script ? open_file(a, "driver.log", err) : -1;
    a->engine_log_fd =
        is_script && a->log_fd < 0 ? -1 : open_file(a, attendance_log_name(a), err);
    struct stat st;
    if (a->engine_log_fd >= 0 && fstat(a->engine_log_fd, &st) == 0) {
        a->engine_log_at = (uint64_t)st.st_size;
    }
    return a->engine_log_fd < 0 ||
                   (is_script &&
                    enginelog_open(&a->engine, a->run_fd, "livy", a->attempt, err) < 0)
               ? -1
               : 0;
}

/* What the prepare stage pinned: of an environment that was built here. */
static int read_pin(struct attendance *a, struct error *err)
{
    struct strbuf text;
    run_environment_init(&a->environment);
    if (!a->spec.environment.has_definition &&
        a->spec.environment.pin_identity[0] == '\0') {
        return 0;
    }
    if (a->task == ATTEND_LIVY_PYTHON) {
        return 0;
    }
    strbuf_init(&text, PIN_MAX);
    CLEANUP_JSON struct json *j = files_read(a->run_fd, "environment", &text, err) < 0
                                      ? NULL
                                      : json_parse(text.data, text.length, err);
    strbuf_release(&text);
    return j == NULL ? -1 : run_environment_from_json(j, &a->environment, err);
}

static int catch_term(struct attendance *a, struct error *err)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    a->stop_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return a->stop_fd < 0 ? error_sys(err, "listen for signals") : 0;
}

static int connect_server(struct attendance *a, struct error *err)
{
    const struct runspec_livy *livy = a->spark->livy;
    const char *password = getenv(LIVY_PASSWORD);
    a->password = xstrdup(password != NULL ? password : "");
    variables_wipe(LIVY_PASSWORD); /* /proc shows it otherwise */
    a->settings = (struct http_settings){.login = target_livy_login(livy),
                                         .user = livy->user != NULL ? livy->user : "",
                                         .password = a->password,
                                         .ca_file = livy->ca};
    a->http = http_libcurl_new(&a->settings, err);
    if (a->http == NULL) {
        return -1;
    }
    a->http->stop_fd = a->stop_fd;
    a->livy = (struct livy){.http = a->http, .url = livy->url};
    return 0;
}

static int begin(struct attendance *a, struct error *err)
{
    a->run_fd = files_open_dir(AT_FDCWD, a->run_folder, err);
    if (a->run_fd < 0 || read_spec(a, err) < 0 || read_pin(a, err) < 0 ||
        open_files(a, err) < 0 || catch_term(a, err) < 0 || connect_server(a, err) < 0) {
        return -1;
    }
    a->tag = xasprintf(LIVY_TAG "%s-%lld%s", a->spec.run, (long long)a->attempt,
                       a->task == ATTEND_LIVY_PYTHON ? LIVY_QUESTION : "");
    a->folder = xasprintf(LIVY_RUNS "/%s", a->tag);
    (void)run_engine_set(a->engine.engine.tag, sizeof a->engine.engine.tag, a->tag);
    return 0;
}

/* ---- Ending */

/* What the stage, which waits for us, makes of it. */
static int write_result(const struct attendance *a, struct error *err)
{
    CLEANUP_JSON struct json *j = json_new_object();
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *name = xasprintf("driver.result.%lld", (long long)a->attempt);
    json_add_string(j, "kind", a->ending.kind);
    if (strcmp(a->ending.kind, "exited") == 0) {
        json_add_integer(j, "code", a->ending.code);
    }
    if (a->ending.signal[0] != '\0') {
        json_add_string(j, "signal", a->ending.signal);
    }
    if (a->ending.text[0] != '\0') {
        json_add_string(j, "text", a->ending.text);
    }
    json_write(j, false, &text);
    strbuf_putc(&text, '\n');
    return files_write_atomic(a->run_fd, name, text.data, text.length, 0600, err);
}

static void release(struct attendance *a)
{
    livy_tail_release(&a->tail);
    livy_place_release(&a->place);
    http_free(a->http);
    enginelog_close(&a->engine);
    runspec_release(&a->spec);
    free(a->password);
    free(a->run_folder);
    free(a->tag);
    free(a->folder);
    free(a->told);
    fdio_close(&a->run_fd);
    fdio_close(&a->log_fd);
    fdio_close(&a->engine_log_fd);
    fdio_close(&a->stop_fd);
}

static int submit_and_watch(struct attendance *a, struct error *err)
{
    if (attendance_submit(a, err) < 0) {
        return -1;
    }
    attendance_watch(a);
    return 0;
}

/* What the cluster lost between our look and the batch's is sent again, once. */
static int send_again(struct attendance *a, struct error *err)
{
    attendance_say(a, ENGINE_NOTE,
                   "the cluster does not have any more what it was sent: once again");
    return attendance_forget_batch(a, err) < 0 ? -1 : submit_and_watch(a, err);
}

static void look_after(struct attendance *a)
{
    struct error err = ERROR_INIT;
    int result = submit_and_watch(a, &err);
    if (result == 0 && !a->is_canceled && attendance_is_missed(a)) {
        result = send_again(a, &err);
    }
    if (result < 0 && err.code == ERR_CANCELED) { /* while something was asked */
        note_cancel(a);
    } else if (result < 0 && !a->is_canceled) {
        attendance_end(a, "could_not_start", "%s%s%s", err.text,
                       err.hint[0] != '\0' ? "; " : "", err.hint);
        a->is_home = !a->engine.may_be_submitted;
    }
    if (a->is_canceled) {
        attendance_cancel(a);
    }
}

/* ---- Tasks of the prepare stage */

int attend_livy_task_parse(const char *name, enum attend_livy_task *out,
                           struct error *err)
{
    static const char *const names[] = {
#define ROW(symbol, name) [ATTEND_LIVY_##symbol] = (name),
        ATTEND_LIVY_TABLE(ROW)
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum attend_livy_task)i;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, "%s is nothing that an attendant does", name);
}

/* Its sentence is the last that is said. */
static int fail(const struct error *why)
{
    (void)fdio_write_line(STDERR_FILENO, "%s%s%s", why->text,
                          why->hint[0] != '\0' ? "; " : "", why->hint);
    return EXIT_FAILED;
}

static int ask_python(struct attendance *a)
{
    look_after(a);
    if (strcmp(a->ending.kind, "exited") == 0 && a->ending.code == 0) {
        attendance_clean(a);
        return 0;
    }
    (void)fdio_write_line(
        STDERR_FILENO, "the cluster did not say which Python it has: %s", a->ending.text);
    return EXIT_FAILED;
}

static int put_environment(struct attendance *a)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *uri = NULL;
    if (attendance_reach_patiently(a, &err) < 0) {
        return fail(&err);
    }
    if (attendance_send_environment(a, &uri, &err) < 0) {
        bool is_packed = faccessat(a->run_fd, LIVY_ARCHIVE, F_OK, 0) == 0;
        return err.code == ERR_NOT_FOUND && !is_packed ? LIVY_LACKS : fail(&err);
    }
    return 0;
}

int attend_livy(const char *run_folder, int64_t attempt, enum attend_livy_task task)
{
    struct error err = ERROR_INIT;
    __attribute__((cleanup(release))) struct attendance a = {
        .run_folder = xstrdup(run_folder),
        .run_fd = -1,
        .log_fd = -1,
        .engine_log_fd = -1,
        .stop_fd = -1,
        .attempt = attempt,
        .task = task,
        .engine = {.fd = -1},
        .log = {.fd = STDERR_FILENO, .word = "livy"},
        .batch = -1,
    };
    runspec_init(&a.spec);
    mem_wipe_freed();
    if (begin(&a, &err) < 0) {
        if (task != ATTEND_LIVY_SCRIPT) {
            return fail(&err);
        }
        log_line(&a.log, "%s%s%s", err.text, err.hint[0] != '\0' ? "; " : "", err.hint);
        return EXIT_FAILED;
    }
    if (task != ATTEND_LIVY_SCRIPT) {
        return task == ATTEND_LIVY_PYTHON ? ask_python(&a) : put_environment(&a);
    }
    look_after(&a);
    if (strcmp(a.ending.kind, "exited") != 0 && strcmp(a.ending.kind, "signaled") != 0) {
        attendance_doubt_sent(&a);
    }
    attendance_say(&a, ENGINE_ENDED, "%s", a.ending.text);
    if (write_result(&a, &err) < 0) {
        log_line(&a.log, "%s", err.text);
        return EXIT_FAILED;
    }
    attendance_clean(&a);
    return 0;
}
