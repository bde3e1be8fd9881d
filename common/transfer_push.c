#include <stdlib.h>
#include <string.h>

#include "common/chunk.h"
#include "common/delivery.h"
#include "common/transfer.h"
#include "common/tree.h"

/* A pack is sent once it has this much: the link is not idle while a whole one is made.
 */
#define PACK_TARGET ((size_t)2 << 20)
#define PACK_ENTRY_SIZE 512 /* of a header, and what bodies are padded to */

enum push_state {
    PUSH_SENDING,
    PUSH_WAITING, /* PUSH_END was sent */
    PUSH_NEEDED,  /* NEED came, its records are coming */
};

struct push_item {
    enum object_kind kind;
    struct oid oid;
    uint64_t size_bytes; /* of a content's body; else 0 */
};

struct push_list {
    struct push_item *items;
    size_t count, capacity;
};

struct push {
    struct peer *peer;
    uint32_t stream;
    struct object_source source;
    struct oid root;
    enum push_state state;
    struct push_list list;  /* of this flight */
    size_t next;            /* in list */
    bool is_one_pack;       /* this flight ends after its first pack */
    struct oidset *sent;    /* and what NEED asked for */
    struct oidset *closure; /* of root, with contents' sizes; NULL until it is known */
    struct strbuf body;     /* of the next item, where has_body */
    bool has_body;
    struct pack_builder *builder;
    struct strbuf wire; /* the pack that is being queued */
    size_t wire_done;
    struct delivery delivery;
    size_t window;          /* the credit that the stream began with */
    uint64_t queued_bytes;  /* of the wire, as DATA */
    uint64_t arrived_bytes; /* of those, for which credit or an answer came */
    uint64_t needed;        /* records that are still to come */
    struct strbuf record;   /* the beginning of one that a frame cut */
    struct transfer_progress progress;
};

void push_free(struct push *push)
{
    if (push == NULL) {
        return;
    }
    free(push->list.items);
    oidset_free(push->sent);
    oidset_free(push->closure);
    strbuf_release(&push->body);
    pack_builder_free(push->builder);
    strbuf_release(&push->wire);
    delivery_release(&push->delivery);
    strbuf_release(&push->record);
    free(push);
}

/* --- what to send --------------------------------------------------------------------
 */

static void add_item(struct push_list *list, enum object_kind kind, const struct oid *oid,
                     uint64_t size_bytes)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->items = xrealloc(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] =
        (struct push_item){.kind = kind, .oid = *oid, .size_bytes = size_bytes};
}

static void add_list(struct push_list *list, const struct push_list *more)
{
    for (size_t i = 0; i < more->count; i++) {
        add_item(list, more->items[i].kind, &more->items[i].oid,
                 more->items[i].size_bytes);
    }
}

/* Bytes of a pack that an object takes. */
static uint64_t packed_size(uint64_t size_bytes)
{
    return PACK_ENTRY_SIZE +
           (size_bytes + PACK_ENTRY_SIZE - 1) / PACK_ENTRY_SIZE * PACK_ENTRY_SIZE;
}

struct survey {
    struct oidset *seen;
    struct push_list inner; /* trees and lists */
    struct push_list leaves;
    uint64_t leaf_bytes; /* packed */
};

/* As an object_visitor: note each object once, those above before those below. */
static int survey_object(void *context, enum object_kind kind, const struct oid *oid,
                         uint64_t size_bytes, struct error *err)
{
    struct survey *survey = context;
    bool is_leaf = kind == OBJECT_CONTENT;
    int added = oidset_add(survey->seen, kind, oid, is_leaf ? size_bytes : 0, err);

    if (added <= 0) {
        return added < 0 ? -1 : 1;
    }
    if (is_leaf) {
        survey->leaf_bytes += packed_size(size_bytes);
    }
    add_item(is_leaf ? &survey->leaves : &survey->inner, kind, oid,
             is_leaf ? size_bytes : 0);
    return 0;
}

static void release_survey(struct survey *survey)
{
    oidset_free(survey->seen);
    free(survey->inner.items);
    free(survey->leaves.items);
}

