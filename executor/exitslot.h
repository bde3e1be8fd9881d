/*
 * exitslot: how each stage of each attempt ended, written before it is reaped. [executor]
 *
 * The file `exit` of a run (FORMATS.md 4.4): fixed slots, the next one allocated before
 * its stage begins, so that the end can be noted on a full disk; with a checksum, so that
 * a torn one is known as such. A stage that could not execute its program writes its own
 * slot (by "launch"), and so do an attendant (by "attend") and a preparation or a
 * collection that failed (by "prepare", "finalize"); all else is written by the process's
 * parent.
 */
#ifndef EXECUTOR_EXITSLOT_H
#define EXECUTOR_EXITSLOT_H

#include "common/runstate.h"

#define EXITSLOT_SIZE 512
#define EXITSLOT_TEXT_MAX 320

enum stage {
    STAGE_PREPARE,
    STAGE_RUN,
    STAGE_FINALIZE,
};

struct exitslot {
    int64_t attempt;
    enum stage stage;
    struct run_exit exit; /* exited, signaled, could_not_start, or (of a job that its
                             attendant lost) unknown */
    uint64_t start;       /* of the process; 0: unknown */
    int64_t utc_ms;       /* when it was written; filled by exitslot_write */
    char by[12];
    char step[12];                /* could_not_start: what failed */
    char text[EXITSLOT_TEXT_MAX]; /* and how; what else there is to say; or "" */
};

enum exitslot_state {
    EXITSLOT_EMPTY, /* not ended */
    EXITSLOT_VALID,
    EXITSLOT_BAD,
};

/* Make room for the slot in the open file; what stands there stays. Errors:
 * ERR_NO_SPACE, ERR_IO. */
int exitslot_allocate(int exit_fd, int64_t attempt, enum stage stage, struct error *err);
/* Make it an empty one again, for a stage that is started again. Not synced: a power cut
 * may bring back what it said. Allocates nothing. Errors: by errno. */
int exitslot_clear(int exit_fd, int64_t attempt, enum stage stage, struct error *err);
/* Write and sync. Allocates nothing. */
int exitslot_write(int exit_fd, struct exitslot *slot, struct error *err);
enum exitslot_state exitslot_read(int exit_fd, int64_t attempt, enum stage stage,
                                  struct exitslot *out);

#endif
