#include "controller/refresh.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "controller/client.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL_LINES_MAX 100000
/* The executor leaves a connection that was silent for a quarter of an hour: until then a
 * frozen one may come back to life and have what it has not delivered yet. */
#define LAST_WORDS_MS (INT64_C(16) * 60 * 1000)
#define RUNS_MAX 100000

bool refresh_is_wanted(const struct history_run *run)
{
    return !run_state_is_final(run->status.state);
}

/* What the node said about one question's runs. */
struct asking {
    struct command_context *context;
    const struct client_node *node;
};

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
    bool is_old = clock_utc_ms() - run->created_utc_ms > LAST_WORDS_MS;
    if (run->store[0] != '\0' || !is_old || strcmp(run->node, asking->node->node) != 0) {
        return 0;
    }
    return history_set_given_up(asking->context->history, run->id,
                                "never accepted: errand was ended while it sent it", err);
}

static int take_answer(const struct asking *asking, const char *id, bool is_known,
                       struct error *err)
{
    struct history_run run;
    history_run_init(&run);
    int result = history_find(asking->context->history, id, &run, err);
    if (result == 0) {
        result =
            is_known ? note_accepted(asking, &run, err) : note_unknown(asking, &run, err);
    }
    history_run_release(&run);
    return result;
}

/* One run of a REPORT. */
static int take_run(const struct asking *asking, const struct json *item,
                    struct error *err)
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
    return history_add_lines(asking->context->history, id, &lines, err);
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

/* One question, over a connection of its own or one that is kept. */
static int ask(struct command_context *context, const struct target *target,
               const struct client_options *options, const struct json *body,
               struct error *err)
{
    CLEANUP(client_cleanup)
    struct client *client = client_connect(context, target, options, err);
    if (client == NULL) {
        return -1;
    }
    struct asking asking = {.context = context, .node = client_node(client)};
    int result = client_ask(client, MSG_STATUS, body, take_report, &asking, NULL, err);
    command_keep(context, TAKE_PTR(client));
    return result;
}

int refresh_runs(struct command_context *context, const char *target_name,
                 const struct strvec *ids, struct error *err)
{
    struct client_options options = {.may_ask = false};
    if (command_config(context, err) == NULL || command_history(context, err) == NULL) {
        return -1;
    }
    CLEANUP(target_cleanup)
    struct target *target = target_find(context->config, context->home, target_name, err);
    if (target == NULL) {
        return -1;
    }
    CLEANUP_JSON struct json *body = json_new_object();
    struct json *runs = json_add(body, "runs", json_new_array());
    for (size_t i = 0; i < ids->count; i++) {
        (void)json_append(runs, json_new_string(ids->items[i]));
    }
    struct error why = ERROR_INIT;
    int result = ask(context, target, &options, body, &why);
    if (result != 0 && why.code == ERR_LINK) {
        /* One that was kept may have been dead: that says nothing about the node. */
        options.want_own = true;
        result = ask(context, target, &options, body, &why);
    }
    if (result != 0 && err != NULL) {
        *err = why;
    }
    return result;
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
               : history_set_given_up(context->history, run->id,
                                      "never sent: errand was ended before", err);
}

int refresh_acceptance(struct command_context *context, struct history_run *run,
                       struct error *err)
{
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    CLEANUP_FREE char *target = xstrdup(run->target);
    strvec_push(&ids, run->id);
    if (settle_unsent(context, run, err) != 0 ||
        (run->node[0] != '\0' && refresh_runs(context, target, &ids, err) != 0)) {
        return -1;
    }
    history_run_release(run);
    history_run_init(run);
    return history_find(context->history, ids.items[0], run, err);
}

void refresh_not_responding(struct history_run *run, const char *reason)
{
    run->status.state = RUN_NOT_RESPONDING;
    free(run->status.reason);
    run->status.reason = xstrdup(reason);
}

/* ---- many runs ---- */

struct wanted {
    struct command_context *context;
    struct strvec targets; /* each once */
    struct strvec *ids;    /* of targets.items[i] */
};

static int note_wanted(void *context, const struct history_run *run, struct error *err)
{
    struct wanted *wanted = context;
    size_t i = 0;
    (void)err;
    if (!refresh_is_wanted(run)) {
        return 0;
    }
    if (run->store[0] == '\0') {
        /* One that is being sent is left to who sends it. */
        struct error ignored = ERROR_INIT;
        if (settle_unsent(wanted->context, run, &ignored) != 0 || run->node[0] == '\0') {
            return 0;
        }
    }
    while (i < wanted->targets.count &&
           strcmp(wanted->targets.items[i], run->target) != 0) {
        i++;
    }
    if (i == wanted->targets.count) {
        strvec_push(&wanted->targets, run->target);
        wanted->ids = xrealloc(wanted->ids, i + 1, sizeof *wanted->ids);
        wanted->ids[i] = (struct strvec)STRVEC_INIT;
    }
    strvec_push(&wanted->ids[i], run->id);
    return 0;
}

static void ask_each(struct command_context *context, const struct wanted *wanted,
                     struct strvec *silent)
{
    for (size_t i = 0; i < wanted->targets.count; i++) {
        struct error why = ERROR_INIT;
        if (refresh_runs(context, wanted->targets.items[i], &wanted->ids[i], &why) != 0) {
            terminal_warn(context->terminal, "%s", why.text);
            if (silent != NULL) {
                strvec_push(silent, wanted->targets.items[i]);
            }
        }
    }
}

int refresh_query(struct command_context *context, const struct history_query *query,
                  struct strvec *silent, struct error *err)
{
    struct wanted wanted = {.context = context, .targets = STRVEC_INIT};
    int result = history_visit(context->history, query, note_wanted, &wanted, err);
    if (result == 0) {
        ask_each(context, &wanted, silent);
    }
    for (size_t i = 0; i < wanted.targets.count; i++) {
        strvec_release(&wanted.ids[i]);
    }
    free(wanted.ids);
    strvec_release(&wanted.targets);
    return result;
}
