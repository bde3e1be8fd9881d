/* errand tag, note: what a person says of a run afterwards.            [controller] */
#include "controller/command.h"

#include <string.h>

#define TEXT_MAX ((size_t)64 << 20)

struct tag_args {
    bool is_json;
};

static const struct cli_option options[] = {
    CLI_FLAG(0, "json", "one JSON document on stdout",
             offsetof(struct tag_args, is_json)),
    CLI_END,
};

static int find(struct command_context *context, const char *name,
                struct history_run *out, struct error *err)
{
    return command_history(context, err) == NULL
               ? -1
               : history_find(context->history, name, out, err);
}

static int reload(struct command_context *context, struct history_run *run,
                  struct error *err)
{
    CLEANUP_FREE char *id = xstrdup(run->id);
    history_run_release(run);
    return history_find(context->history, id, run, err);
}

/* ---- tags ---- */

/* is_silent: people see what they did by themselves. */
static int print_tags(struct command_context *context, const struct history_run *run,
                      bool is_json, bool is_silent)
{
    if (is_json) {
        CLEANUP_JSON struct json *document = json_new_object();
        CLEANUP_JSON struct json *whole = command_run_to_json(run, context->home);
        json_add_string(document, "run", run->id);
        json_add(document, "tags", json_copy(json_get(whole, "tags")));
        return command_print_json(context, document);
    }
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, TEXT_MAX);
    for (size_t i = 0; !is_silent && i < run->tags.count; i++) {
        terminal_make_safe(run->tags.items[i], strlen(run->tags.items[i]), &text);
        strbuf_putc(&text, '\n');
    }
    return command_print(context, &text);
}

static int tag_verb(void *opaque, void *opaque_args, char *const *operands,
                    size_t operand_count)
{
    struct command_context *context = opaque;
    const struct tag_args *args = opaque_args;
    struct error err = ERROR_INIT;
    size_t changes = operand_count - 1;
    int status = 1;
    struct history_run run;
    history_run_init(&run);
    if (find(context, operands[0], &run, &err) != 0 ||
        (changes > 0 && (history_change_tags(context->history, run.id, operands + 1,
                                             changes, &err) != 0 ||
                         reload(context, &run, &err) != 0))) {
        status =
            command_fail(context, args->is_json, &err, err.code == ERR_USAGE ? 2 : 1);
    } else {
        status = print_tags(context, &run, args->is_json, changes > 0);
    }
    history_run_release(&run);
    return status;
}

const struct cli_command cmd_tag = {
    .name = "tag",
    .usage = "RUN [K=V...] [options]",
    .help = "tell, set or take away (K-) a run's tags",
    .details =
        "Tags that were given with --tag travel with the run. What is changed\n"
        "afterwards is known here alone: another machine of yours does not see it.",
    .options = options,
    .args_size_bytes = sizeof(struct tag_args),
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .run = tag_verb,
};

/* ---- the note ---- */

static int print_note(struct command_context *context, const struct history_run *run,
                      bool is_json, bool is_silent)
{
    if (is_json) {
        CLEANUP_JSON struct json *document = json_new_object();
        json_add_string(document, "run", run->id);
        json_add_string(document, "note", run->note);
        return command_print_json(context, document);
    }
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, TEXT_MAX);
    const char *rest = is_silent || run->note == NULL ? "" : run->note;
    while (*rest != '\0') {
        size_t length = strcspn(rest, "\n");
        terminal_make_safe(rest, length, &text);
        strbuf_putc(&text, '\n');
        rest += length + (rest[length] == '\n');
    }
    return command_print(context, &text);
}

static int note_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct tag_args *args = opaque_args;
    struct error err = ERROR_INIT;
    bool is_change = operand_count > 1;
    int status = 1;
    struct history_run run;
    history_run_init(&run);
    if (find(context, operands[0], &run, &err) != 0 ||
        (is_change &&
         (history_set_note(context->history, run.id, operands[1], &err) != 0 ||
          reload(context, &run, &err) != 0))) {
        status =
            command_fail(context, args->is_json, &err, err.code == ERR_USAGE ? 2 : 1);
    } else {
        status = print_note(context, &run, args->is_json, is_change);
    }
    history_run_release(&run);
    return status;
}

const struct cli_command cmd_note = {
    .name = "note",
    .usage = "RUN [TEXT] [options]",
    .help = "tell or write the note of a run",
    .details =
        "TEXT takes the place of the note that was there; \"\" takes it away. A note is\n"
        "known here alone. It is the run's tag " HISTORY_NOTE_TAG ".",
    .options = options,
    .args_size_bytes = sizeof(struct tag_args),
    .min_operands = 1,
    .max_operands = 2,
    .run = note_verb,
};
