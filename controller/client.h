/*
 * client: a connection to a node's executor, from nothing to requests. [controller]
 *
 * Opens the transport, waits for the marker past the noise, brings the executor there
 * where it is missing (install.h), sends HELLO, and then runs a peer over the link in a
 * loop, with keepalive. Requests are structs with callbacks; one connection carries
 * several at once.
 *
 * client_wait returns as soon as the marker is there. A lost link is ERR_LINK: the
 * caller decides whether to connect again (client_backoff).
 */
#ifndef CONTROLLER_CLIENT_H
#define CONTROLLER_CLIENT_H

#include "common/loop.h"
#include "common/peer.h"
#include "controller/command.h"
#include "controller/keeper.h"
#include "controller/transport.h"

struct client;

struct client_node {
    char store[33], node[OID_HEX_SIZE], boot[40];
    char *version, *platform, *root;
    int64_t clock_skew_ms; /* node minus controller */
    bool was_installed;    /* the executor was brought along by this connection */
};

struct client_step {  /* what client_connect did, for `target check` and --timing */
    const char *name; /* "connect", "executor", ... */
    int64_t duration_ns;
    char *detail;
};

struct client_options {
    bool may_ask, want_accept_new;
    bool is_again; /* after a loss, whose waits the caller tells of: no words of ours */
    bool want_own; /* a connection of its own, though one may be kept (keeper.h) */
    struct loop *loop; /* borrowed: the caller's signals and timers go on; NULL: one of
                          the client's own */
    const bool *is_interrupted; /* borrowed until client_move or client_free; once true,
                                   connecting and client_ask end with ERR_CANCELED. May
                                   be NULL */
};

/*
 * Start connecting: the transport works while the caller does something else and, now and
 * then, steps the loop. Errors: ERR_SPAWN, ERR_CONFIG ... target and options' pointers
 * are borrowed until client_wait returns.
 */
struct client *client_start(struct command_context *context, const struct target *target,
                            const struct client_options *options, struct error *err);
/*
 * Wait until the executor speaks. A server that has no room for a connection is asked a
 * few times more, which a note tells of, unless is_again. After an error the client can
 * only be freed. Errors: ERR_CONNECT, ERR_BUSY (no room), ERR_HOST_KEY, ERR_LOGIN,
 * ERR_BOOTSTRAP, ERR_TIMED_OUT, ERR_VERSION, ERR_CANCELED ... with phase, host and port,
 * cause, hint.
 */
int client_wait(struct client *client, struct error *err);
/* True once client_wait has returned 0. */
bool client_is_open(const struct client *client);
/* Both. */
struct client *client_connect(struct command_context *context,
                              const struct target *target,
                              const struct client_options *options, struct error *err);
void client_free(struct client *client);
DEFINE_CLEANUP_FREE(client)

/* What the executor said of its node. Borrowed. */
const struct client_node *client_node(const struct client *client);
/* What connecting took. Borrowed. */
const struct client_step *client_steps(const struct client *client, size_t *out_count);
/* The transport's name, and why it was chosen. Borrowed. */
const char *client_transport(const struct client *client, const char **out_reason);
/* What the transport knows of the link, for `target check`; NULL where nothing. The
 * caller's to free. */
struct json *client_link_facts(const struct client *client);
/* The loop, for timers and signals of the caller. */
struct loop *client_loop(struct client *client);
struct peer *client_peer(struct client *client);

/*
 * A request in progress. event is called for every event of its stream; returns -1 (with
 * err) to end client_run with that error. room is called when more output may be queued
 * (pushes); may be NULL.
 */
struct client_request {
    void *context;
    int (*event)(void *context, const struct peer_event *event, struct error *err);
    int (*room)(void *context, struct error *err);
    bool gives_credit; /* event calls peer_consumed for its DATA, sooner or later */
};
/* Open a stream and register the handler (borrowed until the stream is over). 0: too many
 * streams (ERR_BUSY). */
uint32_t client_open(struct client *client, const struct client_request *request,
                     struct error *err);
/* From now on another handler takes the stream's events. What is over is ignored. */
void client_rebind(struct client *client, uint32_t stream,
                   const struct client_request *request);
/* To be called by a handler: the events behind this one are handed out by the next step,
 * so that its caller can first make ready for them. */
void client_pause(struct client *client);
/* The answer is no longer wanted: the stream is reset and its handler forgotten. Ended
 * streams and 0 are ignored. */
void client_abandon(struct client *client, uint32_t stream);
/* True where it goes through a keeper: that it was lost says nothing of the node. */
bool client_is_shared(const struct client *client);
/* True while a link to the target is kept for the next command. */
bool client_is_kept(struct command_context *context, const struct target *target);
/* End the link that is kept, if any. Errors: keeper_end's. */
int client_disconnect(struct command_context *context, const struct target *target,
                      bool *out_was_there, struct error *err);

/* ---- what the keeper does with a connection ---- */

/* Nothing is under way and nothing failed: the link may serve somebody else. False for a
 * connection that goes through a keeper. */
bool client_is_idle(const struct client *client);
/* When something last came (clock_monotonic_ns). */
int64_t client_heard_ns(const struct client *client);
/* Have nothing on the loop any more; on another one from now on, where there is one
 * (borrowed). */
void client_move(struct client *client, struct loop *loop);
/* Free what this process has of it: a child that was forked goes on with it. */
void client_disown(struct client *client);
/* What the executor said when the connection began, borrowed; and where the link is to be
 * kept. */
const struct json *client_facts(const struct client *client);
const struct keeper_place *client_place(const struct client *client);

/* Write what can be written and wait for events once. Errors: as client_run. */
int client_step(struct client *client, struct error *err);
/* Handle events until *done is true. Errors: ERR_LINK, ERR_PROTOCOL, or a handler's. */
int client_run(struct client *client, const bool *done, struct error *err);

/* One request with one answer: send message, collect the REPORTs (may be NULL) until END.
 * *out_end is the caller's. Errors: as client_run; ERR_CANCELED. */
int client_ask(struct client *client, enum message_type type, const struct json *body,
               int (*report)(void *context, const struct json *report, struct error *err),
               void *context, struct json **out_end, struct error *err);

/* What an ERROR of the node says, with the target's name in front; where the node has no
 * room, also which folder is full and what frees it. */
void client_take_error(const struct client *client, const struct json *body,
                       struct error *out);

/* Full-jitter exponential delay before try n (from 0): 0.5 s ... 60 s. */
int64_t client_backoff_ms(unsigned n);

#endif
