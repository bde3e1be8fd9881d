/* command_run: a run as --json has it.            [controller] */
#include "controller/command.h"
#include "controller/metrics.h"
#include "controller/runlog.h"

#include <string.h>

/* "" is not known. */
static void add_name(struct json *object, const char *key, const char *name)
{
    json_add_string(object, key, name == NULL || name[0] == '\0' ? NULL : name);
}

static void add_number(struct json *object, const char *key, bool is_known,
                       uint64_t value)
{
    json_add(object, key, is_known ? json_new_integer((int64_t)value) : json_new_null());
}

static void add_command(struct json *document, const struct runspec *spec)
{
    struct json *command = json_add(document, "command", json_new_array());
    if (spec->script != NULL) {
        json_append(command, json_new_bytes(spec->script, strlen(spec->script)));
    }
    for (size_t i = 0; i < spec->command.count; i++) {
        const char *word = spec->command.items[i];
        json_append(command, json_new_bytes(word, strlen(word)));
    }
}

static void add_snapshot(struct json *document, const struct runspec *spec,
                         const struct history_run *run)
{
    char root[OID_HEX_SIZE];
    bool was_accepted = run->store[0] != '\0';
    struct json *snapshot = json_add(document, "snapshot", json_new_object());
    oid_to_hex(&spec->root, root);
    json_add_string(snapshot, "root", root);
    json_add_integer(snapshot, "files", (int64_t)spec->files);
    json_add_integer(snapshot, "size_bytes", (int64_t)spec->size_bytes);
    add_number(snapshot, "sent_files", was_accepted, run->sent_files);
    add_number(snapshot, "sent_bytes", was_accepted, run->sent_bytes);
}

static void add_tags(struct json *document, const struct history_run *run)
{
    struct json *tags = json_add(document, "tags", json_new_object());
    for (size_t i = 0; i < run->tags.count; i++) {
        const char *tag = run->tags.items[i];
        CLEANUP_FREE char *key = xstrndup(tag, strcspn(tag, "="));
        json_add_string(tags, key, tag + strlen(key) + 1);
    }
}

static void add_git(struct json *document, const struct gitinfo *git)
{
    if (git->commit == NULL && git->branch == NULL) {
        json_add(document, "git", json_new_null());
        return;
    }
    struct json *object = json_add(document, "git", json_new_object());
    json_add_string(object, "repository", git->repository);
    json_add_string(object, "branch", git->branch);
    json_add_string(object, "commit", git->commit);
    json_add_bool(object, "dirty", git->is_dirty);
}

/* The specification is ours, but a newer errand may have written it: then null. */
static void add_spec(struct json *document, const struct history_run *run)
{
    struct runspec spec;
    runspec_init(&spec);
    if (runspec_decode(run->spec, run->spec_length, &spec, NULL) == 0) {
        add_snapshot(document, &spec, run);
        add_command(document, &spec);
    } else {
        json_add(document, "snapshot", json_new_null());
        json_add(document, "command", json_new_null());
    }
    runspec_release(&spec);
}

static void add_states(struct json *document, const struct history_run *run)
{
    static const char *const keys[] = {"state", "attempt", "time", "reason"};
    struct json *states = json_add(document, "states", json_new_array());
    for (size_t i = 0; i < run->lines.count; i++) {
        const char *text = run->lines.items[i];
        CLEANUP_JSON struct json *line = json_parse(text, strlen(text), NULL);
        struct json *state = json_append(states, json_new_object());
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
            const struct json *value = json_get(line, keys[k]);
            json_add(state, keys[k],
                     json_is_integer(value)  ? json_new_integer(json_integer(value))
                     : json_is_string(value) ? json_new_string(json_string(value))
                                             : json_new_null());
        }
    }
}

