/*
 * log: what errand itself did, for the file control.log of a run or for --verbose. [base]
 *
 * Lines "2026-11-23T23:59:59.123Z word: text". A sink is a descriptor or nothing; writing
 * is best effort (a full disk must not stop a run) and never allocates, so that the
 * supervisors may use it.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

struct log {
    int fd;           /* borrowed, or -1: nothing is written */
    const char *word; /* who speaks: "guardian", "shim", "serve" */
};

/* Write one line of at most 1 KiB in one call; control characters in it become '?'. errno
 * is kept. */
void log_line(const struct log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
