/* errand remove: a run is forgotten, with its logs and outputs.            [controller]
 */
#include "common/files.h"
#include "controller/command.h"
#include "controller/refresh.h"

#include <fcntl.h>

struct remove_args {
    bool is_json, want_force;
};

#define FIELD(name) offsetof(struct remove_args, name)

static int still_on(const struct history_run *run, struct error *err)
{
    error_set(err, ERR_BUSY, "%s has not ended, as far as is known here: it is %s",
              run->id, run_state_name(run->status.state));
    return error_hint(err, "errand cancel %s ends it", run->id);
}

/* The run may go: it has ended, and what it left is at home, or the person does without.
 * Its node is asked where that is open. */
static int check(struct command_context *context, const struct remove_args *args,
                 struct history_run *run, struct error *err)
{
    CLEANUP(refresh_old_release) struct refresh_old old = {.ids = STRVEC_INIT};
    if (refresh_is_wanted(run) && refresh_run(context, run, &old, err) != 0) {
        return -1;
    }
    if (!run_state_is_final(run->status.state)) {
        if (old.reasons.count == 0) {
            return still_on(run, err);
        }
        error_set(err, ERR_BUSY, "%s may go on: %s", run->id, old.reasons.items[0]);
        return error_hint(err, "errand cancel --force %s gives it up", run->id);
    }
    if (args->want_force) {
        return 0;
    }
    if (run->is_given_up) {
        error_set(err, ERR_BUSY, "%s was given up, and may still go on there", run->id);
        return error_hint(err, "--force removes it all the same");
    }
    if (run->store[0] != '\0' && run->collected_utc_ms == 0) {
        error_set(err, ERR_BUSY, "%s: not all that it left is at home yet", run->id);
        return error_hint(err, "errand outputs %s brings it; --force does without",
                          run->id);
    }
    return 0;
}

/*
 * Its folder goes aside first and is removed last: whoever is interrupted leaves either
 * the run, whose log comes again from the node, or a leftover for errand gc.
 */
static int forget(struct command_context *context, const struct history_run *run,
                  uint64_t *out_bytes, struct error *err)
{
    CLEANUP_FREE char *runs = home_path(context->home, "runs");
    CLEANUP_FREE char *aside = xasprintf(FILES_TEMPORARY_PREFIX "removed-%s", run->id);
    /* Held until the end: nobody else brings its results home meanwhile. */
    CLEANUP_FD int lock = home_lock_run(context->home, run->id, err);
    if (lock < 0) {
        return -1;
    }
    CLEANUP_FD int runs_fd = files_open_dir(AT_FDCWD, runs, err);
    if (runs_fd < 0 || files_remove_tree(runs_fd, aside, err) != 0 ||
        files_rename_noreplace(runs_fd, run->id, runs_fd, aside, err) != 0) {
        return error_wrap(err, "remove %s", run->id);
    }
    if (history_remove_run(context->history, run->id, err) != 0) {
        (void)files_rename_noreplace(runs_fd, aside, runs_fd, run->id, NULL);
        return error_wrap(err, "remove %s", run->id);
    }
    (void)files_disk_usage(runs_fd, aside, out_bytes, NULL);
    if (files_remove_tree(runs_fd, aside, err) != 0) {
        return error_wrap(err, "%s was forgotten, but its folder stays", run->id);
    }
    return 0;
}

static int remove_one(struct command_context *context, const struct remove_args *args,
                      const char *id, struct json *removed, struct error *err)
{
    char size[FILES_SIZE_TEXT];
    uint64_t bytes = 0;
    struct history_run run;
    history_run_init(&run);
    int result = history_find(context->history, id, &run, err);
    if (result == 0) {
        result = check(context, args, &run, err);
    }
    if (result == 0) {
        result = forget(context, &run, &bytes, err);
    }
    history_run_release(&run);
    if (result != 0) {
        return -1;
    }
    json_append(removed, json_new_string(id));
    files_format_size(size, bytes);
    if (!args->is_json) {
        terminal_note(context->terminal, "removed %s, %s", id, size);
    }
    return 0;
}

/* Append the ids, each once, before any is removed: @ and prefixes mean others then. */
static int find_ids(struct command_context *context, char *const *names, size_t count,
                    struct strvec *out, struct error *err)
{
    int result = command_history(context, err) == NULL ? -1 : 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct history_run run;
        history_run_init(&run);
        result = history_find(context->history, names[i], &run, err);
        if (result == 0 && !strvec_contains(out, run.id)) {
            strvec_push(out, run.id);
        }
        history_run_release(&run);
    }
    return result;
}

static int remove_verb(void *opaque, void *opaque_args, char *const *operands,
                       size_t operand_count)
{
    struct command_context *context = opaque;
    const struct remove_args *args = opaque_args;
    struct error err = ERROR_INIT;
    int status = 0;
    CLEANUP_STRVEC struct strvec ids = STRVEC_INIT;
    CLEANUP_JSON struct json *document = json_new_object();
    struct json *removed = json_add(document, "removed", json_new_array());
    if (find_ids(context, operands, operand_count, &ids, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    for (size_t i = 0; i < ids.count; i++) {
        struct error one = ERROR_INIT;
        if (remove_one(context, args, ids.items[i], removed, &one) != 0) {
            command_fail_in(context, args->is_json ? document : NULL, &one);
            status = 1;
        }
    }
    int printed = args->is_json ? command_print_json(context, document) : 0;
    return status == 0 ? printed : status;
}

static const struct cli_option options[] = {
    CLI_FLAG(0, "force", "also one that was given up, or is not at home",
             FIELD(want_force)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_remove = {
    .name = "remove",
    .usage = "RUN... [options]",
    .help = "forget ended runs, with their logs and outputs",
    .details =
        "Never one that may go on: its node is asked. What the node keeps of it goes\n"
        "with errand node gc, the snapshot here with errand gc.",
    .options = options,
    .args_size_bytes = sizeof(struct remove_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .run = remove_verb,
};
