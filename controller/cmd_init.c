/* errand init: a commented errand.yaml in the current folder.            [controller] */
#include "common/files.h"
#include "controller/command.h"

#include <fcntl.h>

#define FILE_NAME "errand.yaml"

static int run(void *opaque, void *args, char *const *operands, size_t operand_count)
{
    struct command_context *context = opaque;
    (void)args, (void)operands, (void)operand_count;
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    config_write_example(CONFIG_EXAMPLE_PROJECT, &text);
    if (files_create_atomic(AT_FDCWD, FILE_NAME, text.data, text.length, 0644, &err) !=
        0) {
        if (err.code == ERR_EXISTS) {
            error_set(&err, ERR_EXISTS, FILE_NAME " is there already; it stays as it is");
            error_hint(&err, "a new one to compare with: errand config example project");
        }
        return command_fail(context, false, &err, 1);
    }
    terminal_note(context->terminal,
                  "wrote " FILE_NAME "; every key in it is commented out");
    return 0;
}

static const struct cli_option options[] = {CLI_END};

const struct cli_command cmd_init = {
    .name = "init",
    .usage = "",
    .help = "write a commented errand.yaml into the current folder",
    .details = "The file has every key that a project may set, with its default or an\n"
               "example, all commented out. A file that is there is never touched.",
    .options = options,
    .run = run,
};
