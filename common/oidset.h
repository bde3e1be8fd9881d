/*
 * oidset: a set of objects, with a number kept for each.            [content]
 *
 * A hash table over the digest's first bytes (a digest is as good as random); kind and
 * digest together are the key. Bounded by limit_count from birth, because its size often
 * comes from the other end.
 */
#ifndef COMMON_OIDSET_H
#define COMMON_OIDSET_H

#include "common/mem.h"
#include "common/oid.h"

struct oidset;

struct oidset *oidset_new(size_t limit_count);
void oidset_free(struct oidset *set);
DEFINE_CLEANUP_FREE(oidset)

/* 1: added; 0: was there (value is left as it was); -1: ERR_LIMIT. */
int oidset_add(struct oidset *set, enum object_kind kind, const struct oid *oid,
               uint64_t value, struct error *err);
bool oidset_has(const struct oidset *set, enum object_kind kind, const struct oid *oid);
/* The value, changeable until the next oidset_add; NULL where it is not in the set. */
uint64_t *oidset_value(struct oidset *set, enum object_kind kind, const struct oid *oid);
/* True where it was in the set. */
bool oidset_remove(struct oidset *set, enum object_kind kind, const struct oid *oid);
size_t oidset_count(const struct oidset *set);
/* Visit all, in no order; *cursor starts at 0. False: no more. The set must not change
 * meanwhile. */
bool oidset_next(const struct oidset *set, size_t *cursor, enum object_kind *out_kind,
                 struct oid *out_oid, uint64_t *out_value);

#endif
