/* errand gc: what this machine no longer needs of errand's own.            [controller]
 */
#include "common/clock.h"
#include "common/files.h"
#include "controller/command.h"
#include "controller/housekeeping.h"

#include <string.h>

struct gc_args {
    const char *keep, *max_store, *min_free; /* as in the configuration; or NULL */
    bool is_dry, is_json;
};

#define FIELD(name) offsetof(struct gc_args, name)

static int set_options(struct command_context *context, const struct gc_args *args,
                       struct error *err)
{
    const struct {
        const char *key, *option, *text;
    } rows[] = {
        {"keep_snapshots", "--keep", args->keep},
        {"max_store", "--max-store", args->max_store},
        {"min_free", "--min-free", args->min_free},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].text != NULL && config_set(context->config, rows[i].key, rows[i].text,
                                               rows[i].option, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int clean(struct command_context *context, const struct gc_args *args,
                 struct housekeeping_result *out, struct error *err)
{
    if (command_config(context, err) == NULL || set_options(context, args, err) != 0 ||
        command_history(context, err) == NULL || command_store(context, err) == NULL) {
        return -1;
    }
    const struct config *config = context->config;
    const struct housekeeping_request request = {
        .home = context->home,
        .history = context->history,
        .store = context->store,
        .keep_ms = config_integer(config, "keep_snapshots"),
        .max_store_bytes = config_has(config, "max_store")
                               ? config_size(config, "max_store")
                               : STORE_NO_LIMIT,
        .min_free_bytes = config_size(config, "min_free"),
        .is_dry = args->is_dry,
    };
    return housekeeping_clean(&request, out, err);
}

/* ---- for programs ---- */

static int print_json(struct command_context *context, const struct gc_args *args,
                      const struct housekeeping_result *r)
{
    const struct {
        const char *key;
        uint64_t number;
    } rows[] = {
        {"roots", r->store.roots_removed},
        {"objects", r->store.objects_removed},
        {"indexes", r->indexes},
        {"leftovers", r->leftovers},
        {"bytes", r->bytes},
        {"kept_objects", r->store.objects_kept},
        {"kept_bytes", r->store.bytes_kept},
        {"kept_runs", r->runs},
        {"kept_runs_bytes", r->runs_bytes},
    };
    CLEANUP_JSON struct json *document = json_new_object();
    json_add_bool(document, "is_dry", args->is_dry);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_add_integer(document, rows[i].key, (int64_t)rows[i].number);
    }
    struct json *kept = json_add(document, "kept_roots", json_new_object());
    json_add_integer(kept, "needed", (int64_t)r->store.roots_needed);
    json_add_integer(kept, "recent", (int64_t)r->store.roots_wanted);
    json_add_integer(kept, "spared", (int64_t)r->store.roots_spared);
    json_add(document, "warnings", json_new_strings(&r->warnings));
    return command_print_json(context, document);
}

/* ---- for people ---- */

/* "3 snapshots". */
static void put_count(struct strbuf *out, uint64_t count, const char *what)
{
    const char *many = what[strlen(what) - 1] == 'x' ? "es" : "s";
    strbuf_printf(out, "%llu %s%s", (unsigned long long)count, what,
                  count == 1 ? "" : many);
}

static void put_size(struct strbuf *out, uint64_t bytes)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, bytes);
    strbuf_puts(out, size);
}

static void put_removed(struct strbuf *out, const struct gc_args *args,
                        const struct housekeeping_result *r)
{
    const struct store_gc_result *store = &r->store;
    if (store->roots_removed + store->objects_removed + r->indexes + r->leftovers == 0) {
        strbuf_puts(out, "nothing to free\n");
        return;
    }
    strbuf_puts(out, args->is_dry ? "would free " : "freed ");
    put_size(out, r->bytes);
    strbuf_puts(out, ": ");
    put_count(out, store->roots_removed, "snapshot");
    strbuf_puts(out, ", ");
    put_count(out, store->objects_removed, "object");
    strbuf_puts(out, ", ");
    put_count(out, r->indexes, "stat index");
    strbuf_puts(out, ", ");
    put_count(out, r->leftovers, "leftover");
    strbuf_putc(out, '\n');
    if (store->roots_over_limit > 0) {
        strbuf_puts(out, "  ");
        put_count(out, store->roots_over_limit, "snapshot");
        strbuf_puts(out, " of these only for the room (max_store, min_free)\n");
    }
    if (store->roots_damaged > 0) {
        strbuf_puts(out, "  ");
        put_count(out, store->roots_damaged, "snapshot");
        strbuf_puts(out, " of these had lost something and could not be used\n");
    }
}

