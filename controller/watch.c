#include "controller/watch.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "controller/enginenotes.h"
#include "controller/preparing.h"
#include "controller/runlog.h"

#include <string.h>

#define LASTING_NS (60 * NS_PER_S) /* a connection that lasted so long was a good one */

/* One connection's worth of following. */
struct tailing {
    struct watch *watch;
    struct history_run *run;
    struct runlog log;
    struct screen *screen;
    struct preparing *preparing; /* NULL: not shown */
    struct enginenotes notes;
    uint32_t stream;
    bool is_done; /* END or ERROR came, or the interrupt */
    bool has_end;
    struct error error; /* from the executor, or the screen */
};

/* ---- what comes ---- */

static int take_line(struct tailing *f, const struct json *body, struct error *err)
{
    const char *line = NULL;
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    if (json_get_string(body, "STATE", "line", &line, err) != 0 ||
        run_status_take(&f->run->status, line, strlen(line), err) != 0) {
        return -1;
    }
    strvec_push(&lines, line);
    if (f->preparing != NULL) {
        preparing_follow(f->preparing, &f->run->status);
    }
    return history_add_lines(f->watch->context->history, f->run->id, &lines, err);
}

/* Where a gap is the last that comes, the screen has to say it all the same. */
static int take_at(struct tailing *f, const struct json *body, struct error *err)
{
    if (runlog_at(&f->log, body, err) != 0) {
        return -1;
    }
    if (f->screen != NULL && f->log.current == RUNLOG_DRIVER) {
        screen_update(f->screen, f->watch->interrupt->loop);
    }
    return 0;
}

/* Kept too, so that who asks meanwhile need not ask the node. */
static int take_engine(struct tailing *f, const struct peer_event *event,
                       struct error *err)
{
    enginenotes_feed(&f->notes, event->data, event->length);
    if (!f->notes.is_new) {
        return 0;
    }
    f->notes.is_new = false;
    return history_set_engine(f->watch->context->history, f->run->id, &f->notes.engine,
                              err);
}

static int take_data(struct tailing *f, const struct peer_event *event, struct error *err)
{
    if (runlog_data(&f->log, event->data, event->length, err) != 0) {
        return -1;
    }
    if (f->log.current == RUNLOG_DRIVER) {
        timing_moment(&f->watch->context->timing, TIMING_FIRST_OUTPUT);
    }
    if (f->preparing != NULL && f->log.current == RUN_FILE_PREPARE_LOG) {
        preparing_feed(f->preparing, event->data, event->length);
        f->watch->prepare_shown = f->log.files[RUN_FILE_PREPARE_LOG].offset;
    }
    if (f->log.current == RUN_FILE_ENGINE && take_engine(f, event, err) != 0) {
        return -1;
    }
    if (f->screen == NULL || f->log.current != RUNLOG_DRIVER) {
        return 0;
    }
    screen_update(f->screen, f->watch->interrupt->loop);
    return screen_has_failed(f->screen, err) ? -1 : 0;
}

static int follow_event(void *context, const struct peer_event *event, struct error *err)
{
    struct tailing *f = context;
    if (event->type == MSG_STATE) {
        return take_line(f, event->json, err);
    }
    if (event->type == MSG_AT) {
        return take_at(f, event->json, err);
    }
    if (event->type == MSG_DATA) {
        return take_data(f, event, err);
    }
    if (event->type == MSG_ERROR) {
        client_take_error(f->watch->client, event->json, &f->error);
        f->is_done = true;
    }
    if (event->type == MSG_END) {
        f->has_end = true;
        f->is_done = true;
    }
    return 0;
}

/* ---- one connection ---- */

/* The stream of a FOLLOW that was queued; 0: err. */
static uint32_t send_follow(struct client *client, const struct client_request *request,
                            const char *run, int64_t seq, const char *until,
                            const struct runlog *log, struct error *err)
{
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "run", run);
    json_add_integer(body, "journal_seq", seq);
    json_add_string(body, "until", until);
    struct json *files = json_add(body, "files", json_new_array());
    if (runlog_positions(log, files, err) != 0) {
        return 0;
    }
    uint32_t stream = client_open(client, request, err);
    if (stream != 0) {
        peer_send(client_peer(client), stream, MSG_FOLLOW, body);
    }
    return stream;
}

