/* attend_livy, from a batch to its end: what the run's folder and Livy say, and cancel.
 */
#include "controller/attend_livy_inside.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 500
#define STATE_NS (2 * NS_PER_S)
#define FOLDER_NS (3 * NS_PER_S)
#define CHUNK ((size_t)8 << 20)
#define RESULT_MAX ((size_t)64 << 10)
#define DEAD_NS                                                                          \
    (25 * NS_PER_S) /* without a sign of life, of which one comes every 6 s              \
                     */
#define LAST_WORD_NS                                                                     \
    (15 * NS_PER_S)       /* for the driver's result after Livy's last word              \
                           */
#define LOOKS_FOR_LOST 10 /* a second each, after a POST without an answer */

/* ---- The driver's log */

/* Where an attendant before us was. */
static void resume_log(struct attendance *a)
{
    const struct engine_segment *segment = &a->engine.segment;
    struct stat st;
    if (strcmp(segment->source, "driver.log") == 0 && fstat(a->log_fd, &st) == 0 &&
        (uint64_t)st.st_size >= segment->at) {
        a->taken = segment->start + (uint64_t)st.st_size - segment->at;
    }
}

static void begin_segment(struct attendance *a)
{
    struct engine_segment *segment = &a->engine.segment;
    struct stat st;
    if (strcmp(segment->source, "driver.log") == 0 || fstat(a->log_fd, &st) != 0) {
        return;
    }
    *segment = (struct engine_segment){
        .source = "driver.log", .at = (uint64_t)st.st_size, .start = a->taken};
    attendance_say(a, ENGINE_LOG, "%s", "");
}

/* Append what is new. *out_count: bytes. Errors: livy_place_read's. */
static int follow_log(struct attendance *a, uint64_t *out_count, struct error *err)
{
    CLEANUP_FREE char *name = attendance_name(a, "driver.log");
    struct strbuf text;
    bool is_there = false;
    strbuf_init(&text, CHUNK + 1);
    *out_count = 0;
    int result = livy_place_read(&a->place, name, a->taken, CHUNK, &text, &is_there, err);
    if (result == 0 && text.length > 0) {
        begin_segment(a);
        if (fdio_write_full(a->log_fd, text.data, text.length) != 0) {
            result = error_sys(err, "write driver.log");
            resume_log(a); /* a part of it may have been written */
        } else {
            a->taken += text.length;
            *out_count = text.length;
        }
    }
    strbuf_release(&text);
    return result;
}

/* All there is now. */
static void drain_log(struct attendance *a)
{
    struct error err = ERROR_INIT;
    uint64_t count = 1;
    while (count > 0) {
        if (follow_log(a, &count, &err) < 0) {
            if (!attendance_may_pass(a, &err) || a->is_canceled) {
                attendance_say(a, ENGINE_NOTE,
                               "the end of the driver's log could not be brought: %s",
                               err.text);
                return;
            }
            (void)attendance_pause(a, LOOK_MS);
            count = 1;
        }
    }
}

/* ---- Livy */

static int keep_line(void *context, const char *line, bool is_hole, struct error *err)
{
    const struct attendance *a = context;
    CLEANUP_FREE char *text =
        is_hole ? xstrdup("errand: some lines of Livy's log were lost here: it keeps "
                          "the last ones alone\n")
                : xasprintf("%s\n", line[0] == '\n' ? line + 1 : line);
    return fdio_write_full(a->engine_log_fd, text, strlen(text)) == 0
               ? 0
               : error_sys(err, "write engine.log");
}

static void follow_livy_log(struct attendance *a)
{
    CLEANUP_HTTP_RESPONSE struct http_response answer = HTTP_RESPONSE_INIT;
    bool is_there = false;
    if (livy_ask_log(&a->livy, a->batch, &answer, &is_there, NULL) == 0 && is_there) {
        (void)livy_tail_take(&a->tail, answer.body.data, answer.body.length, keep_line, a,
                             NULL);
    }
}

/* Which application it is, where that was not known; Livy says it some time after the
 * submission. Whether it is known now. */
static bool learn_application(struct attendance *a)
{
    CLEANUP_FREE char *which = xasprintf("%lld", (long long)a->batch);
    struct livy_batch batch;
    struct run_engine *engine = &a->engine.engine;
    bool is_there = false;
    if (engine->application[0] != '\0' ||
        livy_ask_batch(&a->livy, which, &batch, &is_there, NULL) != 0 || !is_there) {
        return false;
    }
    (void)run_engine_set(engine->application, sizeof engine->application,
                         batch.application);
    (void)run_engine_set(engine->tracking_url, sizeof engine->tracking_url,
                         batch.tracking_url);
    return engine->application[0] != '\0';
}