static int plan_first_flight(struct push *push, const struct oid *base, struct error *err)
{
    CLEANUP(release_survey)
    struct survey survey = {.seen = oidset_new(TRANSFER_OBJECTS_MAX)};
    size_t eager_max = base != NULL ? PACK_SIZE_MAX : TRANSFER_EAGER_MAX;

    if (tree_visit_objects(&push->source, &push->root, base, survey_object, &survey,
                           err) < 0) {
        return -1;
    }
    add_list(&push->list, &survey.inner);
    if (survey.leaf_bytes <= eager_max) {
        add_list(&push->list, &survey.leaves);
    } else {
        push->is_one_pack = true;
    }
    if (base == NULL) {
        push->closure = TAKE_PTR(survey.seen);
    }
    push->progress.objects_total = push->list.count;
    return 0;
}

struct push *push_new(struct peer *peer, uint32_t stream,
                      const struct object_source *source, const struct oid *root,
                      const struct oid *base, struct error *err)
{
    CLEANUP(push_cleanup) struct push *push = xcalloc(1, sizeof(*push));

    push->peer = peer;
    push->stream = stream;
    push->source = *source;
    push->root = *root;
    push->sent = oidset_new(TRANSFER_OBJECTS_MAX);
    push->builder = pack_builder_new();
    strbuf_init(&push->body, OBJECT_SIZE_MAX);
    strbuf_init(&push->wire, PACK_WIRE_MAX);
    strbuf_init(&push->record, TRANSFER_RECORD_SIZE);
    if (plan_first_flight(push, base, err) < 0) {
        return NULL;
    }
    return TAKE_PTR(push);
}

/* --- sending -------------------------------------------------------------------------
 */

static int load_body(struct push *push, const struct push_item *item, struct error *err)
{
    char hex[OID_HEX_SIZE];

    if (push->has_body) {
        return 0;
    }
    if (push->source.get(push->source.context, item->kind, &item->oid, &push->body, err) <
        0) {
        oid_to_hex(&item->oid, hex);
        return error_wrap(err, "send %s %s", object_kind_name(item->kind), hex);
    }
    push->has_body = true;
    return 0;
}

/* What went; NEED may not name it any more. */
static int note_sent(struct push *push, const struct push_item *item, struct error *err)
{
    push->has_body = false;
    push->next++;
    push->progress.objects_sent++;
    push->progress.bytes_sent += push->body.length;
    return oidset_add(push->sent, item->kind, &item->oid, 0, err) < 0 ? -1 : 0;
}

/* Where the link took all that was queued, it waits for us: then time counts, else bytes.
 * Of the first pack nothing is known. */
static enum pack_effort choose_effort(const struct push *push)
{
    bool is_idle =
        push->progress.wire_bytes > 0 && peer_pending(push->peer) < FRAME_DATA_MAX;

    return is_idle ? PACK_FAST : PACK_SMALL;
}

/* Make the next pack of what is left in the list. */
static int make_pack(struct push *push, struct error *err)
{
    size_t target = push->is_one_pack ? PACK_SIZE_MAX : PACK_TARGET;
    uint64_t packed = 0;
    uint64_t before = push->progress.bytes_sent;

    strbuf_reset(&push->wire);
    push->wire_done = 0;
    pack_builder_set_effort(push->builder, choose_effort(push));
    while (push->next < push->list.count && packed < target) {
        const struct push_item *item = &push->list.items[push->next];

        if (load_body(push, item, err) < 0) {
            return -1;
        }
        if (!pack_builder_fits(push->builder, push->body.length)) {
            break;
        }
        packed += packed_size(push->body.length);
        if (pack_builder_add(push->builder, item->kind, &item->oid, push->body.data,
                             push->body.length, err) < 0 ||
            note_sent(push, item, err) < 0) {
            return -1;
        }
    }
    if (pack_builder_finish(push->builder, &push->wire, err) < 0) {
        return -1;
    }
    push->progress.wire_bytes += push->wire.length;
    delivery_add(&push->delivery, push->progress.bytes_sent - before, push->wire.length);
    if (push->is_one_pack) {
        push->next = push->list.count;
        push->progress.objects_total = push->progress.objects_sent;
        push->has_body = false;
    }
    return 0;
}

