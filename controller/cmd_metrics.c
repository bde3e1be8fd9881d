/* errand metrics: what a run wrote to $ERRAND_METRICS.            [controller] */
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "controller/command.h"
#include "controller/following.h"
#include "controller/metrics.h"
#include "controller/table.h"

/* In one JSON document: */
#define VALUES_MAX 100000
#define VALUES_SIZE_MAX ((size_t)64 << 20) /* as metrics_format has them */
#define CELL_MAX 60                        /* bytes of a value in the table */
#define FORMAT_MAX (16 * METRICS_LINE_MAX)

struct metrics_args {
    bool is_json, is_offline;
};

#define FIELD(name) offsetof(struct metrics_args, name)

static void add_step(struct json *object, bool has_step, int64_t step)
{
    json_add(object, "step", has_step ? json_new_integer(step) : json_new_null());
}

/* ---- all metrics, in short ---- */

static void add_metric(struct json *list, const struct metric *m)
{
    struct json *object = json_append(list, json_new_object());
    json_add_string(object, "name", m->name);
    json_add_integer(object, "count", (int64_t)m->count);
    json_add(object, "latest", json_copy(m->latest));
    add_step(object, m->has_step, m->step);
    json_add(object, "min", m->has_range ? json_new_number(m->min) : json_new_null());
    json_add(object, "max", m->has_range ? json_new_number(m->max) : json_new_null());
}

static void add_row(struct table *table, const struct metric *m)
{
    char count[24], step[24] = "";
    CLEANUP_STRBUF struct strbuf latest, min = STRBUF_INIT, max = STRBUF_INIT;
    strbuf_init(&latest, FORMAT_MAX);
    metrics_format(m->latest, &latest);
    if (latest.length > CELL_MAX) {
        strbuf_truncate(&latest, bytes_utf8_prefix(latest.data, CELL_MAX));
        strbuf_puts(&latest, "...");
    }
    (void)snprintf(count, sizeof count, "%llu", (unsigned long long)m->count);
    if (m->has_step) {
        (void)snprintf(step, sizeof step, "%lld", (long long)m->step);
    }
    if (m->has_range) {
        metrics_format_number(m->min, &min);
        metrics_format_number(m->max, &max);
    }
    const char *const cells[] = {m->name, count, latest.data, min.data, max.data, step};
    table_add(table, cells);
}

static int print_all(struct command_context *context, const struct history_run *run,
                     bool is_json, struct metrics_unread *unread, struct error *err)
{
    static const char *const heads[] = {"METRIC", "COUNT", "LATEST", "MIN",
                                        "MAX",    "STEP",  NULL};
    CLEANUP(metrics_release) struct metrics metrics = {.items = NULL};
    if (metrics_read(context->home, run->id, 0, metrics_sum_up, &metrics, unread, err) !=
        0) {
        return -1;
    }
    CLEANUP_JSON struct json *document = json_new_object();
    json_add_string(document, "run", run->id);
    struct json *list = json_add(document, "metrics", json_new_array());
    json_add_integer(document, "unread_lines", (int64_t)unread->lines);
    __attribute__((cleanup(table_cleanup))) struct table *table = table_new(heads);
    for (size_t i = 0; i < metrics.count; i++) {
        add_metric(list, &metrics.items[i]);
        add_row(table, &metrics.items[i]);
    }
    if (is_json) {
        return command_print_json(context, document);
    }
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, FORMAT_MAX);
    table_write(table, &text);
    if (metrics.count == 0) {
        terminal_note(context->terminal,
                      "%s wrote no metrics; a script appends lines such as "
                      "{\"loss\": 0.5, \"step\": 1} to the file $ERRAND_METRICS",
                      run->id);
    }
    if (metrics.left_out > 0) {
        terminal_warn(context->terminal, "only the first %d names are shown",
                      METRICS_NAMES_MAX);
    }
    return command_print(context, &text);
}

/* ---- one metric, value by value ---- */

struct printing {
    struct command_context *context;
    const char *name;
    struct json *values;   /* NULL: print */
    uint64_t count, first; /* seen; the first that is told */
    size_t size_bytes;     /* of values */
};

static int count_value(void *context, const struct metric_value *value, struct error *err)
{
    struct printing *p = context;
    (void)err;
    p->count += strcmp(value->name, p->name) == 0;
    return 0;
}

