#include "controller/watch.h"

#include "common/clock.h"
#include "controller/runlog.h"
#include "controller/screen.h"

#include <string.h>

/* One connection's worth of following. */
struct tailing {
    struct watch *watch;
    struct history_run *run;
    struct runlog log;
    struct screen *screen;
    uint32_t stream;
    bool is_done; /* END or ERROR came, or the interrupt */
    bool has_end;
    struct error error; /* from the executor, or the screen */
};

bool watch_may_pass(const struct error *err)
{
    return err->code == ERR_LINK || err->code == ERR_CONNECT ||
           err->code == ERR_TIMED_OUT || err->code == ERR_BUSY;
}

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
    return history_add_lines(f->watch->context->history, f->run->id, &lines, err);
}

static int take_at(struct tailing *f, const struct json *body, struct error *err)
{
    uint64_t gap = 0;
    if (runlog_at(&f->log, body, &gap, err) != 0) {
        return -1;
    }
    if (gap > 0 && f->screen != NULL && f->log.current == RUNLOG_DRIVER) {
        screen_gap(f->screen, gap);
    }
    return 0;
}

static int take_data(struct tailing *f, const struct peer_event *event, struct error *err)
{
    if (runlog_data(&f->log, event->data, event->length, err) != 0) {
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
        message_to_error(event->json, &f->error);
        f->is_done = true;
    }
    if (event->type == MSG_END) {
        f->has_end = true;
        f->is_done = true;
    }
    return 0;
}

/* ---- one connection ---- */

static int send_follow(struct tailing *f, struct error *err)
{
    struct watch *watch = f->watch;
    struct client_request request = {.context = f, .event = follow_event};
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_string(body, "run", f->run->id);
    json_add_integer(body, "journal_seq", f->run->status.seq);
    json_add_string(body, "until", watch->options.until_now ? "now" : "end");
    struct json *files = json_add(body, "files", json_new_array());
    if (runlog_positions(&f->log, files, err) != 0) {
        return -1;
    }
    f->stream = client_open(watch->client, &request, err);
    if (f->stream == 0) {
        return -1;
    }
    peer_send(client_peer(watch->client), f->stream, MSG_FOLLOW, body);
    return 0;
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
        *err = f->error;
        return -1;
    }
    return 0;
}

