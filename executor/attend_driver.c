/*
 * attend_driver: a driver of this node, looked at while it runs. [executor]
 */
#define _GNU_SOURCE /* O_NOFOLLOW */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/spark_progress.h"
#include "executor/attend_inside.h"

#define CONTEXT_MAX ((size_t)16 << 10)
#define LOOK_EVERY_NS (2 * NS_PER_S)
#define PAUSE_MS 1000
#define LAST_LOOK_MS 300
/* Its application ends by itself once the driver has, unless the driver was killed before
 * it was there. */
#define END_NS (15 * NS_PER_S)
#define PROGRESS_EVERY_NS (3 * NS_PER_S)
#define PROGRESS_SHARE 1000 /* of its time so far: `engine` grows ever more slowly */
#define PROGRESS_AGAIN_NS (4 * NS_PER_S) /* and twice that after each further failure */
#define PROGRESS_FAILURES_MAX 4
#define PROGRESS_TIMEOUT_MS 3000

/* ---- What the driver's SparkContext is, as spark_driver.py wrote down */

static const char *kind_of(const char *master)
{
    return strncmp(master, "local", 5) == 0      ? "local"
           : strncmp(master, "spark://", 8) == 0 ? "standalone"
           : strcmp(master, "yarn") == 0         ? "yarn"
                                                 : "";
}

#define SET(e, member, text) run_engine_set((e)->member, sizeof((e)->member), text)

/* Its application is one of YARN's, and YARN can be asked. */
static bool is_in_yarn(const struct attendance *a)
{
    return a->what->managers != NULL && strcmp(a->engine.engine.kind, "yarn") == 0;
}

static void take_context(struct attendance *a, const struct json *j)
{
    struct run_engine *e = &a->engine.engine;
    const char *id = json_string(json_get(j, "application"));
    const char *master = json_string(json_get(j, "master"));
    const char *page = json_string(json_get(j, "page"));
    if (id == NULL || master == NULL || page == NULL || kind_of(master)[0] == '\0') {
        return;
    }
    a->has_context = true;
    (void)SET(e, kind, kind_of(master));
    if (is_in_yarn(a)) {
        return; /* it says more */
    }
    (void)SET(e, application, id);
    (void)SET(e, tracking_url, page);
    (void)SET(e, state, "RUNNING");
    attendance_say(a, ENGINE_STATE, "%s is RUNNING%s%s", id,
                   page[0] != '\0' ? "; its page is " : "", page);
}

