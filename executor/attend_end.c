/*
 * attend_end: how an application ends: by us, by itself, and what came of it. [executor]
 */
#define _GNU_SOURCE /* memmem, O_NOFOLLOW */
#include "executor/attend.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/spark_explain.h"
#include "executor/attend_inside.h"

/* What is said to be ended within these is; the run's supervisors wait longer, for all of
 * a cancel (attendance_left_ms). */
#define CANCEL_NS (60 * NS_PER_S)
#define SETTLE_NS (10 * NS_PER_S)
#define KILL_AGAIN_NS (5 * NS_PER_S)
#define KILL_OTHERWISE_NS (10 * NS_PER_S)
#define PROGRAM_TIMEOUT_MS INT64_C(30000)
#define DRAIN_NS (90 * NS_PER_S)
#define DRAIN_CANCELED_NS (20 * NS_PER_S)
#define ASK_PROGRAM_NS (20 * NS_PER_S)
#define LOOK_MS 300
#define TAIL_MAX ((size_t)64 << 10)

/* Run a program that may hang, into out_fd. Returns its status, or -1. */
static int run_program(struct attendance *a, const char *const *argv, int out_fd,
                       int64_t timeout_ms)
{
    struct error err = ERROR_INIT;
    struct subprocess sp = {
        .argv = argv,
        .in = SUBPROCESS_NULL,
        .out = out_fd,
        .error = SUBPROCESS_NULL,
        .want_session = true,
        .want_parent_death = true,
    };
    int status = 0;
    timeout_ms = attendance_left_ms(a, timeout_ms);
    int64_t deadline_ns = clock_monotonic_ns() + timeout_ms * NS_PER_MS;
    if (subprocess_start(&sp, &err) < 0) {
        log_line(a->what->log, "%s", err.text);
        return -1;
    }
    while (waitpid(sp.pid, &status, WNOHANG) == 0) {
        if (clock_monotonic_ns() >= deadline_ns) {
            subprocess_stop(&sp, 0);
            log_line(a->what->log, "%s did not end within %lld s", argv[0],
                     (long long)timeout_ms / 1000);
            return -1;
        }
        (void)attendance_pause(a, LOOK_MS);
    }
    return status;
}

/* ---- Cancel */

/* One step of killing it. *next_ns: when to do it again; is_refused: REST will not. */
static void kill_once(struct attendance *a, bool *is_refused)
{
    struct error err = ERROR_INIT;
    const char *id = a->engine.engine.application;
    if (!*is_refused && yarn_kill(&a->yarn, id, &err) < 0) {
        *is_refused = err.code == ERR_LOGIN || err.code == ERR_ACCESS;
        log_line(a->what->log, "%s", err.text);
    }
    if (*is_refused && a->what->yarn != NULL) {
        const char *const argv[] = {a->what->yarn, "application", "-kill", id, NULL};
        (void)run_program(a, argv, SUBPROCESS_NULL, PROGRAM_TIMEOUT_MS);
    }
}

/* Until YARN says that it has ended, or has forgotten it: what it does not run then, it
 * does not run. False: the time is over. */
static bool kill_application(struct attendance *a, int64_t deadline_ns)
{
    int64_t begin_ns = clock_monotonic_ns(), next_ns = begin_ns, forgotten_ns = 0;
    bool is_refused = false;
    for (;;) {
        if (attendance_has_gone(a, &forgotten_ns)) {
            return true;
        }
        int64_t now_ns = clock_monotonic_ns();
        if (now_ns >= deadline_ns) {
            return false;
        }
        if (forgotten_ns == 0 && now_ns >= next_ns) {
            is_refused = is_refused || now_ns - begin_ns >= KILL_OTHERWISE_NS;
            kill_once(a, &is_refused);
            next_ns = clock_monotonic_ns() + KILL_AGAIN_NS;
        }
        (void)attendance_pause(a, LOOK_MS);
    }
}

void attendance_cancel(struct attendance *a)
{
    int64_t deadline_ns = clock_monotonic_ns() + CANCEL_NS;
    attendance_stop_submitting(a);
    if (a->engine.engine.application[0] == '\0') {
        if (!a->engine.may_be_submitted) {
            return;
        }
        attendance_say(a, ENGINE_NOTE,
                       "it ends before its application was known: looking for it by its "
                       "tag");
        if (!attendance_find_for(a, SETTLE_NS, deadline_ns)) {
            if (a->is_silent) {
                snprintf(a->trouble, sizeof(a->trouble),
                         "YARN does not answer: whether an application with the tag %s "
                         "runs is not known",
                         a->what->tag);
            }
            return;
        }
    }
    if (kill_application(a, deadline_ns)) {
        return;
    }
    snprintf(
        a->trouble, sizeof(a->trouble),
        "%s could not be proven to have ended: end it with yarn application -kill %s",
        a->engine.engine.application, a->engine.engine.application);
}

