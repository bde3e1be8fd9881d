/*
 * logcap: a run's log does not fill the disk.            [executor]
 *
 * Where driver.log exceeds its limit its beginning is given up: a hole is punched from
 * the front (fallocate(2)), so that the size, all offsets and the script's own descriptor
 * stay as they are. At least the last three quarters of the limit stay; readers find the
 * hole (logfile.h). The file is looked at every two seconds, and the sooner the faster it
 * grows, so that it passes its limit by about a quarter, or by what comes in two seconds
 * where it was quiet before. On a filesystem that cannot punch holes the log grows on;
 * that is said once in control.log, and no run is ended for it.
 *
 * The file is the one that had the name when it was first looked at: what a script puts
 * in its place is its own business. Nothing allocates. Life: logcap_init -> logcap_look
 * ...
 * -> logcap_close.
 */
#ifndef EXECUTOR_LOGCAP_H
#define EXECUTOR_LOGCAP_H

#include "common/log.h"

#include <stdbool.h>
#include <stdint.h>

struct logcap {
    int fd;                     /* -1: not looked at yet */
    uint64_t max_bytes;         /* 0: none */
    uint64_t given_up;          /* so many bytes from the front */
    uint64_t size;              /* of the file, when last looked at */
    int64_t looked_ns, next_ns; /* monotonic; next_ns 0: there is nothing more to do */
    bool has_begun, has_failed; /* and control.log says so */
};

/* Nothing was looked at; next_ns says at once. max_bytes 0: there is no limit. */
void logcap_init(struct logcap *cap, uint64_t max_bytes);
/* Begin anew, at once, with the file that has the name by then: another attempt's. */
void logcap_restart(struct logcap *cap);
/* Look at driver.log in the run's folder, give up what is too much, and set next_ns, when
 * to look again. Says in log when it begins. Blocks on the disk. */
void logcap_look(struct logcap *cap, int run_fd, const struct log *log);
/* Give the descriptor back. */
void logcap_close(struct logcap *cap);

/* Can the beginning of a file in this folder be given up? 1: yes; 0: its filesystem
 * cannot; -1: that could not be tried. */
int logcap_is_possible(int dir_fd);

#endif
