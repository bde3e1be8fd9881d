/* errand node gc. */
#include "common/bytes.h"
#include "common/files.h"
#include "controller/client.h"
#include "controller/command.h"

#include <stdio.h>

struct node_gc_args {
    const char *keep_days; /* a number, or NULL */
    uint64_t max_store_bytes;
    bool is_dry, is_json;
};

#define FIELD(name) offsetof(struct node_gc_args, name)
#define KEEP_DAYS_DEFAULT 30
#define KEEP_DAYS_MAX 36500

static int take_report(void *context, const struct json *report, struct error *err)
{
    struct json **kept = context;
    (void)err;
    json_free(*kept);
    *kept = json_copy(report);
    return 0;
}

static int collect(struct command_context *context, const struct node_gc_args *args,
                   const char *name, struct json **report, struct error *err)
{
    uint64_t keep_days = KEEP_DAYS_DEFAULT;
    if (args->keep_days != NULL &&
        bytes_parse_u64(args->keep_days, KEEP_DAYS_MAX, &keep_days, err) != 0) {
        return error_set(err, ERR_USAGE, "--keep-days %s: it takes a number of days",
                         args->keep_days);
    }
    if (command_config(context, err) == NULL) {
        return -1;
    }
    CLEANUP(target_cleanup)
    struct target *target = target_find(context->config, context->home, name, err);
    if (target == NULL) {
        return -1;
    }
    struct client_options options = {.may_ask = terminal_can_ask(context->terminal)};
    CLEANUP(client_cleanup)
    struct client *client = client_connect(context, target, &options, err);
    if (client == NULL) {
        return -1;
    }
    CLEANUP_JSON struct json *body = json_new_object();
    json_add_bool(body, "is_dry", args->is_dry);
    json_add_integer(body, "keep_days", (int64_t)keep_days);
    if (args->max_store_bytes > 0) {
        json_add_integer(body, "max_store_bytes", (int64_t)args->max_store_bytes);
    } else {
        json_add_string(body, "max_store_bytes", NULL);
    }
    return client_ask(client, MSG_GC, body, take_report, report, NULL, err);
}

static int print_people(const struct node_gc_args *args, const char *name,
                        const struct json *report, struct error *err)
{
    int64_t runs = 0;
    int64_t objects = 0;
    int64_t bytes = 0;
    char size[FILES_SIZE_TEXT];
    if (json_get_integer(report, "GC's report", "runs", 0, JSON_INTEGER_MAX, &runs,
                         err) != 0 ||
        json_get_integer(report, "GC's report", "objects", 0, JSON_INTEGER_MAX, &objects,
                         err) != 0 ||
        json_get_integer(report, "GC's report", "bytes", 0, JSON_INTEGER_MAX, &bytes,
                         err) != 0) {
        return -1;
    }
    files_format_size(size, (uint64_t)bytes);
    (void)printf("%s: %s %lld runs and %lld objects, %s\n", name,
                 args->is_dry ? "would remove" : "removed", (long long)runs,
                 (long long)objects, size);
    return 0;
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
        return command_fail(context, args->is_json, &err, 1);
    }
    if (args->is_json) {
        return command_print_json(context, report);
    }
    return print_people(args, operands[0], report, &err) == 0
               ? 0
               : command_fail(context, false, &err, 1);
}

static const struct cli_option node_gc_options[] = {
    CLI_STRING(0, "keep-days", "N", "keep runs younger than this (30)", FIELD(keep_days)),
    CLI_SIZE(0, "max-store", "SIZE", "and shrink the store to this",
             FIELD(max_store_bytes)),
    CLI_FLAG(0, "dry-run", "only say what would go", FIELD(is_dry)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_node_gc = {
    .name = "node gc",
    .usage = "TARGET [options]",
    .help = "free space on a node: what is at home or unused goes",
    .options = node_gc_options,
    .args_size_bytes = sizeof(struct node_gc_args),
    .min_operands = 1,
    .max_operands = 1,
    .run = node_gc_verb,
};
