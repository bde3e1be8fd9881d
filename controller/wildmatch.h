/*
 * wildmatch: shell patterns as git has them.            [controller]
 *
 * ?, *, [...], backslash, and ** between slashes; bytes, in the C locale. The verdicts
 * are those of git's wildmatch.c with WM_PATHNAME (gitignore(5)). A pattern is compiled
 * once and never backtracks further than to its last * and last **, so that a match takes
 * time in the order of pattern length times text length, whatever the pattern.
 */
#ifndef CONTROLLER_WILDMATCH_H
#define CONTROLLER_WILDMATCH_H

#include "common/mem.h"

#include <stdbool.h>
#include <stddef.h>

struct wildmatch;

/*
 * Compile length bytes of pattern, which has no NUL. One that cannot match (an open
 * bracket, an unknown class, a backslash at its end) is compiled all the same and matches
 * nothing. Needs memory of at most 32 times length.
 */
struct wildmatch *wildmatch_new(const char *pattern, size_t length);
void wildmatch_free(struct wildmatch *w);
DEFINE_CLEANUP_FREE(wildmatch)

/* True where all of text matches. * and ? and [...] never match a slash. */
bool wildmatch_matches(const struct wildmatch *w, const char *text, size_t length);

/* How many bytes of pattern stand before the first that is special. */
size_t wildmatch_literal_length(const char *pattern, size_t length);

#endif
