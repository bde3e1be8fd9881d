/*
 * worktree_inside: what worktree.c (a whole tree) and worktree_update.c (what differs)
 * share; for them alone.            [content]
 */
#ifndef COMMON_WORKTREE_INSIDE_H
#define COMMON_WORKTREE_INSIDE_H

#include "common/dirstack.h"
#include "common/oidset.h"
#include "common/worktree.h"

/* One checkout. What is large lives here and not in the frames of the recursion, which is
 * up to TREE_DEPTH_MAX deep. */
struct checkout {
    const struct object_source *source;
    struct dirstack *folders;
    const struct worktree_limits *limits;
    struct oidset *linked; /* trees with symbolic links in them or below */
    uint64_t files, folder_count;
    int file_fd; /* the large file that is being written */
    struct strbuf body;
    char name[TREE_NAME_MAX + 1];
};

/* Begin below an open folder. limits NULL: none. */
struct checkout *checkout_new(int dir_fd, const struct object_source *source,
                              const struct worktree_limits *limits);
void checkout_free(struct checkout *c);
DEFINE_CLEANUP_FREE(checkout)

/* The entry's name with a NUL, until the next call. */
const char *checkout_name(struct checkout *c, const struct tree_entry *entry);
/* "what PATH" in front of the sentence; returns -1. */
int checkout_wrap(const struct checkout *c, const char *what, struct error *err);
/* Write an entry into the current folder, with all that is below it but the symbolic
 * links; *has_links becomes true where there are any. */
int checkout_write(struct checkout *c, const struct tree_entry *entry, bool *has_links,
                   struct error *err);
/* Make the entry, or those below it, that are symbolic links. */
int checkout_link(struct checkout *c, const struct tree_entry *entry, struct error *err);

#endif
