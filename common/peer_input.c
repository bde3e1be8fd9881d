#include "common/peer.h"

#include <assert.h>

#include "common/bytes.h"
#include "common/peer_inside.h"

#define CREDIT_MAX (UINT32_C(1) << 30)
/* PONGs and CREDITs that may wait for an end that does not read. */
#define CONNECTION_OUTPUT_MAX ((size_t)256 << 10)

/* Note the final error; err gets it, now and ever after. */
static int fail(struct peer *peer, struct error *err)
{
    if (err != NULL) {
        *err = peer->error;
    }
    return -1;
}

int peer_input(struct peer *peer, const void *data, size_t length, struct error *err)
{
    size_t left = peer->input.length - peer->input_start;

    if (peer->error.code != ERR_NONE) {
        return fail(peer, err);
    }
    /* Move what is left only where that is less than what was taken: then no byte is
     * moved more than once on the average, however the stream is cut. */
    if (left <= peer->input_start) {
        strbuf_consume(&peer->input, peer->input_start);
        peer->input_start = 0;
    }
    if (strbuf_add(&peer->input, data, length, &peer->error) < 0) {
        error_wrap(&peer->error, "the other end sends faster than it is read");
        return fail(peer, err);
    }
    return 0;
}

/* A frame whose header was judged. */
struct arrival {
    struct frame_header header;
    const struct message_row *row;
    struct stream *stream; /* NULL: the connection's, or a new one's, or one that is over
                            */
    bool is_new;
    bool is_crossing; /* of a stream that is over here and may be open over there */
};

static int refuse(struct peer *peer, const struct arrival *a, const char *why)
{
    return error_set(&peer->error, ERR_PROTOCOL, "%s on stream %u: %s", a->row->name,
                     (unsigned)a->header.stream, why);
}

/* The executor's view: what the controller sends where no stream is open. */
static int place_elsewhere(struct peer *peer, struct arrival *a)
{
    if (a->header.stream <= peer->highest) {
        /* SUBMIT goes on where SECRETS began, so it may cross with an end. */
        if (a->row->opens_stream && a->row->type != MSG_SUBMIT) {
            return refuse(peer, a, "the number was used before");
        }
        a->is_crossing = true;
        return 0;
    }
    if (!a->row->opens_stream) {
        return refuse(peer, a, "there is no such stream");
    }
    if (peer_find_free(peer) == NULL) {
        return refuse(peer, a, "too many streams are open");
    }
    if (stream_takes_packs(a->row->opens) && !peer_can_push(peer)) {
        return refuse(peer, a, "too many submissions are open");
    }
    a->is_new = true;
    return 0;
}

static int place_on_open(struct peer *peer, struct arrival *a)
{
    const struct stream *stream = a->stream;

    if ((a->row->streams & 1u << stream->kind) == 0) {
        return refuse(peer, a, "it has no place in a stream of this kind");
    }
    if (stream->request == NULL && a->row->type != MSG_SUBMIT &&
        a->row->type != MSG_RESET && peer->side == PEER_EXECUTOR) {
        return refuse(peer, a, "SUBMIT must come first");
    }
    if (stream->request != NULL && a->row->opens_stream) {
        return refuse(peer, a, "the stream is open already");
    }
    if (a->row->type == MSG_SECRETS) {
        return refuse(peer, a, "it came before");
    }
    return 0;
}

static int place_on_stream(struct peer *peer, struct arrival *a)
{
    struct stream *stream = peer_find(peer, a->header.stream);

    if (stream != NULL &&
        (stream->state == STREAM_OPEN || stream->state == STREAM_RESET)) {
        a->stream = stream;
        return place_on_open(peer, a);
    }
    return peer->side == PEER_EXECUTOR ? place_elsewhere(peer, a)
                                       : refuse(peer, a, "it is not open");
}

static int place_on_connection(struct peer *peer, const struct arrival *a)
{
    if ((a->row->streams & 1u << STREAM_CONNECTION) == 0) {
        return refuse(peer, a, "it belongs to no connection");
    }
    if (a->row->type == MSG_HELLO && peer->has_hello) {
        return refuse(peer, a, "it came before");
    }
    return 0;
}

/* Judge a header before its payload is here. Changes nothing but *a and the error. */
static int judge(struct peer *peer, struct arrival *a)
{
    unsigned sender = peer->side == PEER_EXECUTOR ? SENDER_CONTROLLER : SENDER_EXECUTOR;

    a->row = message_row(a->header.type);
    if (a->row == NULL) {
        return error_set(&peer->error, ERR_PROTOCOL, "a message of unknown type %u",
                         (unsigned)a->header.type);
    }
    if ((a->row->sender & sender) == 0) {
        return refuse(peer, a, "the other end may not send it");
    }
    if (a->header.length > a->row->max_bytes) {
        return refuse(peer, a, "it is too long");
    }
    if (a->header.flags != 0 && a->row->type != MSG_DATA) {
        return refuse(peer, a, "it has a flag that only DATA has");
    }
    if (peer->side == PEER_EXECUTOR && !peer->has_hello && a->row->type != MSG_HELLO) {
        return refuse(peer, a, "HELLO must come first");
    }
    return a->header.stream == 0 ? place_on_connection(peer, a)
                                 : place_on_stream(peer, a);
}

