/*
 * enginelog: an attendant's own journal: a run's file `engine`.            [wire]
 *
 * One JSON object a line (FORMATS.md 4.11), synced before what it says is acted upon:
 * that a job may be there from now on before it is submitted, its id the moment it is
 * known, and where the next bytes of driver.log come from before they are written. So an
 * attendant that is started anew knows where its predecessor was. One writer at a time,
 * which the run's supervisors see to; a torn last line is cut off.
 *
 * Bytes of a job's log are appended to driver.log as they are, a segment at a time: those
 * behind driver.log's offset at belong to source from its offset start on. So one line a
 * segment is enough to know, from driver.log's size, what has been copied.
 *
 * Life: enginelog_open -> enginelog_append ... -> enginelog_close.
 */
#ifndef COMMON_ENGINELOG_H
#define COMMON_ENGINELOG_H

#include "common/runengine.h"

#define ENGINE_SOURCE_SIZE 160
#define ENGINE_MARKER_SIZE 256
#define ENGINE_TOKEN_SIZE 65
#define ENGINE_FILE_MAX ((size_t)64 << 20)

struct engine_segment {
    char source[ENGINE_SOURCE_SIZE]; /* whose log, in the attendant's own words; "": none
                                      */
    char marker[ENGINE_MARKER_SIZE]; /* a line of ours that comes first, or "" */
    uint64_t at;                     /* offset in driver.log of the marker's first byte */
    uint64_t start;                  /* offset in source of the byte behind the marker */
};

struct enginelog {
    int fd;
    int64_t seq;
    struct run_engine engine; /* as the last line of this attempt has it; the next line
                                 says it as the caller left it */
    /* Of this attempt. */
    bool may_be_submitted, has_ended;
    int64_t submitting_utc_ms;     /* of the last SUBMITTING; 0: none */
    char token[ENGINE_TOKEN_SIZE]; /* of the driver's last word; "" before SUBMITTING */
    struct engine_segment segment; /* the last one */
};

/* Open (making it) and read. Another attempt's lines leave no trace. Errors: by errno,
 * ERR_CORRUPT. */
int enginelog_open(struct enginelog *log, int run_fd, const char *kind, int64_t attempt,
                   struct error *err);
/* Append a line and sync it, unless it is PROGRESS: log->engine, the sentence (may be
 * ""), and with SUBMITTING the token, with LOG the segment; with ENDED there is no
 * progress any more. Errors: by errno; nothing was appended. */
int enginelog_append(struct enginelog *log, enum engine_event event, const char *text,
                     struct error *err);
/* Does somebody read the lines as they come: hold a shared lock (flock) of the file? Who
 * writes asks, before it finds out what only such a reader would see. */
bool enginelog_is_followed(const struct enginelog *log);
void enginelog_close(struct enginelog *log);

/* Fold the last lines of a run's `engine` without writing; what they say of attempt is in
 * *out, and in *last the last of them, with the last sentence. A run without that file
 * has none. Errors: by errno, ERR_CORRUPT. */
int enginelog_read(int run_fd, int64_t attempt, struct run_engine *out,
                   struct engine_line *last, struct error *err);

#endif
