#include "controller/mux.h"

#include <stdlib.h>

#include "common/mem.h"

/* A stream of a client and its twin on the link. */
struct mux_stream {
    struct mux_client *client; /* NULL: free */
    enum stream_kind kind;
    uint32_t client_number, link_number;
    /* DATA that went through and was not given back as credit. */
    size_t up_bytes, down_bytes;
};

struct mux_client {
    struct mux *mux;
    struct mux_client *next;
    struct peer *peer;
};

struct mux {
    struct mux_link link;
    struct mux_client *clients;
    struct mux_stream streams[PEER_STREAMS_MAX];
};

struct mux *mux_new(const struct mux_link *link)
{
    struct mux *mux = xcalloc(1, sizeof(*mux));

    mux->link = *link;
    return mux;
}

void mux_free(struct mux *mux)
{
    if (mux == NULL) {
        return;
    }
    while (mux->clients != NULL) {
        mux_leave(mux->clients);
    }
    free(mux);
}

struct mux_client *mux_join(struct mux *mux)
{
    struct mux_client *client = xcalloc(1, sizeof(*client));

    client->mux = mux;
    client->peer = peer_new(PEER_EXECUTOR);
    client->next = mux->clients;
    mux->clients = client;
    return client;
}

static void abandon(struct mux *mux, struct mux_stream *stream)
{
    mux->link.abandon(mux->link.context, stream->link_number);
    stream->client = NULL;
}

void mux_leave(struct mux_client *client)
{
    if (client == NULL) {
        return;
    }
    struct mux *mux = client->mux;
    struct mux_client **at = &mux->clients;

    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        if (mux->streams[i].client == client) {
            abandon(mux, &mux->streams[i]);
        }
    }
    while (*at != client) {
        at = &(*at)->next;
    }
    *at = client->next;
    peer_free(client->peer);
    free(client);
}

/* ---- from the link ---- */

static int from_link(void *opaque, const struct peer_event *event, struct error *err)
{
    struct mux_stream *stream = opaque;
    struct peer *peer = stream->client->peer;

    (void)err;
    if (event->type == MSG_DATA) {
        /* There is credit: the link's window is never larger than the client's. */
        stream->down_bytes += event->length;
        peer_send_data(peer, stream->client_number, event->data, event->length,
                       event->is_last);
        return 0;
    }
    if (event->type == MSG_ERROR) { /* as much of it as fits in any case */
        struct error cause = ERROR_INIT;
        message_to_error(event->json, &cause);
        peer_send_error(peer, stream->client_number, &cause);
    } else {
        peer_send(peer, stream->client_number, event->type, event->json);
    }
    if (event->ended) {
        stream->client = NULL;
    }
    return 0;
}

/* ---- from a client ---- */

static struct mux_stream *find(struct mux *mux, const struct mux_client *client,
                               uint32_t number)
{
    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        if (mux->streams[i].client == client &&
            (client == NULL || mux->streams[i].client_number == number)) {
            return &mux->streams[i];
        }
    }
    return NULL;
}

static void refuse(struct mux_client *client, uint32_t number)
{
    struct error busy = ERROR_INIT;

    error_set(&busy, ERR_BUSY,
              "too many requests at once on the connection that is kept");
    peer_send_error(client->peer, number, &busy);
}

static void open_stream(struct mux_client *client, const struct peer_event *event)
{
    struct mux *mux = client->mux;
    struct mux_stream *stream = find(mux, NULL, 0);
    bool can_open =
        !stream_takes_packs(event->stream_kind) || peer_can_push(mux->link.peer);
    uint32_t number = can_open && stream != NULL
                          ? mux->link.open(mux->link.context, from_link, stream)
                          : 0;

    if (number == 0) {
        refuse(client, event->stream);
        return;
    }
    *stream = (struct mux_stream){
        .client = client,
        .kind = event->stream_kind,
        .client_number = event->stream,
        .link_number = number,
    };
    peer_send(mux->link.peer, number, event->type, event->json);
}

static void pass_on(struct mux_client *client, const struct peer_event *event)
{
    struct mux *mux = client->mux;
    struct mux_stream *stream = find(mux, client, event->stream);

    if (stream == NULL) { /* it crossed with the end */
        return;
    }
    if (event->type == MSG_RESET) {
        abandon(mux, stream);
    } else if (event->type == MSG_DATA) {
        stream->up_bytes += event->length;
        peer_send_data(mux->link.peer, stream->link_number, event->data, event->length,
                       event->is_last);
    } else {
        peer_send(mux->link.peer, stream->link_number, event->type, event->json);
    }
}

int mux_input(struct mux_client *client, const void *data, size_t length,
              struct error *err)
{
    struct peer_event event;
    int more;

    if (peer_input(client->peer, data, length, err) < 0) {
        return -1;
    }
    while ((more = peer_next(client->peer, &event, err)) == 1) {
        if (event.stream == 0) { /* HELLO: the link had it from whoever opened it */
            continue;
        }
        if (event.opened) {
            open_stream(client, &event);
        } else {
            pass_on(client, &event);
        }
    }
    return more;
}

const void *mux_output(struct mux_client *client, size_t *out_length)
{
    return peer_output(client->peer, out_length);
}

void mux_output_done(struct mux_client *client, size_t length)
{
    peer_output_done(client->peer, length);
}

size_t mux_pending(const struct mux_client *client)
{
    return peer_pending(client->peer);
}

size_t mux_queued(const struct mux_client *client)
{
    const struct mux *mux = client->mux;
    size_t bytes = 0;

    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        if (mux->streams[i].client == client) {
            bytes += peer_data_queued(mux->link.peer, mux->streams[i].link_number);
        }
    }
    return bytes;
}

void mux_tell(struct mux *mux, const struct error *cause)
{
    for (struct mux_client *c = mux->clients; c != NULL; c = c->next) {
        peer_send_error(c->peer, 0, cause);
    }
}

/* ---- credit ---- */

/*
 * Of so many bytes that went through, those whose sender may now have credit for: a
 * sender's window is the smaller of what it began with and what the receiver behind us
 * has left for us.
 */
static size_t settled(size_t passed_bytes, uint32_t initial_credit, size_t credit)
{
    size_t owed = credit < initial_credit ? initial_credit - credit : 0;

    return passed_bytes > owed ? passed_bytes - owed : 0;
}

static void settle(const struct mux *mux, struct mux_stream *stream)
{
    struct peer *link = mux->link.peer;
    struct peer *client = stream->client->peer;
    size_t up = settled(stream->up_bytes, stream_credit_to_executor(stream->kind),
                        peer_credit(link, stream->link_number));
    size_t down = settled(stream->down_bytes, stream_credit_to_controller(stream->kind),
                          peer_credit(client, stream->client_number));

    if (up > 0) {
        stream->up_bytes -= up;
        peer_consumed(client, stream->client_number, up);
    }
    if (down > 0) {
        stream->down_bytes -= down;
        peer_consumed(link, stream->link_number, down);
    }
}

void mux_settle(struct mux *mux)
{
    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        if (mux->streams[i].client != NULL) {
            settle(mux, &mux->streams[i]);
        }
    }
}