static void queue_wire(struct push *push, size_t room)
{
    size_t left = push->wire.length - push->wire_done;
    size_t part = left < room ? left : room;

    peer_send_data(push->peer, push->stream, push->wire.data + push->wire_done, part,
                   part == left);
    push->wire_done += part;
    push->queued_bytes += part;
}

bool push_is_sending(const struct push *push)
{
    return push->state == PUSH_SENDING && peer_is_open(push->peer, push->stream);
}

bool push_is_waiting(const struct push *push)
{
    return push->state == PUSH_WAITING;
}

int push_pump(struct push *push, struct error *err)
{
    if (push->window == 0) {
        push->window = peer_credit(push->peer, push->stream);
    }
    while (push_is_sending(push)) {
        size_t room = peer_data_room(push->peer, push->stream);

        if (push->wire_done < push->wire.length) {
            if (room == 0) {
                return 0;
            }
            queue_wire(push, room);
        } else if (push->next < push->list.count) {
            if (room == 0) {
                return 0;
            }
            if (make_pack(push, err) < 0) {
                return -1;
            }
        } else {
            peer_send(push->peer, push->stream, MSG_PUSH_END, NULL);
            push->progress.rounds++;
            push->state = PUSH_WAITING;
        }
    }
    return 0;
}

/* --- NEED ----------------------------------------------------------------------------
 */

static int learn_closure(struct push *push, struct error *err)
{
    CLEANUP(release_survey)
    struct survey survey = {.seen = oidset_new(TRANSFER_OBJECTS_MAX)};

    if (tree_visit_objects(&push->source, &push->root, NULL, survey_object, &survey,
                           err) < 0) {
        return -1;
    }
    push->closure = TAKE_PTR(survey.seen);
    return 0;
}

static int take_need(struct push *push, const struct json *body, struct error *err)
{
    int64_t objects;

    if (push->state != PUSH_WAITING) {
        return error_set(err, ERR_PROTOCOL, "NEED came before PUSH_END was sent");
    }
    if (push->closure == NULL && learn_closure(push, err) < 0) {
        return -1;
    }
    if (json_get_integer(body, "NEED", "objects", 1, JSON_INTEGER_MAX, &objects, err) <
        0) {
        return -1;
    }
    if ((uint64_t)objects > oidset_count(push->closure)) {
        return error_set(err, ERR_PROTOCOL, "NEED of more objects than there are");
    }
    push->state = PUSH_NEEDED;
    push->arrived_bytes = push->queued_bytes;
    push->needed = (uint64_t)objects;
    push->list.count = 0;
    push->next = 0;
    push->is_one_pack = false;
    return 0;
}

/* As an object_visitor: what of a needed tree goes with it. The set keeps what was
 * visited in this round, so that no tree is entered twice. */
struct below {
    struct push *push;
    struct oidset *visited;
};

static int add_below(void *context, enum object_kind kind, const struct oid *oid,
                     uint64_t size_bytes, struct error *err)
{
    struct below *below = context;
    int added;

    (void)size_bytes;
    if (kind == OBJECT_CONTENT) {
        return 0;
    }
    added = oidset_add(below->visited, kind, oid, 0, err);
    if (added <= 0) {
        return added < 0 ? -1 : 1;
    }
    added = oidset_add(below->push->sent, kind, oid, 0, err);
    if (added > 0) {
        add_item(&below->push->list, kind, oid, 0);
    }
    return added < 0 ? -1 : 0;
}

/* Recurses at most CHUNK_LEVEL_MAX deep: the levels fall, and the body was verified. */
static int add_below_list(struct below *below, const struct oid *oid, struct error *err)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    const struct object_source *source = &below->push->source;
    struct chunk_list list;

    if (source->get(source->context, OBJECT_LIST, oid, &body, err) < 0 ||
        chunk_list_decode(body.data, body.length, &list, err) < 0) {
        return -1;
    }
    for (size_t i = 0; list.level > 0 && i < list.count; i++) {
        struct chunk_list_entry entry;
        int answer;

        chunk_list_entry_at(&list, i, &entry);
        answer = add_below(below, OBJECT_LIST, &entry.oid, 0, err);
        if (answer < 0 || (answer == 0 && add_below_list(below, &entry.oid, err) < 0)) {
            return -1;
        }
    }
    return 0;
}