/* The FOLLOW that went ahead ends with the submission, or is taken over by watch_run. */
static int ahead_event(void *context, const struct peer_event *event, struct error *err)
{
    struct watch *watch = context;
    if (event->type != MSG_ERROR) {
        return error_set(err, ERR_PROTOCOL, "%s of a run came before it was accepted",
                         message_row((uint8_t)event->type)->name);
    }
    watch->ahead_stream = 0;
    return 0;
}

int watch_ahead(struct watch *watch, struct client *client, const char *run,
                struct error *err)
{
    struct client_request request = {.context = watch, .event = ahead_event};
    struct runlog nothing;
    runlog_init(&nothing);
    watch->ahead_stream = send_follow(client, &request, run, 0, "end", &nothing, err);
    return watch->ahead_stream != 0 ? 0 : -1;
}

static int begin_stream(struct tailing *f, struct error *err)
{
    struct watch *watch = f->watch;
    struct client_request request = {.context = f, .event = follow_event};
    if (watch->ahead_stream != 0) {
        f->stream = watch->ahead_stream;
        watch->ahead_stream = 0;
        client_rebind(watch->client, f->stream, &request);
        return 0;
    }
    f->stream = send_follow(watch->client, &request, f->run->id, f->run->status.seq,
                            watch->options.until_now ? "now" : "end", &f->log, err);
    return f->stream != 0 ? 0 : -1;
}

static int run_stream(struct tailing *f, struct error *err)
{
    struct watch *watch = f->watch;
    while (!f->is_done && !watch->interrupt->is_interrupted) {
        if (client_step(watch->client, err) != 0) {
            return -1;
        }
        if (f->screen != NULL && screen_has_failed(f->screen, err)) {
            return -1;
        }
    }
    if (f->error.code != ERR_NONE) {
        return error_copy(err, &f->error);
    }
    return 0;
}

/* Run the connection until the stream is over or the interrupt came. */
static int follow_once(struct tailing *f, struct error *err)
{
    f->is_done = false;
    if (begin_stream(f, err) != 0) {
        return -1;
    }
    int result = run_stream(f, err);
    client_abandon(f->watch->client, f->stream);
    return result;
}

/* Another node under the target's name must not be taken for the run's. */
static int check_store(const struct watch *watch, const struct history_run *run,
                       struct error *err)
{
    const struct client_node *node = client_node(watch->client);
    if (run->store[0] != '\0' && strcmp(run->store, node->store) != 0) {
        error_set(err, ERR_MISMATCH,
                  "%s now leads to another node or root (store %.8s) than the one that "
                  "has run %s (store %.8s)",
                  watch->target->name, node->store, run->id, run->store);
        return error_hint(err, "errand target list shows where it leads");
    }
    return 0;
}

/* ---- again and again ---- */

/* True where the connection did something for us, or lasted: the next loss is another
 * trouble. */
static bool has_progress(const struct tailing *f, int64_t begin_seq,
                         const uint64_t begin_offsets[RUNLOG_FILES], int64_t connected_ns)
{
    bool is_longer = f->run->status.seq != begin_seq;
    for (int i = 0; i < RUNLOG_FILES; i++) {
        is_longer |= f->log.files[i].offset != begin_offsets[i];
    }
    return is_longer || clock_monotonic_ns() - connected_ns > LASTING_NS;
}

/* Over the connection that there is. */
static int follow_this_time(struct tailing *f, struct error *err)
{
    int64_t begin_seq = f->run->status.seq;
    int64_t connected_ns = clock_monotonic_ns();
    uint64_t begin_offsets[RUNLOG_FILES];
    for (int i = 0; i < RUNLOG_FILES; i++) {
        begin_offsets[i] = f->log.files[i].offset;
    }
    if (check_store(f->watch, f->run, err) != 0) {
        return -1;
    }
    int result = follow_once(f, err);
    if (has_progress(f, begin_seq, begin_offsets, connected_ns)) {
        watch_is_well(f->watch);
    }
    return result;
}

static int say_run_goes_on(const struct tailing *f, struct error *err)
{
    return err->code != ERR_TIMED_OUT
               ? -1
               : error_hint(err,
                            "a lost link does not end a run; come back with: errand "
                            "follow %s",
                            f->run->id);
}