static void note_state(struct attendance *a, const char *word)
{
    struct run_engine *engine = &a->engine.engine;
    (void)snprintf(a->word, sizeof a->word, "%s", word);
    (void)run_engine_set(engine->state, sizeof engine->state, word);
    /* Its "dead" is every end that is not well, a script's own exit status among them. */
    bool is_final = livy_state_is_final(livy_state_parse(word));
    if (is_final && a->task != ATTEND_LIVY_SCRIPT) {
        return; /* one that makes no SparkContext has failed in YARN, however it ends */
    }
    attendance_say(a, ENGINE_STATE, "batch %lld %s%s%s%s%s", (long long)a->batch,
                   is_final ? "has ended, in Livy's word: " : "is ", word,
                   engine->application[0] != '\0' ? " (" : "", engine->application,
                   engine->application[0] != '\0' ? ")" : "");
}

static void ask_livy(struct attendance *a)
{
    struct error err = ERROR_INIT;
    char word[32];
    bool is_there = false;
    if (a->batch < 0 || a->is_forgotten || a->is_over) {
        return;
    }
    if (livy_ask_state(&a->livy, a->batch, word, &is_there, &err) < 0) {
        if (err.code != ERR_CANCELED && !attendance_may_pass(a, &err) &&
            a->failures++ == 0) {
            attendance_say(a, ENGINE_NOTE, "%s", err.text);
        }
        return;
    }
    attendance_passed(a);
    if (!is_there) {
        a->is_forgotten = true;
        attendance_say(a, ENGINE_NOTE,
                       "Livy knows batch %lld no more: it was restarted, or somebody "
                       "deleted it; the driver's own signs count from now on",
                       (long long)a->batch);
        return;
    }
    follow_livy_log(a);
    bool is_new = strcmp(word, a->word) != 0;
    bool may_be_known = is_new || livy_state_parse(word) == LIVY_STARTING;
    if ((may_be_known && learn_application(a)) || is_new) {
        note_state(a, word);
    }
    if (livy_state_is_final(livy_state_parse(word))) {
        a->is_over = true;
        follow_livy_log(a);
    }
}

/* ---- The driver's word */

static int read_small(struct attendance *a, const char *file, struct strbuf *out,
                      bool *out_is_there, struct error *err)
{
    CLEANUP_FREE char *name = attendance_name(a, file);
    return livy_place_read(&a->place, name, 0, out->limit_bytes - 1, out, out_is_there,
                           err);
}

/* A sign of life counts when it is new. */
static void look_alive(struct attendance *a)
{
    struct strbuf text;
    bool is_there = false;
    strbuf_init(&text, 1024);
    if (read_small(a, "alive", &text, &is_there, NULL) == 0 && is_there &&
        strncmp(text.data, a->alive, sizeof a->alive - 1) != 0) {
        (void)snprintf(a->alive, sizeof a->alive, "%.*s", (int)sizeof a->alive - 1,
                       text.data);
        a->alive_ns = clock_monotonic_ns();
    }
    strbuf_release(&text);
}

/* For the environments of the runs that follow. */
static void keep_python(struct attendance *a, const struct json *result)
{
    CLEANUP_FREE char *path = files_join(a->run_folder, "../..");
    CLEANUP_FD int root = files_open_dir(AT_FDCWD, path, NULL);
    struct livy_python python;
    struct error err = ERROR_INIT;
    livy_python_take(result, &python);
    if (root < 0 || python.version[0] == '\0') {
        return;
    }
    if (livy_python_write(root, &a->spec, &python, &err) < 0) {
        log_line(&a->log, "%s", err.text);
    }
}