static int take_ping(struct peer *peer, const struct arrival *a, const uint8_t *payload)
{
    if (outbox_slot_bytes(peer->outbox, 0) > CONNECTION_OUTPUT_MAX) {
        return error_set(&peer->error, ERR_LIMIT,
                         "the other end asks and does not read the answers");
    }
    peer_queue(peer, 0, OUTBOX_CONTROL, 0, MSG_PONG, 0, payload, a->header.length);
    return 0;
}

static int take_pong(struct peer *peer, const struct arrival *a, const uint8_t *payload)
{
    if (a->header.length == PEER_PING_SIZE &&
        bytes_get_u64(payload) == peer->pings_sent) {
        peer->pings_answered = peer->pings_sent;
    }
    return 0;
}

static int take_credit(struct peer *peer, const struct arrival *a, const uint8_t *payload)
{
    uint32_t credit = bytes_get_u32(payload);

    assert(a->stream != NULL); /* the table lets CREDIT come on open streams alone */
    if (credit == 0 || credit > CREDIT_MAX - a->stream->send_credit) {
        return refuse(peer, a, "no such amount can be given");
    }
    a->stream->send_credit += credit;
    return 0;
}

static int take_data(struct peer *peer, const struct arrival *a)
{
    assert(a->stream != NULL); /* as for CREDIT */
    if (a->header.length > a->stream->receive_credit) {
        return refuse(peer, a, "more than there is credit for");
    }
    a->stream->receive_credit -= a->header.length;
    a->stream->unconsumed += a->header.length;
    return 0;
}

static void take_reset(struct peer *peer, struct stream *stream)
{
    struct error canceled = ERROR_INIT;

    assert(stream != NULL);
    error_set(&canceled, ERR_CANCELED, "the controller no longer wants the answer");
    outbox_drop(peer->outbox, peer_slot(peer, stream));
    peer_send_error(peer, stream->number, &canceled);
}

/* What a message does to the streams. 1: it is an event; 0: it was the peer's own. */
static int take(struct peer *peer, struct arrival *a, const uint8_t *payload)
{
    if (a->row->type == MSG_PING) {
        return take_ping(peer, a, payload);
    }
    if (a->row->type == MSG_PONG) {
        return take_pong(peer, a, payload);
    }
    if (a->row->type == MSG_CREDIT) {
        return take_credit(peer, a, payload);
    }
    if (a->row->type == MSG_HELLO) {
        peer->has_hello = true;
    } else if (a->row->type == MSG_DATA && take_data(peer, a) < 0) {
        return -1;
    } else if (a->is_new) {
        a->stream = peer_find_free(peer);
        peer_begin(peer, a->stream, a->header.stream, a->row);
    } else if (a->row->type == MSG_SUBMIT) {
        assert(a->stream != NULL);
        a->stream->request = a->row;
    } else if (a->row->type == MSG_RESET) {
        take_reset(peer, a->stream);
    }
    return a->stream != NULL && a->stream->state == STREAM_RESET &&
                   !peer_is_final(a->row->type)
               ? 0
               : 1;
}

static void make_event(struct peer *peer, const struct arrival *a, const uint8_t *payload,
                       struct peer_event *out)
{
    *out = (struct peer_event){
        .stream = a->header.stream,
        .stream_kind = a->stream != NULL ? a->stream->kind : STREAM_CONNECTION,
        .type = a->row->type,
        .is_last = (a->header.flags & FRAME_FLAG_LAST) != 0,
        .opened = a->is_new,
        .ended = peer_is_final(a->row->type) || a->row->type == MSG_RESET,
        .json = peer->json,
        .data = payload,
        .length = a->header.length,
    };
}

/* A whole frame is here. 1: *out is an event; 0: none came of it. */
static int accept_frame(struct peer *peer, struct arrival *a, uint8_t *payload,
                        struct peer_event *out)
{
    int result;

    if (a->is_crossing) {
        return 0;
    }
    int judged =
        message_validate(a->row, payload, a->header.length, &peer->json, &peer->error);
    if (a->row->type == MSG_SECRETS) { /* its event has the JSON */
        mem_wipe(payload, a->header.length);
    }
    if (judged < 0) {
        return -1;
    }
    if (a->stream != NULL && a->stream->request != NULL &&
        message_validate_answer(a->stream->request, a->row, peer->json, &peer->error) <
            0) {
        return -1;
    }
    result = take(peer, a, payload);
    if (result <= 0) {
        return result;
    }
    make_event(peer, a, payload, out);
    if (a->stream != NULL && peer_is_final(a->row->type)) {
        peer_end(peer, a->stream);
    }
    return 1;
}

int peer_next(struct peer *peer, struct peer_event *out, struct error *err)
{
    int result = 0;

    while (result == 0 && peer->error.code == ERR_NONE) {
        uint8_t *bytes = (uint8_t *)peer->input.data + peer->input_start;
        size_t left = peer->input.length - peer->input_start;
        struct arrival a = {.row = NULL};

        json_free(TAKE_PTR(peer->json));
        if (left < FRAME_HEADER_SIZE) {
            return 0;
        }
        if (frame_decode(bytes, &a.header, &peer->error) < 0 || judge(peer, &a) < 0) {
            break;
        }
        if (left - FRAME_HEADER_SIZE < a.header.length) {
            return 0;
        }
        peer->input_start += FRAME_HEADER_SIZE + a.header.length;
        result = accept_frame(peer, &a, bytes + FRAME_HEADER_SIZE, out);
    }
    return peer->error.code != ERR_NONE ? fail(peer, err) : result;
}
