/* errand completion: scripts for the shells, and what they ask.            [controller]
 */
#include "controller/command.h"
#include "controller/completion.h"

#include <string.h>

static int print_words(struct command_context *context, char *const *words, size_t count)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (count > 0) {
        completion_find(context, words, count, &text);
    }
    return command_print(context, &text);
}

static int run(void *opaque, void *args, char *const *operands, size_t operand_count)
{
    static const char *const names[] = {
#define ROW(symbol, name) name,
        COMPLETION_SHELLS(ROW)
#undef ROW
    };
    struct command_context *context = opaque;
    struct error err = ERROR_INIT;
    (void)args;
    if (strcmp(operands[0], "words") == 0) {
        return print_words(context, operands + 1, operand_count - 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(names) && operand_count == 1; i++) {
        if (strcmp(operands[0], names[i]) == 0) {
            CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
            strbuf_puts(&text, completion_script((enum completion_shell)i));
            return command_print(context, &text);
        }
    }
    error_set(&err, ERR_USAGE, "there is no completion for the shell \"%s\"",
              operands[operand_count - 1]);
    return command_fail_usage(context, &cmd_completion, false, &err);
}

static const struct cli_option options[] = {CLI_END};

const struct cli_command cmd_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .help = "print what makes a shell complete errand's command line",
    .details =
        "Verbs, options, targets and runs are completed, from what is known here.\n"
        "\n"
        "  bash:  echo 'source <(errand completion bash)' >> ~/.bashrc\n"
        "  zsh:   echo 'source <(errand completion zsh)' >> ~/.zshrc\n"
        "         (behind compinit), or as a file _errand in a folder of fpath\n"
        "  fish:  errand completion fish > ~/.config/fish/completions/errand.fish\n",
    .options = options,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .stops_at_operand = true,
    .run = run,
};
