/* errand config show, example, reference.            [controller] */
#include "controller/command.h"
#include "controller/trust.h"

#include <string.h>

struct show_args {
    bool is_json;
};

static void say_claims(struct command_context *context, struct config *config)
{
    size_t count = 0;
    const struct trust_claim *claims = config_claims(config, &count);
    for (size_t i = 0; i < count; i++) {
        if (!claims[i].is_trusted) {
            terminal_warn(context->terminal,
                          "%s is not trusted yet: runs will refuse it until errand trust",
                          claims[i].path);
        }
    }
}

static int show_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct show_args *args = opaque_args;
    (void)operands, (void)operand_count;
    struct error err = ERROR_INIT;
    const struct config_options load = {.want_untrusted = true};
    __attribute__((cleanup(config_cleanup))) struct config *config =
        command_home(context, &err) == NULL ? NULL
                                            : config_load(context->home, &load, &err);
    if (config == NULL) {
        return command_fail(context, args->is_json, &err, 1);
    }
    say_claims(context, config);
    if (args->is_json) {
        CLEANUP_JSON struct json *document = config_to_json(config);
        return command_print_json(context, document);
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "# your own files: %s\n# state: %s\n", context->home->config,
                  context->home->state);
    config_write_values(config, &text);
    return command_print(context, &text);
}

static const struct cli_option show_options[] = {
    CLI_FLAG(0, "json", "one JSON document on stdout",
             offsetof(struct show_args, is_json)),
    CLI_END,
};

const struct cli_command cmd_config_show = {
    .name = "config show",
    .usage = "[options]",
    .help = "tell every value that counts here, and where it comes from",
    .options = show_options,
    .args_size_bytes = sizeof(struct show_args),
    .run = show_verb,
};

static int example_verb(void *opaque, void *args, char *const *operands,
                        size_t operand_count)
{
    static const char *const names[] = {
#define ROW(symbol, name, file) name,
        CONFIG_EXAMPLE_TABLE(ROW)
#undef ROW
    };
    struct command_context *context = opaque;
    (void)args, (void)operand_count;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(operands[0], names[i]) == 0) {
            CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
            config_write_example((enum config_example)i, &text);
            return command_print(context, &text);
        }
    }
    struct error err = ERROR_INIT;
    error_set(&err, ERR_USAGE, "there is no example \"%s\"", operands[0]);
    return command_fail_usage(context, &cmd_config_example, false, &err);
}

static const struct cli_option no_options[] = {CLI_END};

const struct cli_command cmd_config_example = {
    .name = "config example",
    .usage = "project|user|target",
    .help = "print a commented example of a configuration file",
    .options = no_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = example_verb,
};

static int reference_verb(void *opaque, void *args, char *const *operands,
                          size_t operand_count)
{
    struct command_context *context = opaque;
    (void)args, (void)operands, (void)operand_count;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    config_write_reference(&text);
    return command_print(context, &text);
}

const struct cli_command cmd_config_reference = {
    .name = "config reference",
    .usage = "",
    .help = "print the table of all keys",
    .options = no_options,
    .run = reference_verb,
};
