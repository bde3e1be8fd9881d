/*
 * logfile: a reader's position in a growing file of a run, true to the byte. [executor]
 *
 * (file, generation, offset) is a promise: who goes on from it gets exactly what it has
 * not seen. A script may cut its own log (`tee /dev/stderr` does) or put another file in
 * its place. Then the position jumps: a new generation begins at offset 0, and gap says
 * how many bytes are known to be lost. That the file is still the one that was read is
 * seen by its inode, its size, and the last LOGFILE_TAIL bytes before the position, which
 * are compared on every read; so a file that shrank and grew again unseen is noticed too.
 *
 * The beginning of a log that is over its limit is given up (logcap.h): a hole from the
 * front, behind which all offsets are as before. A position in it moves to its end, in
 * the same generation, and gap says how much lay between: the exact loss. What a position
 * has before it in the hole cannot be compared any more and is believed.
 *
 * Life: logfile_open -> logfile_read ... -> logfile_release. Never blocks but on the
 * disk.
 */
#ifndef EXECUTOR_LOGFILE_H
#define EXECUTOR_LOGFILE_H

#include "common/oid.h"

#include <sys/types.h>

#define LOGFILE_TAIL 4096
#define LOGFILE_READ_MAX (64u << 10)
#define LOGFILE_LAST_LINES_MAX (1u << 20)

struct logfile {
    const char *name;   /* borrowed; in the run's folder */
    int run_fd;         /* borrowed */
    int fd;             /* -1: not there (yet) */
    int64_t generation; /* as the reader counts them */
    uint64_t offset;    /* of the next byte, in this generation */
    uint64_t gap;       /* after a jump: bytes known to be lost before it */
    const char *why;    /* they are lost: "cut" or "limit" (PROTOCOL.md), static */
    bool has_jumped;    /* generation or offset are not what the reader believes; the
                           reader clears it */
    uint64_t size;      /* of the file, when last looked at */
    uint64_t highest;   /* size seen in this generation */
    size_t tail_length;
    uint8_t tail[LOGFILE_TAIL]; /* the bytes before offset */
};

/*
 * Begin at the reader's position. tail: the plain digest of its last LOGFILE_TAIL bytes
 * (of all, if fewer), or NULL: believe it. offset -N: the last N lines, at most
 * LOGFILE_LAST_LINES_MAX bytes. Where the file is not the one the reader has read (or is
 * gone), it jumps.
 */
void logfile_open(struct logfile *l, int run_fd, const char *name, int64_t generation,
                  int64_t offset, const struct oid *tail);
void logfile_release(struct logfile *l);

/* Look at the size: bytes now in the file, 0 where it is not there. */
uint64_t logfile_size(struct logfile *l);

/*
 * Read up to length bytes (at most LOGFILE_READ_MAX) from the position on, into a buffer
 * of LOGFILE_READ_MAX bytes, and move behind them. 0: nothing more now. It may have
 * jumped before the first of these bytes, or, with 0, without any: see has_jumped.
 * Errors: -1, ERR_IO.
 */
ssize_t logfile_read(struct logfile *l, void *out, size_t length, struct error *err);

#endif
