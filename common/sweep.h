/*
 * sweep: names that nobody needs any more, removed and counted.            [base]
 *
 * What cannot be removed is a warning, never an end: the rest goes on. With is_dry it is
 * only counted.
 *
 * Life: struct sweep s = {.is_dry = ...}; sweep_old ... sweep_remove ...; sweep_release.
 */
#ifndef COMMON_SWEEP_H
#define COMMON_SWEEP_H

#include "common/error.h"
#include "common/strvec.h"

#include <stdbool.h>
#include <stdint.h>

#define SWEEP_WARNINGS_MAX 100

struct sweep {
    bool is_dry;
    uint64_t bytes;         /* of the disk, removed so far (or that would be) */
    struct strvec warnings; /* at most SWEEP_WARNINGS_MAX */
};
void sweep_release(struct sweep *sweep);

/* Note a failure. why is borrowed. */
void sweep_warn(struct sweep *sweep, const struct error *why);

/* Remove name, with all that is below it, in an open folder; *count goes up by one where
 * it went. Blocks on disk. */
void sweep_remove(struct sweep *sweep, int dir_fd, const char *name, uint64_t *count);

/* Visit what in an open folder has a name of this pattern (fnmatch(3), a leading dot is
 * nothing special) and was not changed for min_age_ms. A folder that cannot be read has
 * nothing. */
typedef void sweep_visitor(void *context, int dir_fd, const char *name);
void sweep_old(int dir_fd, const char *pattern, int64_t min_age_ms, sweep_visitor *visit,
               void *context);

#endif
