/*
 * tidyrecord: when something was last tidied, and what came of it.            [base]
 *
 * A file that is also the lock of who tidies (files_lock): it stays the same one, and its
 * modification time is when a round last began. In it is an object of the caller's, which
 * has "began" and, once the round is over, "ended" and "report", or else "error"; one
 * that has not ended, or for whose record the disk had no room, is tried again after
 * TIDYRECORD_AGAIN_MS.
 */
#ifndef COMMON_TIDYRECORD_H
#define COMMON_TIDYRECORD_H

#include <sys/stat.h>

#include "common/json.h"

#define TIDYRECORD_AGAIN_MS (INT64_C(60) * 60 * 1000)

/* What the record of this name in the open folder says; the caller's. NULL: there is
 * none, or a round was interrupted while it wrote it. */
struct json *tidyrecord_read(int dir_fd, const char *name);
/* Write it into the open file, which is locked. */
void tidyrecord_write(int fd, const struct json *record);
/* Is a round due, of which there is to be one in every_ms? st: the record's; record: what
 * it says, or NULL. */
bool tidyrecord_is_due(const struct stat *st, const struct json *record,
                       int64_t every_ms);
/* For people: append when the last round was, and what it freed. path: the record's. */
void tidyrecord_describe(const struct json *record, const char *path, struct strbuf *out);

#endif
