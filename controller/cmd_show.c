/* errand show: all that is known of a run.            [controller] */
#include "common/clock.h"
#include "common/files.h"
#include "common/subprocess.h"
#include "controller/command.h"
#include "controller/metrics.h"
#include "controller/refresh.h"
#include "controller/runlog.h"

#include <string.h>
#include <unistd.h>

#define SHOWN_MAX ((size_t)64 << 20) /* with all its tags, made safe */
#define METRICS_NAMES_SHOWN 8
#define METRICS_GLANCE_BYTES ((uint64_t)4 << 20) /* a large file is not read for it */

struct show_args {
    bool is_json, is_offline;
};

#define FIELD(name) offsetof(struct show_args, name)

/* "name      text" with text made safe. */
static void put(struct strbuf *out, const char *name, const char *text)
{
    strbuf_printf(out, "%-11s ", name);
    terminal_make_safe(text, strlen(text), out);
    strbuf_putc(out, '\n');
}

static void put_time(struct strbuf *out, const char *name, int64_t utc_ms, int64_t before)
{
    char time[CLOCK_TEXT_SIZE], duration[CLOCK_TEXT_SIZE];
    if (utc_ms == 0) {
        return;
    }
    clock_format(time, utc_ms);
    strbuf_printf(out, "%-11s %s", name, time);
    if (before != 0) {
        clock_format_duration(duration, utc_ms - before);
        strbuf_printf(out, " (after %s)", duration);
    }
    strbuf_putc(out, '\n');
}

static void put_status(struct strbuf *out, const struct run_status *status)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, run_state_name(status->state));
    if (status->attempt > 1) {
        strbuf_printf(&text, ", attempt %lld", (long long)status->attempt);
    }
    if (status->reason != NULL && status->reason[0] != '\0') {
        strbuf_printf(&text, ": %s", status->reason);
    }
    put(out, "status", text.data);
    if (status->queued != NULL) {
        put(out, "waits for", status->queued);
    }
    if (status->exit.kind != RUN_EXIT_NONE) {
        strbuf_reset(&text);
        run_exit_describe(&status->exit, &text);
        put(out, "exit", text.data);
    }
    if (status->proof[0] != '\0' && status->ended + status->survivors > 0) {
        strbuf_reset(&text);
        strbuf_printf(&text, "%lld ended, %lld could not be; proof: %s",
                      (long long)status->ended, (long long)status->survivors,
                      status->proof);
        put(out, "processes", text.data);
    }
}

static void put_count(struct strbuf *out, uint64_t files, uint64_t size_bytes)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, size_bytes);
    strbuf_printf(out, "%llu file%s, %s", (unsigned long long)files,
                  files == 1 ? "" : "s", size);
}

static void put_spec(struct strbuf *out, const struct history_run *run)
{
    struct runspec spec;
    char root[OID_HEX_SIZE];
    runspec_init(&spec);
    if (runspec_decode(run->spec, run->spec_length, &spec, NULL) == 0) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        if (spec.script != NULL) {
            subprocess_quote(&text, spec.script);
        }
        for (size_t i = 0; i < spec.command.count; i++) {
            strbuf_puts(&text, text.length > 0 ? " " : "");
            subprocess_quote(&text, spec.command.items[i]);
        }
        put(out, "command", text.data);
        strbuf_reset(&text);
        oid_to_hex(&spec.root, root);
        put_count(&text, spec.files, spec.size_bytes);
        if (run->store[0] != '\0') {
            strbuf_puts(&text, "; sent ");
            put_count(&text, run->sent_files, run->sent_bytes);
        }
        strbuf_printf(&text, "; %s", root);
        put(out, "snapshot", text.data);
    }
    runspec_release(&spec);
}

/* "3f2a61c0... on main, changed since". */
static void put_git(struct strbuf *out, const struct gitinfo *git)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (git->commit == NULL) {
        return;
    }
    strbuf_puts(&text, git->commit);
    if (git->branch != NULL) {
        strbuf_printf(&text, " on %s", git->branch);
    }
    strbuf_puts(&text, git->is_dirty ? ", files changed since" : "");
    put(out, "commit", text.data);
    if (git->repository != NULL) {
        put(out, "repository", git->repository);
    }
}

