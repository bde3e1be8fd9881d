/*
 * ignore_lists: the rules of several ignore files, the later before the earlier.
 * [controller]
 *
 * A stack: files are read as folders are entered, and popped as they are left. Each file
 * speaks about the paths that begin at its own folder.
 */
#ifndef CONTROLLER_IGNORE_LISTS_H
#define CONTROLLER_IGNORE_LISTS_H

#include "common/error.h"
#include "controller/ignore_file.h"

struct ignore_list {
    struct ignore_file *file;
    size_t base; /* where paths begin for it, in bytes of the full path */
};

/* Starts as zeros; released by ignore_lists_pop(lists, 0) and ignore_lists_release. */
struct ignore_lists {
    struct ignore_list *items;
    size_t count, capacity;
};

/* A file that may have rules. */
struct ignore_source {
    int dir_fd;
    const char *name;
    const char *shown; /* as a sentence names it */
    bool is_nofollow;
};

/* Push it where it is there. Errors: those of ignore_file_read. */
int ignore_lists_read(struct ignore_lists *lists, const struct ignore_source *source,
                      size_t base, struct error *err);
/* Leave the first count. */
void ignore_lists_pop(struct ignore_lists *lists, size_t count);
/* Free everything; empty afterwards. */
void ignore_lists_release(struct ignore_lists *lists);

/* An entry of a walk: its full path, and the end of it that is its name. */
struct ignore_subject {
    const char *full;
    size_t length, name_length;
    bool is_folder;
};

/* The rule that counts for subject, and the file it is of; NULL: none matches. The first
 * from files are not asked. Borrowed from lists. */
const struct ignore_rule *ignore_lists_find(const struct ignore_lists *lists, size_t from,
                                            const struct ignore_subject *subject,
                                            const char **out_shown);

#endif
