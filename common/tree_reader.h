/*
 * tree_reader: a folder's entries across its parts, step by step.            [content]
 *
 * What tree.h's reader is made of, for tree's own sources: they see where a part begins
 * before it is loaded, and may leave it out. tree_pair walks two folders side by side and
 * yields only what differs; parts that both have at the same place are not even loaded.
 */
#ifndef COMMON_TREE_READER_H
#define COMMON_TREE_READER_H

#include "common/tree.h"

enum reader_step {
    READER_END,
    READER_ENTRY, /* reader_take_entry has one */
    READER_PART,  /* *part comes next: reader_enter_part, or reader_skip_part */
};

/* What comes next; cannot fail, loads nothing. */
enum reader_step reader_peek(struct tree_reader *r, struct tree_part *part);
/* After READER_ENTRY. Errors: ERR_CORRUPT (out of order across parts). */
int reader_take_entry(struct tree_reader *r, struct tree_entry *out, struct error *err);
/* After READER_PART: load it. Errors: the source's, ERR_CORRUPT. */
int reader_enter_part(struct tree_reader *r, struct error *err);
void reader_skip_part(struct tree_reader *r);

struct tree_pair {
    struct tree_reader *a, *b; /* borrowed; b may be NULL: an empty folder */
    /* Asked before a part of a is loaded: 0: load it; 1: leave it out; -1: stop. NULL:
     * all are loaded. */
    int (*part)(void *context, const struct tree_part *part, struct error *err);
    void *context;
    bool has_a, has_b;
    struct tree_entry entry_a, entry_b;
};

/*
 * The next name under which a and b have not the same: 1, with *out_a or *out_b NULL
 * where that side lacks it (valid until the next call); 0: no more; -1: err.
 */
int tree_pair_next(struct tree_pair *pair, const struct tree_entry **out_a,
                   const struct tree_entry **out_b, struct error *err);

#endif