/* Line by line. */
static void put_note(struct strbuf *out, const char *note)
{
    const char *name = "note";
    while (note != NULL && *note != '\0') {
        CLEANUP_FREE char *line = xstrndup(note, strcspn(note, "\n"));
        put(out, name, line);
        note += strlen(line);
        note += *note == '\n';
        name = "";
    }
}

/* "packages 3f2a61c0d4e5 (used before), 12 packages, 262 MB, Python 3.11.7". */
static void put_environment(struct strbuf *out, const struct run_environment *e)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, what = STRBUF_INIT;
    if (!run_environment_is_known(e)) {
        return;
    }
    run_environment_describe(e, &what);
    strbuf_puts(&text, e->kind);
    if (e->identity[0] != '\0') {
        strbuf_printf(&text, " %.12s%s", e->identity,
                      e->is_reused ? " (used before)" : "");
    }
    strbuf_printf(&text, "%s%s", what.length > 0 ? ", " : "", what.data);
    put(out, "environment", text.data);
}

/* "application_17_0002 on yarn, queue default: FINISHED, SUCCEEDED". */
static void put_engine(struct strbuf *out, const struct run_engine *e)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (!run_engine_is_known(e)) {
        return;
    }
    strbuf_printf(&text, "%s%s%s", e->application,
                  e->application[0] != '\0' ? " on " : "", e->kind);
    if (e->queue[0] != '\0') {
        strbuf_printf(&text, ", queue %s", e->queue);
    }
    if (e->state[0] != '\0') {
        strbuf_printf(&text, ": %s", e->state);
    }
    if (e->final_status[0] != '\0' && strcmp(e->final_status, "UNDEFINED") != 0) {
        strbuf_printf(&text, ", %s", e->final_status);
    }
    put(out, "engine", text.data);
    if (e->progress[0] != '\0') {
        put(out, "", e->progress);
    }
    if (e->tracking_url[0] != '\0') {
        put(out, "", e->tracking_url);
    }
}

static void put_log(struct strbuf *out, const struct home *home,
                    const struct history_run *run)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    uint64_t missing = runlog_missing(home, run->id);
    char size[FILES_SIZE_TEXT];
    if (run->status.ended_utc_ms != 0 && run->status.seq > 0) {
        files_format_size(size, run->status.driver_log_bytes);
        strbuf_puts(&text, size);
    }
    if (missing > 0) {
        files_format_size(size, missing);
        strbuf_printf(&text, "%s%s of it missing here: errand logs %s says where and why",
                      text.length > 0 ? "; " : "", size, run->id);
    }
    if (text.length > 0) {
        put(out, "log", text.data);
    }
}

static void put_results(struct strbuf *out, const struct history_run *run,
                        const char *home_outputs)
{
    const struct run_status *status = &run->status;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (status->has_outputs) {
        put_count(&text, status->outputs_files, status->outputs_size_bytes);
        if (run->collected_utc_ms == 0) {
            strbuf_puts(&text, "; not at home yet");
        } else if (access(home_outputs, F_OK) == 0) {
            strbuf_printf(&text, "; in %s", home_outputs);
        }
        put(out, "outputs", text.data);
    }
    const struct strvec *warnings = status->outputs_warnings;
    for (size_t i = 0; warnings != NULL && i < warnings->count; i++) {
        put(out, "warning", warnings->items[i]);
    }
}

/* "loss, accuracy; errand metrics RUN", as far as a glance at the file has them. */
static void put_metrics(struct command_context *context, const char *id,
                        struct strbuf *out)
{
    CLEANUP(metrics_release) struct metrics metrics = {.items = NULL};
    CLEANUP_STRBUF struct strbuf text;
    struct metrics_unread unread = {0};
    strbuf_init(&text, (size_t)2 * METRICS_NAMES_SHOWN * METRICS_NAME_MAX);
    if (metrics_read(context->home, id, METRICS_GLANCE_BYTES, metrics_sum_up, &metrics,
                     &unread, NULL) != 0 ||
        metrics.count == 0) {
        return;
    }
    for (size_t i = 0; i < metrics.count && i < METRICS_NAMES_SHOWN; i++) {
        strbuf_printf(&text, "%s%s", i > 0 ? ", " : "", metrics.items[i].name);
    }
    if (metrics.count > METRICS_NAMES_SHOWN) {
        strbuf_printf(&text, " and %zu more", metrics.count - METRICS_NAMES_SHOWN);
    }
    strbuf_printf(&text, "; errand metrics %s", id);
    put(out, "metrics", text.data);
}

