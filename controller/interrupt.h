/*
 * interrupt: what Ctrl-C and other signals mean while a run is followed. [controller]
 *
 * The first Ctrl-C on a terminal says how to come back and waits two seconds for a
 * second, which means that the person wants to be asked whether to cancel. Elsewhere, and
 * for SIGTERM and SIGHUP, the first ends the following at once. The run itself is never
 * touched from here, and so the exit status is the same whatever the signal: 128 + n
 * would say that the run died by it.
 */
#ifndef CONTROLLER_INTERRUPT_H
#define CONTROLLER_INTERRUPT_H

#include "common/loop.h"
#include "controller/terminal.h"

#define EXIT_INTERRUPTED 130 /* errand was asked to end; the run goes on */

struct interrupt {
    struct loop *loop;
    struct terminal *terminal;
    const char *run;             /* borrowed; NULL: nothing to come back to yet */
    bool is_interrupted;         /* stop what is going on */
    bool wants_cancel;           /* a second Ctrl-C came in time */
    struct loop_timer *patience; /* the two seconds */
};

/* Take SIGINT, SIGTERM and SIGHUP in loop, which has to outlive it; SIGPIPE is ignored
 * from now on. */
int interrupt_init(struct interrupt *interrupt, struct loop *loop,
                   struct terminal *terminal, struct error *err);
/* Say that the run, where there is one, goes on, and how to come back to it. */
void interrupt_say_goes_on(const struct interrupt *interrupt);
/* The person was asked and wants to go on following. */
void interrupt_reset(struct interrupt *interrupt);
#endif
