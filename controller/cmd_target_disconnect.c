/* errand target disconnect.            [controller] */
#include "controller/client.h"

static int disconnect(struct command_context *context, const char *name,
                      struct error *err)
{
    bool was_there = false;
    if (command_config(context, err) == NULL) {
        return -1;
    }
    CLEANUP(target_cleanup)
    struct target *target = target_find(context->config, context->home, name, err);
    if (target == NULL) {
        return -1;
    }
    if (client_disconnect(context, target, &was_there, err) != 0) {
        return -1;
    }
    terminal_note(context->terminal,
                  was_there ? "the connection to %s is closed"
                            : "no connection to %s was kept",
                  name);
    return 0;
}

static int disconnect_verb(void *opaque, void *args, char *const *operands,
                           size_t operand_count)
{
    struct command_context *context = opaque;
    int status = 0;
    (void)args;
    for (size_t i = 0; i < operand_count; i++) {
        struct error err = ERROR_INIT;
        if (disconnect(context, operands[i], &err) != 0) {
            status = command_fail(context, false, &err, 1);
        }
    }
    return status;
}

static const struct cli_option disconnect_options[] = {CLI_END};

const struct cli_command cmd_target_disconnect = {
    .name = "target disconnect",
    .usage = "NAME...",
    .help = "close the connection that is kept for the next command",
    .details = "After a command its connection stays for a while (keep_connection), so "
               "that the next one need not log in. Commands that use it at the moment "
               "connect anew.",
    .options = disconnect_options,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .run = disconnect_verb,
};
