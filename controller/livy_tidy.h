/*
 * livy_tidy: the round in a Livy's cluster that nobody asked for.            [controller]
 *
 * A node tidies itself at a connection's end (executor/tidy.h); a cluster behind a Livy
 * has nobody of ours. So a command that gave it a run, which therefore has the password,
 * leaves a process behind where a round is due: once in tidy.every, behind all others,
 * and noted in state/livy (FORMATS.md 5). What goes is livy_collect's decision.
 */
#ifndef CONTROLLER_LIVY_TIDY_H
#define CONTROLLER_LIVY_TIDY_H

#include "controller/command.h"
#include "controller/target.h"

/* Where a round is due once the command is over: whose; else NULL. A folder that was
 * never noted is noted instead: in a new one there is nothing to do. password: copied;
 * may be NULL. */
struct livy_tidy *livy_tidy_plan(struct command_context *context,
                                 const struct target *target, const char *password);
void livy_tidy_free(struct livy_tidy *tidy);

/* For people: append when that was last done for this target, and what it freed. */
void livy_tidy_describe(const struct home *home, const struct target *target,
                        struct strbuf *out);

/* The command is over, its context released: leave the process behind, and free tidy.
 * NULL is ignored. argv: main's. */
void livy_tidy_leave(struct livy_tidy *tidy, char **argv);

#endif
