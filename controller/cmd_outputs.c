/* errand outputs. */
#include "controller/command.h"
#include "controller/fetch.h"
#include "controller/following.h"

struct outputs_args {
    const char *to;
    int64_t give_up_after_ms;
    bool is_json;
};

#define FIELD(name) offsetof(struct outputs_args, name)

/* Bring them home if they are not: a run that goes on has none. */
static int bring_home(struct following *f, struct history_run *run, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP(fetch_result_release) struct fetch_result result = {0};
    if (run->collected_utc_ms != 0) {
        return 0;
    }
    /* Also of one that has ended: COLLECTED says that the log is at home too. */
    f->watch.options.until_now = !run_state_is_final(run->status.state);
    if (watch_run(&f->watch, run, err) != 0) {
        return -1;
    }
    if (!run_state_is_final(run->status.state)) {
        error_set(err, ERR_BUSY, "%s has not ended: it is %s", run->id,
                  run_state_name(run->status.state));
        return error_hint(err, "errand wait %s", run->id);
    }
    if (following_collect(f, run, &path, &result, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < result.warnings.count; i++) {
        terminal_warn(f->context->terminal, "outputs: %s", result.warnings.items[i]);
    }
    return following_reload(f, run, err);
}

static int report(struct following *f, const struct outputs_args *args,
                  const struct history_run *run)
{
    CLEANUP_FREE char *home = fetch_home_path(f->context->home, run->id);
    const char *path = args->to != NULL ? args->to : home;
    bool has_outputs = !oid_is_zero(&run->status.outputs_root);
    if (args->is_json) {
        CLEANUP_JSON struct json *document = command_run_to_json(run, NULL);
        json_add_string(document, "path", has_outputs ? path : NULL);
        return command_print_json(f->context, document);
    }
    if (!has_outputs) {
        terminal_note(f->context->terminal, "%s left no outputs", run->id);
        return 0;
    }
    return command_print_line(f->context, path);
}

static int outputs_verb(void *context, void *opaque, char *const *operands,
                        size_t operand_count)
{
    const struct outputs_args *args = opaque;
    struct following f = {.context = context};
    struct history_run run;
    struct error err = ERROR_INIT;
    int status = 0;
    (void)operand_count;
    history_run_init(&run);
    bool is_good = command_history(context, &err) != NULL &&
                   history_find(f.context->history, operands[0], &run, &err) == 0 &&
                   (args->to == NULL || fetch_check_to(args->to, &err) == 0) &&
                   following_init_run(&f, context, &run, &err) == 0;
    if (is_good) {
        f.watch.options.give_up_after_ms =
            args->give_up_after_ms > 0 ? args->give_up_after_ms : WATCH_NEVER_AGAIN;
        is_good = bring_home(&f, &run, &err) == 0 &&
                  (args->to == NULL || oid_is_zero(&run.status.outputs_root) ||
                   following_write_outputs(&f, &run, args->to, &err) == 0);
    }
    status =
        is_good ? report(&f, args, &run) : command_fail(context, args->is_json, &err, 1);
    history_run_release(&run);
    following_release(&f);
    return status;
}

static const struct cli_option outputs_options[] = {
    CLI_STRING(0, "to", "DIR", "put them there; existing files are never overwritten",
               FIELD(to)),
    CLI_DURATION(0, "give-up-after", "TIME", "of an unreachable node",
                 FIELD(give_up_after_ms)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_outputs = {
    .name = "outputs",
    .usage = "RUN [options]",
    .help = "bring a run's outputs home and print where they are",
    .options = outputs_options,
    .args_size_bytes = sizeof(struct outputs_args),
    .min_operands = 1,
    .max_operands = 1,
    .run = outputs_verb,
};