/* Where it is not what was seen last. */
static void look_at_context(struct attendance *a, const char *name, struct timespec *seen)
{
    struct strbuf text;
    struct stat st;
    if (fstatat(a->what->run_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (st.st_mtim.tv_sec == seen->tv_sec && st.st_mtim.tv_nsec == seen->tv_nsec)) {
        return;
    }
    *seen = st.st_mtim;
    strbuf_init(&text, CONTEXT_MAX);
    if (files_read(a->what->run_fd, name, &text, NULL) == 0) {
        CLEANUP_JSON struct json *j = json_parse(text.data, text.length, NULL);
        take_context(a, j);
    }
    strbuf_release(&text);
}

/* ---- How far it is */

static void set_progress(struct attendance *a, const char *text)
{
    if (SET(&a->engine.engine, progress, text)) {
        attendance_say(a, ENGINE_PROGRESS, "%s", "");
    }
}

/* A page that does not answer is left alone ever longer, and so is a job that goes on for
 * days. */
void attendance_look_at_progress(struct attendance *a)
{
    const struct run_engine *e = &a->engine.engine;
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int64_t now_ns = clock_monotonic_ns();
    if (strcmp(e->state, "RUNNING") != 0 || e->tracking_url[0] == '\0' ||
        (a->is_driver_here && !a->has_context) || !enginelog_is_followed(&a->engine)) {
        set_progress(a, "");
        return;
    }
    if (now_ns < a->progress_ns) {
        return;
    }
    int64_t pause_ns = (now_ns - a->begin_ns) / PROGRESS_SHARE;
    pause_ns = pause_ns > PROGRESS_EVERY_NS ? pause_ns : PROGRESS_EVERY_NS;
    if (spark_ask_progress(a->yarn.http, e->tracking_url, e->application,
                           PROGRESS_TIMEOUT_MS, &text, &err) < 0) {
        strbuf_reset(&text);
        pause_ns = PROGRESS_AGAIN_NS << a->progress_failures;
        a->progress_failures += a->progress_failures < PROGRESS_FAILURES_MAX;
    } else {
        a->progress_failures = 0;
        if (text.length > 0 && a->app.containers > 1) {
            strbuf_printf(&text, ", %lld executor%s", (long long)a->app.containers - 1,
                          a->app.containers == 2 ? "" : "s");
        }
    }
    set_progress(a, text.data);
    a->progress_ns = clock_monotonic_ns() + pause_ns;
}

/* ---- What YARN says of its application */

static void look_at_yarn(struct attendance *a)
{
    size_t count;
    if (a->engine.engine.application[0] != '\0') {
        (void)attendance_look(a);
    } else {
        (void)attendance_find(a, &count);
    }
}

/* Its application ends by itself, when the driver says so or YARN misses it. */
static void await_end(struct attendance *a)
{
    int64_t deadline_ns = clock_monotonic_ns() + END_NS;
    while (!a->is_canceled && clock_monotonic_ns() < deadline_ns) {
        look_at_yarn(a);
        if (a->app.id[0] == '\0' || yarn_phase(&a->app) == YARN_PHASE_ENDED ||
            a->is_silent) {
            return;
        }
        (void)attendance_pause(a, LAST_LOOK_MS);
    }
}

/* A driver that nobody killed takes its application along: there is none where it did
 * not come as far as that, and where YARN does not answer its word has to do. */
static bool has_ended_with_driver(const struct attendance *a)
{
    bool is_by_itself = WIFEXITED(a->submit_status) &&
                        WEXITSTATUS(a->submit_status) < 128 && !a->is_canceled;
    return is_by_itself && (a->is_silent || a->app.id[0] == '\0');
}

/* Of an application that YARN may still have, attend_end has the last word. */
static void note_end(struct attendance *a)
{
    struct run_engine *e = &a->engine.engine;
    bool is_good = WIFEXITED(a->submit_status) && WEXITSTATUS(a->submit_status) == 0;
    if (is_in_yarn(a)) {
        if ((yarn_phase(&a->app) == YARN_PHASE_ENDED && a->app.id[0] != '\0') ||
            has_ended_with_driver(a)) {
            attendance_say(a, ENGINE_ENDED, "%s", "");
        }
    } else if (e->application[0] != '\0') {
        (void)SET(e, tracking_url, ""); /* it was the driver's */
        (void)SET(e, state, "FINISHED");
        (void)SET(e, final_status, is_good ? "SUCCEEDED" : "FAILED");
        attendance_say(a, ENGINE_ENDED, "%s", "");
    }
}

int attend_announce(const struct attend_yarn *what, struct error *err)
{
    struct attendance a;
    int result = attendance_open(&a, what, err);
    if (result == 0 && what->managers != NULL) {
        result = enginelog_append(&a.engine, ENGINE_SUBMITTING, "", err);
    }
    attendance_close(&a);
    return result;
}

/* Until the driver has ended. */
static void follow_driver(struct attendance *a, const char *context)
{
    struct timespec seen = {0};
    int64_t look_ns = 0;
    while (a->submit.pid > 0) {
        look_at_context(a, context, &seen);
        if (is_in_yarn(a) && !a->is_canceled && clock_monotonic_ns() >= look_ns) {
            look_at_yarn(a);
            look_ns = clock_monotonic_ns() + LOOK_EVERY_NS;
        }
        if (!a->is_canceled) {
            attendance_look_at_progress(a);
        }
        (void)attendance_pause(a, PAUSE_MS);
    }
    look_at_context(a, context, &seen);
    if (is_in_yarn(a)) {
        await_end(a);
    }
    note_end(a);
}

int attend_driver(const struct attend_yarn *what, const char *context,
                  struct subprocess *driver, int *out_status, struct error *err)
{
    struct attendance a;
    int result = 0;
    if (attendance_open(&a, what, err) < 0) {
        log_line(what->log, "%s", err->text);
        result = subprocess_wait(driver, out_status, err);
    } else {
        a.is_driver_here = true;
        a.submit = *driver;
        follow_driver(&a, context);
        *out_status = a.submit_status;
        driver->pid = -1;
    }
    attendance_close(&a);
    return result;
}

bool attend_end(const struct attend_yarn *what)
{
    struct error err = ERROR_INIT;
    struct attendance a;
    bool is_over = false;
    if (attendance_open(&a, what, &err) < 0) {
        log_line(what->log, "%s", err.text);
    } else {
        a.is_driver_here = true;
        attendance_cancel(&a);
        is_over = a.trouble[0] == '\0';
        attendance_say(&a, is_over ? ENGINE_ENDED : ENGINE_NOTE, "%s", a.trouble);
        if (is_over && a.engine.engine.application[0] != '\0' && what->clean != NULL) {
            what->clean(what->context, a.engine.engine.application);
        }
    }
    attendance_close(&a);
    return is_over;
}