/* Run the connection until the stream is over or the interrupt came. */
static int follow_once(struct tailing *f, struct error *err)
{
    f->is_done = false;
    if (send_follow(f, err) != 0) {
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

struct pause {
    bool is_over;
};

static void pause_ends(void *context)
{
    struct pause *pause = context;
    pause->is_over = true;
}

/* Wait, unless interrupted. */
static int sleep_ms(const struct watch *watch, int64_t ms, struct error *err)
{
    struct pause pause = {0};
    struct loop *loop = watch->interrupt->loop;
    struct loop_timer *timer =
        loop_timer_at(loop, clock_monotonic_ns() + ms * NS_PER_MS, pause_ends, &pause);
    int result = 0;
    while (result == 0 && !pause.is_over && !watch->interrupt->is_interrupted) {
        result = loop_step(loop, -1, err);
    }
    if (!pause.is_over) {
        loop_timer_cancel(loop, timer);
    }
    return result;
}

static int give_up(const struct watch *watch, int64_t since_ns, const struct error *why,
                   struct error *err)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_duration(text, (clock_monotonic_ns() - since_ns) / NS_PER_MS);
    struct error reason = *why;
    error_set(err, ERR_TIMED_OUT, "gave up after %s: %.900s", text, reason.text);
    return error_hint(
        err, "the run goes on if the node does; come back with: errand follow %s",
        watch->interrupt->run != NULL ? watch->interrupt->run : "@");
}

int watch_reconnect(struct watch *watch, int64_t since_ns, unsigned *try_count,
                    const struct error *why, struct error *err)
{
    struct error reason = *why;
    int64_t limit_ms = watch->options.give_up_after_ms;
    client_free(watch->client);
    watch->client = NULL;
    while (!watch->interrupt->is_interrupted) {
        int64_t delay_ms = client_backoff_ms((*try_count)++);
        int64_t past_ms = (clock_monotonic_ns() - since_ns) / NS_PER_MS;
        if (limit_ms > 0 && past_ms + delay_ms >= limit_ms) {
            return give_up(watch, since_ns, &reason, err);
        }
        char text[CLOCK_TEXT_SIZE];
        clock_format_duration(text, delay_ms);
        terminal_note(watch->context->terminal, "%s; trying again in %s", reason.text,
                      text);
        if (sleep_ms(watch, delay_ms, err) != 0) {
            return -1;
        }
        if (watch->interrupt->is_interrupted) {
            break;
        }
        struct client_options options = {
            .may_ask = watch->options.may_ask,
            .want_accept_new = watch->options.want_accept_new,
            .loop = watch->interrupt->loop,
            .is_interrupted = &watch->interrupt->is_interrupted,
        };
        watch->client = client_connect(watch->context, watch->target, &options, &reason);
        if (watch->client != NULL) {
            terminal_note(watch->context->terminal, "connected to %s again",
                          watch->target->name);
            return 0;
        }
        if (!watch_may_pass(&reason)) {
            *err = reason;
            return -1;
        }
    }
    return error_set(err, ERR_CANCELED, "interrupted");
}

static int connect_first(struct watch *watch, struct error *err)
{
    struct client_options options = {
        .may_ask = watch->options.may_ask,
        .want_accept_new = watch->options.want_accept_new,
        .loop = watch->interrupt->loop,
        .is_interrupted = &watch->interrupt->is_interrupted,
    };
    if (watch->client == NULL) {
        watch->client = client_connect(watch->context, watch->target, &options, err);
    }
    return watch->client != NULL ? 0 : -1;
}

/* Until the stream's END has come. */
static int follow_to_the_end(struct tailing *f, struct error *err)
{
    struct watch *watch = f->watch;
    unsigned try_count = 0;
    int64_t trouble_ns = clock_monotonic_ns();
    int result = connect_first(watch, err);
    for (;;) {
        int64_t begin_seq = f->run->status.seq;
        uint64_t begin_offset = f->log.files[RUNLOG_DRIVER].offset;
        if (result == 0) {
            result = check_store(watch, f->run, err);
        }
        if (result == 0) {
            int64_t connected_ns = clock_monotonic_ns();
            result = follow_once(f, err);
            bool has_progress = f->run->status.seq != begin_seq ||
                                f->log.files[RUNLOG_DRIVER].offset != begin_offset ||
                                clock_monotonic_ns() - connected_ns > 60 * NS_PER_S;
            if (has_progress) {
                try_count = 0;
                trouble_ns = clock_monotonic_ns();
            }
        }
        if (watch->interrupt->is_interrupted) {
            return error_set(err, ERR_CANCELED, "interrupted");
        }
        if (result == 0 || !watch_may_pass(err)) {
            return result;
        }
        struct error why = *err;
        result = watch_reconnect(watch, trouble_ns, &try_count, &why, err);
        if (result != 0) {
            return -1;
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

int watch_run(struct watch *watch, struct history_run *run, struct error *err)
{
    struct tailing f = {.watch = watch, .run = run};
    if (runlog_open(&f.log, watch->context->home, run->id, err) != 0) {
        return -1;
    }
    if (watch->options.want_screen) {
        f.screen =
            screen_new(&f.log, watch->context->terminal, watch->options.screen_from);
        screen_update(f.screen, watch->interrupt->loop);
    }
    int result = follow_to_the_end(&f, err);
    if (result == 0) {
        result = runlog_sync(&f.log, err);
    }
    if (result == 0 && f.screen != NULL) {
        result = drain_screen(&f, err);
    }
    screen_free(f.screen);
    runlog_close(&f.log);
    return result;
}
