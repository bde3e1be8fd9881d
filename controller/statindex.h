/*
 * statindex: which files are unchanged since the last snapshot.            [controller]
 *
 * A file of what stat said of each file and of the digest that its content had then
 * (FORMATS.md 5.1). A file that looks the same is not read again, unless it was modified
 * so shortly before the walk began that it may have changed once more within the tick of
 * the clock.
 *
 * Reading and writing follow the walk: paths come in its order, folder by folder, names
 * by their bytes, as they are in the file. So a lookup is a step forward, and nothing is
 * sorted.
 *
 * Life: statindex_open -> statindex_look_ahead -> (statindex_knows, statindex_lookup,
 * statindex_add) ... -> statindex_write -> statindex_free. An index that is not there,
 * cannot be read or is damaged is empty.
 */
#ifndef CONTROLLER_STATINDEX_H
#define CONTROLLER_STATINDEX_H

#include "common/mem.h"
#include "common/oid.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define STATINDEX_SIZE_MAX ((size_t)1 << 30)
/* How much older than the walk a change must be before the file is believed. */
#define STATINDEX_SAFE_NS INT64_C(2000000000)

struct statindex;

/*
 * Read the index at path. walk_utc_ns: when the walk begins, in the time of the project's
 * filesystem as far as that is known; it must not be later than the first look at a file.
 */
struct statindex *statindex_open(const char *path, int64_t walk_utc_ns);
void statindex_free(struct statindex *si);
DEFINE_CLEANUP_FREE(statindex)

/* The root that the index name in an open folder was written for, by its head alone; zero
 * where there is none. */
void statindex_peek(int dir_fd, const char *name, struct oid *out);

/* The root of the snapshot that it was written for; zero where it is empty. */
void statindex_root(const struct statindex *si, struct oid *out);
/* Believe nothing of it: its root is gone. */
void statindex_forget(struct statindex *si);

/*
 * Begin to look at the files that the index has, ahead of the walk of the open folder
 * dir_fd, which stays open until statindex_free. At most once, before the first path, and
 * not before statindex_forget.
 */
void statindex_look_ahead(struct statindex *si, int dir_fd);

/* True where somebody has looked at the file at path meanwhile and it is as it was: *out
 * is its content's name, the mode and size in *st are its own, and it goes into the new
 * index. Else nothing is said about it, and statindex_lookup comes next. */
bool statindex_knows(struct statindex *si, const char *path, struct stat *st,
                     struct oid *out);

/* True where the file at path is as it was: *out is its content's name, and the file goes
 * into the new index. Each path once, in the walk's order. */
bool statindex_lookup(struct statindex *si, const char *path, const struct stat *st,
                      struct oid *out);
/* At a glance, in place of a lookup: true where a file of that size was at path, which
 * may have changed all the same; its content's name was *out. */
bool statindex_resembles(struct statindex *si, const char *path, uint64_t size_bytes,
                         struct oid *out);
/* The file was read in the state st: it goes into the new index. Directly after the
 * lookup of path that failed. */
void statindex_add(struct statindex *si, const char *path, const struct stat *st,
                   const struct oid *oid);

/*
 * Replace the file by what was looked up and added, for the snapshot root. Nothing is
 * written where the file says the same. The bytes are not synced: a torn index is
 * damaged, thus empty. Errors: ERR_LIMIT, ERR_NO_SPACE, ERR_IO; the old file is then
 * untouched.
 */
int statindex_write(struct statindex *si, const struct oid *root, struct error *err);

#endif
