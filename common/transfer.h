/*
 * transfer: bringing a tree's objects to where they are missing, without I/O. [wire]
 *
 * A snapshot goes to the node and outputs come home by the same two halves: push (who has
 * the objects) and receive (who needs them). Both work on one stream of a peer (SUBMIT:
 * the controller pushes; FETCH: the executor does).
 *
 * First flight: where base is given and the contents that differ from it fit in one pack,
 * or where those of the whole closure are at most TRANSFER_EAGER_MAX, all that differs
 * goes at once; else one pack of trees and lists, those above before those below. Then
 * PUSH_END. The receiver answers with NEED and the objects it misses (a tree or list that
 * is needed means all trees and lists below it too), or is content. No object is needed
 * after it was sent, so it ends; with up to 100,000 objects it ends after three rounds.
 */
#ifndef COMMON_TRANSFER_H
#define COMMON_TRANSFER_H

#include "common/oidset.h"
#include "common/peer.h"
#include "common/store.h"

#define TRANSFER_EAGER_MAX ((size_t)512 << 10)
#define TRANSFER_OBJECTS_MAX ((size_t)16 << 20)
#define TRANSFER_RECORD_SIZE (1 + OID_SIZE) /* of a needed object: kind, digest */

/* How far one half is: what it sent, or for the receiver what came. Bytes are those of
 * bodies. Totals are what is known by now to go in all: they may grow with each NEED, and
 * trees and lists count in bytes_total once they went. */
struct transfer_progress {
    uint64_t objects_sent, objects_total;
    uint64_t bytes_sent, bytes_total;
    uint64_t wire_bytes; /* compressed */
    /* What of bytes_sent the receiver has taken, as far as its credit tells, which lags a
     * little; a receiver's own: bytes_sent. */
    uint64_t bytes_delivered;
    unsigned rounds; /* PUSH_ENDs so far */
};

struct push;

/*
 * Decide what the first flight has. source is borrowed, must have the closure of root,
 * and its objects must stay (store_lock); what of base it does not have is sent again.
 * base may be NULL. Reads trees, so it may block on the disk. The message that opens the
 * stream is the caller's to send, before the first push_pump. NULL: the source's error.
 */
struct push *push_new(struct peer *peer, uint32_t stream,
                      const struct object_source *source, const struct oid *root,
                      const struct oid *base, struct error *err);
void push_free(struct push *push);
DEFINE_CLEANUP_FREE(push)

/*
 * Queue as much as the peer has room for; to be called after every peer_input (which may
 * bring credit without an event) and after output was written. Once the stream is over it
 * does nothing. Reads objects, so it may block on the disk.
 * Errors: the source's.
 */
int push_pump(struct push *push, struct error *err);
/* True while there is something to send: push_pump wants to be called again when there is
 * room. */
bool push_is_sending(const struct push *push);
/* True from PUSH_END until the receiver answers it: whether it was content is not known.
 */
bool push_is_waiting(const struct push *push);
/* Take a NEED or its DATA, whose credit the caller gives back (peer_consumed). Errors:
 * ERR_PROTOCOL (an object that is not in the closure or was sent already, a NEED while
 * there is more to send), the source's. */
int push_event(struct push *push, const struct peer_event *event, struct error *err);
void push_progress(struct push *push, struct transfer_progress *out);

struct receive;

/* store takes the objects; it is borrowed. base as push has it, or NULL: what it reaches
 * is believed to be there if it is a root of the store. Does not fail as yet. */
struct receive *receive_new(struct peer *peer, uint32_t stream, struct store *store,
                            const struct oid *root, const struct oid *base,
                            struct error *err);
/* Blocks on the disk: what came whole is to stay. */
void receive_free(struct receive *receive);
DEFINE_CLEANUP_FREE(receive)

/*
 * Take DATA, whose credit the caller gives back (peer_consumed), or PUSH_END.
 * *out_complete: the closure is complete
 * and the root was added to the store; else after a PUSH_END a NEED is on its way. Blocks
 * on the disk, and on a collection of the store. Errors: ERR_PROTOCOL, ERR_CORRUPT,
 * ERR_LIMIT, the store's; what came whole stays in the store (store_gather: it appears
 * there with PUSH_END or receive_free, or after a few seconds).
 */
int receive_event(struct receive *receive, const struct peer_event *event,
                  bool *out_complete, struct error *err);
void receive_progress(const struct receive *receive, struct transfer_progress *out);

#endif