static void add_outputs(struct json *document, const struct run_status *status)
{
    if (!status->has_outputs) {
        json_add(document, "outputs", json_new_null());
        return;
    }
    char root[OID_HEX_SIZE];
    struct json *outputs = json_add(document, "outputs", json_new_object());
    oid_to_hex(&status->outputs_root, root);
    json_add_string(outputs, "root", oid_is_zero(&status->outputs_root) ? NULL : root);
    json_add_integer(outputs, "files", (int64_t)status->outputs_files);
    json_add_integer(outputs, "size_bytes", (int64_t)status->outputs_size_bytes);
}

static void add_environment(struct json *document, const struct run_environment *e)
{
    if (!run_environment_is_known(e)) {
        json_add(document, "environment", json_new_null());
        return;
    }
    struct json *environment = json_add(document, "environment", json_new_object());
    json_add_string(environment, "kind", e->kind);
    add_name(environment, "identity", e->identity);
    add_name(environment, "build", e->build);
    add_name(environment, "python", e->python);
    json_add_bool(environment, "reused", e->is_reused);
    add_number(environment, "spent_ms", e->spent_ms >= 0, (uint64_t)e->spent_ms);
    add_number(environment, "packages", e->packages >= 0, (uint64_t)e->packages);
}

static void add_engine_text(void *context, const char *key, const char *text)
{
    add_name(context, key, text);
}

static void add_engine(struct json *document, const struct run_engine *engine)
{
    if (!run_engine_is_known(engine)) {
        json_add(document, "engine", json_new_null());
        return;
    }
    run_engine_each(engine, add_engine_text,
                    json_add(document, "engine", json_new_object()));
}

static void add_node(struct json *document, const struct history_run *run)
{
    struct json *node = json_add(document, "node", json_new_object());
    add_name(node, "id", run->status.node);
    add_name(node, "store", run->store);
}

static void add_log(struct json *document, const struct history_run *run,
                    const struct home *home)
{
    const struct run_status *status = &run->status;
    struct json *log = json_add(document, "log", json_new_object());
    add_number(log, "size_bytes", status->ended_utc_ms != 0 && status->seq > 0,
               status->driver_log_bytes);
    json_add_integer(log, "missing_bytes", (int64_t)runlog_missing(home, run->id));
}

/* The latest value of each, as far as they are at home. */
static void add_metrics(struct json *document, const struct history_run *run,
                        const struct home *home)
{
    CLEANUP(metrics_release) struct metrics metrics = {.items = NULL};
    struct metrics_unread unread = {0};
    struct json *object = json_add(document, "metrics", json_new_object());
    (void)metrics_read(home, run->id, 0, metrics_sum_up, &metrics, &unread, NULL);
    for (size_t i = 0; i < metrics.count; i++) {
        json_add(object, metrics.items[i].name, json_copy(metrics.items[i].latest));
    }
}

struct json *command_run_to_json(const struct history_run *run, const struct home *home)
{
    bool is_short = home == NULL;
    const struct run_status *status = &run->status;
    struct json *document = json_new_object();
    json_add_string(document, "id", run->id);
    json_add_string(document, "experiment", run->experiment);
    json_add_string(document, "target", run->target);
    if (!is_short) {
        add_node(document, run);
    }
    json_add_string(document, "status", run_state_name(status->state));
    json_add_integer(document, "attempt", status->attempt > 0 ? status->attempt : 1);
    json_add(document, "exit",
             status->exit.kind == RUN_EXIT_NONE ? json_new_null()
                                                : run_exit_to_json(&status->exit));
    json_add_string(document, "reason", status->reason == NULL ? "" : status->reason);
    if (!is_short) {
        add_states(document, run);
        add_spec(document, run);
        add_git(document, &run->git);
        add_tags(document, run);
        json_add_string(document, "note", run->note);
        add_log(document, run, home);
        add_metrics(document, run, home);
        add_environment(document, &status->environment);
    }
    add_engine(document, &status->engine);
    if (!is_short) {
        add_outputs(document, status);
    }
    json_add_time(document, "created", run->created_utc_ms);
    json_add_time(document, "started", status->started_utc_ms);
    json_add_time(document, "ended", status->ended_utc_ms);
    return document;
}