static int tell_value(void *context, const struct metric_value *value, struct error *err)
{
    struct printing *p = context;
    if (strcmp(value->name, p->name) != 0 || p->count++ < p->first) {
        return 0;
    }
    CLEANUP_STRBUF struct strbuf text, line;
    strbuf_init(&text, FORMAT_MAX);
    strbuf_init(&line, 8 * FORMAT_MAX);
    metrics_format(value->value, &text);
    p->size_bytes += text.length;
    if (p->values != NULL && p->size_bytes <= VALUES_SIZE_MAX) {
        struct json *object = json_append(p->values, json_new_object());
        add_step(object, value->has_step, value->step);
        json_add(object, "value", json_copy(value->value));
    }
    if (p->values != NULL) {
        return 0;
    }
    if (value->has_step) {
        strbuf_printf(&line, "%lld", (long long)value->step);
    }
    strbuf_putc(&line, '\t');
    terminal_make_safe(text.data, text.length, &line);
    strbuf_putc(&line, '\n');
    return command_print(p->context, &line) == 0
               ? 0
               : error_set(err, ERR_CANCELED, "nobody reads it");
}

static int print_one(struct command_context *context, const struct history_run *run,
                     const char *name, bool is_json, struct metrics_unread *unread,
                     struct error *err)
{
    struct printing p = {.context = context, .name = name};
    if (metrics_read(context->home, run->id, 0, count_value, &p, unread, err) != 0) {
        return -1;
    }
    if (p.count == 0) {
        error_set(err, ERR_NOT_FOUND, "%s has no metric \"%s\"", run->id, name);
        return error_hint(err, "errand metrics %s lists those that it has", run->id);
    }
    CLEANUP_JSON struct json *document = json_new_object();
    json_add_string(document, "run", run->id);
    json_add_string(document, "name", name);
    json_add_integer(document, "count", (int64_t)p.count);
    p.first = is_json && p.count > VALUES_MAX ? p.count - VALUES_MAX : 0;
    p.values = is_json ? json_add(document, "values", json_new_array()) : NULL;
    p.count = 0;
    struct metrics_unread again = {0};
    if (metrics_read(context->home, run->id, 0, tell_value, &p, &again, err) != 0) {
        return err->code == ERR_CANCELED ? 1 : -1;
    }
    return is_json ? command_print_json(context, document) : 0;
}

/* ---- the verb ---- */

static int metrics_verb(void *context, void *opaque, char *const *operands,
                        size_t operand_count)
{
    const struct metrics_args *args = opaque;
    struct following f = {.context = context};
    struct history_run run;
    struct metrics_unread unread = {0};
    struct error err = ERROR_INIT;
    int status = -1;
    history_run_init(&run);
    if (following_open(&f, context, operand_count > 0 ? operands[0] : "@", &run, &err) ==
            0 &&
        (args->is_offline || (following_check_accepted(&f, &run, &err) == 0 &&
                              following_update(&f, &run, &err) == 0))) {
        status = operand_count > 1
                     ? print_one(context, &run, operands[1], args->is_json, &unread, &err)
                     : print_all(context, &run, args->is_json, &unread, &err);
    }
    if (unread.lines > 0) {
        terminal_warn(f.context->terminal,
                      "%llu line%s of %s's metrics could not be read; line %llu: %s",
                      (unsigned long long)unread.lines, unread.lines == 1 ? "" : "s",
                      run.id, (unsigned long long)unread.first_line, unread.first.text);
    }
    if (status < 0) {
        status = f.interrupt.is_interrupted
                     ? EXIT_INTERRUPTED
                     : command_fail(context, args->is_json, &err, 1);
    }
    history_run_release(&run);
    following_release(&f);
    return status;
}

static const struct cli_option options[] = {
    CLI_FLAG(0, "offline", "do not ask the node", FIELD(is_offline)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_metrics = {
    .name = "metrics",
    .usage = "[RUN [METRIC]] [options]",
    .help = "tell what a run measured",
    .details =
        "A script appends lines to the file that $ERRAND_METRICS names, each an object\n"
        "such as {\"loss\": 0.5, \"accuracy\": 0.9, \"step\": 1}. Of each metric the "
        "count,\n"
        "the latest, the least and the greatest value are told; of METRIC each value,\n"
        "behind its step and a tab. RUN is @ where none is named.",
    .options = options,
    .args_size_bytes = sizeof(struct metrics_args),
    .max_operands = 2,
    .run = metrics_verb,
};
