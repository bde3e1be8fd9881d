/*
 * delivery: how much of what was packed has reached the receiver.            [content]
 *
 * What arrives is known in bytes of the wire, because credit comes back for them; a
 * person counts bytes of files. Packs compress differently, so each is noted with both.
 *
 * Life: delivery_init -> delivery_add, delivery_reach ... -> delivery_release. No I/O.
 */
#ifndef COMMON_DELIVERY_H
#define COMMON_DELIVERY_H

#include <stddef.h>
#include <stdint.h>

struct delivery_pack {
    uint64_t body_bytes, wire_bytes;
};

struct delivery {
    struct delivery_pack *packs; /* from first on: those that have not arrived whole */
    size_t first, count, capacity;
    struct delivery_pack arrived; /* the sum of those that have */
};

/* Nothing was packed yet: as = {0}. */
void delivery_init(struct delivery *delivery);
void delivery_release(struct delivery *delivery);

/* One more pack, behind those before; wire_bytes > 0. */
void delivery_add(struct delivery *delivery, uint64_t body_bytes, uint64_t wire_bytes);
/* So many bytes of the wire have arrived since the beginning, never fewer than before:
 * how many of bodies that is; of a pack that is under way, a part. */
uint64_t delivery_reach(struct delivery *delivery, uint64_t wire_bytes);

#endif
