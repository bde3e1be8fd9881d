/*
 * gitindex: which paths of a repository git tracks.            [controller]
 *
 * What is tracked is not ignored, whatever the rules say (gitignore(5)). The repository's
 * index file is read when somebody asks for the first time (gitformat-index(5), versions
 * 2 to 4); of one that is not understood (a split or sparse index, SHA-256) the git
 * program tells the paths. Where neither is to be had, nothing is tracked.
 *
 * Life: gitindex_new -> gitindex_find ... -> gitindex_free.
 */
#ifndef CONTROLLER_GITINDEX_H
#define CONTROLLER_GITINDEX_H

#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define GITINDEX_SIZE_MAX ((size_t)1 << 30)

struct gitindex;

/* Of the repository whose top folder is top (copied). Reads nothing yet. */
struct gitindex *gitindex_new(const char *top);
void gitindex_free(struct gitindex *gi);
DEFINE_CLEANUP_FREE(gitindex)

enum gitindex_match {
    GITINDEX_NONE,
    GITINDEX_IT,    /* the file itself; of a folder: it is a submodule */
    GITINDEX_BELOW, /* something in the folder */
};

/* What of path (from the top folder, of less than TREE_PATH_MAX bytes) is tracked. Blocks
 * on disk, and for the git program at most 30 seconds. */
enum gitindex_match gitindex_find(struct gitindex *gi, const char *path, bool is_folder);

#endif
