/*
 * command: what every verb gets, and the table of verbs.            [controller]
 *
 * A verb is a struct cli_command in a file cmd_<verb>.c, listed in commands.def, which is
 * the order of the help. Its run function gets a struct command_context and returns the
 * exit status of the program: design's table for run, follow and wait (0-255; their rows
 * have usage_status EXIT_ERRAND); else 0, 1 on failure, 2 on wrong usage. It reports its
 * failure itself, through command_fail, so that --json gets {"error":...}. Results go to
 * stdout through command_print and command_print_json.
 */
#ifndef CONTROLLER_COMMAND_H
#define CONTROLLER_COMMAND_H

#include "common/cli.h"
#include "common/json.h"
#include "controller/config.h"
#include "controller/history.h"
#include "controller/terminal.h"
#include "controller/timing.h"

struct client;
struct livy_tidy;

struct command_context {
    struct home *home; /* NULL until command_home, which the three below call */
    struct terminal *terminal;
    struct config *config;   /* NULL until command_config */
    struct history *history; /* NULL until command_history */
    struct store *store;     /* NULL until command_store */
    struct timing timing;    /* where the time goes */
    bool has_terminator;     /* "--" stood before the first operand */
    struct client *kept;     /* a connection that may stay (keeper.h), or NULL */
    struct livy_tidy *tidy;  /* a round for once the command is over (livy_tidy.h), or
                                NULL */
};

#define EXIT_ERRAND 125 /* run, follow, wait: everything that is errand's own */

#define COMMAND(symbol) extern const struct cli_command symbol;
#include "controller/commands.def"
#undef COMMAND

/* Started by a run's stage, and in no help (cmd_attend.c). */
extern const struct cli_command cmd_attend_livy;

/* The table: a row for each of commands.def. */
extern const struct cli_command *const command_table[];
extern const size_t command_table_count;

/* Open what a verb needs, once; borrowed from the context. NULL: err. */
struct home *command_home(struct command_context *context, struct error *err);
/* The configuration of the current folder; prints what was passed over. */
struct config *command_config(struct command_context *context, struct error *err);
struct history *command_history(struct command_context *context, struct error *err);
struct store *command_store(struct command_context *context, struct error *err);

/* The command needs the connection no more: it may stay for the next one. NULL is
 * ignored. */
void command_keep(struct command_context *context, struct client *client);

/* Close and free what was opened, the terminal and the kept connection aside. */
void command_release(struct command_context *context);

/* Print the error (as {"error":{"code","message","hint"}} on stdout where is_json) and
 * return status. Silent where the error is that nobody reads stdout any more. */
int command_fail(struct command_context *context, bool is_json, const struct error *err,
                 int status);
/*
 * For verbs that go on after a failure: print it (as terminal_error), or, where document
 * is not NULL, add it as "error", which has the first one.
 */
void command_fail_in(struct command_context *context, struct json *document,
                     const struct error *err);
/* As command_fail, for wrong usage of a verb: adds where its help is, and returns its
 * usage_status. */
int command_fail_usage(struct command_context *context, const struct cli_command *command,
                       bool is_json, struct error *err);
/* Print on stdout. 0, or exit status 1 where stdout could not be written (said on stderr,
 * unless its reader went away). */
int command_print(struct command_context *context, const struct strbuf *text);
/* A line of its own, as command_print. */
int command_print_line(struct command_context *context, const char *text);
/* Print one JSON document and a newline on stdout. As command_print. */
int command_print_json(struct command_context *context, const struct json *document);

/* Tell people where the time went so far, on stderr. */
void command_say_timing(struct command_context *context);

/* Verbs whose name begins with the word group ("target"), as help lists them. Returns how
 * many there are. */
size_t command_help_group(const char *group, struct strbuf *out);

/* Open the history and see that each name is of a run, before anything is done to one.
 * Errors: history_find's. */
int command_check_runs(struct command_context *context, char *const *names, size_t count,
                       struct error *err);

/* The run as `show --json` has it, with what its log lacks at home; home NULL: as `list
 * --json` has it. */
struct json *command_run_to_json(const struct history_run *run, const struct home *home);

#endif
