#include "common/tree_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS_MAX (TREE_LEVEL_MAX + 1)
/* No part but a folder's last is smaller (FORMATS.md 1.3): a body of 16 bytes of head and
 * 64 KiB of entries. */
#define PART_BODY_MIN (((size_t)64 << 10) + 16)

struct reader_level {
    struct strbuf body;
    struct tree tree; /* borrows body */
};

struct tree_reader {
    const struct object_source *source;
    struct reader_level levels[LEVELS_MAX]; /* the root, a part of it, ... */
    unsigned depth;                         /* levels in use; 0: at the end */
    uint64_t size_bytes;
    struct tree_entry last; /* the last one taken of the innermost part, or no name */
    char last_name[TREE_NAME_MAX]; /* of the part before */
    size_t last_name_length;       /* 0: not known */
};

/* Load one body and check what its parent says of it. level: -1 for a root. */
static int load(struct tree_reader *r, struct reader_level *to, const struct oid *oid,
                uint64_t size_bytes, int level, struct error *err)
{
    char hex[OID_HEX_SIZE];

    oid_to_hex(oid, hex);
    if (r->source->get(r->source->context, OBJECT_TREE, oid, &to->body, err) < 0) {
        return error_wrap(err, "tree %s", hex);
    }
    if (tree_decode(to->body.data, to->body.length, &to->tree, err) < 0) {
        return error_wrap(err, "%s", hex);
    }
    if (size_bytes != UINT64_MAX && size_bytes != to->tree.size_bytes) {
        return error_set(err, ERR_CORRUPT, "tree %s: another size than expected", hex);
    }
    if (level < 0 ? (to->tree.level > 0 && to->tree.count < 2)
                  : (to->tree.level != (unsigned)level || to->tree.count == 0)) {
        return error_set(err, ERR_CORRUPT, "tree %s: a part of a wrong level", hex);
    }
    return 0;
}

static void pop(struct tree_reader *r)
{
    if (r->last.name) {
        memcpy(r->last_name, r->last.name, r->last.name_length);
        r->last_name_length = r->last.name_length;
        r->last.name = NULL;
    }
    strbuf_release(&r->levels[--r->depth].body);
}

struct tree_reader *tree_reader_open(const struct object_source *source,
                                     const struct oid *oid, uint64_t size_bytes,
                                     struct error *err)
{
    struct tree_reader *r = xcalloc(1, sizeof(*r));

    r->source = source;
    for (size_t i = 0; i < LEVELS_MAX; i++) {
        strbuf_init(&r->levels[i].body, OBJECT_SIZE_MAX);
    }
    if (load(r, &r->levels[0], oid, size_bytes, -1, err) < 0) {
        tree_reader_free(r);
        return NULL;
    }
    r->depth = 1;
    r->size_bytes = r->levels[0].tree.size_bytes;
    return r;
}

void tree_reader_free(struct tree_reader *r)
{
    if (r) {
        for (size_t i = 0; i < LEVELS_MAX; i++) {
            strbuf_release(&r->levels[i].body);
        }
        free(r);
    }
}

uint64_t tree_reader_size_bytes(const struct tree_reader *r)
{
    return r->size_bytes;
}

static struct tree *innermost(struct tree_reader *r)
{
    return &r->levels[r->depth - 1].tree;
}

enum reader_step reader_peek(struct tree_reader *r, struct tree_part *part)
{
    struct tree ahead;

    while (r->depth > 0 && innermost(r)->cursor == innermost(r)->end) {
        pop(r);
    }
    if (r->depth == 0) {
        return READER_END;
    }
    if (innermost(r)->level == 0) {
        return READER_ENTRY;
    }
    ahead = *innermost(r);
    (void)tree_next_part(&ahead, part);
    return READER_PART;
}

int reader_take_entry(struct tree_reader *r, struct tree_entry *out, struct error *err)
{
    bool is_first = !r->last.name;
    bool has_entry = tree_next(innermost(r), out);

    assert(has_entry);
    r->last = *out;
    /* Within one body the order was checked when it was decoded. */
    if (is_first && r->last_name_length > 0) {
        struct tree_entry before = {.name = r->last_name,
                                    .name_length = r->last_name_length};

        if (tree_entry_compare(&before, out) >= 0) {
            return error_set(err, ERR_CORRUPT,
                             "tree: the names of its parts are not in "
                             "order");
        }
    }
    return 0;
}

