/* What one snapshot has and another has not. */
#include <stdlib.h>
#include <string.h>

#include "common/tree_reader.h"
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

static void pair_release(struct tree_pair *pair)
{
    tree_reader_free(pair->a);
    tree_reader_free(pair->b);
}

static int compare_folders(struct comparison *c, const struct oid *oid,
                           const struct oid *base, uint64_t *size_bytes,
                           struct error *err);

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
static int compare_at(struct comparison *c, const struct tree_entry *entry,
                      const struct tree_entry *old, uint64_t *size_bytes,
                      struct error *err)
{
    size_t length = c->length;
    size_t slash = length > 0;
    int visited;

    if (length + slash + entry->name_length >= TREE_PATH_MAX) {
        return error_set(err, ERR_LIMIT, "%.200s...: a path that is too long", c->path);
    }
    c->path[length] = '/';
    memcpy(c->path + length + slash, entry->name, entry->name_length);
    c->length = length + slash + entry->name_length;
    c->path[c->length] = '\0';
    visited = compare_entry(c, entry, old, size_bytes, err);
    c->length = length;
    c->path[length] = '\0';
    return visited;
}

/* Two folders at the same path; base may be NULL. *size_bytes: of what was visited. 1:
 * something was. Trees are at most TREE_DEPTH_MAX deep, because a path has a component
 * for each. */
static int compare_folders(struct comparison *c, const struct oid *oid,
                           const struct oid *base, uint64_t *size_bytes,
                           struct error *err)
{
    CLEANUP(pair_release) struct tree_pair pair = {.part = NULL};
    const struct tree_entry *entry, *old;
    int visited = 0, more;

    pair.a = tree_reader_open(&c->source, oid, UINT64_MAX, err);
    pair.b = pair.a && base ? tree_reader_open(&c->source, base, UINT64_MAX, err) : NULL;
    if (!pair.a || (base && !pair.b)) {
        return -1;
    }
    while ((more = tree_pair_next(&pair, &entry, &old, err)) > 0) {
        int one = entry ? compare_at(c, entry, old, size_bytes, err) : 0;

        if (one < 0) {
            return -1;
        }
        visited |= one;
    }
    return more < 0 ? -1 : visited;
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
