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

#include "controller/fetch.h"
#include "controller/watch.h"

struct following {
    struct command_context *context;
    struct loop *loop;
    struct interrupt interrupt;
    struct target *target;
    struct watch watch;
    bool is_json, want_timing;
    const char *to; /* --to DIR, or NULL */
    /* Where not NULL, what following_go would report as its failure is put here instead.
     */
    struct error *failure;
};

/* Open configuration, history, loop and signals. target_name NULL: the configured one. */
int following_init(struct following *f, struct command_context *context,
                   const char *target_name, struct error *err);
/*
 * As following_init, for the target that run is on. Where that is not configured any more
 * but all of the run is at home, f->target is NULL: nobody has to be asked.
 */
int following_init_run(struct following *f, struct command_context *context,
                       const struct history_run *run, struct error *err);
/* Find the run of that name, and the same. Errors: also history_find's. */
int following_open(struct following *f, struct command_context *context, const char *name,
                   struct history_run *run, struct error *err);
/* A run is followed where it is: on a node that has accepted it. An errand that was ended
 * before it heard so has left the question open: ask. Errors: ERR_NOT_FOUND (no node has
 * it), ERR_BUSY (another errand is sending it), refresh_acceptance's. */
int following_check_accepted(struct following *f, struct history_run *run,
                             struct error *err);
void following_release(struct following *f);

/* True where the run has ended and its log and outputs were brought home: no connection
 * is needed. */
bool following_is_at_home(const struct history_run *run);
/* Connect, where that was not done. Errors: client_connect's; ERR_NOT_FOUND where the
 * target is gone. */
int following_connect(struct following *f, const struct history_run *run,
                      struct error *err);
/* Write the outputs of a run that was collected to the folder to, once more: from the
 * store, or where collection took them, from the node. Errors: fetch_write's, and those
 * of fetching. */
int following_write_outputs(struct following *f, const struct history_run *run,
                            const char *to, struct error *err);

/* Bring home what there is now of log and metrics. A node that is not reached is said; it
 * is no failure. Errors: watch_run's. */
int following_update(struct following *f, struct history_run *run, struct error *err);

/*
 * Go along with run until it ended, then collect and report. Returns the program's exit
 * status: the run's own, 130 after an interrupt, EXIT_ERRAND for errand's own failures,
 * which were reported.
 */
int following_go(struct following *f, struct history_run *run);

/*
 * Bring the outputs of a run that ended, whose log is at home, home as well, over a link
 * that may break, and tell the node. Out parameters as fetch_collect; errors too, and
 * watch_reconnect's.
 */
int following_collect(struct following *f, struct history_run *run, char **out_path,
                      struct fetch_result *result, struct error *err);

/* The run's row, fresh. Errors: history_find's. */
int following_reload(struct following *f, struct history_run *run, struct error *err);

#endif
