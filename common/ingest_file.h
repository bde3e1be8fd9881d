/*
 * ingest_file: a file's content as objects, while it may change.            [content]
 *
 * A file counts only where it was the same before and after it was read: size, times,
 * inode. Memory: one buffer of two chunks, whatever the file's size.
 */
#ifndef COMMON_INGEST_FILE_H
#define COMMON_INGEST_FILE_H

#include "common/ingest.h"

struct file_reader;

/* hooks is borrowed: its put takes the objects. */
struct file_reader *file_reader_new(const struct ingest_hooks *hooks);
void file_reader_free(struct file_reader *r);
DEFINE_CLEANUP_FREE(file_reader)

enum file_result {
    FILE_STOP = -1, /* put failed, err says why */
    FILE_TAKEN = 0,
    FILE_PROBLEM = 1, /* problem says why: ERR_NOT_FOUND, ERR_CHANGED, or by errno */
};

/*
 * Read file name of folder dir_fd, up to INGEST_ATTEMPTS times until it holds still.
 * path: what put is told. *st becomes the state that was read, *out names the content or
 * list.
 */
enum file_result file_reader_read(struct file_reader *r, int dir_fd, const char *name,
                                  const char *path, struct stat *st, struct oid *out,
                                  struct error *problem, struct error *err);

#endif