static void take_result(struct attendance *a, const char *text, size_t length)
{
    CLEANUP_JSON struct json *j = json_parse(text, length, NULL);
    const char *kind = json_string(json_get(j, "kind"));
    const char *name = json_string(json_get(j, "signal"));
    const char *why = json_string(json_get(j, "text"));
    int64_t code = 0;
    if (kind == NULL) {
        return;
    }
    keep_python(a, j);
    if (strcmp(kind, "exited") == 0 &&
        json_get_integer(j, "result", "code", 0, 255, &code, NULL) == 0) {
        attendance_end(a, "exited", "%s", "");
        a->ending.code = (int)code;
    } else if (strcmp(kind, "signaled") == 0 && name != NULL) {
        attendance_end(a, "signaled", "%s", "");
        (void)snprintf(a->ending.signal, sizeof a->ending.signal, "%.15s", name);
    } else if (strcmp(kind, "could_not_start") == 0) {
        attendance_end(a, "could_not_start", "%.900s", why != NULL ? why : "");
    }
    const char *lost = json_string(json_get(j, "outputs_error"));
    const char *log_lost = json_string(json_get(j, "log_error"));
    if (lost != NULL) {
        attendance_say(a, ENGINE_NOTE, "the outputs could not be brought: %s", lost);
    }
    if (log_lost != NULL) {
        attendance_say(a, ENGINE_NOTE, "the log has not all: %s", log_lost);
    }
}

static void look_for_result(struct attendance *a)
{
    struct strbuf text;
    struct error err = ERROR_INIT;
    bool is_there = false;
    strbuf_init(&text, RESULT_MAX);
    if (read_small(a, "result.json", &text, &is_there, &err) == 0) {
        if (is_there) {
            take_result(a, text.data, text.length);
        }
    } else {
        (void)attendance_may_pass(a, &err);
    }
    strbuf_release(&text);
}

/* ---- Its end */

/* How long nothing was heard of the driver. */
static int64_t silent_ns(const struct attendance *a, int64_t since_ns)
{
    return clock_monotonic_ns() - (a->alive_ns > since_ns ? a->alive_ns : since_ns);
}

/* Whether nothing more can come: the driver's result, or its end without one. */
static bool has_ended(struct attendance *a, int64_t *over_ns)
{
    if (a->ending.kind != NULL) {
        return true;
    }
    if (!a->is_over && !a->is_forgotten) {
        return false;
    }
    if (*over_ns == 0) {
        *over_ns = clock_monotonic_ns();
    }
    int64_t patience_ns = a->is_over && a->alive_ns == 0 ? LAST_WORD_NS : DEAD_NS;
    if (silent_ns(a, *over_ns) < patience_ns) {
        return false;
    }
    attendance_end_without_word(a);
    return true;
}

static void look_into_folder(struct attendance *a, int64_t *folder_ns)
{
    int64_t now_ns = clock_monotonic_ns();
    bool is_due = a->is_over || now_ns - *folder_ns >= FOLDER_NS;
    if (is_due && (livy_place_can_follow(&a->place) || a->is_over || a->is_forgotten)) {
        *folder_ns = now_ns;
        look_alive(a);
        look_for_result(a);
    }
}

void attendance_watch(struct attendance *a)
{
    int64_t state_ns = 0, folder_ns = 0, over_ns = 0;
    struct error err = ERROR_INIT;
    uint64_t count = 0;
    resume_log(a);
    if (!livy_place_can_follow(&a->place)) {
        attendance_say(a, ENGINE_NOTE,
                       "the log comes when the script has ended: the command that "
                       "copies cannot follow it");
    }
    while (!has_ended(a, &over_ns)) {
        if (livy_place_can_follow(&a->place) && follow_log(a, &count, &err) < 0) {
            (void)attendance_may_pass(a, &err);
        }
        if (clock_monotonic_ns() - state_ns >= STATE_NS) {
            state_ns = clock_monotonic_ns();
            ask_livy(a);
            attendance_look_at_yarn(a);
            attendance_show(a);
        }
        look_into_folder(a, &folder_ns);
        if (a->ending.kind == NULL && count == 0 && !attendance_pause(a, LOOK_MS)) {
            return;
        }
        count = 0;
    }
    for (int i = 0; i < 20 && !a->is_over && !a->is_forgotten && a->batch >= 0; i++) {
        ask_livy(a);
        (void)attendance_pause(a, LOOK_MS);
    }
    a->yarn_ns = 0; /* the last look, however often it did not answer */
    attendance_look_at_yarn(a);
    drain_log(a);
    if (strcmp(a->ending.kind, "unknown") != 0) {
        attendance_compare_words(a);
        attendance_bring(a);
    }
}

/* ---- Cancel */

/* The driver ends by this also where Livy does not answer, or forgot it. */
static void ask_driver_to_end(struct attendance *a)
{
    CLEANUP_FREE char *name = attendance_name(a, "cancel");
    struct error err = ERROR_INIT;
    if (a->place.way != NULL &&
        livy_place_put(&a->place, name, 0644, "/dev/null", &err) < 0) {
        log_line(&a->log, "%s", err.text);
    }
}

