/*
 * transfer: bringing a tree's objects to where they are missing, without I/O. [wire]
 *
 * A snapshot goes to the node and outputs come home by the same two halves: push (who has
 * the objects) and receive (who needs them). Both work on one stream of a peer (SUBMIT:
 * the controller pushes; FETCH: the executor does).
 *
 * First flight: where base is given and what differs from it fits in one pack, or the
 * whole closure is at most TRANSFER_EAGER_MAX, all of it goes at once; else trees and
 * lists go, level by level in packs. Then PUSH_END. The receiver answers with NEED and
 * the digests it misses (a tree that is needed means all trees and lists below it), or is
 * content. A NEED that does not shrink is an error, so it ends.
 */
#ifndef COMMON_TRANSFER_H
#define COMMON_TRANSFER_H

#include "common/oidset.h"
#include "common/peer.h"
#include "common/store.h"

#define TRANSFER_EAGER_MAX ((size_t)512 << 10)
#define TRANSFER_OBJECTS_MAX ((size_t)16 << 20)
#define TRANSFER_RECORD_SIZE (1 + OID_SIZE) /* of a needed object: kind, digest */

struct transfer_progress {
    uint64_t objects_sent, objects_total;
    uint64_t bytes_sent, bytes_total; /* of bodies, before compression; totals are known
                                         from the second flight on */
    uint64_t wire_bytes;              /* compressed */
};

struct push;

/* source is borrowed and must have the closure of root (and, where base is not NULL,
 * base's trees). */
struct push *push_new(struct peer *peer, uint32_t stream,
                      const struct object_source *source, const struct oid *root,
                      const struct oid *base, struct error *err);
void push_free(struct push *push);
DEFINE_CLEANUP_FREE(push)

/*
 * Queue as much as the peer has room for; to be called after every output that was
 * written and every event of the stream. Reads objects, so it may block on the disk.
 * Errors: the source's.
 */
int push_pump(struct push *push, struct error *err);
/* True while there is something to send: push_pump wants to be called again when there is
 * room. */
bool push_is_sending(const struct push *push);
/* Take a NEED or its DATA. Errors: ERR_PROTOCOL (an object that is not in the closure, a
 * NEED that does not shrink). */
int push_event(struct push *push, const struct peer_event *event, struct error *err);
void push_progress(const struct push *push, struct transfer_progress *out);

struct receive;

/* store takes the objects. base as push has it: what it reaches is believed to be there
 * if it is a root of the store. */
struct receive *receive_new(struct peer *peer, uint32_t stream, struct store *store,
                            const struct oid *root, const struct oid *base,
                            struct error *err);
void receive_free(struct receive *receive);
DEFINE_CLEANUP_FREE(receive)

/*
 * Take DATA or PUSH_END. *out_complete: the closure is complete and the root was added to
 * the store; else after a PUSH_END a NEED is on its way. Blocks on the disk. Errors:
 * ERR_PROTOCOL, ERR_CORRUPT, ERR_LIMIT, the store's.
 */
int receive_event(struct receive *receive, const struct peer_event *event,
                  bool *out_complete, struct error *err);
void receive_progress(const struct receive *receive, struct transfer_progress *out);

#endif
