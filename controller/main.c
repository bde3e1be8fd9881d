/* errand: the controller. This file finds the verb and its arguments; each verb is a
 * module. */
#include "common/fdio.h"
#include "controller/command.h"
#include "controller/keeper.h"
#include "controller/livy_tidy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ERRAND_VERSION
#error "ERRAND_VERSION comes from the project's version"
#endif

static bool is_word(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

/* Whether wrong usage of a verb is to be told in JSON: argv could not be parsed. */
static bool wants_json(const struct cli_command *command, char *const *argv)
{
    bool has_option = false;
    for (const struct cli_option *o = command->options; o && o->kind != CLI_KIND_END;
         o++) {
        has_option = has_option || strcmp(o->name, "json") == 0;
    }
    for (; has_option && *argv != NULL && strcmp(*argv, "--") != 0; argv++) {
        if (strcmp(*argv, "--json") == 0) {
            return true;
        }
    }
    return false;
}

static int run_command(struct command_context *context, const struct cli_command *command,
                       char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE void *args = xcalloc(1, command->args_size_bytes + 1);
    char **operands = NULL;
    size_t count = 0;
    bool want_help = false, has_terminator = false;
    int status = 0;
    if (cli_parse(command, argv, args, &operands, &count, &want_help, &has_terminator,
                  &err) != 0) {
        status = command_fail_usage(context, command, wants_json(command, argv), &err);
    } else if (want_help) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        cli_help("errand", command, &text);
        status = command_print(context, &text);
    } else {
        context->has_terminator = has_terminator;
        status = command->run(context, args, operands, count);
    }
    cli_release(command, args);
    return status;
}

/* The words are no verb (err says so); they may begin some. */
static int run_group(struct command_context *context, char *const *argv,
                     const struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (argv[1] != NULL && is_word(argv[1], "--help", "-h") &&
        command_help_group(argv[0], &text) > 0) {
        return command_print(context, &text);
    }
    return command_fail(context, false, err, 2);
}

/* "errand --verison": what begins with a hyphen is no verb. */
static int fail_option(struct command_context *context, const char *word)
{
    static const char *const options[] = {"--help", "--version", "--quiet"};
    struct error err = ERROR_INIT;
    const char *near = cli_nearest(word, options, ARRAY_SIZE(options));
    error_set(&err, ERR_USAGE, "there is no option %s", word);
    if (near != NULL) {
        (void)error_hint(&err, "did you mean %s?", near);
    } else {
        (void)error_hint(&err, "see: errand help");
    }
    return command_fail(context, false, &err, 2);
}

static int run_words(struct command_context *context, char **argv)
{
    char help[] = "help";
    char *const only_help[] = {help, NULL};
    char *const *words = argv;
    if (words[0] == NULL || is_word(words[0], "--help", "-h")) {
        words = only_help;
    }
    if (is_word(words[0], "--version", "-V")) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        strbuf_printf(&text, "errand %s\n", ERRAND_VERSION);
        return command_print(context, &text);
    }
    if (words[0][0] == '-') {
        return fail_option(context, words[0]);
    }
    if (is_word(words[0], "attend", "attend") && words[1] != NULL &&
        strcmp(words[1], "livy") == 0) {
        return run_command(context, &cmd_attend_livy, argv + 2);
    }
    struct error err = ERROR_INIT;
    size_t word_count = 0;
    const struct cli_command *command =
        cli_find(command_table, command_table_count, words, &word_count, &err);
    if (command == NULL) {
        return run_group(context, words, &err);
    }
    char *none[] = {NULL};
    return run_command(context, command, words == argv ? argv + word_count : none);
}

int main(int argc, char **argv)
{
    fdio_sanitize_std();
    /* A reader of ours that goes away is an error of the write, not our end. */
    (void)signal(SIGPIPE, SIG_IGN);
    char **words = argc > 0 ? argv + 1 : argv;
    bool is_quiet = words[0] != NULL && is_word(words[0], "--quiet", "-q");
    struct command_context context = {.terminal = terminal_new(is_quiet)};
    timing_init(&context.timing);
    int status = run_words(&context, words + is_quiet);
    command_release(&context);
    terminal_free(context.terminal);
    livy_tidy_leave(context.tidy, argv);
    if (context.kept != NULL) {
        keeper_leave(context.kept, argv);
    }
    return status;
}
