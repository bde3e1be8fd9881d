/* errand node gc. */
#include "common/bytes.h"
#include "common/clock.h"
#include "common/files.h"
#include "controller/client.h"
#include "controller/command.h"
#include "controller/livy_collect.h"
#include "controller/livy_reach.h"
#include "controller/target_livy.h"

#include <string.h>

struct node_gc_args {
    const char *keep_days, *keep_environments, *keep_work; /* numbers, or NULL */
    const char *keep_uncollected;                          /* likewise */
    uint64_t max_store_bytes, min_free_bytes;
    bool is_dry, is_json;
};

#define FIELD(name) offsetof(struct node_gc_args, name)
#define KEEP_DAYS_DEFAULT 30
#define KEEP_WORK_DEFAULT 3
#define KEEP_UNCOLLECTED_DEFAULT 90
#define KEEP_DAYS_MAX 36500

static int take_report(void *context, const struct json *report, struct error *err)
{
    struct json **kept = context;
    (void)err;
    json_free(*kept);
    *kept = json_copy(report);
    return 0;
}

struct keeping {
    uint64_t days, environments, work, uncollected; /* days, all */
};

/* *out has the default. */
static int parse_days(const char *option, const char *text, uint64_t *out,
                      struct error *err)
{
    if (text == NULL || bytes_parse_u64(text, KEEP_DAYS_MAX, out, err) == 0) {
        return 0;
    }
    return error_set(err, ERR_USAGE, "--%s %s: it takes a number of days", option, text);
}

static int parse_keeping(const struct node_gc_args *args, struct keeping *out,
                         struct error *err)
{
    *out = (struct keeping){.days = KEEP_DAYS_DEFAULT,
                            .environments = KEEP_DAYS_DEFAULT,
                            .work = KEEP_WORK_DEFAULT,
                            .uncollected = KEEP_UNCOLLECTED_DEFAULT};
    return parse_days("keep-days", args->keep_days, &out->days, err) != 0 ||
                   parse_days("keep-environments", args->keep_environments,
                              &out->environments, err) != 0 ||
                   parse_days("keep-work", args->keep_work, &out->work, err) != 0 ||
                   parse_days("keep-uncollected", args->keep_uncollected,
                              &out->uncollected, err) != 0
               ? -1
               : 0;
}

/* ---- A Livy's cluster */

/* A node's report has more, of what is not there: 0. */
static void complete_report(struct json *report)
{
    static const char *const keys[] = {
        "runs",         "work_trees",     "objects",
        "executors",    "spares",         "shipped",
        "caches",       "kept_executors", "kept_executors_bytes",
        "kept_objects", "kept_bytes",
    };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        json_add_integer(report, keys[i], 0);
    }
}

static int collect_livy(struct command_context *context, const struct node_gc_args *args,
                        const struct keeping *keeping, const struct target *target,
                        struct json **report, struct error *err)
{
    CLEANUP_REACH struct livy_reach reach = {.password = NULL};
    CLEANUP_FREE char *password = NULL;
    if (args->max_store_bytes > 0 || args->min_free_bytes > 0 ||
        args->keep_work != NULL) {
        error_set(err, ERR_USAGE,
                  "--max-store, --min-free and --keep-work are for a node's disk, and %s "
                  "is a Livy server",
                  target->name);
        return error_hint(err,
                          "what its runs have here is local's: errand node gc local");
    }
    if (command_history(context, err) == NULL ||
        target_livy_password(context, target, &password, err) != 0 ||
        livy_reach_open(&reach, target, TAKE_PTR(password), err) != 0) {
        return -1;
    }
    *report = livy_collect(
        &(struct livy_collect){
            .place = &reach.place,
            .livy = &reach.livy,
            .history = context->history,
            .keep_ms = (int64_t)keeping->days * MS_PER_DAY,
            .keep_environments_ms = (int64_t)keeping->environments * MS_PER_DAY,
            .keep_uncollected_ms = (int64_t)keeping->uncollected * MS_PER_DAY,
            .is_dry = args->is_dry},
        err);
    if (*report == NULL) {
        return -1;
    }
    complete_report(*report);
    return 0;
}

/* ---- A node */

static int collect_node(struct command_context *context, const struct node_gc_args *args,
                        const struct keeping *keeping, const struct target *target,
                        struct json **report, struct error *err)
{
    struct client_options options = {.may_ask = terminal_can_ask(context->terminal)};
    CLEANUP(client_cleanup)
    struct client *client = client_connect(context, target, &options, err);
    if (client == NULL) {
        return -1;
    }
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_bool(body, "is_dry", args->is_dry);
    json_add_integer(body, "keep_days", (int64_t)keeping->days);
    if (args->max_store_bytes > 0) {
        json_add_integer(body, "max_store_bytes", (int64_t)args->max_store_bytes);
    } else {
        json_add_string(body, "max_store_bytes", NULL);
    }
    json_add_integer(body, "min_free_bytes", (int64_t)args->min_free_bytes);
    json_add_integer(body, "keep_environments_days", (int64_t)keeping->environments);
    json_add_integer(body, "keep_work_days", (int64_t)keeping->work);
    json_add_integer(body, "keep_uncollected_days", (int64_t)keeping->uncollected);
    int result = client_ask(client, MSG_GC, body, take_report, report, NULL, err);
    command_keep(context, TAKE_PTR(client));
    return result;
}

static int collect(struct command_context *context, const struct node_gc_args *args,
                   const char *name, struct json **report, struct error *err)
{
    struct keeping keeping;
    if (parse_keeping(args, &keeping, err) != 0 || command_config(context, err) == NULL) {
        return -1;
    }
    CLEANUP(target_cleanup)
    struct target *target = target_find(context->config, context->home, name, err);
    if (target == NULL) {
        return -1;
    }
    return target->livy != NULL
               ? collect_livy(context, args, &keeping, target, report, err)
               : collect_node(context, args, &keeping, target, report, err);
}

