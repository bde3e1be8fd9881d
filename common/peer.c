#include "common/peer.h"

#include <assert.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "common/peer_inside.h"

_Static_assert(OUTBOX_SLOTS == PEER_STREAMS_MAX + 1, "a slot for every stream");

struct peer *peer_new(enum peer_side side)
{
    struct peer *peer = xcalloc(1, sizeof(*peer));

    peer->side = side;
    peer->next_number = 1;
    strbuf_init(&peer->input, PEER_INPUT_MAX);
    peer->outbox = outbox_new();
    return peer;
}

void peer_free(struct peer *peer)
{
    if (peer == NULL) {
        return;
    }
    strbuf_release(&peer->input);
    json_free(peer->json);
    outbox_free(peer->outbox);
    free(peer);
}

/* --- streams -------------------------------------------------------------------------
 */

size_t peer_slot(const struct peer *peer, const struct stream *stream)
{
    return (size_t)(stream - peer->streams) + 1;
}

/* Over, and nothing of it is left to be written. */
static bool is_free(const struct peer *peer, const struct stream *stream)
{
    return stream->state == STREAM_FREE ||
           (stream->state == STREAM_OVER &&
            outbox_slot_bytes(peer->outbox, peer_slot(peer, stream)) == 0);
}

static const struct stream *find_stream(const struct peer *peer, uint32_t number)
{
    for (size_t i = 0; number != 0 && i < PEER_STREAMS_MAX; i++) {
        if (peer->streams[i].number == number && peer->streams[i].state != STREAM_FREE) {
            return &peer->streams[i];
        }
    }
    return NULL;
}

struct stream *peer_find(struct peer *peer, uint32_t number)
{
    const struct stream *stream = find_stream(peer, number);

    return stream != NULL ? &peer->streams[stream - peer->streams] : NULL;
}

/* The stream, where this side may still send on it; else NULL. */
static struct stream *find_open(struct peer *peer, uint32_t number)
{
    struct stream *stream = peer_find(peer, number);

    return stream != NULL &&
                   (stream->state == STREAM_OPEN || stream->state == STREAM_RESERVED)
               ? stream
               : NULL;
}

struct stream *peer_find_free(struct peer *peer)
{
    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        if (is_free(peer, &peer->streams[i])) {
            return &peer->streams[i];
        }
    }
    return NULL;
}

static size_t count_pushes(const struct peer *peer)
{
    size_t count = 0;

    for (size_t i = 0; i < PEER_STREAMS_MAX; i++) {
        const struct stream *stream = &peer->streams[i];

        if (!is_free(peer, stream) && stream->state != STREAM_RESERVED &&
            stream_takes_packs(stream->kind)) {
            count++;
        }
    }
    return count;
}

void peer_begin(struct peer *peer, struct stream *stream, uint32_t number,
                const struct message_row *row)
{
    uint32_t to_executor = stream_credit_to_executor(row->opens);
    uint32_t to_controller = stream_credit_to_controller(row->opens);
    bool is_controller = peer->side == PEER_CONTROLLER;

    *stream = (struct stream){
        .state = STREAM_OPEN,
        .number = number,
        .kind = row->opens,
        .request = row->type == MSG_SECRETS ? NULL : row,
        .send_credit = is_controller ? to_executor : to_controller,
        .receive_credit = is_controller ? to_controller : to_executor,
    };
    peer->highest = number;
}

/* This side learns or decides that nothing more follows on the stream. */
void peer_end(struct peer *peer, struct stream *stream)
{
    if (peer->side == PEER_CONTROLLER) {
        outbox_drop(peer->outbox, peer_slot(peer, stream));
        stream->state = STREAM_FREE;
    } else {
        stream->state = STREAM_OVER;
    }
}

bool peer_is_final(enum message_type type)
{
    return type == MSG_END || type == MSG_ERROR || type == MSG_ACCEPTED;
}

uint32_t peer_open(struct peer *peer)
{
    struct stream *stream = peer_find_free(peer);

    assert(peer->side == PEER_CONTROLLER);
    if (stream == NULL || peer->next_number == UINT32_MAX) {
        return 0;
    }
    *stream = (struct stream){.state = STREAM_RESERVED, .number = peer->next_number++};
    return stream->number;
}

