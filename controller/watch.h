/*
 * watch: following a run until it ends, whatever happens to the link. [controller]
 *
 * Log bytes go home first (runlog), journal lines into the history; the screen reads what
 * is at home. A lost link says nothing about the run: it is said, tried again with
 * growing delays, and the run goes on from the offsets that are at home, so no byte is
 * lost or doubled. Only a final state from the node ends it.
 */
#ifndef CONTROLLER_WATCH_H
#define CONTROLLER_WATCH_H

#include "controller/client.h"
#include "controller/interrupt.h"

struct watch_options {
    bool want_screen;         /* show the log on stdout */
    uint64_t screen_from;     /* bytes of the log that are not shown */
    bool until_now;           /* end when everything there is has come (logs) */
    int64_t give_up_after_ms; /* 0: try for ever */
    bool may_ask, want_accept_new;
};

struct watch {
    struct command_context *context;
    const struct target *target;
    struct interrupt *interrupt;
    struct watch_options options;
    struct client
        *client; /* an open connection to begin with, or NULL; what is open afterwards */
};

/*
 * Follow run. 0: it ended, or (until_now) all there is has come, and is on the screen;
 * run->status is up to date. Errors: ERR_CANCELED (the interrupt), ERR_TIMED_OUT
 * (give_up_after), ERR_NOT_FOUND (the node does not know it), ERR_MISMATCH (another node
 * answers), ERR_HOST_KEY, ERR_LOGIN, ERR_IO with sys EPIPE (nobody reads stdout),
 * ERR_NO_SPACE (at home) ...
 */
int watch_run(struct watch *watch, struct history_run *run, struct error *err);

/*
 * Connect, and where the failure may pass by itself say so, wait, and try again until
 * watch's deadline or interrupt. first_ms: clock_monotonic time in ms at which the
 * trouble began.
 */
int watch_reconnect(struct watch *watch, int64_t since_ns, unsigned *try_count,
                    const struct error *why, struct error *err);
/* True for failures that may pass: the link, the network, a server that is busy. */
bool watch_may_pass(const struct error *err);

#endif