/* True where nothing of the folder follows what was taken so far. */
static bool is_at_end(const struct tree_reader *r)
{
    for (unsigned i = 0; i < r->depth; i++) {
        if (r->levels[i].tree.cursor != r->levels[i].tree.end) {
            return false;
        }
    }
    return true;
}

int reader_enter_part(struct tree_reader *r, struct error *err)
{
    struct tree *above = innermost(r);
    struct tree_part part;
    struct reader_level *to;

    (void)tree_next_part(above, &part);
    assert(r->depth < LEVELS_MAX);
    to = &r->levels[r->depth];
    if (load(r, to, &part.oid, part.size_bytes, (int)above->level - 1, err) < 0) {
        return -1;
    }
    if (to->body.length < PART_BODY_MIN && !is_at_end(r)) {
        return error_set(err, ERR_CORRUPT, "tree: a part is too small");
    }
    r->depth++;
    return 0;
}

void reader_skip_part(struct tree_reader *r)
{
    struct tree_part part;

    (void)tree_next_part(innermost(r), &part);
    r->last_name_length = 0;
}

int tree_reader_next(struct tree_reader *r, struct tree_entry *out, struct error *err)
{
    for (;;) {
        struct tree_part part;

        switch (reader_peek(r, &part)) {
        case READER_END:
            return 0;
        case READER_ENTRY:
            return reader_take_entry(r, out, err) < 0 ? -1 : 1;
        case READER_PART:
            if (reader_enter_part(r, err) < 0) {
                return -1;
            }
            break;
        }
    }
}

/* Leave out a part that begins in both at the same place. */
static bool skip_common_part(struct tree_pair *pair)
{
    struct tree_part part_a, part_b;

    if (pair->has_a || pair->has_b || !pair->b ||
        reader_peek(pair->a, &part_a) != READER_PART ||
        reader_peek(pair->b, &part_b) != READER_PART ||
        !oid_equal(&part_a.oid, &part_b.oid)) {
        return false;
    }
    reader_skip_part(pair->a);
    reader_skip_part(pair->b);
    return true;
}

/* 1: a step was made, look again; 0: entry_a is there, or a has no more; -1: err. */
static int fill_a(struct tree_pair *pair, struct error *err)
{
    struct tree_part part;
    int answer = 0;

    if (pair->has_a) {
        return 0;
    }
    switch (reader_peek(pair->a, &part)) {
    case READER_END:
        break;
    case READER_ENTRY:
        pair->has_a = true;
        return reader_take_entry(pair->a, &pair->entry_a, err);
    case READER_PART:
        if (pair->part) {
            answer = pair->part(pair->context, &part, err);
        }
        if (answer > 0) {
            reader_skip_part(pair->a);
        }
        if (answer < 0 || (answer == 0 && reader_enter_part(pair->a, err) < 0)) {
            return -1;
        }
        return 1;
    }
    return 0;
}

static int fill_b(struct tree_pair *pair, struct error *err)
{
    int got;

    if (pair->has_b || !pair->b) {
        return 0;
    }
    got = tree_reader_next(pair->b, &pair->entry_b, err);
    pair->has_b = got > 0;
    return got < 0 ? -1 : 0;
}

static bool is_same(const struct tree_entry *a, const struct tree_entry *b)
{
    return a->kind == b->kind && a->size_bytes == b->size_bytes &&
           oid_equal(&a->oid, &b->oid);
}

/* Which of the two entries at hand comes first: < 0 a's, > 0 b's, 0 both (one name). */
static int compare_heads(const struct tree_pair *pair)
{
    if (!pair->has_b) {
        return -1;
    }
    return pair->has_a ? tree_entry_compare(&pair->entry_a, &pair->entry_b) : 1;
}

int tree_pair_next(struct tree_pair *pair, const struct tree_entry **out_a,
                   const struct tree_entry **out_b, struct error *err)
{
    for (;;) {
        int order, filled;

        if (skip_common_part(pair)) {
            continue;
        }
        filled = fill_a(pair, err);
        if (filled < 0 || (filled == 0 && fill_b(pair, err) < 0)) {
            return -1;
        }
        if (filled > 0) {
            continue;
        }
        if (!pair->has_a && !pair->has_b) {
            return 0;
        }
        order = compare_heads(pair);
        pair->has_a = pair->has_a && order > 0;
        pair->has_b = pair->has_b && order < 0;
        if (order == 0 && is_same(&pair->entry_a, &pair->entry_b)) {
            continue;
        }
        *out_a = order <= 0 ? &pair->entry_a : NULL;
        *out_b = order >= 0 ? &pair->entry_b : NULL;
        return 1;
    }
}
