/* errand help: the verbs, or one of them.            [controller] */
#include "controller/command.h"

static void write_overview(struct strbuf *out)
{
    strbuf_puts(out, "errand: send a folder to another machine, run a script there, and\n"
                     "bring its log, status and outputs back.\n\n"
                     "usage: errand [--quiet] VERB [options]\n\n");
    cli_help_list(command_table, command_table_count, out);
    strbuf_puts(out, "\nerrand help VERB tells more; errand --version the version.\n");
}

static int run(void *opaque, void *args, char *const *operands, size_t operand_count)
{
    struct command_context *context = opaque;
    (void)args;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (operand_count == 0) {
        write_overview(&text);
        return command_print(context, &text);
    }
    struct error err = ERROR_INIT;
    size_t word_count = 0;
    const struct cli_command *command =
        cli_find(command_table, command_table_count, operands, &word_count, &err);
    if (command != NULL) {
        cli_help("errand", command, &text);
    } else if (command_help_group(operands[0], &text) == 0) {
        return command_fail(context, false, &err, 2);
    }
    return command_print(context, &text);
}

static const struct cli_option options[] = {CLI_END};

const struct cli_command cmd_help = {
    .name = "help",
    .usage = "[VERB...]",
    .help = "list the verbs, or tell more of one",
    .options = options,
    .max_operands = 2,
    .run = run,
};

static int version(void *opaque, void *args, char *const *operands, size_t operand_count)
{
    struct command_context *context = opaque;
    (void)args, (void)operands, (void)operand_count;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    strbuf_puts(&text, "errand " ERRAND_VERSION "\n");
    return command_print(context, &text);
}

const struct cli_command cmd_version = {
    .name = "version",
    .usage = "",
    .help = "print errand's version",
    .options = options,
    .run = version,
};
