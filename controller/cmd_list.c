/* errand list: the runs that this controller remembers.            [controller] */
#include "common/clock.h"
#include "controller/command.h"
#include "controller/refresh.h"
#include "controller/table.h"

#include <string.h>

#define SHOWN_DEFAULT 20

struct list_args {
    const char *target, *experiment;
    int64_t count;
    bool want_all, only_open, is_json, is_offline;
};

struct listing {
    struct command_context *context;
    const struct list_args *args;
    struct table *table;
    struct json *runs;
    struct refresh_old old;
    bool has_application;
};

static void listing_release(struct listing *listing)
{
    refresh_old_release(&listing->old);
}

#define FIELD(name) offsetof(struct list_args, name)

/* "0", "SIGKILL", "timed out": append; nothing while the run goes on. */
static void describe_exit(const struct run_exit *exit, struct strbuf *out)
{
    CLEANUP_JSON struct json *j = run_exit_to_json(exit);
    if (exit->kind == RUN_EXIT_NONE) {
        return;
    }
    if (exit->kind == RUN_EXIT_EXITED) {
        strbuf_printf(out, "%d", exit->code);
    } else if (exit->kind == RUN_EXIT_SIGNALED) {
        strbuf_puts(out, json_string(json_get(j, "signal")));
    } else {
        for (const char *p = json_string(json_get(j, "kind")); *p; p++) {
            strbuf_putc(out, (char)(*p == '_' ? ' ' : *p));
        }
    }
}

/* shown: run, as it is to be shown. */
static int add_row(struct listing *listing, const struct history_run *run,
                   const struct history_run *shown, struct error *err)
{
    const struct run_status *status = &run->status;
    bool is_old = shown->status.state == RUN_NOT_RESPONDING;
    char age[CLOCK_TEXT_SIZE], duration[CLOCK_TEXT_SIZE] = "";
    int64_t now = clock_utc_ms();
    CLEANUP_STRBUF struct strbuf exit = STRBUF_INIT, state = STRBUF_INIT;
    strbuf_puts(&state, run_state_name(shown->status.state));
    if (is_old) {
        strbuf_puts(&state, ", ");
        if (refresh_describe(listing->context, run, &state, err) != 0) {
            return -1;
        }
    }
    describe_exit(&status->exit, &exit);
    clock_format_duration(age, now - run->created_utc_ms);
    if (status->started_utc_ms != 0 && !is_old) {
        int64_t end = status->ended_utc_ms != 0 ? status->ended_utc_ms : now;
        clock_format_duration(duration, end - status->started_utc_ms);
    }
    const char *const cells[] = {
        run->id,     run->experiment,
        run->target, state.data,
        exit.data,   age,
        duration,    status->engine.application,
    };
    listing->has_application |= status->engine.application[0] != '\0';
    table_add(listing->table, cells);
    return 0;
}

static int visit(void *context, const struct history_run *run, struct error *err)
{
    struct listing *listing = context;
    struct history_run shown;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (refresh_tell_old(listing->context, &listing->old, run, &text, &shown, err) != 0) {
        return -1;
    }
    if (!listing->args->is_json) {
        return add_row(listing, run, &shown, err);
    }
    json_append(listing->runs, command_run_to_json(&shown, NULL));
    return 0;
}

static int print(struct command_context *context, const struct list_args *args,
                 struct listing *listing, struct json *document)
{
    if (args->is_json) {
        return command_print_json(context, document);
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (!listing->has_application) {
        table_drop_last(listing->table);
    }
    table_write(listing->table, &text);
    if (text.length == 0) {
        bool is_narrowed =
            args->target != NULL || args->experiment != NULL || args->only_open;
        terminal_note(context->terminal,
                      is_narrowed ? "no such runs; errand list shows those there are"
                                  : "no runs yet; begin one with: errand run SCRIPT");
    }
    return command_print(context, &text);
}

static int run(void *opaque, void *opaque_args, char *const *operands,
               size_t operand_count)
{
    static const char *const heads[] = {
        "RUN", "EXPERIMENT", "TARGET",      "STATUS", "EXIT",
        "AGE", "TOOK",       "APPLICATION", NULL,
    };
    struct command_context *context = opaque;
    const struct list_args *args = opaque_args;
    (void)operands, (void)operand_count;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *document = json_new_object();
    __attribute__((cleanup(table_cleanup))) struct table *table = table_new(heads);
    CLEANUP(listing_release)
    struct listing listing = {
        .context = context,
        .args = args,
        .table = table,
        .runs = json_add(document, "runs", json_new_array()),
    };
    const struct history_query query = {
        .target = args->target,
        .experiment = args->experiment,
        .only_open = args->only_open,
        .skips_preparations = !args->want_all && !args->only_open,
        .limit = args->want_all    ? 0
                 : args->count > 0 ? args->count
                                   : SHOWN_DEFAULT,
    };
    if (command_history(context, &err) == NULL ||
        (!args->is_offline && refresh_query(context, &query, &listing.old, &err) != 0) ||
        history_visit(context->history, &query, visit, &listing, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    return print(context, args, &listing, document);
}

static const struct cli_option options[] = {
    CLI_STRING('t', "target", "TARGET", "only runs on this target", FIELD(target)),
    CLI_STRING('e', "experiment", "EXPERIMENT", "only runs of this experiment",
               FIELD(experiment)),
    CLI_FLAG(0, "open", "only runs that go on, or whose results are not at home",
             FIELD(only_open)),
    CLI_COUNT('n', "count", "COUNT", "at most so many; 20 where nothing is said",
              FIELD(count)),
    CLI_FLAG(0, "offline", "do not ask the nodes", FIELD(is_offline)),
    CLI_FLAG('a', "all", "all of them", FIELD(want_all)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_list = {
    .name = "list",
    .usage = "[options]",
    .help = "list runs, the newest first",
    .details =
        "Nodes with runs that had not ended, or were given up, are asked how they go,\n"
        "all at once and for 10 seconds at most; --offline shows what was known last.\n"
        "Runs of errand env prepare are left out, but with --all or --open.",
    .options = options,
    .args_size_bytes = sizeof(struct list_args),
    .run = run,
};