/* All records are here: add what goes with them. */
static int complete_need(struct push *push, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *visited = oidset_new(TRANSFER_OBJECTS_MAX);
    struct below below = {.push = push, .visited = visited};
    size_t named = push->list.count;

    for (size_t i = 0; i < named; i++) {
        struct push_item item = push->list.items[i];

        if (item.kind == OBJECT_TREE && tree_visit_objects(&push->source, &item.oid, NULL,
                                                           add_below, &below, err) < 0) {
            return -1;
        }
        if (item.kind == OBJECT_LIST && add_below_list(&below, &item.oid, err) < 0) {
            return -1;
        }
    }
    push->progress.objects_total = push->progress.objects_sent + push->list.count;
    push->progress.bytes_total = push->progress.bytes_sent;
    for (size_t i = 0; i < push->list.count; i++) {
        push->progress.bytes_total += push->list.items[i].size_bytes;
    }
    push->state = PUSH_SENDING;
    return 0;
}

static int take_record(struct push *push, const uint8_t *record, struct error *err)
{
    enum object_kind kind;
    struct oid oid;
    const uint64_t *size_bytes;
    int added;

    if (push->needed == 0) {
        return error_set(err, ERR_PROTOCOL, "NEED has more objects than it said");
    }
    memcpy(oid.digest, record + 1, OID_SIZE);
    if (object_kind_parse(record[0], &kind) < 0 ||
        (size_bytes = oidset_value(push->closure, kind, &oid)) == NULL) {
        return error_set(err, ERR_PROTOCOL, "NEED of an object that was not offered");
    }
    added = oidset_add(push->sent, kind, &oid, 0, err);
    if (added <= 0) {
        return added < 0 ? -1
                         : error_set(err, ERR_PROTOCOL,
                                     "NEED of an object that was sent already");
    }
    add_item(&push->list, kind, &oid, *size_bytes);
    push->needed--;
    return 0;
}

static int take_records(struct push *push, const struct peer_event *event,
                        struct error *err)
{
    const uint8_t *data = event->data;
    size_t left = event->length;

    if (push->state != PUSH_NEEDED) {
        return error_set(err, ERR_PROTOCOL, "DATA came where none was asked for");
    }
    while (left > 0) {
        size_t missing = TRANSFER_RECORD_SIZE - push->record.length;
        size_t part = left < missing ? left : missing;

        if (strbuf_add(&push->record, data, part, err) < 0) {
            return -1;
        }
        data += part;
        left -= part;
        if (part == missing) {
            if (take_record(push, (const uint8_t *)push->record.data, err) < 0) {
                return -1;
            }
            strbuf_reset(&push->record);
        }
    }
    if (event->is_last != (push->needed == 0) ||
        (push->needed == 0 && push->record.length > 0)) {
        return error_set(err, ERR_PROTOCOL, "NEED has not as many objects as it said");
    }
    return push->needed == 0 ? complete_need(push, err) : 0;
}

int push_event(struct push *push, const struct peer_event *event, struct error *err)
{
    if (event->type == MSG_NEED) {
        return take_need(push, event->json, err);
    }
    if (event->type == MSG_DATA) {
        return take_records(push, event, err);
    }
    return error_set(err, ERR_PROTOCOL, "%s came in the middle of a push",
                     message_row((uint8_t)event->type)->name);
}

/* What the stream began with is lacking for the bytes that are under way. */
static void note_arrived(struct push *push)
{
    size_t credit = peer_credit(push->peer, push->stream);
    uint64_t away = credit < push->window ? push->window - credit : 0;
    uint64_t arrived = push->queued_bytes > away ? push->queued_bytes - away : 0;

    if (arrived > push->arrived_bytes) {
        push->arrived_bytes = arrived;
    }
    push->progress.bytes_delivered = delivery_reach(&push->delivery, push->arrived_bytes);
}

void push_progress(struct push *push, struct transfer_progress *out)
{
    note_arrived(push);
    *out = push->progress;
    if (out->bytes_total < out->bytes_sent) {
        out->bytes_total = out->bytes_sent;
    }
}
