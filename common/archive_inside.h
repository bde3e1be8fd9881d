/*
 * archive_inside: what archive.c (of a snapshot), archive_folder.c and archive_moved.c
 * share; for them alone.            [content]
 */
#ifndef COMMON_ARCHIVE_INSIDE_H
#define COMMON_ARCHIVE_INSIDE_H

#include "common/archive.h"
#include "common/strbuf.h"
#include "common/tar.h"

/* An archive that is being written. */
struct archiving {
    const struct archive_request *request;
    struct tar_writer *tar;
    struct archive_facts facts;
};

/* Life: archiving_begin -> the calls below -> archiving_finish, or archiving_drop. */
int archiving_begin(struct archiving *a, const struct archive_request *request,
                    struct error *err);
int archiving_finish(struct archiving *a, struct archive_facts *out, struct error *err);
void archiving_drop(struct archiving *a);
static inline void archiving_cleanup(struct archiving **a)
{
    archiving_drop(*a);
}

/* Begin a folder or a file, whose bytes follow (tar_writer_data). */
int archiving_add(struct archiving *a, enum tree_kind kind, const char *path,
                  uint64_t size_bytes, int64_t mtime_s, struct error *err);
int archiving_add_link(struct archiving *a, const char *path, const char *target,
                       int64_t mtime_s, struct error *err);

/* For what leaves its place, the absolute folder `home` (no slash behind it). Pure. */

/* Append to the emptied out where the link at path leads: one into home is relative. */
void archive_move_link(const char *home, const char *path, const char *target,
                       struct strbuf *out);
/* How many bytes of a file's beginning, NUL-terminated, name an interpreter in home/bin;
 * out, emptied, is what stands for them: what a script is started with lies beside it
 * (Python), or in PATH. 0: none do, and out is empty. */
size_t archive_move_head(const char *home, const char *head, struct strbuf *out);

#endif
