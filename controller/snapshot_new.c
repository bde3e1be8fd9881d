/* What one snapshot has and another has not. */
#include <stdlib.h>
#include <string.h>

#include "controller/snapshot.h"

/* One comparison. The path lives here and not in the frames of the recursion, which is up
 * to TREE_DEPTH_MAX deep. */
struct comparison {
    struct object_source source;
    snapshot_visitor *visit;
    void *context;
    size_t length;
    char path[TREE_PATH_MAX + TREE_NAME_MAX + 2];
};

/* Two folders at the same path; base may be missing. */
struct pair {
    struct tree_reader *reader, *base;
    struct tree_entry old; /* base's next */
    int has_old;
};

static void pair_release(struct pair *pair)
{
    tree_reader_free(pair->reader);
    tree_reader_free(pair->base);
}

static int compare_folders(struct comparison *c, const struct oid *oid,
                           const struct oid *base, uint64_t *size_bytes,
                           struct error *err);

/* The entry of base with this name: 1: it is pair->old; 0: there is none; -1: err. */
static int find_old(struct pair *pair, const struct tree_entry *entry, struct error *err)
{
    while (pair->has_old > 0) {
        int order = tree_entry_compare(&pair->old, entry);

        if (order >= 0) {
            return order == 0;
        }
        pair->has_old = tree_reader_next(pair->base, &pair->old, err);
    }
    return pair->has_old;
}

static int compare_entry(struct comparison *c, const struct tree_entry *entry,
                         const struct tree_entry *old, uint64_t *size_bytes,
                         struct error *err)
{
    struct tree_entry seen = *entry;

    if (old && oid_equal(&old->oid, &entry->oid) &&
        tree_entry_object(old) == tree_entry_object(entry)) {
        return 0;
    }
    if (entry->kind == TREE_FOLDER) {
        const struct oid *base = old && old->kind == TREE_FOLDER ? &old->oid : NULL;

        seen.size_bytes = 0;
        int visited = compare_folders(c, &entry->oid, base, &seen.size_bytes, err);

        if (visited <= 0) {
            return visited;
        }
    }
    *size_bytes += seen.size_bytes;
    seen.name = c->path + c->length - entry->name_length;
    return c->visit(c->context, c->path, &seen, err) < 0 ? -1 : 1;
}

/* Compare with the entry's name behind the path. 1: something was visited. */
static int compare_at(struct comparison *c, struct pair *pair,
                      const struct tree_entry *entry, uint64_t *size_bytes,
                      struct error *err)
{
    size_t length = c->length;
    size_t slash = length > 0;
    int has_old = find_old(pair, entry, err);
    int visited;

    if (has_old < 0) {
        return -1;
    }
    if (length + slash + entry->name_length >= TREE_PATH_MAX) {
        return error_set(err, ERR_LIMIT, "%.200s...: a path that is too long", c->path);
    }
    c->path[length] = '/';
    memcpy(c->path + length + slash, entry->name, entry->name_length);
    c->length = length + slash + entry->name_length;
    c->path[c->length] = '\0';
    visited = compare_entry(c, entry, has_old ? &pair->old : NULL, size_bytes, err);
    c->length = length;
    c->path[length] = '\0';
    return visited;
}

/* *size_bytes: of what was visited. 1: something was. Trees are at most TREE_DEPTH_MAX
 * deep, because a path has a component for each. */
static int compare_folders(struct comparison *c, const struct oid *oid,
                           const struct oid *base, uint64_t *size_bytes,
                           struct error *err)
{
    CLEANUP(pair_release) struct pair pair = {.reader = NULL};
    struct tree_entry entry;
    int visited = 0, more;

    pair.reader = tree_reader_open(&c->source, oid, UINT64_MAX, err);
    if (!pair.reader) {
        return -1;
    }
    if (base) {
        pair.base = tree_reader_open(&c->source, base, UINT64_MAX, err);
        pair.has_old = pair.base ? tree_reader_next(pair.base, &pair.old, err) : -1;
    }
    while (pair.has_old >= 0 &&
           (more = tree_reader_next(pair.reader, &entry, err)) != 0) {
        int one = more < 0 ? -1 : compare_at(c, &pair, &entry, size_bytes, err);

        if (one < 0) {
            return -1;
        }
        visited |= one;
    }
    return pair.has_old < 0 ? -1 : visited;
}

int snapshot_visit_new(struct store *store, const struct oid *root,
                       const struct oid *base, snapshot_visitor *visit, void *context,
                       struct error *err)
{
    CLEANUP_FREE struct comparison *c = xcalloc(1, sizeof(*c));
    uint64_t size_bytes = 0;

    if (base && oid_equal(root, base)) {
        return 0;
    }
    c->source = store_source(store);
    c->visit = visit;
    c->context = context;
    return compare_folders(c, root, base, &size_bytes, err) < 0 ? -1 : 0;
}

static int count_one(void *context, const char *path, const struct tree_entry *entry,
                     struct error *err)
{
    struct tree_totals *totals = context;

    (void)path, (void)err;
    if (entry->kind != TREE_FOLDER) {
        totals->files++;
        totals->size_bytes += entry->size_bytes;
    }
    return 0;
}

int snapshot_count_new(struct store *store, const struct oid *root,
                       const struct oid *base, struct tree_totals *out, struct error *err)
{
    *out = (struct tree_totals){.files = 0};
    return snapshot_visit_new(store, root, base, count_one, out, err);
}