/* ---- The end of the driver's output */

/* What the program yarn has of the log, which it may have where the servers do not. */
static bool ask_program(struct attendance *a)
{
    struct error err = ERROR_INIT;
    char head[TAIL_MAX];
    struct yarn_log log;
    struct stat st;
    int fd = a->log.spool_fd;
    if (a->what->yarn == NULL || ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        return false;
    }
    const char *const argv[] = {a->what->yarn,
                                "logs",
                                "-applicationId",
                                a->engine.engine.application,
                                "-containerId",
                                a->log.container.id,
                                "-log_files",
                                "stdout",
                                NULL};
    int status = run_program(a, argv, fd, 2 * PROGRAM_TIMEOUT_MS);
    ssize_t got = fdio_pread_full(fd, head, sizeof(head), 0);
    if (status != 0 || got <= 0 || fstat(fd, &st) < 0) {
        return false;
    }
    static const char begin[] = "Container: ";
    const char *at = memmem(head, (size_t)got, begin, strlen(begin));
    if (at == NULL) {
        return false;
    }
    uint64_t skipped = (uint64_t)(at - head);
    if (yarn_parse_log(at, (size_t)got - skipped, (uint64_t)st.st_size - skipped,
                       INT64_MAX, &log, &err) < 0 ||
        attend_log_take(&a->log, fd, skipped + log.content_at, log.length, &err) < 0) {
        log_line(a->what->log, "yarn logs: %s", err.text);
        return false;
    }
    return true;
}

/* One look at each keeper. True: there is nothing more to come. */
static bool drain_once(struct attendance *a, bool is_last)
{
    struct error err = ERROR_INIT;
    bool has_grown;
    if (attend_log_look(&a->log, YARN_KEEPER_NODE, is_last, &has_grown, &err) == 0) {
        return a->log.word.exit.kind != RUN_EXIT_NONE;
    }
    return attend_log_look(&a->log, YARN_KEEPER_HISTORY, true, &has_grown, &err) == 0;
}

void attendance_drain(struct attendance *a)
{
    int64_t begin_ns = clock_monotonic_ns();
    int64_t most_ns = a->is_canceled ? DRAIN_CANCELED_NS : DRAIN_NS;
    most_ns = attendance_left_ms(a, most_ns / NS_PER_MS) * NS_PER_MS;
    bool has_asked = false;
    if (a->app.driver_logs[0] != '\0') {
        (void)attendance_read_log(a);
    }
    if (a->log.container.attempt == 0) {
        a->is_log_lost = true; /* whether or not it had a container: none was read */
        return;
    }
    while (a->log.word.exit.kind == RUN_EXIT_NONE) {
        int64_t spent_ns = clock_monotonic_ns() - begin_ns;
        bool is_last = spent_ns >= most_ns;
        if (drain_once(a, is_last)) {
            return;
        }
        if (!has_asked && spent_ns >= ASK_PROGRAM_NS && a->app.are_logs_collected) {
            has_asked = true;
            if (ask_program(a)) {
                return;
            }
        }
        if (is_last) {
            a->is_log_lost = true;
            return;
        }
        (void)attendance_pause(a, LOOK_MS);
        (void)attendance_look(a);
    }
}

/* ---- The verdict */

static void say(struct attend_verdict *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct attend_verdict *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->text, sizeof(out->text), format, args);
    va_end(args);
}

/* What the table knows of the end of a file of the run, or of text; "" where nothing.
 * Returns the row's code. */
static enum error_code explain_text(const char *text, size_t length, char *out,
                                    size_t size)
{
    struct error said = ERROR_INIT;
    out[0] = '\0';
    if (spark_explain(text, length, &said)) {
        snprintf(out, size, "%.250s%s%.250s", said.text, said.hint[0] != '\0' ? "; " : "",
                 said.hint);
    }
    return said.code;
}

static void explain_file(struct attendance *a, const char *name, char *out, size_t size)
{
    char tail[TAIL_MAX];
    size_t length = files_read_tail(a->what->run_fd, name, 0, tail, TAIL_MAX);
    (void)explain_text(tail, length, out, size);
}

bool attendance_lacks_files(struct attendance *a)
{
    char tail[TAIL_MAX];
    static const char words[] = "does not exist";
    size_t length = files_read_tail(a->what->run_fd, "engine.log", 0, tail, TAIL_MAX);
    return memmem(tail, length, words, strlen(words)) != NULL;
}