static void put_states(struct strbuf *out, const struct history_run *run)
{
    strbuf_puts(out, run->lines.count > 0 ? "\n" : "");
    for (size_t i = 0; i < run->lines.count; i++) {
        const char *line = run->lines.items[i];
        CLEANUP_JSON struct json *j = json_parse(line, strlen(line), NULL);
        const char *time = NULL, *state = NULL, *reason = NULL;
        if (json_get_string(j, "journal line", "time", &time, NULL) == 0 &&
            json_get_string(j, "journal line", "state", &state, NULL) == 0 &&
            json_get_string(j, "journal line", "reason", &reason, NULL) == 0) {
            CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
            strbuf_printf(&text, "%-15s %s", state, reason);
            while (text.data[text.length - 1] == ' ') {
                strbuf_truncate(&text, text.length - 1);
            }
            put(out, time, text.data);
        }
    }
}

static int print_people(struct command_context *context, const struct history_run *run)
{
    const struct run_status *status = &run->status;
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, SHOWN_MAX);
    CLEANUP_FREE char *name = xasprintf("runs/%s/outputs", run->id);
    CLEANUP_FREE char *outputs = home_path(context->home, name);
    put(&text, "run", run->id);
    put(&text, "experiment", run->experiment);
    put(&text, "target", run->target);
    if (status->node[0] != '\0') {
        put(&text, "node", status->node);
    }
    put_status(&text, status);
    put_spec(&text, run);
    put_git(&text, &run->git);
    for (size_t i = 0; i < run->tags.count; i++) {
        put(&text, i == 0 ? "tags" : "", run->tags.items[i]);
    }
    put_note(&text, run->note);
    put_environment(&text, &status->environment);
    put_engine(&text, &status->engine);
    put_log(&text, context->home, run);
    put_results(&text, run, outputs);
    put_metrics(context, run->id, &text);
    put_time(&text, "created", run->created_utc_ms, 0);
    put_time(&text, "started", status->started_utc_ms, run->created_utc_ms);
    put_time(&text, "ended", status->ended_utc_ms, status->started_utc_ms);
    put_states(&text, run);
    return command_print(context, &text);
}

/* The run as its node says it is now; old: where it did not. */
static int find(struct command_context *context, const struct show_args *args,
                const char *name, struct history_run *found, struct refresh_old *old,
                struct error *err)
{
    if (command_history(context, err) == NULL ||
        history_find(context->history, name, found, err) != 0) {
        return -1;
    }
    return args->is_offline || !refresh_is_wanted(found)
               ? 0
               : refresh_run(context, found, old, err);
}

static int run(void *opaque, void *opaque_args, char *const *operands,
               size_t operand_count)
{
    struct command_context *context = opaque;
    const struct show_args *args = opaque_args;
    struct error err = ERROR_INIT;
    struct history_run found, shown;
    CLEANUP(refresh_old_release) struct refresh_old old = {.ids = STRVEC_INIT};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int status = 1;
    history_run_init(&found);
    if (find(context, args, operand_count > 0 ? operands[0] : "@", &found, &old, &err) !=
            0 ||
        refresh_tell_old(context, &old, &found, &text, &shown, &err) != 0) {
        status = command_fail(context, args->is_json, &err, 1);
    } else if (args->is_json) {
        CLEANUP_JSON struct json *document = command_run_to_json(&shown, context->home);
        status = command_print_json(context, document);
    } else {
        status = print_people(context, &shown);
    }
    history_run_release(&found);
    return status;
}

static const struct cli_option options[] = {
    CLI_FLAG(0, "offline", "do not ask the node", FIELD(is_offline)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_show = {
    .name = "show",
    .usage = "[RUN] [options]",
    .help = "tell all that is known of a run",
    .details =
        "RUN is an id, the beginning of one, or @ for the last run that a node was\n"
        "given, which is also taken where none is named.",
    .options = options,
    .args_size_bytes = sizeof(struct show_args),
    .max_operands = 1,
    .run = run,
};
