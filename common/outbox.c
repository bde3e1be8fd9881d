#include "common/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_SIZE ((size_t)16 << 10) /* small frames that go out in one piece */

struct outframe {
    struct outframe *next;
    uint64_t number; /* rises with every frame that is added */
    size_t length;   /* of bytes: header and payload */
    enum outbox_class class;
    uint8_t bytes[];
};

struct outqueue {
    struct outframe *head, *tail;
    size_t bytes;
    size_t data_bytes;
};

struct outbox {
    struct outqueue queues[OUTBOX_SLOTS];
    uint64_t frames_added;
    size_t queued_bytes;
    size_t data_bytes;
    size_t turn; /* the slot whose DATA went last */
    /* What is being written: either the stage, or one large frame. */
    struct outframe *current;
    size_t stage_length;
    size_t done;
    uint8_t stage[STAGE_SIZE];
};

struct outbox *outbox_new(void)
{
    return xcalloc(1, sizeof(struct outbox));
}

static void free_frames(struct outframe *frame)
{
    while (frame != NULL) {
        struct outframe *next = frame->next;

        free(frame);
        frame = next;
    }
}

void outbox_free(struct outbox *box)
{
    if (box == NULL) {
        return;
    }
    for (size_t slot = 0; slot < OUTBOX_SLOTS; slot++) {
        free_frames(box->queues[slot].head);
    }
    free(box->current);
    free(box);
}

static void append(struct outqueue *queue, struct outframe *frame)
{
    frame->next = NULL;
    if (queue->tail != NULL) {
        queue->tail->next = frame;
    } else {
        queue->head = frame;
    }
    queue->tail = frame;
}

void outbox_add(struct outbox *box, size_t slot, enum outbox_class class,
                const struct frame_header *header, const void *payload)
{
    struct outqueue *queue = &box->queues[slot];
    size_t length = FRAME_HEADER_SIZE + header->length;
    struct outframe *frame = xmalloc(sizeof(*frame) + length);

    frame->number = box->frames_added++;
    frame->length = length;
    frame->class = class;
    frame_encode(frame->bytes, header);
    if (header->length > 0) {
        memcpy(frame->bytes + FRAME_HEADER_SIZE, payload, header->length);
    }
    append(queue, frame);
    queue->bytes += length;
    box->queued_bytes += length;
    if (class == OUTBOX_DATA) {
        queue->data_bytes += length;
        box->data_bytes += length;
    }
}

/* The frame is no more in the queue. */
static void forget(struct outbox *box, struct outqueue *queue,
                   const struct outframe *frame)
{
    queue->bytes -= frame->length;
    box->queued_bytes -= frame->length;
    if (frame->class == OUTBOX_DATA) {
        queue->data_bytes -= frame->length;
        box->data_bytes -= frame->length;
    }
}

void outbox_drop(struct outbox *box, size_t slot)
{
    struct outqueue *queue = &box->queues[slot];
    struct outframe *frame = queue->head;

    queue->head = NULL;
    queue->tail = NULL;
    while (frame != NULL) {
        struct outframe *next = frame->next;

        if (frame->class == OUTBOX_OPENING) {
            append(queue, frame);
        } else {
            forget(box, queue, frame);
            free(frame);
        }
        frame = next;
    }
}

size_t outbox_data_bytes(const struct outbox *box, size_t slot)
{
    return box->queues[slot].data_bytes;
}

size_t outbox_data_total(const struct outbox *box)
{
    return box->data_bytes;
}

size_t outbox_slot_bytes(const struct outbox *box, size_t slot)
{
    return box->queues[slot].bytes;
}

static struct outqueue *pick_control(struct outbox *box)
{
    struct outqueue *best = NULL;

    for (size_t slot = 0; slot < OUTBOX_SLOTS; slot++) {
        struct outqueue *queue = &box->queues[slot];

        if (queue->head != NULL && queue->head->class != OUTBOX_DATA &&
            (best == NULL || queue->head->number < best->head->number)) {
            best = queue;
        }
    }
    return best;
}

static struct outqueue *pick_data(struct outbox *box)
{
    for (size_t i = 1; i <= OUTBOX_SLOTS; i++) {
        size_t slot = (box->turn + i) % OUTBOX_SLOTS;

        if (box->queues[slot].head != NULL) {
            return &box->queues[slot];
        }
    }
    return NULL;
}

/* The queue whose head goes next; NULL: all are empty. */
static struct outqueue *pick(struct outbox *box)
{
    struct outqueue *queue;

    if (box->queued_bytes == 0) {
        return NULL;
    }
    if (box->queues[0].head != NULL) {
        return &box->queues[0];
    }
    queue = pick_control(box);
    return queue != NULL ? queue : pick_data(box);
}

static struct outframe *take_head(struct outbox *box, struct outqueue *queue)
{
    struct outframe *frame = queue->head;

    queue->head = frame->next;
    if (queue->head == NULL) {
        queue->tail = NULL;
    }
    forget(box, queue, frame);
    if (frame->class == OUTBOX_DATA) {
        box->turn = (size_t)(queue - box->queues);
    }
    return frame;
}

/* Nothing is being written: choose what is next. */
static void refill(struct outbox *box)
{
    struct outqueue *queue = pick(box);

    while (queue != NULL && queue->head->length <= STAGE_SIZE - box->stage_length) {
        struct outframe *frame = take_head(box, queue);

        memcpy(box->stage + box->stage_length, frame->bytes, frame->length);
        box->stage_length += frame->length;
        free(frame);
        queue = pick(box);
    }
    if (queue != NULL && box->stage_length == 0) {
        box->current = take_head(box, queue);
    }
}

const void *outbox_output(struct outbox *box, size_t *out_length)
{
    if (box->current == NULL && box->stage_length == 0) {
        refill(box);
    }
    if (box->current != NULL) {
        *out_length = box->current->length - box->done;
        return box->current->bytes + box->done;
    }
    *out_length = box->stage_length - box->done;
    return box->stage + box->done;
}

void outbox_output_done(struct outbox *box, size_t length)
{
    size_t whole = box->current != NULL ? box->current->length : box->stage_length;

    assert(length <= whole - box->done);
    box->done += length;
    if (box->done == whole) {
        mem_wipe(box->stage, box->stage_length); /* secrets may have been among it */
        free(box->current);
        box->current = NULL;
        box->stage_length = 0;
        box->done = 0;
    }
}

size_t outbox_pending(const struct outbox *box)
{
    size_t whole = box->current != NULL ? box->current->length : box->stage_length;

    return box->queued_bytes + whole - box->done;
}
