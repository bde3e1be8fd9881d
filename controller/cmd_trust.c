/* errand trust: agree to what a project's file says of this machine. [controller] */
#include "controller/command.h"
#include "controller/trust.h"

struct trust_args {
    bool want_removal, want_yes;
};

static int remove_trust(struct command_context *context, const struct config *config,
                        struct error *err)
{
    const char *path = config_project_file(config);
    bool was_there = false;
    if (path == NULL) {
        return error_set(err, ERR_NOT_FOUND, "there is no errand.yaml from here upwards");
    }
    if (trust_remove(context->home, path, &was_there, err) != 0) {
        return -1;
    }
    terminal_note(context->terminal,
                  was_there ? "%s is not trusted any more" : "%s was not trusted", path);
    return 0;
}

/* Show one claim, and record it once a person, or --yes, has agreed. */
static int agree(struct command_context *context, const struct trust_args *args,
                 struct trust_claim *claim, struct error *err)
{
    bool can_ask = terminal_can_ask(context->terminal);
    if (args->want_yes || !can_ask) {
        trust_show(claim, context->terminal);
    }
    if (args->want_yes) {
        return trust_add(context->home, claim, err);
    }
    if (trust_ask(context->home, claim, context->terminal, err) == 0) {
        return 0;
    }
    if (err->code == ERR_UNTRUSTED && can_ask) {
        return error_set(err, ERR_UNTRUSTED, "%s is not trusted", claim->path);
    }
    if (err->code == ERR_UNTRUSTED) {
        error_set(err, ERR_UNTRUSTED, "%s is not trusted: there is no terminal to ask",
                  claim->path);
        return error_hint(err, "agree to what is shown with: errand trust --yes");
    }
    return -1;
}

static int add_trust(struct command_context *context, const struct trust_args *args,
                     struct config *config, struct error *err)
{
    size_t count = 0;
    struct trust_claim *claims = config_claims(config, &count);
    for (size_t i = 0; i < count; i++) {
        if (claims[i].is_trusted) {
            trust_show(&claims[i], context->terminal);
            terminal_note(context->terminal, "trusted already");
            continue;
        }
        if (agree(context, args, &claims[i], err) != 0) {
            return -1;
        }
        terminal_note(context->terminal, "trusted, until one of these values changes");
    }
    if (count == 0) {
        terminal_note(context->terminal, "nothing here needs to be trusted");
    }
    return 0;
}

static int run(void *opaque, void *opaque_args, char *const *operands,
               size_t operand_count)
{
    struct command_context *context = opaque;
    const struct trust_args *args = opaque_args;
    (void)operands, (void)operand_count;
    struct error err = ERROR_INIT;
    const struct config_options load = {.want_untrusted = true};
    __attribute__((cleanup(config_cleanup))) struct config *config =
        command_home(context, &err) == NULL ? NULL
                                            : config_load(context->home, &load, &err);
    if (config == NULL) {
        return command_fail(context, false, &err, 1);
    }
    int rc = args->want_removal ? remove_trust(context, config, &err)
                                : add_trust(context, args, config, &err);
    return rc == 0 ? 0 : command_fail(context, false, &err, 1);
}

static const struct cli_option options[] = {
    CLI_FLAG(0, "remove", "trust the project's file no more",
             offsetof(struct trust_args, want_removal)),
    CLI_FLAG('y', "yes", "agree without being asked",
             offsetof(struct trust_args, want_yes)),
    CLI_END,
};

const struct cli_command cmd_trust = {
    .name = "trust",
    .usage = "[options]",
    .help = "show and agree to what errand.yaml says of this machine",
    .details =
        "Where to connect, what to run here and which secrets to read counts in a\n"
        "project's errand.yaml only once you have seen it. What is recorded is the\n"
        "file's path and a digest of those values; all else in it may change.",
    .options = options,
    .args_size_bytes = sizeof(struct trust_args),
    .run = run,
};
