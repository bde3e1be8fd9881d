/*
 * preparing: shows how a run's environment is made.            [controller]
 *
 * Fed with what comes of prepare.log and with the run's states. On a terminal there is
 * one line that is rewritten: how long it has taken, and what the builder said last.
 * Elsewhere, or where all is wanted, each line of the log goes to stderr. When the
 * environment is there one line says what it is.
 */
#ifndef CONTROLLER_PREPARING_H
#define CONTROLLER_PREPARING_H

#include "common/loop.h"
#include "common/runstate.h"
#include "controller/home.h"
#include "controller/terminal.h"

struct preparing;

/* terminal and loop are borrowed. want_lines: each line also on a terminal. status: what
 * is known already, and is not told again. */
struct preparing *preparing_new(struct terminal *terminal, struct loop *loop,
                                bool want_lines, const struct run_status *status);
void preparing_free(struct preparing *p);
DEFINE_CLEANUP_FREE(preparing)

/* The next bytes of prepare.log. */
void preparing_feed(struct preparing *p, const void *data, size_t length);
/* What the run's journal says now; called after each further line. */
void preparing_follow(struct preparing *p, const struct run_status *status);
/* True where it has shown lines of the log, as they were. */
bool preparing_has_shown(const struct preparing *p);

/* How it ended badly: the last lines of the build log at home, where there is one. */
void preparing_show_end(struct terminal *terminal, const struct home *home,
                        const char *run);

#endif
