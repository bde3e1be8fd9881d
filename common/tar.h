/*
 * tar: archives as a stream of entries, through libarchive.            [content]
 *
 * The one place that knows libarchive. It carries bytes and never touches the disk: where
 * they come from and go to, and what an entry may be called, is its callers' business. An
 * archive is the same for the same entries: owner 0, no names of users, no padding behind
 * its last block.
 *
 * Writing: tar_writer_new -> (tar_writer_add -> tar_writer_data ...) ... ->
 * tar_writer_finish -> tar_writer_free. Reading: tar_reader_... -> (tar_reader_next ->
 * tar_reader_data ...) ... -> tar_reader_free.
 */
#ifndef COMMON_TAR_H
#define COMMON_TAR_H

#include "common/mem.h"
#include "common/strbuf.h"
#include "common/tree.h"

#include <sys/types.h>

#define TAR_BLOCK ((size_t)512)
#define TAR_END (2 * TAR_BLOCK) /* the blocks of zeros behind the last entry */

struct tar_entry {
    enum tree_kind kind;
    unsigned mode;       /* 0644, 0755 ...: permissions alone */
    uint64_t size_bytes; /* of a file; else 0 */
    int64_t mtime_s;
    /* NUL-terminated; what the reader gives is valid until its next call, and as it
     * stood there: unchecked. */
    const char *path;
    const char *target; /* of a symbolic link, else NULL */
};

/* ---- Writing */

struct tar_format {
    /* Paths and targets of any length (GNU's extension, which GNU tar, Python and Java's
     * libraries read); else plain ustar, where a path is at most 255 bytes. */
    bool has_long_names;
    const char *zstd_level; /* "1" ... "19"; NULL: not compressed */
    /* Take the archive's next bytes; -1 with err. What it failed with is what the writer
     * fails with. */
    int (*put)(void *context, const void *data, size_t length, struct error *err);
    void *context;
};

struct tar_writer;
/* format is copied. Errors: ERR_INTERNAL, put's. */
struct tar_writer *tar_writer_new(const struct tar_format *format, struct error *err);
/* After an error, or without tar_writer_finish, what was put is no archive. */
void tar_writer_free(struct tar_writer *w);
DEFINE_CLEANUP_FREE(tar_writer)
/* Begin an entry; of a file, exactly size_bytes bytes of tar_writer_data follow. Errors:
 * ERR_INTERNAL (also a path that the format cannot have), put's. */
int tar_writer_add(struct tar_writer *w, const struct tar_entry *entry,
                   struct error *err);
/* Errors: ERR_INTERNAL (more than the entry's size), put's. */
int tar_writer_data(struct tar_writer *w, const void *data, size_t length,
                    struct error *err);
/* The end. Errors: ERR_CHANGED (the last file had fewer bytes), put's. */
int tar_writer_finish(struct tar_writer *w, struct error *err);

/* ---- Reading */

struct tar_reader;
/* fd and data are borrowed. Plain tar, with the extensions of GNU and pax, as whoever
 * wrote it chose; not compressed. Errors: ERR_CORRUPT, by errno. */
struct tar_reader *tar_reader_of_file(int fd, struct error *err);
struct tar_reader *tar_reader_of_memory(const void *data, size_t length,
                                        struct error *err);
void tar_reader_free(struct tar_reader *r);
DEFINE_CLEANUP_FREE(tar_reader)
/* 1: *out is the next entry; 0: no more; -1: ERR_CORRUPT, ERR_UNSUPPORTED (an entry that
 * is no file, folder or symbolic link: its sentence names it), ERR_IO. Hard links, which
 * would be other entries' bytes, are none of these. */
int tar_reader_next(struct tar_reader *r, struct tar_entry *out, struct error *err);
/* The next bytes of the file; 0 at its end. Errors: ERR_CORRUPT, ERR_IO. */
ssize_t tar_reader_data(struct tar_reader *r, void *out, size_t length,
                        struct error *err);
/* Where the entry's header lies; whether the entry is one plain ustar header and its
 * bytes, without an extension. */
uint64_t tar_reader_position(const struct tar_reader *r);
bool tar_reader_is_plain(const struct tar_reader *r);

/* ---- Without an archive */

/* Append what a zstd stream decompresses to, up to out's limit. Errors: ERR_CORRUPT,
 * ERR_LIMIT (out had no room; its sentence says "decompressed"). */
int tar_unzstd(const void *data, size_t length, struct strbuf *out, struct error *err);

#endif
