/*
 * outbox: frames on their way out, and which of them goes next.            [wire]
 *
 * A slot is a queue whose frames keep their order. Slot 0 goes first; then, of the slots
 * whose next frame is a control frame, the one whose frame was added first; then DATA, a
 * frame of each slot in turn. A frame's bytes are copied once when it is added; small
 * frames once more, into one piece of output with their neighbours.
 *
 * Memory is bounded by its owner, who asks how much is queued.
 */
#ifndef COMMON_OUTBOX_H
#define COMMON_OUTBOX_H

#include "common/frame.h"
#include "common/mem.h"

#include <stdbool.h>

#define OUTBOX_SLOTS 65 /* the connection's, and one for each open stream */

enum outbox_class {
    OUTBOX_CONTROL,
    OUTBOX_OPENING, /* a control frame that outbox_drop leaves */
    OUTBOX_DATA,
};

struct outbox;

struct outbox *outbox_new(void);
void outbox_free(struct outbox *box);
DEFINE_CLEANUP_FREE(outbox)

/* Queue a frame; header->length bytes of payload are copied. */
void outbox_add(struct outbox *box, size_t slot, enum outbox_class class,
                const struct frame_header *header, const void *payload);
/* Forget what the slot has queued, but for its opening frames. */
void outbox_drop(struct outbox *box, size_t slot);

/* Bytes of DATA frames in a slot, in all slots; of all frames in a slot. What
 * outbox_output has handed out is counted no more. */
size_t outbox_data_bytes(const struct outbox *box, size_t slot);
size_t outbox_data_total(const struct outbox *box);
size_t outbox_slot_bytes(const struct outbox *box, size_t slot);

/* Bytes to write, borrowed until the next call on box; *out_length 0: none. Then say how
 * many of them were written. */
const void *outbox_output(struct outbox *box, size_t *out_length);
void outbox_output_done(struct outbox *box, size_t length);
/* Bytes queued and not yet written. */
size_t outbox_pending(const struct outbox *box);

#endif
