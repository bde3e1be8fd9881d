#include "common/delivery.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define PACKS_FIRST 16

void delivery_init(struct delivery *d)
{
    *d = (struct delivery){0};
}

void delivery_release(struct delivery *d)
{
    free(d->packs);
    delivery_init(d);
}

/* Room for one more behind the last. */
static void make_room(struct delivery *d)
{
    if (d->first + d->count < d->capacity) {
        return;
    }
    if (d->first > 0) {
        memmove(d->packs, d->packs + d->first, d->count * sizeof(*d->packs));
        d->first = 0;
    }
    if (d->count == d->capacity) {
        d->capacity = d->capacity == 0 ? PACKS_FIRST : 2 * d->capacity;
        d->packs = xrealloc(d->packs, d->capacity, sizeof(*d->packs));
    }
}

void delivery_add(struct delivery *d, uint64_t body_bytes, uint64_t wire_bytes)
{
    assert(wire_bytes > 0);
    make_room(d);
    d->packs[d->first + d->count++] =
        (struct delivery_pack){.body_bytes = body_bytes, .wire_bytes = wire_bytes};
}

uint64_t delivery_reach(struct delivery *d, uint64_t wire_bytes)
{
    while (d->count > 0) {
        const struct delivery_pack *pack = &d->packs[d->first];
        uint64_t part = wire_bytes - d->arrived.wire_bytes;

        if (part < pack->wire_bytes) {
            double share = (double)part / (double)pack->wire_bytes;
            return d->arrived.body_bytes + (uint64_t)(share * (double)pack->body_bytes);
        }
        d->arrived.wire_bytes += pack->wire_bytes;
        d->arrived.body_bytes += pack->body_bytes;
        d->count--;
        d->first++;
    }
    return d->arrived.body_bytes;
}
