/*
 * peer: one end of the protocol, without I/O: bytes in, events out; messages in, bytes
 * out.            [wire]
 *
 * Both ends use it. It keeps the streams, checks every frame against messages.def (who
 * may send it, where, how large, is its body valid), counts credit both ways, answers
 * PING, and orders what goes out: stream 0 and CREDIT first, then streams whose next
 * frame is a control frame, then DATA, one frame of each stream in turn. Within a stream
 * frames keep their order.
 *
 *     peer_input(bytes)  ->  peer_next ... peer_next        events
 *     peer_send*(...)    ->  peer_output, peer_output_done  bytes
 *
 * The first error is final: the connection must be closed. Streams are opened by the
 * controller, with rising numbers that are never used again; a stream ends with ERROR,
 * END or ACCEPTED from the executor, which the controller sees as an event in any case.
 * A RESET drops what its sender had queued on the stream; the executor's peer answers it
 * with ERROR canceled by itself. Frames that cross with the end of a stream or with a
 * RESET are dropped.
 *
 * Memory is bounded: what arrived by PEER_INPUT_MAX, if its owner takes all events after
 * every peer_input; output by what its owner queues: peer_data_room says how much DATA
 * may be queued now, and who reads no more input while peer_pending is large cannot be
 * made to queue answers for ever.
 */
#ifndef COMMON_PEER_H
#define COMMON_PEER_H

#include "common/mem.h"
#include "common/message.h"

#define PEER_STREAMS_MAX 64               /* open at once */
#define PEER_PUSHES_MAX 3                 /* SUBMIT streams open at once */
#define PEER_INPUT_MAX ((size_t)32 << 20) /* bytes not yet taken as events */
#define PEER_OUTPUT_HIGH                                                                 \
    (512u << 10) /* DATA queued on all streams; each may have a frame in any case */

enum peer_side {
    PEER_CONTROLLER,
    PEER_EXECUTOR,
};

struct peer;

struct peer *peer_new(enum peer_side side);
void peer_free(struct peer *peer);
DEFINE_CLEANUP_FREE(peer)

struct peer_event {
    uint32_t stream;
    enum stream_kind stream_kind;
    enum message_type type;  /* never PING, PONG or CREDIT */
    bool is_last;            /* DATA with FRAME_FLAG_LAST */
    bool opened;             /* this message opened the stream */
    bool ended;              /* the stream is over with this message */
    const struct json *json; /* where the body is JSON; borrowed until the next peer_next
                                or peer_input */
    const uint8_t *data;     /* the payload; likewise */
    size_t length;
};

/* Take what arrived. Errors: ERR_PROTOCOL, ERR_LIMIT: final. */
int peer_input(struct peer *peer, const void *data, size_t length, struct error *err);
/* The next event, in order of arrival. 1: *out is one; 0: none left; -1: the bytes broke
 * the protocol (final). */
int peer_next(struct peer *peer, struct peer_event *out, struct error *err);
/* Give the sender credit for DATA that was dealt with. For data of a stream that is over
 * this does nothing. */
void peer_consumed(struct peer *peer, uint32_t stream, size_t length);

/* Controller: a new stream's number, for its opening message, which is to be queued
 * before that of any stream opened later. 0: PEER_STREAMS_MAX are open (try again later).
 */
uint32_t peer_open(struct peer *peer);
/* Controller: false while PEER_PUSHES_MAX streams that take packs are open: no SECRETS,
 * SUBMIT or BRING may open another. */
bool peer_can_push(const struct peer *peer);

/*
 * Queue a message. json is borrowed (NULL for a body that is NOTHING). Sending on a
 * stream that is over is silently dropped; a message that this side may not send there is
 * a programmer's error (assert). A body over its row's limit: the executor's becomes
 * ERROR limit; the controller asks message_check before (assert).
 */
void peer_send(struct peer *peer, uint32_t stream, enum message_type type,
               const struct json *json);
/* Queue DATA: 0 < length <= peer_credit; who sends more than peer_data_room says bounds
 * memory by other means. is_last: of the last frame. */
void peer_send_data(struct peer *peer, uint32_t stream, const void *data, size_t length,
                    bool is_last);
/* DATA bytes that may be queued on this stream now: credit and the output's high-water
 * mark. 0 for a stream that is over. */
size_t peer_data_room(const struct peer *peer, uint32_t stream);
/* The credit alone. */
size_t peer_credit(const struct peer *peer, uint32_t stream);
/* Bytes of DATA frames that are queued on the stream; 0 for one that is over. */
size_t peer_data_queued(const struct peer *peer, uint32_t stream);
/* Executor: end the stream with an error; on stream 0, the connection. */
void peer_send_error(struct peer *peer, uint32_t stream, const struct error *cause);
/* False once the stream is over, or after RESET. */
bool peer_is_open(const struct peer *peer, uint32_t stream);

/* Liveness: queue a PING; true once the answer to the last one came (or none was sent).
 */
void peer_ping(struct peer *peer);
bool peer_is_answered(const struct peer *peer);

/* Bytes to write: borrowed until the next call on peer. *out_length 0: nothing. Then say
 * how many were written. */
const void *peer_output(struct peer *peer, size_t *out_length);
void peer_output_done(struct peer *peer, size_t length);
/* Bytes queued and not yet written. */
size_t peer_pending(const struct peer *peer);

#endif
