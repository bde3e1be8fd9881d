/*
 * worktree: a tree of objects becomes a folder on disk.            [content]
 *
 * The one writer of trees: checkouts on the node and outputs at home. Everything in a
 * tree is hostile until checked: names come from tree_reader (single components), folders
 * are held open and entered with O_NOFOLLOW (openat2 with RESOLVE_BENEATH where the
 * kernel has it), files are made with O_EXCL and modes 0644 or 0755 (umask applies),
 * symbolic links last, never followed. No set-id bits, owners, devices or hard links
 * exist in the format. Every body is verified while it is written.
 */
#ifndef COMMON_WORKTREE_H
#define COMMON_WORKTREE_H

#include "common/object.h"
#include "common/tree.h"

struct worktree_limits {
    uint64_t max_files;      /* 0: no limit */
    uint64_t max_size_bytes; /* 0: no limit */
};

/*
 * Write the tree root into the open, empty folder dir_fd. After an error what was written
 * stays, for the caller to remove. Errors: ERR_NOT_FOUND (an object is missing),
 * ERR_CORRUPT, ERR_LIMIT, ERR_NO_SPACE, ERR_EXISTS (the folder was not empty, or its
 * filesystem folds case), ERR_IO.
 */
int worktree_write(int dir_fd, const struct object_source *source, const struct oid *root,
                   const struct worktree_limits *limits, struct tree_totals *out,
                   struct error *err);

/*
 * Write one entry of a tree, with all that is below it, into the open folder dir_fd under
 * its name. Errors: as worktree_write's; ERR_EXISTS where the name is taken.
 */
int worktree_write_entry(int dir_fd, const struct object_source *source,
                         const struct tree_entry *entry, struct error *err);

/*
 * Change the open folder dir_fd from exactly the tree base into the tree root. Only what
 * differs is touched; a file that differs is another file. After an error the folder is
 * neither, for the caller to remove. Errors: as worktree_write's.
 */
int worktree_update(int dir_fd, const struct object_source *source,
                    const struct oid *base, const struct oid *root, struct error *err);

/*
 * How much worktree_update would remove and write: *out_bytes, as the trees tell, counted
 * no further than limit_bytes. Reads the trees of folders that both have and that differ.
 */
int worktree_distance(const struct object_source *source, const struct oid *base,
                      const struct oid *root, uint64_t limit_bytes, uint64_t *out_bytes,
                      struct error *err);

#endif
