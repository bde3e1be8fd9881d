#include "controller/refresh.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "controller/client.h"
#include "controller/target.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL_LINES_MAX 100000
/* The executor leaves a connection that was silent for a quarter of an hour: until then a
 * frozen one may come back to life and have what it has not delivered yet. */
#define LAST_WORDS_MS (INT64_C(16) * 60 * 1000)
#define RUNS_MAX 100000

bool refresh_is_wanted(const struct history_run *run)
{
    return !run_state_is_final(run->status.state) || run->is_given_up;
}

/* One node, and the runs that it is asked about. */
struct asking {
    struct command_context *context;
    char *name; /* of the target */
    struct strvec ids;
    struct target *target;
    struct client *client;
    struct client_options options;
    const struct client_node *node;
    struct strvec heard; /* those of ids of which the node knows */
    struct error error;  /* it did not answer */
};

static void asking_release(struct asking *asking)
{
    client_free(asking->client);
    target_free(asking->target);
    strvec_release(&asking->ids);
    strvec_release(&asking->heard);
    free(asking->name);
}

/* The node knows a run of which we had not heard that it was accepted. */
static int note_accepted(const struct asking *asking, const struct history_run *run,
                         struct error *err)
{
    return run->store[0] != '\0'
               ? 0
               : history_set_accepted(asking->context->history, run->id,
                                      asking->node->store, asking->node->node, 0, 0, err);
}

/* The node to which it was sent does not have it. Whether it may still get it depends on
 * how long ago that was. */
static int note_unknown(const struct asking *asking, const struct history_run *run,
                        struct error *err)
{
    int64_t sent_utc_ms = home_sending_utc_ms(asking->context->home, run->id);
    bool is_old =
        clock_utc_ms() -
            (sent_utc_ms > run->created_utc_ms ? sent_utc_ms : run->created_utc_ms) >
        LAST_WORDS_MS;
    if (run->store[0] != '\0' || !is_old || strcmp(run->node, asking->node->node) != 0) {
        return 0;
    }
    return history_set_not_started(asking->context->history, run->id,
                                   "never accepted: errand was ended while it sent it",
                                   err);
}

static int take_answer(struct asking *asking, const char *id, bool is_known,
                       struct error *err)
{
    struct history_run run;
    history_run_init(&run);
    int result = history_find(asking->context->history, id, &run, err);
    if (result == 0) {
        result =
            is_known ? note_accepted(asking, &run, err) : note_unknown(asking, &run, err);
    }
    if (result == 0 && (is_known || run.store[0] == '\0')) {
        strvec_push(&asking->heard, id);
    }
    history_run_release(&run);
    return result;
}

/* A node says it of runs that have a job elsewhere and go on. */
static int take_engine(const struct asking *asking, const char *id,
                       const struct json *engine, struct error *err)
{
    struct run_engine now;
    run_engine_init(&now);
    if (engine == NULL ||
        (!json_is_null(engine) && run_engine_from_json(engine, &now, err) != 0)) {
        return engine == NULL ? 0 : -1;
    }
    return history_set_engine(asking->context->history, id, &now, err);
}

/* One run of a REPORT. */
static int take_run(struct asking *asking, const struct json *item, struct error *err)
{
    const char *id = NULL;
    bool is_known = false;
    const struct json *journal = NULL;
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    if (json_get_string(item, "STATUS's report", "run", &id, err) != 0 ||
        json_get_bool(item, "STATUS's report", "known", &is_known, err) != 0 ||
        take_answer(asking, id, is_known, err) != 0) {
        return -1;
    }
    if (!is_known) {
        return 0;
    }
    if (json_get_array(item, "STATUS's report", "journal", JOURNAL_LINES_MAX, &journal,
                       err) != 0) {
        return -1;
    }
    for (const struct json *line = json_first(journal); line != NULL;
         line = json_next(line)) {
        strvec_push(&lines, json_is_string(line) ? json_string(line) : "");
    }
    return history_add_lines(asking->context->history, id, &lines, err) != 0
               ? -1
               : take_engine(asking, id, json_get(item, "engine"), err);
}

