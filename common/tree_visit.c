#include <stdlib.h>
#include <string.h>

#include "common/chunk.h"
#include "common/oidset.h"
#include "common/tree_reader.h"

/* Parts and chunks of one file's base list that are kept in mind; beyond it the visitor
 * sees some that the base has. */
#define SET_MAX ((size_t)1 << 22)

struct visit {
    const struct object_source *source;
    object_visitor *visit;
    void *context;
    size_t depth;
};

static int visit_folder(struct visit *v, const struct oid *oid, uint64_t size_bytes,
                        const struct oid *base, struct error *err);

/* 0: go below it, and it is there; 1: not below it; -1: stop. */
static int visit_one(struct visit *v, enum object_kind kind, const struct oid *oid,
                     uint64_t size_bytes, struct error *err)
{
    int answer = v->visit(v->context, kind, oid, size_bytes, err);

    if (answer != 0 || kind == OBJECT_CONTENT) {
        return answer;
    }
    return v->source->has(v->source->context, kind, oid) ? 0 : 1;
}

static int load_list(const struct object_source *source, const struct oid *oid,
                     uint64_t size_bytes, int level, struct strbuf *body,
                     struct chunk_list *out, struct error *err)
{
    strbuf_init(body, OBJECT_SIZE_MAX);
    if (source->get(source->context, OBJECT_LIST, oid, body, err) < 0 ||
        chunk_list_decode(body->data, body->length, out, err) < 0) {
        return -1;
    }
    if (out->size_bytes != size_bytes || (level >= 0 && out->level != (unsigned)level)) {
        return error_set(err, ERR_CORRUPT,
                         "chunk list: another size or level than expected");
    }
    return 0;
}

/* Add the parts and chunks of a list to set; what cannot be read is as if it were not
 * there. */
static void collect_list(const struct object_source *source, const struct oid *oid,
                         uint64_t size_bytes, int level, struct oidset *set)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct chunk_list list;

    if (load_list(source, oid, size_bytes, level, &body, &list, NULL) < 0) {
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct chunk_list_entry entry;

        chunk_list_entry_at(&list, i, &entry);
        if (oidset_add(set, list.level > 0 ? OBJECT_LIST : OBJECT_CONTENT, &entry.oid, 0,
                       NULL) > 0 &&
            list.level > 0) {
            collect_list(source, &entry.oid, entry.size_bytes, (int)list.level - 1, set);
        }
    }
}

/* Recurses at most CHUNK_LEVEL_MAX deep. */
static int visit_list(struct visit *v, const struct oid *oid, uint64_t size_bytes,
                      int level, const struct oidset *known, struct error *err)
{
    CLEANUP_STRBUF struct strbuf body = STRBUF_INIT;
    struct chunk_list list;

    if (load_list(v->source, oid, size_bytes, level, &body, &list, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < list.count; i++) {
        enum object_kind kind = list.level > 0 ? OBJECT_LIST : OBJECT_CONTENT;
        struct chunk_list_entry entry;
        int answer;

        chunk_list_entry_at(&list, i, &entry);
        if (known && oidset_has(known, kind, &entry.oid)) {
            continue;
        }
        answer = visit_one(v, kind, &entry.oid, entry.size_bytes, err);
        if (answer == 0 && kind == OBJECT_LIST) {
            answer = visit_list(v, &entry.oid, entry.size_bytes, (int)list.level - 1,
                                known, err);
        }
        if (answer < 0) {
            return -1;
        }
    }
    return 0;
}

static int visit_file_list(struct visit *v, const struct tree_entry *entry,
                           const struct tree_entry *base, struct error *err)
{
    CLEANUP(oidset_cleanup) struct oidset *known = NULL;

    if (base) {
        known = oidset_new(SET_MAX);
        collect_list(v->source, &base->oid, base->size_bytes, -1, known);
    }
    return visit_list(v, &entry->oid, entry->size_bytes, -1, known, err);
}

/* base: what the base has under this name, or NULL. */
static int visit_entry(struct visit *v, const struct tree_entry *entry,
                       const struct tree_entry *base, struct error *err)
{
    enum object_kind kind = tree_entry_object(entry);
    int answer;

    if (base && tree_entry_object(base) != kind) {
        base = NULL;
    }
    if (base && oid_equal(&base->oid, &entry->oid)) {
        return 0;
    }
    answer = visit_one(v, kind, &entry->oid, entry->size_bytes, err);
    if (answer != 0) {
        return answer < 0 ? -1 : 0;
    }
    switch (kind) {
    case OBJECT_CONTENT:
        break;
    case OBJECT_LIST:
        return visit_file_list(v, entry, base, err);
    case OBJECT_TREE:
        if (v->depth == TREE_DEPTH_MAX) {
            return error_set(err, ERR_LIMIT, "more than %d folders deep", TREE_DEPTH_MAX);
        }
        v->depth++;
        answer = visit_folder(v, &entry->oid, entry->size_bytes, base ? &base->oid : NULL,
                              err);
        v->depth--;
        return answer;
    }
    return 0;
}

static int visit_part(void *context, const struct tree_part *part, struct error *err)
{
    return visit_one(context, OBJECT_TREE, &part->oid, part->size_bytes, err);
}

/* Recurses at most TREE_DEPTH_MAX deep. A base that cannot be read is no base. */
static int visit_folder(struct visit *v, const struct oid *oid, uint64_t size_bytes,
                        const struct oid *base, struct error *err)
{
    CLEANUP(tree_reader_cleanup)
    struct tree_reader *reader = tree_reader_open(v->source, oid, size_bytes, err);
    CLEANUP(tree_reader_cleanup) struct tree_reader *base_reader = NULL;
    struct tree_pair pair = {.part = visit_part, .context = v};
    const struct tree_entry *entry, *base_entry;
    int got;

    if (!reader) {
        return -1;
    }
    if (base) {
        base_reader = tree_reader_open(v->source, base, UINT64_MAX, NULL);
    }
    pair.a = reader;
    pair.b = base_reader;
    while ((got = tree_pair_next(&pair, &entry, &base_entry, err)) > 0) {
        if (entry && visit_entry(v, entry, base_entry, err) < 0) {
            return -1;
        }
    }
    return got;
}

int tree_visit_objects(const struct object_source *source, const struct oid *root,
                       const struct oid *base, object_visitor *visit, void *context,
                       struct error *err)
{
    struct visit v = {.source = source, .visit = visit, .context = context, .depth = 0};
    int answer;

    if (base && oid_equal(root, base)) {
        return 0;
    }
    answer = visit_one(&v, OBJECT_TREE, root, UINT64_MAX, err);
    if (answer != 0) {
        return answer < 0 ? -1 : 0;
    }
    return visit_folder(&v, root, UINT64_MAX, base, err);
}
