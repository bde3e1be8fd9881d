#define _GNU_SOURCE /* signalfd, O_NOFOLLOW */
#include "executor/attend.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/fdio.h"
#include "executor/attend_inside.h"
#include "executor/attended.h"

#define REQUEST_TIMEOUT_MS 20000
#define REQUEST_LEAST_MS 1000
/* How often YARN and the driver's node are looked at: soon after something happened,
 * rarely where nothing does. */
#define LOOK_SOON_MS 250
#define LOOK_OFTEN_MS 1000
#define HOLD_MS 100
#define STATE_EVERY_NS (2 * NS_PER_S)
#define RETRY_FIRST_MS 1000
#define RETRY_MOST_MS 15000
/* A predecessor that was killed while it submitted: its request may still be under way
 * although its process is gone. */
#define SETTLE_NS (10 * NS_PER_S)
/* YARN forgets an application at a restart without memory, and knows it again where it
 * has one: not at once. */
#define FORGOTTEN_NS (30 * NS_PER_S)
/* Of the time that the supervisors give: to write down the verdict, and for the requests
 * that were under way. */
#define VERDICT_MS 15000
#define SUBMIT_GRACE_MS 3000
/* An application whose submission was begun longer ago may have run to its end, and been
 * forgotten: a second one is not made. */
#define INTENT_OLD_MS INT64_C(300000)

/* ---- Telling */

void attendance_say(struct attendance *a, enum engine_event event, const char *format,
                    ...)
{
    char text[ENGINE_TEXT_SIZE];
    struct error err = ERROR_INIT;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (text[0] != '\0') {
        log_line(a->what->log, "%s", text);
    }
    if (enginelog_append(&a->engine, event, text, &err) < 0) {
        log_line(a->what->log, "%s", err.text);
    }
}

void attendance_note_answer(struct attendance *a, const struct error *err)
{
    if (err != NULL && !a->is_silent && err->code != ERR_CANCELED) {
        attendance_say(a, ENGINE_NOTE, "waits for YARN, which does not answer: %s",
                       err->text);
        a->is_silent = true;
    } else if (err == NULL && a->is_silent) {
        attendance_say(a, ENGINE_NOTE, "YARN answers again");
        a->is_silent = false;
    }
}

#define SET(a, member, text)                                                             \
    run_engine_set((a)->engine.engine.member, sizeof((a)->engine.engine.member), text)

/* The line that says most: of several, the first that is no frame around it. */
static const char *first_words(const char *diagnostics)
{
    const char *status = strstr(diagnostics, "User application exited with status ");
    return status != NULL ? status : diagnostics;
}

/* Take what was seen into `engine`; a change is told. */
static void note_app(struct attendance *a)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *words = first_words(a->app.diagnostics);
    CLEANUP_FREE char *line = xstrndup(words, strcspn(words, "\n"));
    bool is_new = SET(a, state, yarn_state_name(a->app.state));
    is_new |= SET(a, final_status, yarn_final_name(a->app.final));
    is_new |= SET(a, queue, a->app.queue);
    is_new |= SET(a, tracking_url, a->app.tracking_url);
    (void)SET(a, diagnostics, line); /* it has numbers that change all the time */
    if (a->is_driver_here && yarn_phase(&a->app) == YARN_PHASE_STARTING) {
        strbuf_printf(&text, "%s is starting", a->app.id);
    } else {
        yarn_tell(&a->app, &text);
    }
    if (run_engine_set(a->told, sizeof(a->told), text.data) || is_new) {
        attendance_say(a, ENGINE_STATE, "%s", a->told);
    }
}

/* ---- Waiting */

static void reap_submit(struct attendance *a)
{
    int status;
    if (a->submit.pid > 0 && waitpid(a->submit.pid, &status, WNOHANG) == a->submit.pid) {
        a->submit.pid = -1;
        a->submit_status = status;
    }
}

int64_t attendance_left_ms(const struct attendance *a, int64_t most_ms)
{
    int64_t left_ms = a->cancel_by_ns == 0
                          ? most_ms
                          : (a->cancel_by_ns - clock_monotonic_ns()) / NS_PER_MS;
    left_ms = left_ms < most_ms ? left_ms : most_ms;
    return left_ms > 0 ? left_ms : 1;
}

