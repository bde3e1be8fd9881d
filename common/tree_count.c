#include <stdlib.h>
#include <string.h>

#include "common/oidset.h"
#include "common/tree_reader.h"

/* What a set of trees may grow to: 800 MB of memory, far above any project. */
#define SET_MAX ((size_t)1 << 24)
#define FILES_MAX (UINT64_C(1) << 53)

/* Files below folders, each folder read once however often it stands in the tree. */
struct count {
    const struct object_source *source;
    struct oidset
        *known; /* tree: its files; content: a pair's difference, see pair_key */
    size_t depth;
};

static int count_folder(struct count *c, const struct oid *oid, uint64_t size_bytes,
                        uint64_t *out, struct error *err);

static int count_entry(struct count *c, const struct tree_entry *entry, uint64_t *out,
                       struct error *err)
{
    int result;

    if (entry->kind != TREE_FOLDER) {
        *out = 1;
        return 0;
    }
    if (c->depth == TREE_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT, "more than %d folders deep", TREE_DEPTH_MAX);
    }
    c->depth++;
    result = count_folder(c, &entry->oid, entry->size_bytes, out, err);
    c->depth--;
    return result;
}

/* Recurses at most TREE_DEPTH_MAX deep. */
static int count_folder(struct count *c, const struct oid *oid, uint64_t size_bytes,
                        uint64_t *out, struct error *err)
{
    CLEANUP(tree_reader_cleanup) struct tree_reader *reader = NULL;
    const uint64_t *known = oidset_value(c->known, OBJECT_TREE, oid);
    struct tree_entry entry;
    uint64_t files = 0, more;
    int got;

    if (known) {
        *out = *known;
        return 0;
    }
    reader = tree_reader_open(c->source, oid, size_bytes, err);
    if (!reader) {
        return -1;
    }
    while ((got = tree_reader_next(reader, &entry, err)) > 0) {
        if (count_entry(c, &entry, &more, err) < 0) {
            return -1;
        }
        files += more;
        if (files > FILES_MAX) {
            return error_set(err, ERR_LIMIT, "more files than can be");
        }
    }
    *out = files;
    return got < 0 ? -1 : oidset_add(c->known, OBJECT_TREE, oid, files, err) < 0 ? -1 : 0;
}

int tree_count(const struct object_source *source, const struct oid *root,
               struct tree_totals *out, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *known = oidset_new(SET_MAX);
    struct count c = {.source = source, .known = known, .depth = 0};
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(source, root, UINT64_MAX, err);
    struct tree_totals totals;

    if (!reader || count_folder(&c, root, UINT64_MAX, &totals.files, err) < 0) {
        return -1;
    }
    totals.size_bytes = tree_reader_size_bytes(reader);
    *out = totals;
    return 0;
}

static void pair_key(const struct oid *a, const struct oid *b, struct oid *out)
{
    struct hasher h;

    hasher_init(&h);
    hasher_add(&h, a->digest, OID_SIZE);
    hasher_add(&h, b->digest, OID_SIZE);
    hasher_finish(&h, out);
}

static int count_change(struct count *c, const struct oid *oid, const struct oid *base,
                        int64_t *out, struct error *err);

static int count_pair(struct count *c, const struct tree_entry *entry,
                      const struct tree_entry *base, int64_t *out, struct error *err)
{
    uint64_t more = 0, less = 0;
    int result;

    if (entry && base && entry->kind == TREE_FOLDER && base->kind == TREE_FOLDER) {
        if (c->depth == TREE_DEPTH_MAX) {
            return error_set(err, ERR_LIMIT, "more than %d folders deep", TREE_DEPTH_MAX);
        }
        c->depth++;
        result = count_change(c, &entry->oid, &base->oid, out, err);
        c->depth--;
        return result;
    }
    if ((entry && count_entry(c, entry, &more, err) < 0) ||
        (base && count_entry(c, base, &less, err) < 0)) {
        return -1;
    }
    *out = (int64_t)more - (int64_t)less;
    return 0;
}

/* How many more files are below oid than below base. */
static int count_change(struct count *c, const struct oid *oid, const struct oid *base,
                        int64_t *out, struct error *err)
{
    CLEANUP(tree_reader_cleanup) struct tree_reader *reader = NULL;
    CLEANUP(tree_reader_cleanup) struct tree_reader *base_reader = NULL;
    struct tree_pair pair = {.part = NULL};
    const struct tree_entry *entry, *base_entry;
    const uint64_t *known;
    int64_t change = 0, more;
    struct oid key;
    int got;

    pair_key(oid, base, &key);
    known = oidset_value(c->known, OBJECT_CONTENT, &key);
    if (known) {
        *out = (int64_t)*known;
        return 0;
    }
    reader = tree_reader_open(c->source, oid, UINT64_MAX, err);
    base_reader = reader ? tree_reader_open(c->source, base, UINT64_MAX, err) : NULL;
    if (!base_reader) {
        return -1;
    }
    pair.a = reader;
    pair.b = base_reader;
    while ((got = tree_pair_next(&pair, &entry, &base_entry, err)) > 0) {
        if (count_pair(c, entry, base_entry, &more, err) < 0) {
            return -1;
        }
        change += more;
        if (change > (int64_t)FILES_MAX || change < -(int64_t)FILES_MAX) {
            return error_set(err, ERR_LIMIT, "more files than can be");
        }
    }
    *out = change;
    return got < 0                                                                 ? -1
           : oidset_add(c->known, OBJECT_CONTENT, &key, (uint64_t)change, err) < 0 ? -1
                                                                                   : 0;
}

int tree_count_from(const struct object_source *source, const struct oid *root,
                    const struct oid *base, const struct tree_totals *base_totals,
                    struct tree_totals *out, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *known = oidset_new(SET_MAX);
    struct count c = {.source = source, .known = known, .depth = 0};
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(source, root, UINT64_MAX, err);
    int64_t change;

    if (!reader || count_change(&c, root, base, &change, err) < 0) {
        return -1;
    }
    if (change < 0 && base_totals->files < (uint64_t)-change) {
        return error_set(err, ERR_CORRUPT, "tree: its base has fewer files than said");
    }
    out->files = base_totals->files + (uint64_t)change;
    out->size_bytes = tree_reader_size_bytes(reader);
    return 0;
}
