#include "common/oidset.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define SLOTS_MIN ((size_t)16)

/* kind 0: the slot is free */
struct slot {
    struct oid oid;
    uint64_t value;
    uint8_t kind;
};

struct oidset {
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t count;
    size_t limit_count;
    /* The other end may choose its digests, so where they land is keyed with random
     * numbers. */
    uint64_t keys[4];
};

struct oidset *oidset_new(size_t limit_count)
{
    struct oidset *set = xcalloc(1, sizeof(*set));

    set->limit_count = limit_count;
    set->slot_count = SLOTS_MIN;
    set->slots = xcalloc(SLOTS_MIN, sizeof(*set->slots));
    bytes_random(set->keys, sizeof(set->keys));
    return set;
}

void oidset_free(struct oidset *set)
{
    if (set) {
        free(set->slots);
        free(set);
    }
}

/* The slot at which the search for oid begins. */
static size_t home_of(const struct oidset *set, const struct oid *oid)
{
    uint64_t word[4], mixed;

    memcpy(word, oid->digest, sizeof(word));
    mixed = (word[0] + set->keys[0]) * ((word[1] ^ set->keys[1]) | 1) +
            (word[2] + set->keys[2]) * ((word[3] ^ set->keys[3]) | 1);
    mixed ^= mixed >> 32;
    return (size_t)mixed & (set->slot_count - 1);
}

/* The slot of the key, or the free one where it would go. */
static struct slot *find(const struct oidset *set, enum object_kind kind,
                         const struct oid *oid)
{
    size_t i = home_of(set, oid);

    while (set->slots[i].kind != 0 &&
           (set->slots[i].kind != (uint8_t)kind || !oid_equal(&set->slots[i].oid, oid))) {
        i = (i + 1) & (set->slot_count - 1);
    }
    return &set->slots[i];
}

static void grow(struct oidset *set)
{
    struct slot *old = set->slots;
    size_t old_count = set->slot_count;

    set->slot_count *= 2;
    set->slots = xcalloc(set->slot_count, sizeof(*set->slots));
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].kind != 0) {
            *find(set, (enum object_kind)old[i].kind, &old[i].oid) = old[i];
        }
    }
    free(old);
}

int oidset_add(struct oidset *set, enum object_kind kind, const struct oid *oid,
               uint64_t value, struct error *err)
{
    struct slot *slot = find(set, kind, oid);

    if (slot->kind != 0) {
        return 0;
    }
    if (set->count >= set->limit_count) {
        return error_set(err, ERR_LIMIT, "more than %zu objects", set->limit_count);
    }
    if ((set->count + 1) * 3 > set->slot_count * 2) {
        grow(set);
        slot = find(set, kind, oid);
    }
    *slot = (struct slot){.oid = *oid, .value = value, .kind = (uint8_t)kind};
    set->count++;
    return 1;
}

bool oidset_has(const struct oidset *set, enum object_kind kind, const struct oid *oid)
{
    return find(set, kind, oid)->kind != 0;
}

uint64_t *oidset_value(struct oidset *set, enum object_kind kind, const struct oid *oid)
{
    struct slot *slot = find(set, kind, oid);

    return slot->kind != 0 ? &slot->value : NULL;
}

bool oidset_remove(struct oidset *set, enum object_kind kind, const struct oid *oid)
{
    struct slot *slot = find(set, kind, oid);
    size_t mask = set->slot_count - 1;
    size_t hole, i;

    if (slot->kind == 0) {
        return false;
    }
    /* Move back whatever the freed slot would cut off from its home. */
    hole = (size_t)(slot - set->slots);
    for (i = (hole + 1) & mask; set->slots[i].kind != 0; i = (i + 1) & mask) {
        size_t home = home_of(set, &set->slots[i].oid);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            set->slots[hole] = set->slots[i];
            hole = i;
        }
    }
    set->slots[hole].kind = 0;
    set->count--;
    return true;
}

size_t oidset_count(const struct oidset *set)
{
    return set->count;
}

bool oidset_next(const struct oidset *set, size_t *cursor, enum object_kind *out_kind,
                 struct oid *out_oid, uint64_t *out_value)
{
    while (*cursor < set->slot_count) {
        const struct slot *slot = &set->slots[(*cursor)++];

        if (slot->kind != 0) {
            *out_kind = (enum object_kind)slot->kind;
            *out_oid = slot->oid;
            *out_value = slot->value;
            return true;
        }
    }
    return false;
}
