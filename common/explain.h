/*
 * explain: what a program's many words mean, in one sentence.            [base]
 *
 * A table of what programs say and what it means to who uses errand: the first row that
 * is found counts, so that causes stand before their consequences.
 */
#ifndef COMMON_EXPLAIN_H
#define COMMON_EXPLAIN_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define EXPLAIN_WORDS_MAX 3  /* gaps in a row */
#define EXPLAIN_WORD_MAX 200 /* bytes that a gap stands for, with a NUL */

/*
 * `said` is looked for in the text. "{}" stands for a word there, "{*}" for anything on
 * that line, up to what follows, or, at the end of `said`, all of it; they become the
 * "{}" of the sentence, in their order, and what is left of these becomes those of the
 * hint.
 */
struct explain_row {
    const char *said;
    enum error_code code;
    const char *sentence, *hint; /* hint may be NULL */
};

/* True: a row was found, and err set from it. Else err is untouched. Allocates little;
 * the time is that of the text's length for each row. */
bool explain(const struct explain_row *rows, size_t count, const char *text,
             struct error *err);

#endif
