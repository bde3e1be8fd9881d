/*
 * command: what every verb gets, and the table of verbs.            [controller]
 *
 * A verb is a struct cli_command in a file cmd_<verb>.c, declared here and listed in
 * command_table.c. Its run function returns the exit status of the program: design's
 * table for run, follow and wait (0-255); else 0, 1 on failure, 2 on wrong usage. It
 * reports its failure itself, through command_fail, so that --json gets {"error":...}.
 */
#ifndef CONTROLLER_COMMAND_H
#define CONTROLLER_COMMAND_H

#include "common/cli.h"
#include "common/json.h"
#include "controller/config.h"
#include "controller/history.h"
#include "controller/terminal.h"

struct command_context {
    struct home *home;
    struct terminal *terminal;
    struct config *config;   /* NULL until command_config */
    struct history *history; /* NULL until command_history */
    struct store *store;     /* NULL until command_store */
};

#define EXIT_ERRAND 125 /* run, follow, wait: everything that is errand's own */

/* Open what a verb needs, once. NULL: err. */
struct config *command_config(struct command_context *context, struct error *err);
struct history *command_history(struct command_context *context, struct error *err);
struct store *command_store(struct command_context *context, struct error *err);

/* Print the error (as {"error":{"code","message","hint"}} on stdout where is_json) and
 * return status. */
int command_fail(struct command_context *context, bool is_json, const struct error *err,
                 int status);
/* Print one JSON document and a newline on stdout. 0, or EXIT status 1 where stdout could
 * not be written. */
int command_print_json(struct command_context *context, const struct json *document);

extern const struct cli_command *const command_table[];
extern const size_t command_table_count;

/* The run as `show --json` has it; is_short: as `list --json` has it. */
struct json *command_run_to_json(const struct history_run *run, bool is_short);

#endif
