#include "controller/command.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/store.h"
#include "controller/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct home *command_home(struct command_context *context, struct error *err)
{
    if (context->home == NULL) {
        context->home = home_open(err);
    }
    return context->home;
}

struct config *command_config(struct command_context *context, struct error *err)
{
    if (context->config != NULL) {
        return context->config;
    }
    int64_t begin_ns = clock_monotonic_ns();
    const struct home *home = command_home(context, err);
    if (home == NULL) {
        return NULL;
    }
    const struct config_options options = {.terminal = context->terminal};
    context->config = config_load(home, &options, err);
    timing_since(&context->timing, TIMING_CONFIGURATION, begin_ns);
    if (context->config != NULL) {
        const struct strvec *notes = config_notes(context->config);
        for (size_t i = 0; i < notes->count; i++) {
            terminal_note(context->terminal, "%s", notes->items[i]);
        }
    }
    return context->config;
}

struct history *command_history(struct command_context *context, struct error *err)
{
    if (context->history == NULL && command_home(context, err) != NULL) {
        context->history = history_open(context->home, err);
    }
    return context->history;
}

struct store *command_store(struct command_context *context, struct error *err)
{
    if (context->store == NULL && command_home(context, err) != NULL) {
        CLEANUP_FREE char *path = home_path(context->home, "store");
        context->store = store_prepare(path, err) < 0 ? NULL : store_open(path, err);
    }
    return context->store;
}

void command_keep(struct command_context *context, struct client *client)
{
    if (client == NULL || !client_is_idle(client)) {
        client_free(client);
        return;
    }
    client_move(client, NULL); /* its loop may be the verb's */
    client_free(context->kept);
    context->kept = client;
}

void command_release(struct command_context *context)
{
    store_free(TAKE_PTR(context->store));
    history_free(TAKE_PTR(context->history));
    config_free(TAKE_PTR(context->config));
    home_free(TAKE_PTR(context->home));
}

int command_print(struct command_context *context, const struct strbuf *text)
{
    if (fdio_write_full(STDOUT_FILENO, text->data, text->length) == 0) {
        return 0;
    }
    if (errno != EPIPE) {
        struct error err = ERROR_INIT;
        error_sys(&err, "write to the standard output");
        terminal_error(context->terminal, &err);
    }
    return EXIT_FAILURE;
}

int command_print_line(struct command_context *context, const char *text)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_puts(&line, text);
    strbuf_putc(&line, '\n');
    return command_print(context, &line);
}

int command_print_json(struct command_context *context, const struct json *document)
{
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, (size_t)1 << 30);
    json_write(document, false, &text);
    strbuf_putc(&text, '\n');
    return command_print(context, &text);
}

void command_say_timing(struct command_context *context)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    timing_write(&context->timing, &lines);
    for (size_t i = 0; i < lines.count; i++) {
        terminal_note(context->terminal, "%s", lines.items[i]);
    }
}

/* What a node has no room for was given its hint where it was heard; what is left is this
 * machine's. */
static struct error advise(const struct command_context *context, const struct error *err)
{
    struct error said = *err;
    if (said.code == ERR_NO_SPACE && said.hint[0] == '\0' && context->home != NULL) {
        (void)error_hint(&said, "errand gc frees space on this machine, in %s",
                         context->home->state);
    }
    return said;
}

static void add_error(struct json *document, const struct error *err)
{
    struct json *error = json_add(document, "error", json_new_object());
    json_add_string(error, "code", error_code_name(err->code));
    json_add_string(error, "message", err->text);
    json_add_string(error, "hint", err->hint[0] == '\0' ? NULL : err->hint);
}

int command_fail(struct command_context *context, bool is_json, const struct error *err,
                 int status)
{
    if (err->code == ERR_IO && err->sys == EPIPE) {
        return status;
    }
    struct error said = advise(context, err);
    if (!is_json) {
        terminal_error(context->terminal, &said);
        return status;
    }
    CLEANUP_JSON struct json *document = json_new_object();
    add_error(document, &said);
    command_print_json(context, document);
    return status;
}

void command_fail_in(struct command_context *context, struct json *document,
                     const struct error *err)
{
    if (document == NULL) {
        (void)command_fail(context, false, err, 0);
    } else if (json_get(document, "error") == NULL) {
        struct error said = advise(context, err);
        add_error(document, &said);
    }
}

int command_check_runs(struct command_context *context, char *const *names, size_t count,
                       struct error *err)
{
    int result = command_history(context, err) == NULL ? -1 : 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        struct history_run run;
        history_run_init(&run);
        result = history_find(context->history, names[i], &run, err);
        history_run_release(&run);
    }
    return result;
}

int command_fail_usage(struct command_context *context, const struct cli_command *command,
                       bool is_json, struct error *err)
{
    if (err->hint[0] == '\0') {
        error_hint(err, "see: errand help %s", command->name);
    }
    return command_fail(context, is_json, err,
                        command->usage_status == 0 ? 2 : command->usage_status);
}
