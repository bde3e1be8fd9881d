/*
 * peek: how large something is that is not walked, at a glance.            [controller]
 *
 * What the rules leave out is never walked: it may be millions of files. A look at its
 * first names, level by level, finds the few large files that a folder of data mostly
 * has, and costs less than a millisecond.
 */
#ifndef CONTROLLER_PEEK_H
#define CONTROLLER_PEEK_H

#include <stdbool.h>
#include <stdint.h>

#define PEEK_NAMES_MAX 128

/* Sizes of the files in name, in an open folder, or its own where it is a file; symbolic
 * links are not followed. *out_is_all: false where there is more than was looked at. What
 * cannot be read counts nothing. */
uint64_t peek_size(int dir_fd, const char *name, bool *out_is_all);

#endif
