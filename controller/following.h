/*
 * following: what run, follow, logs and wait have in common.            [controller]
 *
 * A struct following holds the pieces that a verb needs to go along with a run: its own
 * loop, the interrupt, the target, the watch. The end of a run is told in one place
 * (following_finish): outputs are collected, a closing line is printed, the exit status
 * is made.
 */
#ifndef CONTROLLER_FOLLOWING_H
#define CONTROLLER_FOLLOWING_H

#include "controller/watch.h"

struct following {
    struct command_context *context;
    struct loop *loop;
    struct interrupt interrupt;
    struct target *target;
    struct watch watch;
    bool is_json;
    const char *to; /* --to DIR, or NULL */
};

/* Open configuration, history, loop and signals. target_name NULL: the configured one. */
int following_init(struct following *f, struct command_context *context,
                   const char *target_name, struct error *err);
void following_release(struct following *f);

/*
 * Go along with run until it ended, then collect and report. Returns the program's exit
 * status: the run's own, 130 after Ctrl-C, EXIT_ERRAND for errand's own failures, which
 * were reported.
 */
int following_go(struct following *f, struct history_run *run);

/* The run's row, fresh. Errors: history_find's. */
int following_reload(struct following *f, struct history_run *run, struct error *err);

#endif
