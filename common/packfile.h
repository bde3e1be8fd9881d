/*
 * packfile: many small objects in one file.            [content]
 *
 * Making a file costs more than the few kilobytes that most objects have, so objects that
 * come together are written one behind another (FORMATS.md, "Pack file"), with an index
 * of their digests at the end. Which objects, and where the file lies, is the store's
 * business. Bodies are not verified here, neither when they are written nor when they are
 * read; what an index says is bounded by the file before it is believed.
 *
 * Writing: packfile_writer_new -> packfile_writer_add ... -> packfile_writer_finish, then
 * the caller renames the file to its name. Until a few megabytes are full everything
 * stays in memory, for who finds that so little is better a file for each.
 *
 * Reading: packfile_open -> packfile_find, packfile_read ... A file that was removed
 * meanwhile can be read as long as it is open.
 */
#ifndef COMMON_PACKFILE_H
#define COMMON_PACKFILE_H

#include "common/mem.h"
#include "common/object.h"

#include <sys/stat.h>

#define PACKFILE_OBJECTS_MAX ((size_t)65536)
/* A larger object is better a file of its own. Less than CHUNK_MIN. */
#define PACKFILE_BODY_MAX ((size_t)128 << 10)
#define PACKFILE_NAME_SIZE 64 /* with NUL */

struct packfile_entry {
    struct oid oid;
    uint64_t offset;
    uint32_t length;
    bool is_bad;  /* its bytes were found not to be what its name says */
    size_t place; /* in the index */
};

struct packfile;

/* Open a pack file of the folder dir_fd, which has to stay open. Errors: ERR_CORRUPT (no
 * whole pack file), ERR_NOT_FOUND, by errno. */
struct packfile *packfile_open(int dir_fd, const char *name, struct error *err);
void packfile_free(struct packfile *pack);
DEFINE_CLEANUP_FREE(packfile)

/* As it was opened; borrowed from pack. */
const char *packfile_name(const struct packfile *pack);
/* Of the open file. Errors: by errno. */
int packfile_stat(const struct packfile *pack, struct stat *out, struct error *err);
/* Make its modification time now; it does not matter where that fails. */
void packfile_renew(const struct packfile *pack);

/* 1: *out is the object's entry, a good one; 0: it has none; -1: ERR_CORRUPT, ERR_IO. */
int packfile_find(const struct packfile *pack, const struct oid *oid,
                  struct packfile_entry *out, struct error *err);
/* Replace out's bytes with the entry's. Errors: ERR_CORRUPT, ERR_LIMIT, ERR_IO. */
int packfile_read(const struct packfile *pack, const struct packfile_entry *entry,
                  struct strbuf *out, struct error *err);
/* Visit all entries by digest, bad ones too. Return -1 (with err) to stop. */
typedef int packfile_visitor(void *context, const struct packfile_entry *entry,
                             struct error *err);
int packfile_visit(const struct packfile *pack, packfile_visitor *visit, void *context,
                   struct error *err);
/* Record in the file that this entry is bad: it is not found again, by anybody. */
int packfile_mark_bad(const struct packfile *pack, const struct packfile_entry *entry,
                      struct error *err);

struct packfile_writer;

/* Writes the file called name in the folder dir_fd, which has to stay open. The file is
 * made when there is too much for memory, and is locked (flock) while it is written. */
struct packfile_writer *packfile_writer_new(int dir_fd, const char *name);
/* Removes the file unless it was finished. */
void packfile_writer_free(struct packfile_writer *w);
DEFINE_CLEANUP_FREE(packfile_writer)

/* False where it has to be finished before one more object of this length. */
bool packfile_writer_fits(const struct packfile_writer *w, size_t length);
/* The object must fit, be of at most PACKFILE_BODY_MAX, and not have been added before.
 * After an error the writer can only be freed. Errors: ERR_NO_SPACE, by errno. */
int packfile_writer_add(struct packfile_writer *w, const struct oid *oid,
                        const void *body, size_t length, struct error *err);
const char *packfile_writer_name(const struct packfile_writer *w); /* borrowed from w */
size_t packfile_writer_count(const struct packfile_writer *w);
/* True while everything is in memory. */
bool packfile_writer_is_in_memory(const struct packfile_writer *w);
/* The bodies, in the order that they were added; only while everything is in memory.
 * Return -1 (with err) to stop. */
typedef int packfile_body_visitor(void *context, const struct oid *oid, const void *body,
                                  size_t length, struct error *err);
int packfile_writer_visit(const struct packfile_writer *w, packfile_body_visitor *visit,
                          void *context, struct error *err);
/* Write the rest; nothing is synced. There must be an object. The file is the caller's
 * from now on. */
int packfile_writer_finish(struct packfile_writer *w, struct error *err);

#endif