static void take_signals(struct attendance *a)
{
    struct signalfd_siginfo info;
    while (fdio_read(a->child_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
    }
    while (fdio_read(a->term_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        a->is_canceled = true;
        if (a->cancel_by_ns == 0) {
            a->cancel_by_ns =
                clock_monotonic_ns() + (ATTENDED_GRACE_MS - VERDICT_MS) * NS_PER_MS;
        }
        a->what->http->stop_fd = -1; /* what is asked from now on is to end it */
    }
    if (a->is_canceled) {
        int64_t left_ms = attendance_left_ms(a, REQUEST_TIMEOUT_MS);
        a->yarn.timeout_ms = left_ms > REQUEST_LEAST_MS ? left_ms : REQUEST_LEAST_MS;
    }
    reap_submit(a);
}

bool attendance_pause(struct attendance *a, int64_t ms)
{
    bool was_canceled = a->is_canceled;
    int64_t until_ns = clock_monotonic_ns() + ms * NS_PER_MS;
    for (;;) {
        int64_t left_ms = (until_ns - clock_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
        struct pollfd polls[] = {{.fd = a->term_fd, .events = POLLIN},
                                 {.fd = a->child_fd, .events = POLLIN}};
        int ready = poll(polls, ARRAY_SIZE(polls), left_ms > 0 ? (int)left_ms : 0);
        bool had_child = a->submit.pid > 0;
        take_signals(a);
        if (a->is_canceled != was_canceled || (had_child && a->submit.pid < 0) ||
            ready == 0) {
            return a->is_canceled == was_canceled;
        }
    }
}

/* ---- Looking */

/* A request that a signal interrupted is no answer; the signal is taken. */
static bool was_interrupted(struct attendance *a, const struct error *err)
{
    if (err->code != ERR_CANCELED) {
        return false;
    }
    take_signals(a);
    return true;
}

int attendance_look(struct attendance *a)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE struct yarn_app *app = xmalloc(sizeof(*app));
    if (yarn_look(&a->yarn, a->engine.engine.application, app, &err) == 0) {
        a->app = *app;
        attendance_note_answer(a, NULL);
        note_app(a);
        return 1;
    }
    if (was_interrupted(a, &err)) {
        return 0;
    }
    if (err.code == ERR_NOT_FOUND) {
        return -1;
    }
    attendance_note_answer(a, &err);
    return 0;
}

/* The id is on record before anything else happens. */
static void note_submitted(struct attendance *a)
{
    struct error err = ERROR_INIT;
    SET(a, application, a->app.id);
    while (enginelog_append(&a->engine, ENGINE_SUBMITTED, "", &err) < 0) {
        log_line(a->what->log, "%s", err.text);
        (void)attendance_pause(a, RETRY_FIRST_MS);
    }
    log_line(a->what->log, "%s is this run's application (tag %s)", a->app.id,
             a->what->tag);
    note_app(a);
}

int attendance_find(struct attendance *a, size_t *out_count)
{
    struct error err = ERROR_INIT;
    if (yarn_find(&a->yarn, a->what->tag, &a->app, out_count, &err) < 0) {
        if (was_interrupted(a, &err)) {
            return -1;
        }
        if ((err.code == ERR_LOGIN || err.code == ERR_ACCESS) &&
            !a->engine.may_be_submitted) {
            snprintf(a->trouble, sizeof(a->trouble), "%.250s%s%.200s", err.text,
                     err.hint[0] != '\0' ? "; " : "", err.hint);
            return -1;
        }
        attendance_note_answer(a, &err);
        return -1;
    }
    attendance_note_answer(a, NULL);
    if (*out_count > 1) {
        log_line(a->what->log, "%zu applications have the tag %s; %s was the first",
                 *out_count, a->what->tag, a->app.id);
    }
    if (*out_count > 0 && a->engine.engine.application[0] == '\0') {
        note_submitted(a);
    }
    return 0;
}

/* ---- Submitting */

bool attendance_find_for(struct attendance *a, int64_t settle_ns, int64_t deadline_ns)
{
    int64_t silent_ms = RETRY_FIRST_MS, since_ns = 0;
    for (;;) {
        size_t count = 0;
        if (deadline_ns != 0 && clock_monotonic_ns() >= deadline_ns) {
            return false;
        }
        if (attendance_find(a, &count) == 0) {
            int64_t now_ns = clock_monotonic_ns();
            since_ns = since_ns != 0 ? since_ns : now_ns;
            if (count > 0 || now_ns - since_ns >= settle_ns) {
                return count > 0;
            }
            silent_ms = RETRY_FIRST_MS;
        } else if (a->trouble[0] != '\0' && !a->engine.may_be_submitted) {
            return false; /* it refuses to say, and will refuse again */
        } else {
            since_ns = 0;
        }
        if (!attendance_pause(a, a->is_silent ? silent_ms : LOOK_OFTEN_MS)) {
            return false;
        }
        silent_ms = silent_ms * 2 < RETRY_MOST_MS ? silent_ms * 2 : RETRY_MOST_MS;
    }
}

static int start_submitting(struct attendance *a, struct error *err)
{
    CLEANUP_STRVEC struct strvec argv = STRVEC_INIT, environment = STRVEC_INIT;
    if (a->what->submission(a->what->context, a->engine.token, &argv, &environment, err) <
        0) {
        return -1;
    }
    CLEANUP_FD int log =
        openat(a->what->run_fd, "engine.log",
               O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0) {
        return error_sys(err, "open engine.log");
    }
    a->submit = (struct subprocess){
        .argv = (const char *const *)strvec_argv(&argv),
        .env = (const char *const *)strvec_argv(&environment),
        .in = SUBPROCESS_NULL,
        .out = log,
        .error = log,
        .want_session = true,
        .want_parent_death = true,
    };
    if (subprocess_start(&a->submit, err) < 0) {
        a->submit.pid = -1;
        return -1;
    }
    a->submit.argv = NULL;
    a->submit.env = NULL;
    a->has_submitted = true;
    return 0;
}

void attendance_stop_submitting(struct attendance *a)
{
    if (a->submit.pid > 0) {
        subprocess_stop(&a->submit, SUBMIT_GRACE_MS);
        a->submit.pid = -1;
    }
}

/* While it submits: until there is an application, or the program has failed. */
static void await_application(struct attendance *a)
{
    int64_t deadline_ns = clock_monotonic_ns() + a->what->submit_timeout_ms * NS_PER_MS;
    while (a->submit.pid > 0) {
        size_t count = 0;
        if (!attendance_pause(a, LOOK_OFTEN_MS)) {
            return;
        }
        if (attendance_find(a, &count) == 0 && count > 0) {
            return;
        }
        if (clock_monotonic_ns() >= deadline_ns) {
            snprintf(a->trouble, sizeof(a->trouble),
                     "spark-submit had not submitted it after %lld s",
                     (long long)(a->what->submit_timeout_ms / 1000));
            attendance_stop_submitting(a);
        }
    }
    /* A submission that YARN took is seen within moments; one that failed, never. */
    bool has_failed = !WIFEXITED(a->submit_status) || WEXITSTATUS(a->submit_status) != 0;
    bool is_over = has_failed || a->trouble[0] != '\0';
    (void)attendance_find_for(a, is_over ? SETTLE_NS / 2 : 3 * SETTLE_NS, 0);
}

static int write_intent(struct attendance *a, struct error *err)
{
    uint8_t random[16];
    if (a->engine.token[0] == '\0') {
        bytes_random(random, sizeof(random));
        bytes_to_hex(a->engine.token, random, sizeof(random));
        a->engine.token[2 * sizeof(random)] = '\0';
    }
    return enginelog_append(&a->engine, ENGINE_SUBMITTING, "", err);
}

/* What a predecessor began long ago, and YARN has no trace of. */
static bool is_too_late(struct attendance *a)
{
    int64_t ago_ms = clock_utc_ms() - a->engine.submitting_utc_ms;
    if (ago_ms < INTENT_OLD_MS) {
        return false;
    }
    a->is_lost = true;
    snprintf(a->trouble, sizeof(a->trouble),
             "its submission was begun %lld minutes ago, and YARN knows no application "
             "with the tag %s: whether there was one is not known, and none is made",
             (long long)(ago_ms / 60000), a->what->tag);
    return true;
}

/* Find the application or make it: afterwards engine.application is set, or there is
 * none, and why is in trouble. */
static void find_or_submit(struct attendance *a)
{
    struct error err = ERROR_INIT;
    bool was_begun = a->engine.may_be_submitted;
    if (attendance_find_for(a, was_begun ? SETTLE_NS : 0, 0) || a->is_canceled ||
        a->trouble[0] != '\0') {
        return;
    }
    if (was_begun && is_too_late(a)) {
        return;
    }
    if (was_begun) {
        log_line(a->what->log, "there is no application with the tag %s: submitting it",
                 a->what->tag);
    } else if (a->what->warning != NULL) {
        attendance_say(a, ENGINE_NOTE, "%s", a->what->warning);
    }
    if (write_intent(a, &err) < 0 || start_submitting(a, &err) < 0) {
        snprintf(a->trouble, sizeof(a->trouble), "%.500s", err.text);
        return;
    }
    await_application(a);
    if (a->engine.engine.application[0] == '\0' && !a->is_canceled &&
        a->trouble[0] == '\0' && a->what->forget != NULL && attendance_lacks_files(a)) {
        log_line(a->what->log, "something the cluster had is gone: bringing it again");
        a->what->forget(a->what->context);
        if (start_submitting(a, &err) < 0) {
            snprintf(a->trouble, sizeof(a->trouble), "%.500s", err.text);
            return;
        }
        await_application(a);
    }
}

/* ---- Following */

/* The newest attempt's container; where attempts were missed, theirs come first. */
static void begin_container(struct attendance *a, struct error *err)
{
    struct yarn_container newest;
    if (yarn_parse_container(a->app.driver_logs, &newest, err) < 0) {
        return;
    }
    bool was_missed = newest.attempt > a->log.container.attempt + 1;
    if (a->log.container.attempt == 0 && newest.attempt > 1) {
        CLEANUP_FREE struct yarn_container *all =
            xcalloc(YARN_ATTEMPTS_MAX, sizeof(*all));
        size_t count = 0;
        if (yarn_attempts(&a->yarn, a->app.id, all, &count, err) == 0) {
            for (size_t i = 0; i < count; i++) {
                if (strcmp(all[i].id, a->engine.segment.source) == 0) {
                    (void)attend_log_begin(&a->log, &all[i], err);
                    was_missed = false;
                }
            }
        }
    }
    if (a->log.container.attempt != 0 && newest.attempt > a->log.container.attempt) {
        bool has_grown; /* what the last one wrote before it died */
        if (attend_log_look(&a->log, YARN_KEEPER_NODE, true, &has_grown, NULL) < 0) {
            (void)attend_log_look(&a->log, YARN_KEEPER_HISTORY, true, &has_grown, NULL);
        }
    }
    if (was_missed && newest.attempt > 1) {
        attendance_say(a, ENGINE_NOTE,
                       "the output of earlier attempts of the driver is not shown: see "
                       "yarn logs -applicationId %s -am ALL",
                       a->app.id);
    }
    (void)attend_log_begin(&a->log, &newest, err);
}

bool attendance_read_log(struct attendance *a)
{
    struct error err = ERROR_INIT;
    bool has_grown = false;
    if (a->app.driver_logs[0] == '\0') {
        return false;
    }
    begin_container(a, &err);
    if (err.code == ERR_NONE) {
        (void)attend_log_look(&a->log, YARN_KEEPER_NODE, false, &has_grown, &err);
    }
    if (err.code == ERR_NONE) {
        a->is_log_silent = false;
    } else if (err.code != ERR_NOT_FOUND && err.code != ERR_CANCELED &&
               !a->is_log_silent) {
        log_line(a->what->log, "the driver's output cannot be read now: %s", err.text);
        a->is_log_silent = true;
    }
    return has_grown;
}

bool attendance_has_gone(struct attendance *a, int64_t *forgotten_ns)
{
    int seen = attendance_look(a);
    int64_t now_ns = clock_monotonic_ns();
    if (seen >= 0) {
        *forgotten_ns = 0;
    } else if (*forgotten_ns == 0) {
        *forgotten_ns = now_ns;
    }
    return (seen > 0 && yarn_phase(&a->app) == YARN_PHASE_ENDED) ||
           (*forgotten_ns != 0 && now_ns - *forgotten_ns >= FORGOTTEN_NS);
}

/* Until the application has ended, YARN has forgotten it, or this is canceled. */
static void follow(struct attendance *a)
{
    int64_t state_ns = 0, forgotten_ns = 0, wait_ms = LOOK_SOON_MS;
    while (!a->is_canceled) {
        if (clock_monotonic_ns() >= state_ns) {
            if (attendance_has_gone(a, &forgotten_ns)) {
                a->is_lost = forgotten_ns != 0;
                return;
            }
            state_ns = clock_monotonic_ns() + STATE_EVERY_NS;
        }
        attendance_look_at_progress(a);
        bool has_grown = attendance_read_log(a);
        if (a->log.word.exit.kind != RUN_EXIT_NONE) {
            state_ns = 0; /* it is about to end */
        }
        wait_ms = has_grown ? LOOK_SOON_MS : wait_ms * 2;
        wait_ms = wait_ms < LOOK_OFTEN_MS ? wait_ms : LOOK_OFTEN_MS;
        (void)attendance_pause(a, a->log.is_holding ? HOLD_MS : wait_ms);
    }
}

/* ---- All of it */

static int open_signal(int number)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, number);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    return signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

int attendance_open(struct attendance *a, const struct attend_yarn *what,
                    struct error *err)
{
    *a = (struct attendance){
        .what = what,
        .yarn = {.http = what->http,
                 .managers = what->managers,
                 .history = what->history,
                 .user = what->user,
                 .timeout_ms = REQUEST_TIMEOUT_MS},
        .engine.fd = -1,
        .log = {.driver_fd = -1, .spool_fd = -1},
        .term_fd = open_signal(SIGTERM),
        .child_fd = open_signal(SIGCHLD),
        .submit.pid = -1,
        .begin_ns = clock_monotonic_ns(),
    };
    if (a->term_fd < 0 || a->child_fd < 0) {
        return error_sys(err, "make the descriptors for signals");
    }
    if (enginelog_open(&a->engine, what->run_fd, what->managers != NULL ? "yarn" : "",
                       what->attempt, err) < 0) {
        return -1;
    }
    SET(a, tag, what->tag);
    what->http->stop_fd = a->term_fd;
    return 0;
}

void attendance_close(struct attendance *a)
{
    attend_log_close(&a->log);
    enginelog_close(&a->engine);
    a->what->http->stop_fd = -1;
    fdio_close(&a->term_fd);
    fdio_close(&a->child_fd);
}

static void run(struct attendance *a)
{
    struct error err = ERROR_INIT;
    if (a->engine.engine.application[0] == '\0') {
        find_or_submit(a);
    }
    if (a->what->submitted != NULL) {
        a->what->submitted(a->what->context);
    }
    if (a->engine.engine.application[0] != '\0' || a->engine.may_be_submitted) {
        while (attend_log_open(&a->log, a->what->run_fd, &a->engine, &a->yarn, &err) <
               0) {
            log_line(a->what->log, "%s", err.text);
            attend_log_close(&a->log);
            (void)attendance_pause(a, RETRY_FIRST_MS);
        }
    }
    if (a->engine.engine.application[0] != '\0' && !a->is_canceled) {
        follow(a);
    }
    if (a->is_canceled) {
        attendance_cancel(a);
    }
    attendance_stop_submitting(a);
    if (a->engine.engine.application[0] != '\0') {
        attendance_drain(a);
    }
}

void attend_yarn(const struct attend_yarn *what, struct attend_verdict *out)
{
    struct error err = ERROR_INIT;
    struct attendance a;
    if (attendance_open(&a, what, &err) < 0) {
        *out = (struct attend_verdict){.exit = {.kind = RUN_EXIT_UNKNOWN}};
        snprintf(out->text, sizeof(out->text), "%.500s", err.text);
    } else {
        run(&a);
        attendance_judge(&a, out);
    }
    attendance_close(&a);
}
