/* errand env diff: what differs between two environments.            [controller] */
#include "controller/environment_lines.h"
#include "controller/environment_source.h"

#include <string.h>

struct env_diff_args {
    const char *target;
    bool is_json;
};

#define FIELD(name) offsetof(struct env_diff_args, name)

/* What two environments differ in. */
struct difference {
    struct strvec definition; /* "- ...", "+ ..." */
    struct strvec installed;
    bool is_installed_known; /* of both */
};

static void difference_release(struct difference *d)
{
    strvec_release(&d->definition);
    strvec_release(&d->installed);
}

static void compare(const struct environment_source *a,
                    const struct environment_source *b, struct difference *out)
{
    CLEANUP_STRVEC struct strvec left = STRVEC_INIT, right = STRVEC_INIT;
    CLEANUP_STRVEC struct strvec left_lock = STRVEC_INIT, right_lock = STRVEC_INIT;
    bool want_node = a->document != NULL && b->document != NULL;
    environment_source_lines(a, want_node, &left);
    environment_source_lines(b, want_node, &right);
    (void)environment_lines_differ(&left, &right, &out->definition);
    out->is_installed_known = a->lock != NULL && b->lock != NULL;
    if (out->is_installed_known) {
        environment_lock_lines(a->lock, &left_lock);
        environment_lock_lines(b->lock, &right_lock);
        (void)environment_lines_differ(&left_lock, &right_lock, &out->installed);
    }
}

static void put_lines(struct strbuf *out, const char *head, const struct strvec *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        strbuf_puts(out, i == 0 ? head : "");
        terminal_make_safe(lines->items[i], strlen(lines->items[i]), out);
        strbuf_putc(out, '\n');
    }
}

static int print_people(struct command_context *context,
                        const struct environment_source *a,
                        const struct environment_source *b, const struct difference *d)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    put_lines(&text, "", &d->definition);
    put_lines(&text, text.length > 0 ? "\ninstalled:\n" : "installed:\n", &d->installed);
    if (d->definition.count == 0) {
        terminal_note(context->terminal, "%s and %s are defined alike", a->label,
                      b->label);
    }
    if (d->is_installed_known && d->installed.count == 0) {
        terminal_note(context->terminal, "the same packages are installed");
    } else if (!d->is_installed_known) {
        terminal_note(context->terminal, "what is installed in %s is not known here",
                      a->lock == NULL ? a->label : b->label);
    }
    return command_print(context, &text);
}

static int print_json(struct command_context *context, const struct difference *d)
{
    CLEANUP_JSON struct json *document = json_new_object();
    json_add_bool(document, "same", d->definition.count == 0 && d->installed.count == 0);
    json_add(document, "definition", json_new_strings(&d->definition));
    if (d->is_installed_known) {
        json_add(document, "installed", json_new_strings(&d->installed));
    } else {
        json_add(document, "installed", json_new_null());
    }
    return command_print_json(context, document);
}

static int diff_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_diff_args *args = opaque_args;
    struct error err = ERROR_INIT;
    struct environment_source a CLEANUP_ENVIRONMENT_SOURCE = {.label = NULL};
    struct environment_source b CLEANUP_ENVIRONMENT_SOURCE = {.label = NULL};
    CLEANUP(difference_release) struct difference d = {.is_installed_known = false};
    (void)operand_count;
    if (environment_source_read(&a, context, operands[0], args->target, &err) != 0 ||
        environment_source_read(&b, context, operands[1], args->target, &err) != 0) {
        return command_fail(context, args->is_json, &err, 1);
    }
    compare(&a, &b, &d);
    return args->is_json ? print_json(context, &d) : print_people(context, &a, &b, &d);
}

static const struct cli_option diff_options[] = {
    CLI_STRING('t', "target", "TARGET", "look there for what is no run", FIELD(target)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_env_diff = {
    .name = "env diff",
    .usage = "ENVIRONMENT ENVIRONMENT [options]",
    .help = "tell what differs between two environments",
    .details = "ENVIRONMENT is a run, the beginning of an identity, or what it was made "
               "from as errand "
               "env list shows it. Lines with - are of the first, with + of the second; "
               "first what they are made of, then what is installed.",
    .options = diff_options,
    .args_size_bytes = sizeof(struct env_diff_args),
    .min_operands = 2,
    .max_operands = 2,
    .run = diff_verb,
};
