/* errand env list, errand env remove: the environments on a target. [controller]
 */
#include "common/clock.h"
#include "common/files.h"
#include "controller/environments.h"
#include "controller/table.h"

#include <string.h>

struct env_args {
    const char *target, *build;
    bool is_json, is_forced, want_unused;
};

#define FIELD(name) offsetof(struct env_args, name)
#define SHOWN_DIGITS 12

static const char *text_of(const struct json *entry, const char *key)
{
    const char *text = json_string(json_get(entry, key));
    return text != NULL ? text : "";
}

/* ---- list ---- */

/* "3 d ago" */
static void format_age(const struct json *entry, const char *key,
                       char out[CLOCK_TEXT_SIZE])
{
    int64_t utc_ms = 0;
    out[0] = '\0';
    if (json_get_time(entry, "environment", key, &utc_ms, NULL) == 0 && utc_ms != 0) {
        clock_format_duration(out, clock_utc_ms() - utc_ms);
    }
}

/* Of the newest run of ours that had it; "" where none did. */
static void find_experiment(const struct environments *e, const struct json *entry,
                            struct strbuf *out)
{
    struct history *history = command_history(e->context, NULL);
    if (history != NULL) {
        (void)history_environment_experiment(history, client_node(e->client)->store,
                                             text_of(entry, "identity"), out, NULL);
    }
}

static void add_row(const struct environments *e, struct table *table,
                    const struct json *entry)
{
    char age[CLOCK_TEXT_SIZE], size[FILES_SIZE_TEXT] = "";
    const struct json *bytes = json_get(entry, "size_bytes");
    const struct json *packages = json_get(entry, "packages");
    bool is_old_build = json_bool(json_get(entry, "is_ready")) &&
                        !json_bool(json_get(entry, "is_current"));
    CLEANUP_FREE char *identity =
        xasprintf("%.*s", SHOWN_DIGITS, text_of(entry, "identity"));
    CLEANUP_FREE char *count = json_is_integer(packages)
                                   ? xasprintf("%lld", (long long)json_integer(packages))
                                   : xstrdup("");
    CLEANUP_FREE char *users = xasprintf("%zu", json_count(json_get(entry, "used_by")));
    CLEANUP_STRBUF struct strbuf experiment = STRBUF_INIT;
    find_experiment(e, entry, &experiment);
    if (json_is_integer(bytes)) {
        files_format_size(size, (uint64_t)json_integer(bytes));
    }
    format_age(entry, "last_used", age);
    const char *const cells[] = {
        identity,
        text_of(entry, "name"),
        experiment.data,
        text_of(entry, "python"),
        count,
        size,
        strcmp(users, "0") == 0 ? "" : users,
        age,
        is_old_build ? "replaced" : text_of(entry, "state"),
    };
    table_add(table, cells);
}

static struct json *copy_or_null(const struct json *entry, const char *key)
{
    const struct json *value = json_get(entry, key);
    return value != NULL ? json_copy(value) : json_new_null();
}

static void add_json(struct json *environments, const struct json *entry)
{
    static const char *const keys[] = {"identity", "build",      "name",
                                       "python",   "size_bytes", "used_by"};
    struct json *item = json_append(environments, json_new_object());
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        json_add(item, keys[i], copy_or_null(entry, keys[i]));
    }
    json_add_bool(item, "ready", json_bool(json_get(entry, "is_ready")));
    json_add(item, "created", copy_or_null(entry, "created"));
    json_add(item, "last_used", copy_or_null(entry, "last_used"));
}

static int print_json(struct command_context *context, const struct json *list)
{
    CLEANUP_JSON struct json *document = json_new_object();
    struct json *environments = json_add(document, "environments", json_new_array());
    for (const struct json *entry = json_first(list); entry != NULL;
         entry = json_next(entry)) {
        add_json(environments, entry);
    }
    return command_print_json(context, document);
}

static int print_table(const struct environments *e)
{
    static const char *const heads[] = {"ENVIRONMENT", "FROM", "EXPERIMENT", "PYTHON",
                                        "PACKAGES",    "SIZE", "RUNS",       "UNUSED",
                                        "STATE",       NULL};
    CLEANUP(table_cleanup) struct table *table = table_new(heads);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    for (const struct json *entry = json_first(environments_list(e)); entry != NULL;
         entry = json_next(entry)) {
        add_row(e, table, entry);
    }
    table_write(table, &text);
    if (text.length == 0) {
        terminal_note(e->context->terminal, "%s has no environments yet",
                      e->target->name);
    }
    return command_print(e->context, &text);
}

