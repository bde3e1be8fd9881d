/*
 * loggap: what a log at home lacks, because the node no longer had it.     [controller]
 *
 * state/runs/<id>/driver.log.gaps and its like (FORMATS.md 5.3): one JSON object a line,
 * appended and synced before anything that lies behind the gap is stored. So whoever
 * reads a log, now or in a year, knows which of its bytes are not the script's, and says
 * so in the same words.
 *
 * A gap lies in a generation of the file, from one offset to another. What was lost with
 * the end of a generation (the file was cut or replaced) is a gap behind its last byte.
 *
 * Life: LOGGAPS_INIT -> loggaps_load -> loggaps_add ... -> loggaps_release.
 */
#ifndef CONTROLLER_LOGGAP_H
#define CONTROLLER_LOGGAP_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum loggap_why {
    LOGGAP_LIMIT,   /* given up by the node: the log was over its limit */
    LOGGAP_CUT,     /* truncated or replaced there */
    LOGGAP_REMOVED, /* with the run */
    LOGGAP_UNKNOWN, /* a later program's word */
};

struct loggap {
    int64_t generation;
    uint64_t from, to; /* offsets in it, from < to */
    enum loggap_why why;
};

/* In the order of their places; none touch. */
struct loggaps {
    struct loggap *items;
    size_t count, capacity;
};
#define LOGGAPS_INIT                                                                     \
    {                                                                                    \
        NULL, 0, 0                                                                       \
    }

void loggaps_release(struct loggaps *gaps);
/*
 * Read what is recorded of file, in a run's folder at home, in the place of what gaps
 * has. A line that cannot be read (the machine went down while it was written) is passed
 * over. Errors: ERR_IO, ERR_LIMIT.
 */
int loggaps_load(struct loggaps *gaps, int dir_fd, const char *file, struct error *err);
/* Record a gap, on the disk too. Errors: ERR_IO, ERR_NO_SPACE, ERR_LIMIT (too many). */
int loggaps_add(struct loggaps *gaps, int dir_fd, const char *file,
                const struct loggap *gap, struct error *err);

/* The first gap of a generation that ends behind offset. Borrowed from gaps; NULL: none.
 */
const struct loggap *loggaps_next(const struct loggaps *gaps, int64_t generation,
                                  uint64_t offset);
/* The last one that begins before offset, as loggaps_next. */
const struct loggap *loggaps_before(const struct loggaps *gaps, int64_t generation,
                                    uint64_t offset);
/* Bytes missing, over all generations. */
uint64_t loggaps_total(const struct loggaps *gaps);

/* The word of FOLLOW's AT; LOGGAP_UNKNOWN for NULL and what is not known. */
enum loggap_why loggap_why(const char *word);
/* "1234 bytes of the log are missing here: ...". */
#define LOGGAP_TEXT_SIZE 256
void loggap_describe(const struct loggap *gap, char out[LOGGAP_TEXT_SIZE]);

#endif