/* Until the stream's END has come. */
static int follow_to_the_end(struct tailing *f, struct error *err)
{
    struct watch *watch = f->watch;
    if (watch->client == NULL) {
        watch->client = watch_connect(watch, err);
    }
    int result = watch->client != NULL ? 0 : -1;
    for (;;) {
        if (result == 0) {
            result = follow_this_time(f, err);
        }
        if (watch->interrupt->is_interrupted) {
            return error_set(err, ERR_CANCELED, "interrupted");
        }
        if (result == 0 || !watch_may_pass(err)) {
            return result;
        }
        struct error why = *err;
        result = watch_reconnect(watch, &why, err);
        if (result != 0) {
            return say_run_goes_on(f, err);
        }
    }
}

/* Show what is left, while signals still count. */
static int drain_screen(const struct tailing *f, struct error *err)
{
    struct loop *loop = f->watch->interrupt->loop;
    screen_update(f->screen, loop);
    while (screen_is_busy(f->screen) && !f->watch->interrupt->is_interrupted) {
        if (loop_step(loop, -1, err) != 0) {
            return -1;
        }
    }
    if (f->watch->interrupt->is_interrupted) {
        return error_set(err, ERR_CANCELED, "interrupted");
    }
    return screen_has_failed(f->screen, err) ? -1 : 0;
}

/* Ended, collected, and nobody has removed the log since. */
static bool is_all_here(const struct tailing *f)
{
    CLEANUP_JSON struct json *sizes = json_new_object();
    runlog_sizes(&f->log, sizes);
    const struct json *size = json_get(sizes, f->log.files[RUNLOG_DRIVER].name);
    uint64_t here = size == NULL ? 0 : (uint64_t)json_integer(size);
    return run_state_is_final(f->run->status.state) && f->run->collected_utc_ms != 0 &&
           here >= f->run->status.driver_log_bytes;
}

/* What is at home of a build log that still grows is shown first. Best effort: it can be
 * read with `errand logs`. */
static void begin_preparing(struct tailing *f)
{
    struct watch *watch = f->watch;
    const struct runlog_file *log = &f->log.files[RUN_FILE_PREPARE_LOG];
    char block[16384];
    ssize_t got = 1;
    f->preparing = preparing_new(watch->context->terminal, watch->interrupt->loop,
                                 watch->options.want_build_log, &f->run->status);
    if (f->run->status.state > RUN_PREPARING) {
        return;
    }
    while (watch->prepare_shown < log->offset && got > 0) {
        uint64_t left = log->offset - watch->prepare_shown;
        size_t length = left < sizeof block ? (size_t)left : sizeof block;
        got = fdio_pread_full(log->fd, block, length, watch->prepare_shown);
        if (got > 0) {
            preparing_feed(f->preparing, block, (size_t)got);
            watch->prepare_shown += (uint64_t)got;
        }
    }
}

static void end_preparing(struct tailing *f)
{
    if (f->preparing != NULL) {
        f->watch->has_shown_preparation |= preparing_has_shown(f->preparing);
        preparing_free(f->preparing);
    }
}

int watch_run(struct watch *watch, struct history_run *run, struct error *err)
{
    struct tailing f = {.watch = watch, .run = run};
    enginenotes_init(&f.notes,
                     watch->options.want_screen ? watch->context->terminal : NULL);
    history_run_reopen(run);
    if (runlog_open(&f.log, watch->context->home, run->id, err) != 0) {
        return -1;
    }
    if (watch->options.want_screen) {
        begin_preparing(&f);
        f.screen = screen_new(&f.log, watch->context->terminal, watch->shown);
        screen_update(f.screen, watch->interrupt->loop);
    }
    int result = is_all_here(&f) ? 0 : follow_to_the_end(&f, err);
    if (result == 0) {
        result = runlog_sync(&f.log, err);
    }
    if (result == 0 && f.screen != NULL) {
        result = drain_screen(&f, err);
    }
    if (f.screen != NULL) {
        watch->shown = screen_shown(f.screen);
    }
    end_preparing(&f);
    enginenotes_release(&f.notes);
    screen_free(f.screen);
    runlog_close(&f.log);
    return result;
}
