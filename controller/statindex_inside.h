/*
 * statindex_inside: an entry of the stat index, as its bytes are.            [controller]
 *
 * Shared by statindex, which reads and writes them, and statahead, which compares them
 * with the files. FORMATS.md 5.1 has the layout.
 */
#ifndef CONTROLLER_STATINDEX_INSIDE_H
#define CONTROLLER_STATINDEX_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define STATINDEX_STAT_SIZE                                                              \
    48                          /* what statindex_encode_stat writes; the digest follows \
                                 */
#define STATINDEX_ENTRY_SIZE 80 /* before the path */

/* Write what st says of the file, and how long its path is. */
void statindex_encode_stat(uint8_t out[STATINDEX_STAT_SIZE], const struct stat *st,
                           size_t path_length);

/* The length of the entry's path, which lies behind its STATINDEX_ENTRY_SIZE bytes. */
size_t statindex_path_length(const uint8_t *entry);

/* True where the entry's file looks as it did, and was not changed so late that it may
 * have been changed once more: safe_before_ns is the first moment that is too late. */
bool statindex_is_same(const uint8_t *entry, const struct stat *st,
                       int64_t safe_before_ns);

#endif
