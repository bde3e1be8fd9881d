/*
 * gitplace: the git repository that a folder lies in, as far as ignore rules need it.
 * [controller]
 *
 * Found as git does: the nearest folder upwards, on the same filesystem, that has a
 * repository in .git, or a .git file that names one (worktrees, submodules).
 */
#ifndef CONTROLLER_GITPLACE_H
#define CONTROLLER_GITPLACE_H

#include "common/error.h"
#include "common/mem.h"

#include <stdbool.h>

/*
 * The top folder of the repository that folder (absolute, no symbolic links in it) lies
 * in: how many bytes of folder name it (1 for "/"). 0: in none.
 */
size_t gitplace_find_top(const char *folder);

/*
 * The path of info/exclude of the repository whose top folder is top, malloc'ed. NULL:
 * top is no repository's. The file need not be there.
 */
char *gitplace_exclude_path(const char *top);

/* The path of its index, malloc'ed; the same goes for it. A worktree has its own. */
char *gitplace_index_path(const char *top);

/*
 * The user's own ignore file: core.excludesFile as the git program has it when run in
 * folder, else git/ignore in $XDG_CONFIG_HOME or ~/.config. malloc'ed; NULL: nowhere. A
 * relative one begins at folder. Blocks for the git program, at most 5 seconds.
 */
char *gitplace_global_excludes(const char *folder);

#endif