/* No row of the table knows why: what spark-submit said last may tell. */
static void say_submit_failed(struct attendance *a, struct attend_verdict *out)
{
    char tail[TAIL_MAX], words[200];
    CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
    size_t length = files_read_tail(a->what->run_fd, "engine.log", 0, tail, TAIL_MAX);
    subprocess_describe_status(a->submit_status, &how);
    spark_last_words(tail, length, words, sizeof(words));
    say(out,
        "spark-submit %s and YARN has no application of this run%s%s; see errand logs "
        "--engine %s",
        how.data, words[0] != '\0' ? ": " : "", words, a->what->run);
}

/* Nothing was submitted, or nothing is known to have been. */
static void judge_unsubmitted(struct attendance *a, struct attend_verdict *out)
{
    char why[sizeof(out->text)];
    out->exit = (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = 126};
    explain_file(a, "engine.log", why, sizeof(why));
    if (a->is_canceled) {
        out->exit = (struct run_exit){.kind = RUN_EXIT_SIGNALED, .signal = SIGTERM};
        say(out, "%s", a->trouble);
    } else if (a->trouble[0] != '\0') {
        out->exit.kind = a->is_lost ? RUN_EXIT_UNKNOWN : out->exit.kind;
        say(out, "%s", a->trouble);
    } else if (why[0] != '\0') {
        say(out, "%s", why);
    } else {
        say_submit_failed(a, out);
    }
}

/* Why YARN ended it otherwise than the script did. What became of the script when YARN's
 * patience was over is no end of its own. */
static void explain_failure(struct attendance *a, struct attend_verdict *out)
{
    char why[sizeof(out->text)];
    int status;
    enum error_code code =
        explain_text(a->app.diagnostics, strlen(a->app.diagnostics), why, sizeof(why));
    if (code == ERR_TIMED_OUT) {
        out->exit = (struct run_exit){.kind = RUN_EXIT_TIMED_OUT};
    }
    const char *reason = yarn_container_status(a->app.diagnostics, &status)
                             ? yarn_container_reason(status)
                             : NULL;
    if (why[0] != '\0') {
        say(out, "%s", why);
    } else if (reason != NULL) {
        say(out, "%s", reason);
    } else if (a->app.diagnostics[0] != '\0' &&
               !yarn_script_status(a->app.diagnostics, &status)) {
        say(out, "YARN says: %.*s", (int)strcspn(a->app.diagnostics, "\n"),
            a->app.diagnostics);
    }
}

/* What YARN did to a container (ContainerExitStatus): it used too much memory, its node
 * was lost, or it was to end. */
static struct run_exit exit_of_yarns(int status)
{
    switch (status) {
    case -103:
    case -104:
        return (struct run_exit){.kind = RUN_EXIT_SIGNALED, .signal = SIGKILL};
    case -100:
    case -101:
    case -108:
        return (struct run_exit){.kind = RUN_EXIT_UNKNOWN};
    default:
        return (struct run_exit){.kind = RUN_EXIT_SIGNALED, .signal = SIGTERM};
    }
}

/* The script's end as YARN tells it, without the wrapper's word. An application that was
 * refused has no container, and one whose files a node could not fetch no process. */
static struct run_exit exit_by_yarn(const struct attendance *a)
{
    int status = 0;
    bool has_status = yarn_container_status(a->app.diagnostics, &status);
    bool had_container = a->app.driver_logs[0] != '\0' || a->log.container.attempt != 0;
    if (!had_container || status == YARN_CONTAINER_UNLAUNCHED) {
        return (struct run_exit){.kind = RUN_EXIT_COULD_NOT_START, .code = 126};
    }
    if (yarn_script_status(a->app.diagnostics, &status) && status <= 255) {
        return (struct run_exit){.kind = RUN_EXIT_EXITED, .code = status};
    }
    if (!has_status) {
        return (struct run_exit){.kind = RUN_EXIT_EXITED, .code = 1};
    }
    if (status > 128 && status < 128 + 65) {
        return (struct run_exit){.kind = RUN_EXIT_SIGNALED, .signal = status - 128};
    }
    if (status < 0) {
        return exit_of_yarns(status);
    }
    return (struct run_exit){.kind = RUN_EXIT_EXITED, .code = status <= 255 ? status : 1};
}

static bool is_success(const struct run_exit *exit)
{
    return exit->kind == RUN_EXIT_EXITED && exit->code == 0;
}

