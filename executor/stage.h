/*
 * stage: one child process: how its parent starts it, sees its end, and records it.
 * [executor]
 *
 * The child is this program again (`prepare`, `launch`, `finalize`) in a session of its
 * own. For the run stage the parent first writes pid and start time into the queue entry
 * and syncs it, while the child makes the checkout; only then it says "go", and the child
 * says "now" and executes the script in its own place. So three things are certain at any
 * crash: an entry without a process means that nothing was executed; a child whose
 * parents died before "go" executes nothing; the end of the report after "now" means that
 * the script runs, because the report's descriptor closes when execve succeeds.
 *
 * The end: the parent peeks (waitid WNOWAIT), writes the exit slot, then reaps, so that a
 * kill between any two of these loses nothing.
 *
 * Nothing here allocates.
 */
#ifndef EXECUTOR_STAGE_H
#define EXECUTOR_STAGE_H

#include "executor/cgroup.h"
#include "executor/exitslot.h"
#include "executor/queue.h"

#include <sys/types.h>

/* The step of a slot's failure that says so: nobody said "go", nothing was executed. */
#define STAGE_STEP_GO "go"

/* What the child says on its report descriptor, a struct as it is: that it executes the
 * script now; that this failed, and its slot says why. */
struct stage_report {
    enum { STAGE_REPORT_NOW, STAGE_REPORT_FAILED } word;
    int64_t checkout_us; /* what the checkout took */
};

/* What stays the same over the stages of a run. Borrowed. */
struct stage_setting {
    const char *root_path; /* --root */
    const char *run_id;
    const char *boot; /* this kernel's boot id */
    int run_fd, exit_fd, entry_fd;
    struct queue_entry *entry;
    const struct cgroup *cgroup;
    char *const *environment; /* of the child */
    mode_t umask;
    const void *secrets; /* "NAME=value" NUL ... , or NULL */
    size_t secrets_length;
    const char *by; /* "shim", "guardian", "adopter" */
};

struct stage_process {
    enum stage stage;
    int64_t attempt;
    struct process_id id; /* pid 0: none */
    int report_fd;        /* -1: none, or it has ended */
    bool is_executed;     /* the script runs, or has run */
    bool said_now;
    int64_t checkout_us; /* as it said */
};

void stage_init(struct stage_process *sp);

/* Start the process. On failure nothing runs and nothing was executed. Errors: ERR_SPAWN,
 * ERR_IO (the process could not be recorded). */
int stage_start(struct stage_process *sp, const struct stage_setting *setting,
                int64_t attempt, enum stage stage, struct error *err);

/* Read the report. True once it has ended; is_executed then says whether the program was
 * executed. Does not block. */
bool stage_read_report(struct stage_process *sp);

/* Where the process has ended: write its slot (one that the stage itself wrote stays; an
 * attendant that a signal ended gets none, attended.h), reap it, clear sp, and fill *out.
 * False: it lives, or is not this process's child. */
bool stage_reap(struct stage_process *sp, const struct stage_setting *setting,
                struct exitslot *out);

/* Reap every other child that has ended. */
void stage_reap_others(const struct stage_process *sp, pid_t spare);

#endif
