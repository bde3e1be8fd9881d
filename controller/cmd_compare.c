/* errand compare: what differs between two runs.            [controller] */
#include "controller/compare.h"

#include <string.h>

#include "common/bytes.h"
#include "controller/refresh.h"
#include "controller/table.h"

#define CELL_MAX 60    /* bytes of a value in the table */
#define LINES_SHOWN 40 /* of files, and of an environment */
#define TEXT_MAX ((size_t)256 << 20)

struct compare_args {
    bool is_json, is_offline;
};

#define FIELD(name) offsetof(struct compare_args, name)

/* ---- for people ---- */

/* text in a cell, malloc'ed; NULL, which is none, is not the same as an empty one. */
static char *cell(const char *text)
{
    if (text == NULL || text[0] == '\0') {
        return text == NULL ? NULL : xstrdup("\"\"");
    }
    if (strlen(text) <= CELL_MAX) {
        return xstrdup(text);
    }
    return xasprintf("%.*s...", (int)bytes_utf8_prefix(text, CELL_MAX), text);
}

static void put_facts(struct strbuf *out, const struct compare *c, const char *id_a,
                      const char *id_b)
{
    const char *const heads[] = {"WHAT", id_a, id_b, NULL};
    CLEANUP(table_cleanup) struct table *table = table_new(heads);
    for (size_t i = 0; i < c->fact_count; i++) {
        CLEANUP_FREE char *a = cell(c->facts[i].a);
        CLEANUP_FREE char *b = cell(c->facts[i].b);
        const char *const cells[] = {c->facts[i].what, a, b};
        table_add(table, cells);
    }
    table_write(table, out);
}

static void put_lines(struct strbuf *out, const char *title, const struct strvec *lines,
                      uint64_t left_out)
{
    if (lines->count == 0) {
        return;
    }
    strbuf_printf(out, "%s%s\n", out->length > 0 ? "\n" : "", title);
    for (size_t i = 0; i < lines->count && i < LINES_SHOWN; i++) {
        strbuf_puts(out, "  ");
        terminal_make_safe(lines->items[i], strlen(lines->items[i]), out);
        strbuf_putc(out, '\n');
    }
    if (lines->count > LINES_SHOWN) {
        left_out += lines->count - LINES_SHOWN;
        strbuf_printf(out, "  and %llu more; --json has %s\n",
                      (unsigned long long)left_out,
                      left_out > lines->count - LINES_SHOWN ? "more of them" : "all");
    }
}

static int print_people(struct command_context *context, const struct compare *c,
                        const char *id_a, const char *id_b)
{
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, TEXT_MAX);
    put_facts(&text, c, id_a, id_b);
    put_lines(&text, "installed", &c->environment, 0);
    put_lines(&text, "files", &c->files, c->files_left_out);
    if (text.length == 0) {
        terminal_note(context->terminal, "%s and %s differ in nothing that is known here",
                      id_a, id_b);
    }
    if (c->no_files.code != ERR_NONE) {
        terminal_warn(context->terminal, "their files were not compared: %s",
                      c->no_files.text);
    }
    return command_print(context, &text);
}

/* ---- for programs ---- */

static void add_lines(struct json *document, const struct strvec *lines)
{
    struct json *list = json_add(document, "installed", json_new_array());
    for (size_t i = 0; i < lines->count; i++) {
        struct json *line = json_append(list, json_new_object());
        json_add_string(line, "in", lines->items[i][0] == '-' ? "a" : "b");
        json_add_string(line, "line", lines->items[i] + 2);
    }
}

static void add_files(struct json *document, const struct compare *c)
{
    json_add_integer(document, "files_left_out", (int64_t)c->files_left_out);
    if (c->no_files.code != ERR_NONE) {
        json_add(document, "files", json_new_null());
        return;
    }
    struct json *list = json_add(document, "files", json_new_array());
    for (size_t i = 0; i < c->files.count; i++) {
        const char *line = c->files.items[i];
        struct json *file = json_append(list, json_new_object());
        json_add_bytes(file, "path", line + 2, strlen(line + 2));
        json_add_string(file, "change",
                        line[0] == '+'   ? "added"
                        : line[0] == '-' ? "removed"
                                         : "changed");
    }
}

static int print_json(struct command_context *context, const struct compare *c,
                      const struct history_run *a, const struct history_run *b)
{
    CLEANUP_JSON struct json *document = json_new_object();
    json_add(document, "a", command_run_to_json(a, context->home));
    json_add(document, "b", command_run_to_json(b, context->home));
    struct json *list = json_add(document, "differences", json_new_array());
    for (size_t i = 0; i < c->fact_count; i++) {
        struct json *fact = json_append(list, json_new_object());
        json_add_string(fact, "what", c->facts[i].what);
        json_add_string(fact, "a", c->facts[i].a);
        json_add_string(fact, "b", c->facts[i].b);
    }
    add_lines(document, &c->environment);
    add_files(document, c);
    return command_print_json(context, document);
}

/* ---- the verb ---- */

/* A run, and how to show it; all zero before init. */
struct shown {
    struct history_run run, as_shown;
    struct refresh_old old;
    struct strbuf text;
};

static void shown_release(struct shown *shown)
{
    history_run_release(&shown->run);
    refresh_old_release(&shown->old);
    strbuf_release(&shown->text);
}

static void shown_init(struct shown *shown)
{
    *shown = (struct shown){.text = STRBUF_INIT};
    history_run_init(&shown->run);
}

static int find(struct command_context *context, const struct compare_args *args,
                const char *name, struct shown *out, struct error *err)
{
    if (command_history(context, err) == NULL ||
        history_find(context->history, name, &out->run, err) != 0 ||
        (!args->is_offline && refresh_is_wanted(&out->run) &&
         refresh_run(context, &out->run, &out->old, err) != 0)) {
        return -1;
    }
    return refresh_tell_old(context, &out->old, &out->run, &out->text, &out->as_shown,
                            err);
}

static int compare_verb(void *opaque, void *opaque_args, char *const *operands,
                        size_t operand_count)
{
    struct command_context *context = opaque;
    const struct compare_args *args = opaque_args;
    struct error err = ERROR_INIT;
    CLEANUP(shown_release) struct shown a, b;
    CLEANUP(compare_release) struct compare compare = {.facts = NULL};
    (void)operand_count;
    shown_init(&a);
    shown_init(&b);
    if (find(context, args, operands[0], &a, &err) != 0 ||
        find(context, args, operands[1], &b, &err) != 0 ||
        compare_runs(context, &a.as_shown, &b.as_shown, &compare, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    return args->is_json ? print_json(context, &compare, &a.as_shown, &b.as_shown)
                         : print_people(context, &compare, a.run.id, b.run.id);
}

static const struct cli_option options[] = {
    CLI_FLAG(0, "offline", "do not ask the nodes", FIELD(is_offline)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_compare = {
    .name = "compare",
    .usage = "RUN RUN [options]",
    .help = "tell what differs between two runs",
    .details =
        "Command, environment, settings, tags, the latest value of each metric as it is\n"
        "at home, how they ended and how long they took; and the files of their\n"
        "snapshots: - is in the first alone, + in the second, ~ in both and changed.\n"
        "What is the same is not told.",
    .options = options,
    .args_size_bytes = sizeof(struct compare_args),
    .min_operands = 2,
    .max_operands = 2,
    .run = compare_verb,
};