/* DELETE, and look until it is gone. True: Livy has no such batch. */
static bool delete_batch(struct attendance *a, int64_t deadline_ns)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *id = xasprintf("%lld", (long long)a->batch);
    const char *which = a->batch >= 0 ? id : a->tag;
    struct livy_batch batch;
    bool is_there = true;
    while (clock_monotonic_ns() < deadline_ns) {
        if (livy_ask_delete(&a->livy, which, &err) < 0) {
            log_line(&a->log, "%s", err.text);
        }
        if (livy_ask_batch(&a->livy, which, &batch, &is_there, &err) == 0 && !is_there) {
            return true;
        }
        (void)attendance_pause(a, LOOK_MS);
    }
    return false;
}

/* Until the driver's last word, or none for long enough. True: it is gone. */
static bool wait_for_driver(struct attendance *a, int64_t deadline_ns)
{
    int64_t since_ns = clock_monotonic_ns();
    if (a->place.way == NULL || !livy_place_can_follow(&a->place)) {
        return false;
    }
    while (clock_monotonic_ns() < deadline_ns) {
        look_alive(a);
        look_for_result(a);
        if (a->ending.kind != NULL || (a->alive_ns == 0 && !attendance_was_claimed(a)) ||
            silent_ns(a, since_ns) >= DEAD_NS) {
            return true;
        }
        (void)attendance_pause(a, LOOK_MS);
    }
    return false;
}

/* By the driver, where it can be looked at, and by YARN, where that can be asked. */
static bool is_proven_ended(struct attendance *a, int64_t deadline_ns)
{
    bool asks_yarn = a->spark->livy->yarn_url != NULL;
    bool is_mute = a->place.way != NULL && !livy_place_can_follow(&a->place);
    return ((asks_yarn && is_mute) || wait_for_driver(a, deadline_ns)) &&
           (!asks_yarn || attendance_is_gone_from_yarn(a, deadline_ns));
}

/* Find the batch, whose POST may still be under way. False: it cannot be asked for. */
static bool find_lost(struct attendance *a)
{
    struct error err = ERROR_INIT;
    int result = 0;
    for (int i = 0; i < LOOKS_FOR_LOST && a->batch < 0 && !a->is_forgotten; i++) {
        bool is_there = false;
        result = attendance_find(a, &is_there, &err);
        (void)attendance_pause(a, is_there ? 0 : 2 * LOOK_MS);
    }
    if (result < 0) {
        log_line(&a->log, "%s", err.text);
    }
    return result == 0;
}

/* One that was told to end before it had asked for anything has to find its way first. */
static bool is_reached(struct attendance *a)
{
    struct error err = ERROR_INIT;
    if (a->place.way == NULL && attendance_reach(a, &err) < 0) {
        log_line(&a->log, "%s", err.text);
        return false;
    }
    return true;
}

void attendance_cancel(struct attendance *a)
{
    int64_t deadline_ns = a->http->deadline_ns;
    bool may_be_there = a->batch >= 0 || a->engine.may_be_submitted;
    bool is_deleted = true, is_ended = true;
    a->ending.kind = NULL;
    if (may_be_there) {
        is_deleted = is_reached(a);
        ask_driver_to_end(a);
        is_deleted = is_deleted && find_lost(a) &&
                     ((a->batch < 0 && !a->server.has_names) || a->is_forgotten ||
                      delete_batch(a, deadline_ns));
        is_ended = is_proven_ended(a, deadline_ns);
        if (a->place.way != NULL) {
            drain_log(a);
        }
        if (is_deleted && is_ended) {
            attendance_bring(a);
        }
    } else {
        a->is_home = true; /* there is nothing */
    }
    if (is_deleted && may_be_there) {
        struct run_engine *engine = &a->engine.engine;
        (void)run_engine_set(engine->state, sizeof engine->state, "deleted");
    }
    if (is_deleted && is_ended) {
        attendance_say(a, ENGINE_NOTE, "canceled: %s",
                       may_be_there ? "Livy has no such batch any more, and the driver "
                                      "has ended"
                                    : "nothing had been given to Livy");
    } else {
        attendance_say(a, ENGINE_NOTE,
                       "canceled, but it could not be proven that %s: look for %s there",
                       is_deleted ? "the driver has ended" : "Livy ended the batch",
                       a->tag);
    }
    attendance_end(a, "signaled", "%s", "");
    (void)snprintf(a->ending.signal, sizeof a->ending.signal, "SIGTERM");
}
