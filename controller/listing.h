/*
 * listing: entries of a snapshot, and which of them are the biggest. [controller]
 *
 * Filled in the order of snapshot_visitor: folders after what is in them. Life:
 * listing_new
 * -> listing_add ... -> listing_free.
 */
#ifndef CONTROLLER_LISTING_H
#define CONTROLLER_LISTING_H

#include "common/mem.h"
#include "common/strbuf.h"
#include "common/tree.h"

struct listing;

/* An entry; of a folder, the sums of what is in it. Borrowed from its listing. */
struct listing_entry {
    const char *path;
    enum tree_kind kind;
    uint64_t size_bytes, files; /* files: 1 of a file or symbolic link */
};

struct listing *listing_new(void);
void listing_free(struct listing *l);
DEFINE_CLEANUP_FREE(listing)

/* Add an entry. */
void listing_add(struct listing *l, const char *path, const struct tree_entry *entry);

/* How many there are. */
size_t listing_count(const struct listing *l);
/* Entry i, in the order of the adding. */
void listing_at(const struct listing *l, size_t i, struct listing_entry *out);
/* Sums over everything. */
void listing_totals(const struct listing *l, struct tree_totals *out);

/*
 * Append lines "  4.1 GB  1200 files  data/", the biggest first: what lies at the top, at
 * most count lines of it, and below each folder indented what makes up at least a tenth
 * of everything. A last line says how much is not shown. Names are made safe for a
 * terminal.
 */
void listing_write(const struct listing *l, size_t count, struct strbuf *out);

/* Append the paths of the biggest folders or, at the top, files, at most count, as
 * "data/images/ (4.1 GB, 1200 files), a.bin (12 MB)": a folder that is nearly all of the
 * one around it stands for it. */
void listing_name_biggest(const struct listing *l, size_t count, struct strbuf *out);

#endif
