#include "controller/treediff.h"

#include "common/strbuf.h"
#include "common/tree_reader.h"

struct treediff {
    const struct object_source *source;
    treediff_visitor *visit;
    void *context;
    struct strbuf path;
    unsigned depth;
};

static void pair_release(struct tree_pair *pair)
{
    tree_reader_free(pair->a);
    tree_reader_free(pair->b);
}

static int diff_folders(struct treediff *d, const struct oid *a, const struct oid *b,
                        struct error *err);

static int diff_entry(struct treediff *d, const struct tree_entry *a,
                      const struct tree_entry *b, struct error *err)
{
    const struct tree_entry *named = a != NULL ? a : b;
    bool are_folders =
        a != NULL && b != NULL && a->kind == TREE_FOLDER && b->kind == TREE_FOLDER;
    size_t before = d->path.length;
    if (before + named->name_length + 2 > TREE_PATH_MAX || d->depth == TREE_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT, "a path is longer than may be");
    }
    strbuf_puts(&d->path, before > 0 ? "/" : "");
    strbuf_printf(&d->path, "%.*s", (int)named->name_length, named->name);
    d->depth++;
    int result = are_folders ? diff_folders(d, &a->oid, &b->oid, err)
                             : d->visit(d->context, d->path.data, a, b, err);
    d->depth--;
    strbuf_truncate(&d->path, before);
    return result;
}

/* Recurses at most TREE_DEPTH_MAX deep. */
static int diff_folders(struct treediff *d, const struct oid *a, const struct oid *b,
                        struct error *err)
{
    CLEANUP(pair_release) struct tree_pair pair = {.part = NULL};
    const struct tree_entry *entry_a, *entry_b;
    int more = 0;
    pair.a = tree_reader_open(d->source, a, UINT64_MAX, err);
    pair.b = pair.a != NULL ? tree_reader_open(d->source, b, UINT64_MAX, err) : NULL;
    if (pair.b == NULL) {
        return -1;
    }
    while ((more = tree_pair_next(&pair, &entry_a, &entry_b, err)) > 0) {
        if (diff_entry(d, entry_a, entry_b, err) != 0) {
            return -1;
        }
    }
    return more;
}

int treediff_visit(const struct object_source *source, const struct oid *a,
                   const struct oid *b, treediff_visitor *visit, void *context,
                   struct error *err)
{
    struct treediff d = {.source = source, .visit = visit, .context = context};
    strbuf_init(&d.path, TREE_PATH_MAX);
    int result = oid_equal(a, b) ? 0 : diff_folders(&d, a, b, err);
    strbuf_release(&d.path);
    return result;
}
