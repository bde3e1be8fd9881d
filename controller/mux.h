/*
 * mux: several controllers on one connection to an executor, without I/O. [controller]
 *
 * What the keeper (keeper.h) does with the frames. To each of its clients it plays the
 * executor, with a peer of its own; to the executor it is one controller. A client's
 * stream is opened again on the link, under a number of the link, and every message goes
 * through as it came; no body names a stream. So whatever one client does wrong ends at
 * its own peer.
 *
 * Credit goes from end to end: a client gets credit for what the executor gave credit
 * for, and the executor for what the client did, so that what waits here is bounded by
 * what one end granted, and no client's silence holds up another.
 *
 * The link is given as a few functions, because its owner has callbacks of its own.
 *
 * Life: mux_new -> mux_join -> mux_input, mux_output ... -> mux_leave -> mux_free.
 */
#ifndef CONTROLLER_MUX_H
#define CONTROLLER_MUX_H

#include "common/peer.h"

struct mux;
struct mux_client;

/* What the mux does with an event of one of its streams on the link: mux_from_link. */
typedef int mux_handler(void *stream, const struct peer_event *event, struct error *err);

struct mux_link {
    struct peer *peer; /* a controller's; borrowed, as long as the mux lives */
    void *context;
    /* Open a stream, whose events go to handler(stream, ...). Nothing of its DATA is
     * consumed (peer_consumed) but by the mux. 0: too many are open. */
    uint32_t (*open)(void *context, mux_handler *handler, void *stream);
    /* Reset the stream and forget its handler. */
    void (*abandon)(void *context, uint32_t stream);
};

struct mux *mux_new(const struct mux_link *link);
/* With all clients that are left. */
void mux_free(struct mux *mux);
DEFINE_CLEANUP_FREE(mux)

/* One more client, which says HELLO first, as to any executor. */
struct mux_client *mux_join(struct mux *mux);
/* The client is gone: what it still had open is reset. NULL is ignored. */
void mux_leave(struct mux_client *client);

/* Take what a client sent. Errors: it broke the protocol; it can only leave. */
int mux_input(struct mux_client *client, const void *data, size_t length,
              struct error *err);
/* What goes to the client: as peer_output. */
const void *mux_output(struct mux_client *client, size_t *out_length);
void mux_output_done(struct mux_client *client, size_t length);
/* Bytes that wait for the client. */
size_t mux_pending(const struct mux_client *client);

/* Bytes of the client's DATA that wait for the link. */
size_t mux_queued(const struct mux_client *client);

/* The link is over: every client gets this as the connection's ERROR, which overtakes
 * what still waits for it. */
void mux_tell(struct mux *mux, const struct error *cause);

/* Hand credit on, both ways: after input on either side. */
void mux_settle(struct mux *mux);

#endif