static int take_report(void *context, const struct json *report, struct error *err)
{
    const struct json *runs = NULL;
    if (json_get_array(report, "STATUS's report", "runs", RUNS_MAX, &runs, err) != 0) {
        return -1;
    }
    for (const struct json *run = json_first(runs); run != NULL; run = json_next(run)) {
        if (take_run(context, run, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int begin(struct asking *asking, struct error *err)
{
    struct command_context *context = asking->context;
    if (command_config(context, err) == NULL || command_history(context, err) == NULL) {
        return -1;
    }
    asking->target = target_find(context->config, context->home, asking->name, err);
    if (asking->target == NULL) {
        return -1;
    }
    asking->client = client_start(context, asking->target, &asking->options, err);
    return asking->client != NULL ? 0 : -1;
}

/* The question and its answer, over the connection that was begun. */
static int ask(struct asking *asking, struct error *err)
{
    struct command_context *context = asking->context;
    CLEANUP_JSON struct json *body = json_new_object();
    json_add(body, "runs", json_new_strings(&asking->ids));
    if (client_wait(asking->client, err) != 0) {
        return -1;
    }
    asking->node = client_node(asking->client);
    if (client_ask(asking->client, MSG_STATUS, body, take_report, asking, NULL, err) !=
            0 ||
        history_set_seen(context->history, asking->name, asking->node->store,
                         asking->node->node, err) != 0) {
        return -1;
    }
    asking->node = NULL;
    command_keep(context, TAKE_PTR(asking->client));
    return 0;
}

static int begin_again(struct asking *asking, struct error *err)
{
    asking->options.want_own = true;
    client_free(TAKE_PTR(asking->client));
    asking->client = client_start(asking->context, asking->target, &asking->options, err);
    return asking->client != NULL ? ask(asking, err) : -1;
}

static void finish(struct asking *asking, const bool *is_late)
{
    struct error *err = &asking->error;
    if (err->code != ERR_NONE) {
        return;
    }
    int result = ask(asking, err);
    if (result != 0 && err->code == ERR_LINK) {
        /* One that was kept may have been dead: that says nothing about the node. */
        result = begin_again(asking, err);
    }
    if (result == 0) {
        *err = (struct error)ERROR_INIT;
    } else if (*is_late) {
        (void)error_set(err, ERR_TIMED_OUT, "%s did not answer within %d s", asking->name,
                        REFRESH_MS / 1000);
    }
}

/* Ask them all at once: while one is waited for, the other connections come about.
 * limit_ms 0: each for as long as connections may take. */
static void ask_all(struct asking *askings, size_t count, int64_t limit_ms)
{
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    bool is_late = false;
    struct loop_timer *timer =
        limit_ms == 0
            ? NULL
            : loop_flag_at(loop, clock_monotonic_ns() + limit_ms * NS_PER_MS, &is_late);
    for (size_t i = 0; i < count; i++) {
        askings[i].options =
            (struct client_options){.loop = loop, .is_interrupted = &is_late};
        (void)begin(&askings[i], &askings[i].error);
    }
    for (size_t i = 0; i < count; i++) {
        finish(&askings[i], &is_late);
        client_free(TAKE_PTR(askings[i].client)); /* it needs the loop */
    }
    if (!is_late) {
        loop_timer_cancel(loop, timer);
    }
}

/* Where no errand is sending a run of which nothing was sent yet, none will any more.
 * Errors: ERR_BUSY. */
static int settle_unsent(struct command_context *context, const struct history_run *run,
                         struct error *err)
{
    CLEANUP_FD int lock = home_lock_run(context->home, run->id, err);
    if (lock < 0) {
        return -1;
    }
    return run->node[0] != '\0'
               ? 0
               : history_set_not_started(context->history, run->id,
                                         "never sent: errand was ended before", err);
}

static int reload(struct command_context *context, struct history_run *run,
                  struct error *err)
{
    CLEANUP_FREE char *id = xstrdup(run->id);
    history_run_release(run);
    history_run_init(run);
    return history_find(context->history, id, run, err);
}

int refresh_acceptance(struct command_context *context, struct history_run *run,
                       struct error *err)
{
    if (settle_unsent(context, run, err) != 0) {
        return -1;
    }
    if (run->node[0] != '\0') {
        CLEANUP(asking_release)
        struct asking asking = {.context = context, .name = xstrdup(run->target)};
        strvec_push(&asking.ids, run->id);
        ask_all(&asking, 1, 0);
        if (asking.error.code != ERR_NONE) {
            return error_copy(err, &asking.error);
        }
    }
    return reload(context, run, err);
}

/* ---- many runs ---- */

void refresh_old_release(struct refresh_old *old)
{
    strvec_release(&old->ids);
    strvec_release(&old->reasons);
}

struct wanted {
    struct command_context *context;
    struct asking *askings; /* a target each */
    size_t count;
};

static void wanted_release(struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        asking_release(&wanted->askings[i]);
    }
    free(wanted->askings);
}

static int note_wanted(void *context, const struct history_run *run, struct error *err)
{
    struct wanted *wanted = context;
    size_t i = 0;
    (void)err;
    if (!refresh_is_wanted(run)) {
        return 0;
    }
    if (run->store[0] == '\0' && !run->is_given_up) {
        /* One that is being sent is left to who sends it. */
        struct error ignored = ERROR_INIT;
        if (settle_unsent(wanted->context, run, &ignored) != 0 || run->node[0] == '\0') {
            return 0;
        }
    }
    while (i < wanted->count && strcmp(wanted->askings[i].name, run->target) != 0) {
        i++;
    }
    if (i == wanted->count) {
        wanted->askings = xrealloc(wanted->askings, i + 1, sizeof *wanted->askings);
        wanted->askings[i] =
            (struct asking){.context = wanted->context, .name = xstrdup(run->target)};
        wanted->count++;
    }
    strvec_push(&wanted->askings[i].ids, run->id);
    return 0;
}

static void collect_old(const struct asking *asking, struct refresh_old *out)
{
    bool has_answered = asking->error.code == ERR_NONE;
    CLEANUP_FREE char *why =
        has_answered ? xasprintf("%s does not have it: its root there was removed, or "
                                 "the target leads elsewhere now",
                                 asking->name)
                     : xasprintf("node not reached: %s", asking->error.text);
    for (size_t i = 0; i < asking->ids.count; i++) {
        if (!strvec_contains(&asking->heard, asking->ids.items[i])) {
            strvec_push(&out->ids, asking->ids.items[i]);
            strvec_push(&out->reasons, why);
        }
    }
}

static void ask_wanted(const struct wanted *wanted, struct refresh_old *out)
{
    ask_all(wanted->askings, wanted->count, REFRESH_MS);
    for (size_t i = 0; i < wanted->count; i++) {
        collect_old(&wanted->askings[i], out);
    }
}

int refresh_query(struct command_context *context, const struct history_query *query,
                  struct refresh_old *out, struct error *err)
{
    CLEANUP(wanted_release) struct wanted wanted = {.context = context};
    if (history_visit(context->history, query, note_wanted, &wanted, err) != 0) {
        return -1;
    }
    ask_wanted(&wanted, out);
    for (size_t i = 0; i < wanted.count; i++) {
        if (wanted.askings[i].error.code != ERR_NONE) {
            terminal_warn(context->terminal, "%s", wanted.askings[i].error.text);
        }
    }
    return 0;
}

int refresh_run(struct command_context *context, struct history_run *run,
                struct refresh_old *out, struct error *err)
{
    CLEANUP(wanted_release) struct wanted wanted = {.context = context};
    (void)note_wanted(&wanted, run, err);
    ask_wanted(&wanted, out);
    return reload(context, run, err);
}

/* When run was last heard of: its node answered, or its journal says so. */
static int64_t heard_at(struct history *history, const struct history_run *run,
                        struct error *err)
{
    int64_t seen_utc_ms = 0, said_utc_ms = 0;
    if (history_seen(history, run->target, run->store, &seen_utc_ms, err) != 0) {
        return -1;
    }
    if (run->lines.count > 0) {
        const char *line = run->lines.items[run->lines.count - 1];
        CLEANUP_JSON struct json *j = json_parse(line, strlen(line), NULL);
        (void)json_get_time(j, "journal line", "time", &said_utc_ms, NULL);
    }
    return seen_utc_ms > said_utc_ms ? seen_utc_ms : said_utc_ms;
}

int refresh_describe(struct command_context *context, const struct history_run *run,
                     struct strbuf *out, struct error *err)
{
    char ago[CLOCK_TEXT_SIZE];
    int64_t utc_ms = heard_at(context->history, run, err);
    if (utc_ms < 0) {
        return -1;
    }
    strbuf_puts(out, run_state_name(run->status.state));
    if (utc_ms > 0) {
        clock_format_duration(ago, clock_utc_ms() - utc_ms);
        strbuf_printf(out, " as of %s ago", ago);
    }
    return 0;
}

int refresh_tell_old(struct command_context *context, const struct refresh_old *old,
                     const struct history_run *run, struct strbuf *text,
                     struct history_run *out, struct error *err)
{
    size_t i = 0;
    *out = *run;
    while (i < old->ids.count && strcmp(old->ids.items[i], run->id) != 0) {
        i++;
    }
    if (i == old->ids.count) {
        return 0;
    }
    if (run->is_given_up) {
        strbuf_printf(text, "%s; asked again: ", run->status.reason);
    } else {
        if (refresh_describe(context, run, text, err) != 0) {
            return -1;
        }
        strbuf_puts(text, "; ");
        out->status.state = RUN_NOT_RESPONDING;
    }
    strbuf_puts(text, old->reasons.items[i]);
    out->status.reason = text->data;
    return 0;
}
