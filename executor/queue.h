/*
 * queue: who may run, and who holds what: a file for each run that is not final.
 * [executor]
 *
 * An entry lies in queue/ from acceptance to the final state (FORMATS.md 4.6). Guardian
 * and shim hold its flock over one open file, so it stays held while either lives; a held
 * lock proves life. Its process is written and synced before the script may be executed:
 * an entry without a process proves that the attempt was never started. Every taking and
 * testing of an entry's lock happens under queue/lock, so that a test never makes a taker
 * fail.
 */
#ifndef EXECUTOR_QUEUE_H
#define EXECUTOR_QUEUE_H

#include "common/files.h"
#include "common/message.h"
#include "common/runstate.h"
#include "executor/noderoot.h"

struct queue_entry {
    char run[RUN_ID_SIZE];
    int64_t ticket; /* drawn by queue_prepare */
    int64_t accepted_utc_ms;
    int64_t priority, slots, gpus;
    bool is_granted;
    char executor[OID_HEX_SIZE]; /* digest of the executor that it began with */
    struct process_id process;   /* of the run stage; pid 0: never started */
    int64_t attempt;             /* that process is of */
};

/* Take queue/lock, waiting for it. Returns the descriptor; closing it releases. */
int queue_lock(const struct noderoot *root, struct error *err);

/* Draw a ticket and write the entry, aside: files_aside_commit of out syncs it and puts
 * it in place. The caller holds queue/lock. */
int queue_prepare(const struct noderoot *root, struct queue_entry *entry,
                  struct files_aside *out, struct error *err);
/* Remove the entry; one that is not there is success. */
int queue_remove(const struct noderoot *root, const char *id, struct error *err);

/* Take the entry's lock (and queue/lock for a moment). Returns the descriptor, to be
 * inherited by the shim. Errors: ERR_BUSY (somebody has it), ERR_NOT_FOUND. */
int queue_hold(const struct noderoot *root, const char *id, struct error *err);
/* True where somebody holds the entry's lock. */
bool queue_is_held(const struct noderoot *root, const char *id);

/* The ids of all entries. */
int queue_list(const struct noderoot *root, struct strvec *out, struct error *err);
int queue_read(int entry_fd, struct queue_entry *out, struct error *err);
int queue_read_id(const struct noderoot *root, const char *id, struct queue_entry *out,
                  struct error *err);
/* Replace the entry in place and sync. The caller holds its lock. Allocates nothing. */
int queue_write(int entry_fd, const struct queue_entry *entry, struct error *err);

#endif
