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
#include "controller/screen.h"

#define WATCH_NEVER_AGAIN (-1)

struct watch_options {
    bool want_screen;         /* show the log on stdout */
    bool want_build_log;      /* with it, all of the build log, also on a terminal */
    bool until_now;           /* end when everything there is has come (logs) */
    int64_t give_up_after_ms; /* 0: try for ever; WATCH_NEVER_AGAIN: do not try again */
    bool may_ask, want_accept_new;
};

/* What reconnecting remembers from one loss to the next, as long as nothing got done in
 * between. */
struct watch_trouble {
    int64_t since_ns; /* when it began, monotonic; 0: all is well */
    unsigned try_count;
    int64_t said_ns, say_again_ns;
    uint64_t said_codes; /* a bit a code: causes that come and go are said once each */
    bool is_said;        /* the loss was told, its end was not yet */
};

struct watch {
    struct command_context *context;
    const struct target *target;
    struct interrupt *interrupt;
    struct watch_options options;
    struct client
        *client; /* an open connection to begin with, or NULL; what is open afterwards */
    struct watch_trouble trouble;
    struct screen_place shown;  /* how far the log was shown; watch_run goes on there */
    uint64_t prepare_shown;     /* of prepare.log, in bytes */
    bool has_shown_preparation; /* as lines */
    uint32_t ahead_stream;      /* on it, of the FOLLOW that watch_ahead sent; 0: none */
};

/*
 * Ask the node to follow a run whose SUBMIT was just queued on client: in the same
 * flight, from the beginning. watch_run with this client goes on with it; if the run is
 * not accepted, nothing comes of it. Errors: ERR_BUSY (too many streams).
 */
int watch_ahead(struct watch *watch, struct client *client, const char *run,
                struct error *err);

/*
 * Follow run. 0: it ended, or (until_now) all there is has come, and is on the screen;
 * run->status is up to date. Errors: ERR_CANCELED (the interrupt), ERR_TIMED_OUT
 * (give_up_after), ERR_NOT_FOUND (the node does not know it), ERR_MISMATCH (another node
 * answers), ERR_HOST_KEY, ERR_LOGIN, ERR_IO with sys EPIPE (nobody reads stdout),
 * ERR_NO_SPACE (at home) ...
 */
int watch_run(struct watch *watch, struct history_run *run, struct error *err);

/* Connect for the first time, with questions where they may be asked. NULL: as
 * client_connect. */
struct client *watch_connect(struct watch *watch, struct error *err);
/*
 * The link was lost, or could not be made (why): say so, wait, and try again, until there
 * is a new connection (watch->client), a failure that does not pass by itself, the
 * interrupt (ERR_CANCELED), or give_up_after has passed since the trouble began
 * (ERR_TIMED_OUT, without a hint: what the caller can say of the run).
 */
int watch_reconnect(struct watch *watch, const struct error *why, struct error *err);
/* Whether a try that failed so is to be told: the first, the first of its cause, and,
 * where no line is rewritten (is_live), one after ever longer times. Notes that it is
 * told. */
bool watch_trouble_is_news(struct watch_trouble *trouble, enum error_code code,
                           int64_t now_ns, bool is_live);
/* Something got done over the link: what comes next is new trouble, with its own time. */
void watch_is_well(struct watch *watch);
/* True for failures that may pass: the link, the network, a server that is busy. */
bool watch_may_pass(const struct error *err);

#endif
