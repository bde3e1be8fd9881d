/*
 * snapshots: folders on disk as objects in a store.            [tests]
 */
#ifndef TESTS_UNIT_SNAPSHOTS_H
#define TESTS_UNIT_SNAPSHOTS_H

#include "common/ingest.h"
#include "common/store.h"

/* As ingest_hooks.put: the context is the store. */
static inline int snapshots_put(void *context, enum object_kind kind,
                                const struct oid *oid, const void *body, size_t length,
                                const char *path, uint64_t offset, struct error *err)
{
    (void)path;
    (void)offset;
    return store_put(context, kind, oid, body, length, err);
}

/* The tree of an open folder, put into the store. */
static inline struct oid snapshots_take(struct store *store, int dir_fd)
{
    const struct ingest_hooks hooks = {.context = store, .put = snapshots_put};
    struct tree_totals totals;
    struct oid root;

    assert_int_equal(ingest_folder(dir_fd, &hooks, &root, &totals, NULL), 0);
    return root;
}

#endif