static void judge_killed(const struct attendance *a, struct attend_verdict *out)
{
    out->exit = (struct run_exit){.kind = RUN_EXIT_SIGNALED, .signal = SIGTERM};
    if (!a->is_canceled) {
        say(out, "somebody ended it in YARN: %.*s",
            (int)strcspn(a->app.diagnostics, "\n"), a->app.diagnostics);
    } else if (a->trouble[0] != '\0') {
        say(out, "%s", a->trouble);
    } else if (a->log.word.exit.kind != RUN_EXIT_NONE && a->app.state == YARN_FINISHED) {
        CLEANUP_STRBUF struct strbuf how = STRBUF_INIT;
        run_exit_describe(&a->log.word.exit, &how);
        say(out, "its driver had ended before: %s", how.data);
    }
}

/* YARN has an opinion, and perhaps the wrapper has one. */
static void judge_ended(struct attendance *a, struct attend_verdict *out)
{
    const struct run_exit *word = &a->log.word.exit;
    bool has_word = word->kind != RUN_EXIT_NONE;
    bool is_good = a->app.state == YARN_FINISHED && a->app.final == YARN_FINAL_SUCCEEDED;
    if (is_good && has_word) {
        out->exit = *word;
        if (!is_success(word)) {
            say(out, "YARN calls it SUCCEEDED all the same");
        }
    } else if (is_good) {
        out->exit =
            (struct run_exit){.kind = RUN_EXIT_EXITED, .code = a->is_log_lost ? 0 : 125};
        say(out, a->is_log_lost
                     ? "YARN says SUCCEEDED; the end of the driver's output could not be "
                       "read"
                     : "YARN says SUCCEEDED, but the driver left without its last word");
    } else if (has_word && !is_success(word)) {
        out->exit = *word;
        explain_failure(a, out);
    } else {
        out->exit = exit_by_yarn(a);
        if (has_word && is_success(&out->exit)) {
            out->exit.code = 1;
        }
        explain_failure(a, out);
    }
}

static void judge_lost(struct attendance *a, struct attend_verdict *out)
{
    const char *id = a->engine.engine.application;
    if (a->log.word.exit.kind != RUN_EXIT_NONE) {
        out->exit = a->log.word.exit;
        say(out, "YARN does not know %s any more; this is what its driver said", id);
        return;
    }
    out->exit = (struct run_exit){.kind = RUN_EXIT_UNKNOWN};
    say(out,
        "the ResourceManager does not know %s any more (was it restarted without a "
        "memory of its applications?), and its driver left no last word",
        id);
}

/* The script's own last output tells of Python's troubles: an import, a mismatch. An
 * exception ends it with 1; another status it chose itself. */
static void add_script_reason(struct attendance *a, struct attend_verdict *out)
{
    if (out->text[0] == '\0' && out->exit.kind == RUN_EXIT_EXITED &&
        out->exit.code == 1 && !a->is_canceled) {
        explain_file(a, "driver.log", out->text, sizeof(out->text));
    }
}

static void add_loss(const struct attendance *a, struct attend_verdict *out)
{
    static const char words[] = "the end of the driver's output could not be read";
    size_t used = strlen(out->text);
    if (a->is_log_lost && a->log.container.attempt != 0 &&
        strstr(out->text, words) == NULL) {
        snprintf(out->text + used, sizeof(out->text) - used, "%s%s", used > 0 ? "; " : "",
                 words);
    }
}

/* A driver that says goodbye to YARN has cleaned up (FINISHED); nobody does for one that
 * could not: no spark-submit waits for the application's end. */
static bool has_remains(const struct attendance *a, bool is_ended)
{
    bool is_killed = a->is_canceled && a->trouble[0] == '\0';
    return is_ended ? a->app.state != YARN_FINISHED : is_killed;
}

void attendance_judge(struct attendance *a, struct attend_verdict *out)
{
    *out = (struct attend_verdict){.exit = {.kind = RUN_EXIT_UNKNOWN}};
    bool is_ended = yarn_phase(&a->app) == YARN_PHASE_ENDED;
    if (a->engine.engine.application[0] == '\0') {
        judge_unsubmitted(a, out);
    } else if (a->is_canceled || (is_ended && a->app.state == YARN_KILLED) ||
               (is_ended && a->app.final == YARN_FINAL_KILLED)) {
        judge_killed(a, out);
    } else if (a->is_lost) {
        judge_lost(a, out);
    } else {
        judge_ended(a, out);
        add_script_reason(a, out);
    }
    add_loss(a, out);
    if (has_remains(a, is_ended)) {
        snprintf(out->remains, sizeof(out->remains), "%s", a->engine.engine.application);
    }
    snprintf(out->word, sizeof(out->word), "%s", a->log.word.text);
    attendance_say(a, ENGINE_ENDED, "%s", out->text);
}