static int list_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_args *args = opaque_args;
    struct error err = ERROR_INIT;
    CLEANUP_ENVIRONMENTS struct environments e = {.context = NULL};
    (void)operands, (void)operand_count;
    if (environments_open(&e, context, args->target, &err) != 0 ||
        environments_read(&e, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    return args->is_json ? print_json(context, environments_list(&e)) : print_table(&e);
}

static const struct cli_option list_options[] = {
    CLI_STRING('t', "target", "TARGET", "on this target", FIELD(target)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_env_list = {
    .name = "env list",
    .usage = "[options]",
    .help = "list the environments that a target has",
    .details = "EXPERIMENT is of the newest run here that had it. RUNS counts the runs "
               "that use it and have not ended; UNUSED is how long "
               "ago one last began to. errand node gc removes those that nobody used for "
               "long.",
    .options = list_options,
    .args_size_bytes = sizeof(struct env_args),
    .run = list_verb,
};

/* ---- remove ---- */

static int remove_one(struct environments *e, const struct env_args *args,
                      const struct json *entry, struct json *removed, struct error *err)
{
    char size[FILES_SIZE_TEXT];
    const struct json *bytes = json_get(entry, "size_bytes");
    bool all_builds = args->build == NULL && !args->want_unused;
    if (environments_remove(e, entry, all_builds, args->is_forced, err) != 0) {
        return -1;
    }
    json_append(removed, json_new_string(text_of(entry, "identity")));
    files_format_size(size, json_is_integer(bytes) ? (uint64_t)json_integer(bytes) : 0);
    if (!args->is_json) {
        terminal_note(e->context->terminal, "removed %.*s (%s, %s) from %s", SHOWN_DIGITS,
                      text_of(entry, "identity"), text_of(entry, "name"), size,
                      e->target->name);
    }
    return 0;
}

/* Those that no run uses; one that a run began to use meanwhile stays. */
static int remove_unused(struct environments *e, const struct env_args *args,
                         struct json *removed, struct error *err)
{
    for (const struct json *entry = json_first(environments_list(e)); entry != NULL;
         entry = json_next(entry)) {
        struct error why = ERROR_INIT;
        bool is_used = json_count(json_get(entry, "used_by")) > 0 ||
                       strcmp(text_of(entry, "state"), "building") == 0;
        if (!is_used && remove_one(e, args, entry, removed, &why) != 0 &&
            why.code != ERR_BUSY && why.code != ERR_NOT_FOUND) {
            return error_copy(err, &why);
        }
    }
    if (json_count(removed) == 0 && !args->is_json) {
        terminal_note(e->context->terminal, "%s has none that is unused",
                      e->target->name);
    }
    return 0;
}

static int remove_all(struct environments *e, const struct env_args *args,
                      char *const *names, size_t count, struct json *removed,
                      struct error *err)
{
    if (args->want_unused) {
        return remove_unused(e, args, removed, err);
    }
    for (size_t i = 0; i < count; i++) {
        const struct json *entry = environments_find(e, names[i], args->build, err);
        if (entry == NULL || remove_one(e, args, entry, removed, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int remove_verb(void *opaque, void *opaque_args, char *const *operands,
                       size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_args *args = opaque_args;
    struct error err = ERROR_INIT;
    CLEANUP_ENVIRONMENTS struct environments e = {.context = NULL};
    CLEANUP_JSON struct json *document = json_new_object();
    struct json *removed = json_add(document, "removed", json_new_array());
    if (args->want_unused == (operand_count > 0)) {
        error_set(&err, ERR_USAGE, "name the environments, or say --unused");
        return command_fail_usage(context, &cmd_env_remove, args->is_json, &err);
    }
    if (environments_open(&e, context, args->target, &err) != 0 ||
        environments_read(&e, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    int result = remove_all(&e, args, operands, operand_count, removed, &err);
    if (result != 0) {
        command_fail_in(context, args->is_json ? document : NULL, &err);
    }
    int printed = args->is_json ? command_print_json(context, document) : 0;
    return result == 0 ? printed : 1;
}

static const struct cli_option remove_options[] = {
    CLI_STRING('t', "target", "TARGET", "on this target", FIELD(target)),
    CLI_STRING(0, "build", "BUILD", "only this build of it", FIELD(build)),
    CLI_FLAG(0, "unused", "all that no run uses which has not ended", FIELD(want_unused)),
    CLI_FLAG(0, "force", "also where a run uses it, which then fails", FIELD(is_forced)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_env_remove = {
    .name = "env remove",
    .usage = "ENVIRONMENT... [options]",
    .help = "remove environments from a target",
    .details =
        "ENVIRONMENT is the beginning of an identity, what it was made from as errand "
        "env list shows it, or a run that has it. The next run that needs it builds "
        "it again.",
    .options = remove_options,
    .args_size_bytes = sizeof(struct env_args),
    .max_operands = SIZE_MAX,
    .run = remove_verb,
};