static void put_kept(struct strbuf *out, const struct config *config,
                     const struct store_gc_result *store)
{
    char keep[CLOCK_TEXT_SIZE];
    clock_format_duration(keep, config_integer(config, "keep_snapshots"));
    strbuf_puts(out, "kept ");
    put_size(out, store->bytes_kept);
    strbuf_puts(out, ": ");
    put_count(out, store->roots_needed + store->roots_wanted + store->roots_spared,
              "snapshot");
    strbuf_puts(out, ", ");
    put_count(out, store->objects_kept, "object");
    strbuf_putc(out, '\n');
    const struct {
        uint64_t count;
        const char *why;
    } rows[] = {
        {store->roots_needed, "of runs that have not ended"},
        {store->roots_spared, "used in the last 24 h, which always stay"},
        {store->roots_wanted, "used within keep_snapshots, which is "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool is_timed = i == ARRAY_SIZE(rows) - 1;
        if (rows[i].count > 0) {
            strbuf_puts(out, "  ");
            put_count(out, rows[i].count, "snapshot");
            strbuf_printf(out, " %s%s\n", rows[i].why, is_timed ? keep : "");
        }
    }
    if (store->objects_spared > 0) {
        strbuf_puts(out, "  ");
        put_count(out, store->objects_spared, "object");
        strbuf_puts(out, ", ");
        put_size(out, store->bytes_spared);
        strbuf_puts(out, ", that no snapshot has but that came in the last 24 h\n");
    }
}

/* What is not errand's to remove, or not with this verb. */
static void put_others(struct strbuf *out, const struct home *home,
                       const struct housekeeping_result *r)
{
    if (r->runs > 0) {
        CLEANUP_FREE char *runs = home_path(home, "runs");
        strbuf_puts(out, "not touched: logs and outputs of ");
        put_count(out, r->runs, "run");
        strbuf_puts(out, ", ");
        put_size(out, r->runs_bytes);
        strbuf_puts(out, ", in ");
        terminal_make_safe(runs, strlen(runs), out);
        strbuf_puts(out, ": they are yours\n");
    }
    if (r->local_bytes > 0) {
        strbuf_puts(out, "not touched: the target local, ");
        put_size(out, r->local_bytes);
        strbuf_puts(out, ": errand node gc local\n");
    }
}

static int print_people(struct command_context *context, const struct gc_args *args,
                        const struct housekeeping_result *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < r->warnings.count; i++) {
        terminal_warn(context->terminal, "%s", r->warnings.items[i]);
    }
    put_removed(&text, args, r);
    put_kept(&text, context->config, &r->store);
    put_others(&text, context->home, r);
    return command_print(context, &text);
}

static int gc_verb(void *opaque_context, void *opaque, char *const *operands,
                   size_t operand_count)
{
    struct command_context *context = opaque_context;
    const struct gc_args *args = opaque;
    struct error err = ERROR_INIT;
    CLEANUP(housekeeping_result_release) struct housekeeping_result result = {0};
    (void)operands, (void)operand_count;
    if (clean(context, args, &result, &err) != 0) {
        return err.code == ERR_USAGE
                   ? command_fail_usage(context, &cmd_gc, args->is_json, &err)
                   : command_fail(context, args->is_json, &err, 1);
    }
    return args->is_json ? print_json(context, args, &result)
                         : print_people(context, args, &result);
}

static const struct cli_option gc_options[] = {
    CLI_FLAG('n', "dry-run", "only say what would go", FIELD(is_dry)),
    CLI_STRING(0, "keep", "TIME", "instead of keep_snapshots", FIELD(keep)),
    CLI_STRING(0, "max-store", "SIZE", "instead of max_store", FIELD(max_store)),
    CLI_STRING(0, "min-free", "SIZE", "instead of min_free", FIELD(min_free)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_gc = {
    .name = "gc",
    .usage = "[options]",
    .help = "free space on this machine: old snapshots and leftovers go",
    .details =
        "Snapshots (and the store's copies of outputs) that were not used within "
        "keep_snapshots go, and where the store has more than max_store or the disk "
        "less than min_free left, more of them, the longest unused first. Those of runs "
        "that have not ended, and all that came or was used in the last 24 hours, stay.\n"
        "\n"
        "Logs and outputs that were brought home are yours: gc only says how much they "
        "are. So is the list of runs. A node has its own: errand node gc TARGET.",
    .options = gc_options,
    .args_size_bytes = sizeof(struct gc_args),
    .run = gc_verb,
};
