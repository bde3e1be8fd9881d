#include <stdlib.h>
#include <string.h>

#include "common/tree.h"

struct walk {
    const struct object_source *source;
    tree_visitor *visit;
    void *context;
    size_t depth;
    size_t length; /* of path */
    char path[TREE_PATH_MAX];
};

static int walk_folder(struct walk *w, const struct oid *oid, uint64_t size_bytes,
                       struct error *err);

/* Put "/name" (at the top: "name") behind the path. */
static int push_name(struct walk *w, const struct tree_entry *entry, struct error *err)
{
    size_t slash = w->length > 0;

    if (w->length + slash + entry->name_length >= sizeof(w->path)) {
        return error_set(err, ERR_LIMIT, "a path of more than %d bytes in %.200s",
                         TREE_PATH_MAX - 1, w->path);
    }
    w->path[w->length] = '/';
    memcpy(w->path + w->length + slash, entry->name, entry->name_length);
    w->length += slash + entry->name_length;
    w->path[w->length] = '\0';
    return 0;
}

static int walk_entry(struct walk *w, const struct tree_entry *entry, struct error *err)
{
    size_t length = w->length;
    int result;

    if (push_name(w, entry, err) < 0) {
        return -1;
    }
    result = w->visit(w->context, w->path, entry, err);
    if (result == 0 && entry->kind == TREE_FOLDER) {
        if (w->depth == TREE_DEPTH_MAX) {
            return error_set(err, ERR_LIMIT, "more than %d folders deep", TREE_DEPTH_MAX);
        }
        w->depth++;
        result = walk_folder(w, &entry->oid, entry->size_bytes, err);
        w->depth--;
    }
    w->length = length;
    w->path[length] = '\0';
    return result < 0 ? -1 : 0;
}

/* Recurses at most TREE_DEPTH_MAX deep. */
static int walk_folder(struct walk *w, const struct oid *oid, uint64_t size_bytes,
                       struct error *err)
{
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(w->source, oid, size_bytes, err);
    struct tree_entry entry;
    int got;

    if (!reader) {
        return -1;
    }
    while ((got = tree_reader_next(reader, &entry, err)) > 0) {
        if (walk_entry(w, &entry, err) < 0) {
            return -1;
        }
    }
    return got;
}

int tree_walk(const struct object_source *source, const struct oid *root,
              tree_visitor *visit, void *context, struct error *err)
{
    CLEANUP_FREE struct walk *w = xmalloc(sizeof(*w));

    w->source = source;
    w->visit = visit;
    w->context = context;
    w->depth = 0;
    w->length = 0;
    w->path[0] = '\0';
    return walk_folder(w, root, UINT64_MAX, err);
}
