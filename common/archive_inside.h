/*
 * archive_inside: what archive.c (of a snapshot) and archive_folder.c share; for them
 * alone.            [content]
 */
#ifndef COMMON_ARCHIVE_INSIDE_H
#define COMMON_ARCHIVE_INSIDE_H

#include "common/archive.h"
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

#endif
