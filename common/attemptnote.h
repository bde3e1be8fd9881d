/*
 * attemptnote: a number that an attempt keeps in its run's folder, for who comes after.
 * [content]
 *
 * A file "ATTEMPT NUMBER\n", replaced as a whole. Of another attempt's nothing is known.
 */
#ifndef COMMON_ATTEMPTNOTE_H
#define COMMON_ATTEMPTNOTE_H

#include <stdint.h>

#include "common/error.h"

/* Errors: files_write_atomic's. */
int attemptnote_write(int run_fd, const char *file, int64_t attempt, int64_t number,
                      struct error *err);
/* -1: there is none of this attempt. */
int64_t attemptnote_read(int run_fd, const char *file, int64_t attempt);

/*
 * Append an open file with the metrics of an attempt to the run's `metrics`. note: the
 * file with where those begin; with it they come once, also where who appended them was
 * killed. Errors: by errno.
 */
int attemptnote_take_metrics(int run_fd, const char *note, int64_t attempt, int in_fd,
                             struct error *err);

#endif
