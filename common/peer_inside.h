/*
 * peer_inside: what peer.c (streams, sending) and peer_input.c (receiving) share; for
 * them alone.            [wire]
 */
#ifndef COMMON_PEER_INSIDE_H
#define COMMON_PEER_INSIDE_H

#include "common/outbox.h"
#include "common/peer.h"

enum stream_state {
    STREAM_FREE = 0,
    STREAM_RESERVED, /* controller: numbered, its opening message is not yet queued */
    STREAM_OPEN,
    STREAM_RESET, /* controller: RESET was sent, the end has not come */
    STREAM_OVER,  /* executor: the end is queued and may not be written yet */
};

#define PEER_PING_SIZE 8 /* bytes of our own PINGs: their number */

struct stream {
    enum stream_state state;
    uint32_t number;
    enum stream_kind kind;
    const struct message_row *request; /* NULL: SECRETS came, SUBMIT has not */
    uint32_t send_credit;
    uint32_t receive_credit;
    uint32_t unconsumed; /* DATA taken in and not yet given back as credit */
    uint32_t owed;       /* consumed, to go into the next CREDIT */
};

struct peer {
    enum peer_side side;
    struct stream streams[PEER_STREAMS_MAX]; /* i has slot i + 1 of the outbox */
    uint32_t next_number;                    /* controller: peer_open's next */
    uint32_t highest;                        /* of the streams that were opened */
    bool has_hello;
    uint64_t pings_sent, pings_answered;
    struct strbuf input;
    size_t input_start; /* bytes before it were taken as events */
    struct json *json;  /* of the last event */
    struct outbox *outbox;
    struct error error; /* the final one */
};

/* The stream's slot in the outbox. */
size_t peer_slot(const struct peer *peer, const struct stream *stream);
/* The stream of that number, whatever its state; NULL where there is none. */
struct stream *peer_find(struct peer *peer, uint32_t number);
/* A place for one more; NULL: all are taken. */
struct stream *peer_find_free(struct peer *peer);
/* Begin the stream of this number that row opens. */
void peer_begin(struct peer *peer, struct stream *stream, uint32_t number,
                const struct message_row *row);
/* Nothing more follows on the stream: the executor has queued its end, or the controller
 * has got it. */
void peer_end(struct peer *peer, struct stream *stream);
/* True for what ends a stream. */
bool peer_is_final(enum message_type type);
/* Queue a frame, as it is. */
void peer_queue(struct peer *peer, size_t slot, enum outbox_class class, uint32_t number,
                enum message_type type, uint8_t flags, const void *payload,
                size_t length);

#endif