/* ---- What it came to */

/* A number of the report; an older executor may not have it. */
static unsigned long long number_of(const struct json *report, const char *key)
{
    const struct json *value = json_get(report, key);
    return value != NULL && json_is_integer(value) && json_integer(value) > 0
               ? (unsigned long long)json_integer(value)
               : 0;
}

/* ": 3 runs, 2 snapshots", or ": kept 3 runs of 1.2 GB": only what there is. */
static void put_counts(struct strbuf *out, const struct json *report, bool is_kept)
{
    static const struct {
        bool is_kept;
        const char *key, *what, *bytes_key; /* the last one may be NULL */
    } rows[] = {
        {false, "runs", "run", NULL},
        {false, "work_trees", "work tree", NULL},
        {false, "roots", "snapshot", NULL},
        {false, "objects", "object", NULL},
        {false, "executors", "executor", NULL},
        {false, "spares", "spare checkout", NULL},
        {false, "environments", "environment", NULL},
        {false, "caches", "package cache", NULL},
        {false, "shipped", "archive in a cluster", NULL},
        {false, "leftovers", "leftover", NULL},
        {true, "kept_runs", "run", "kept_runs_bytes"},
        {true, "kept_roots", "snapshot", "kept_roots_bytes"},
        {true, "kept_environments", "environment", "kept_environments_bytes"},
        {true, "kept_objects", "object", "kept_bytes"},
        {true, "kept_executors", "executor", "kept_executors_bytes"},
    };
    char size[FILES_SIZE_TEXT];
    const char *separator = is_kept ? ": kept " : ": ";
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned long long count = number_of(report, rows[i].key);
        if (rows[i].is_kept == is_kept && count > 0) {
            strbuf_printf(out, "%s%llu %s%s", separator, count, rows[i].what,
                          count == 1 ? "" : "s");
            if (rows[i].bytes_key != NULL &&
                json_get(report, rows[i].bytes_key) != NULL) {
                files_format_size(size, number_of(report, rows[i].bytes_key));
                strbuf_printf(out, " of %s", size);
            }
            separator = ", ";
        }
    }
    strbuf_putc(out, '\n');
}

static int print_people(struct command_context *context, const struct node_gc_args *args,
                        const char *name, const struct json *report)
{
    char size[FILES_SIZE_TEXT];
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, kept = STRBUF_INIT;
    const struct json *warnings = json_get(report, "warnings");
    for (const struct json *w = warnings == NULL ? NULL : json_first(warnings); w != NULL;
         w = json_next(w)) {
        CLEANUP_STRBUF struct strbuf safe = STRBUF_INIT;
        const char *words = json_is_string(w) ? json_string(w) : "";
        terminal_make_safe(words, strlen(words), &safe);
        terminal_warn(context->terminal, "%s: %s", name, safe.data);
    }
    files_format_size(size, number_of(report, "bytes"));
    strbuf_printf(&text, "%s: %s %s", name, args->is_dry ? "would free" : "freed", size);
    put_counts(&text, report, false);
    strbuf_puts(&kept, name);
    put_counts(&kept, report, true);
    if (kept.length > strlen(name) + 1) {
        strbuf_puts(&text, kept.data);
    }
    return command_print(context, &text);
}

static int node_gc_verb(void *opaque_context, void *opaque, char *const *operands,
                        size_t operand_count)
{
    struct command_context *context = opaque_context;
    const struct node_gc_args *args = opaque;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *report = NULL;
    (void)operand_count;
    if (collect(context, args, operands[0], &report, &err) != 0) {
        return err.code == ERR_USAGE
                   ? command_fail_usage(context, &cmd_node_gc, args->is_json, &err)
                   : command_fail(context, args->is_json, &err, 1);
    }
    if (args->is_json) {
        return command_print_json(context, report);
    }
    return print_people(context, args, operands[0], report);
}

static const struct cli_option node_gc_options[] = {
    CLI_STRING(0, "keep-days", "N", "keep runs younger than this (30)", FIELD(keep_days)),
    CLI_STRING(0, "keep-environments", "N",
               "and environments used within these days (30)", FIELD(keep_environments)),
    CLI_STRING(0, "keep-work", "N", "and their work trees so long once at home (3)",
               FIELD(keep_work)),
    CLI_STRING(0, "keep-uncollected", "N", "and runs whose results nobody else has (90)",
               FIELD(keep_uncollected)),
    CLI_SIZE(0, "max-store", "SIZE", "and shrink the store to this",
             FIELD(max_store_bytes)),
    CLI_SIZE(0, "min-free", "SIZE", "and further, until the disk has this much room",
             FIELD(min_free_bytes)),
    CLI_FLAG('n', "dry-run", "only say what would go", FIELD(is_dry)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_node_gc = {
    .name = "node gc",
    .usage = "TARGET [options]",
    .help = "free space on a node: what is at home or unused goes",
    .details =
        "Removed are ended runs whose results are at the submitter's home (others, "
        "and those whose outputs could not be collected, only after 90 days), before "
        "that their work trees, snapshots that no run uses, "
        "environments that were not used for "
        "long, old executors, and what interrupted programs left. What arrived in the "
        "last 24 hours stays.\n\n"
        "Of a Livy's cluster: projects and environments there that nobody used for long "
        "and no run of anybody needs, and what runs left that have ended. What its runs "
        "have on this machine goes with: errand node gc local",
    .options = node_gc_options,
    .args_size_bytes = sizeof(struct node_gc_args),
    .min_operands = 1,
    .max_operands = 1,
    .run = node_gc_verb,
};