bool peer_can_push(const struct peer *peer)
{
    return count_pushes(peer) < PEER_PUSHES_MAX;
}

bool peer_is_open(const struct peer *peer, uint32_t stream)
{
    const struct stream *s = find_stream(peer, stream);

    return s != NULL && (s->state == STREAM_OPEN || s->state == STREAM_RESERVED);
}

/* --- sending -------------------------------------------------------------------------
 */

void peer_queue(struct peer *peer, size_t slot, enum outbox_class class, uint32_t number,
                enum message_type type, uint8_t flags, const void *payload, size_t length)
{
    struct frame_header header = {.length = (uint32_t)length,
                                  .type = (uint8_t)type,
                                  .flags = flags,
                                  .stream = number};

    outbox_add(peer->outbox, slot, class, &header, payload);
}

static bool may_send(const struct peer *peer, const struct message_row *row)
{
    unsigned self = peer->side == PEER_CONTROLLER ? SENDER_CONTROLLER : SENDER_EXECUTOR;

    return (row->sender & self) != 0;
}

static void send_on_connection(struct peer *peer, const struct message_row *row,
                               const struct strbuf *body)
{
    assert((row->streams & 1u << STREAM_CONNECTION) != 0);
    peer_queue(peer, 0, OUTBOX_CONTROL, 0, row->type, 0, body->data, body->length);
}

/* Take the stream through what sending this message does to it. */
static enum outbox_class advance(struct peer *peer, struct stream *stream,
                                 const struct message_row *row)
{
    if (stream->state == STREAM_RESERVED) {
        assert(row->opens_stream && stream->number > peer->highest);
        assert(!stream_takes_packs(row->opens) || peer_can_push(peer));
        peer_begin(peer, stream, stream->number, row);
        return OUTBOX_OPENING;
    }
    assert((row->streams & 1u << stream->kind) != 0);
    if (row->opens_stream) {
        assert(stream->request == NULL && row->type == MSG_SUBMIT);
        stream->request = row;
        return OUTBOX_OPENING;
    }
    if (row->type == MSG_RESET) {
        outbox_drop(peer->outbox, peer_slot(peer, stream));
        stream->state = STREAM_RESET;
    }
    return OUTBOX_CONTROL;
}

static void send_on_stream(struct peer *peer, uint32_t number,
                           const struct message_row *row, const struct strbuf *body)
{
    struct stream *stream = find_open(peer, number);
    enum outbox_class class;

    if (stream == NULL) {
        return;
    }
    if (stream->state == STREAM_RESERVED && row->type == MSG_RESET) {
        stream->state = STREAM_FREE;
        return;
    }
    class = advance(peer, stream, row);
    peer_queue(peer, peer_slot(peer, stream), class, number, row->type, 0, body->data,
               body->length);
    if (peer_is_final(row->type)) {
        peer_end(peer, stream);
    }
}

void peer_send(struct peer *peer, uint32_t stream, enum message_type type,
               const struct json *json)
{
    const struct message_row *row = message_row((uint8_t)type);
    struct strbuf body;

    assert(row != NULL && row->body != BODY_RAW && may_send(peer, row));
    assert((json != NULL) == (row->body == BODY_JSON));
    strbuf_init(&body, SIZE_MAX);
    if (json != NULL) {
        json_write(json, false, &body);
    }
    if (body.length > row->max_bytes) {
        struct error too_large = ERROR_INIT;

        assert(peer->side == PEER_EXECUTOR && type != MSG_ERROR);
        error_set(&too_large, ERR_LIMIT, "%s: %zu bytes do not fit into one message",
                  row->name, body.length);
        peer_send_error(peer, stream, &too_large);
    } else if (stream == 0) {
        send_on_connection(peer, row, &body);
    } else {
        send_on_stream(peer, stream, row, &body);
    }
    strbuf_release(&body);
}

void peer_send_error(struct peer *peer, uint32_t stream, const struct error *cause)
{
    CLEANUP_JSON struct json *body = message_from_error(cause);

    peer_send(peer, stream, MSG_ERROR, body);
}

