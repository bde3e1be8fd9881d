#include "controller/refresh.h"

#include "controller/client.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL_LINES_MAX 100000
#define RUNS_MAX 100000

bool refresh_is_wanted(const struct history_run *run)
{
    return run->store[0] != '\0' && !run_state_is_final(run->status.state);
}

/* One run of a REPORT. */
static int take_run(struct command_context *context, const struct json *item,
                    struct error *err)
{
    const char *id = NULL;
    bool is_known = false;
    const struct json *journal = NULL;
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    if (json_get_string(item, "STATUS's report", "run", &id, err) != 0 ||
        json_get_bool(item, "STATUS's report", "known", &is_known, err) != 0) {
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
    return history_add_lines(context->history, id, &lines, err);
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
    CLEANUP(client_cleanup)
    struct client *client = client_connect(context, target, &options, err);
    if (client == NULL) {
        return -1;
    }
    CLEANUP_JSON struct json *body = json_new_object();
    struct json *runs = json_add(body, "runs", json_new_array());
    for (size_t i = 0; i < ids->count; i++) {
        (void)json_append(runs, json_new_string(ids->items[i]));
    }
    int result = client_ask(client, MSG_STATUS, body, take_report, context, NULL, err);
    command_keep(context, TAKE_PTR(client));
    return result;
}

void refresh_not_responding(struct history_run *run, const char *reason)
{
    run->status.state = RUN_NOT_RESPONDING;
    free(run->status.reason);
    run->status.reason = xstrdup(reason);
}

/* ---- many runs ---- */

struct wanted {
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
    struct wanted wanted = {.targets = STRVEC_INIT};
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