void peer_send_data(struct peer *peer, uint32_t stream, const void *data, size_t length,
                    bool is_last)
{
    struct stream *s = find_open(peer, stream);
    const uint8_t *bytes = data;

    assert(length > 0);
    if (s == NULL) {
        return;
    }
    assert(s->state == STREAM_OPEN && length <= s->send_credit);
    s->send_credit -= (uint32_t)length;
    while (length > 0) {
        size_t part = length < FRAME_DATA_MAX ? length : FRAME_DATA_MAX;
        bool is_end = part == length;

        peer_queue(peer, peer_slot(peer, s), OUTBOX_DATA, stream, MSG_DATA,
                   is_end && is_last ? FRAME_FLAG_LAST : 0, bytes, part);
        bytes += part;
        length -= part;
    }
}

size_t peer_credit(const struct peer *peer, uint32_t stream)
{
    const struct stream *s = find_stream(peer, stream);

    return s != NULL && s->state == STREAM_OPEN ? s->send_credit : 0;
}

size_t peer_data_room(const struct peer *peer, uint32_t stream)
{
    const struct stream *s = find_stream(peer, stream);
    size_t credit = peer_credit(peer, stream);
    size_t room = 0;

    if (credit == 0) {
        return 0;
    }
    if (outbox_data_total(peer->outbox) < PEER_OUTPUT_HIGH) {
        room = PEER_OUTPUT_HIGH - outbox_data_total(peer->outbox);
    }
    /* Whatever the others have queued: nobody starves behind a stream that never ends. */
    if (room < FRAME_DATA_MAX &&
        outbox_data_bytes(peer->outbox, peer_slot(peer, s)) == 0) {
        room = FRAME_DATA_MAX;
    }
    return room < credit ? room : credit;
}

size_t peer_data_queued(const struct peer *peer, uint32_t stream)
{
    const struct stream *s = find_stream(peer, stream);

    return s != NULL ? outbox_data_bytes(peer->outbox, peer_slot(peer, s)) : 0;
}

/*
 * Consumed bytes that are worth a CREDIT: a quarter of the window, so that the sender
 * always has something to send and hears rarely. Where the window is one pack and a
 * little, the little: a sender must be able to send a whole pack before any of it is
 * consumed.
 */
static size_t credit_step(const struct peer *peer, const struct stream *stream)
{
    size_t window = peer->side == PEER_CONTROLLER
                        ? stream_credit_to_controller(stream->kind)
                        : stream_credit_to_executor(stream->kind);

    return window > PACK_WIRE_MAX ? window - PACK_WIRE_MAX : window / 4;
}

void peer_consumed(struct peer *peer, uint32_t stream, size_t length)
{
    struct stream *s = find_open(peer, stream);
    uint8_t payload[4];

    if (s == NULL) {
        return;
    }
    assert(length <= s->unconsumed);
    s->unconsumed -= (uint32_t)length;
    s->owed += (uint32_t)length;
    if (s->owed >= credit_step(peer, s)) {
        bytes_put_u32(payload, s->owed);
        peer_queue(peer, 0, OUTBOX_CONTROL, stream, MSG_CREDIT, 0, payload,
                   sizeof(payload));
        s->receive_credit += s->owed;
        s->owed = 0;
    }
}

void peer_ping(struct peer *peer)
{
    uint8_t payload[PEER_PING_SIZE];

    bytes_put_u64(payload, ++peer->pings_sent);
    peer_queue(peer, 0, OUTBOX_CONTROL, 0, MSG_PING, 0, payload, sizeof(payload));
}

bool peer_is_answered(const struct peer *peer)
{
    return peer->pings_answered == peer->pings_sent;
}

const void *peer_output(struct peer *peer, size_t *out_length)
{
    return outbox_output(peer->outbox, out_length);
}

void peer_output_done(struct peer *peer, size_t length)
{
    outbox_output_done(peer->outbox, length);
}

size_t peer_pending(const struct peer *peer)
{
    return outbox_pending(peer->outbox);
}
