/*
 * processes: which processes belong to a run, and how they are ended. [executor]
 *
 * Ours is: every descendant of this process (a subreaper, so that nobody leaves the tree
 * by a dead parent) and of the run's recorded process; every process whose environment
 * has the run's id; every member of the run's cgroup; and all their descendants. Not
 * ours: this process and its peer, and what carries the id of another run that lives,
 * whoever its parent is, with all below it.
 *
 * A process is recognised by pid and start time. It is signalled through a pidfd, where
 * the kernel has them, opened first and its start time compared after; else the start
 * time is compared right before kill.
 *
 * Life: processes_new -> processes_find, processes_signal ... -> processes_free. All
 * memory is taken by processes_new, and only touched as far as there are processes.
 */
#ifndef EXECUTOR_PROCESSES_H
#define EXECUTOR_PROCESSES_H

#include "common/error.h"
#include "common/mem.h"
#include "common/runstate.h"
#include "executor/cgroup.h"

#define RUN_ID_VARIABLE "ERRAND_RUN_ID"
#define RUN_DIR_VARIABLE "ERRAND_RUN_DIR"
/* "supervisor" in guardian and shim, which carry the id of their run too; "engine" in
 * what another engine started for it, perhaps on this very node: that is the engine's to
 * end. */
#define ROLE_VARIABLE "ERRAND_ROLE"

struct processes;

/* run_id and cgroup are borrowed for the object's life. oldest_start: no process of the
 * run is older (field 22 of /proc/pid/stat; 0: not known). */
struct processes *processes_new(const char *run_id, const struct cgroup *cgroup,
                                uint64_t oldest_start);
void processes_free(struct processes *p);
DEFINE_CLEANUP_FREE(processes)

/* The other supervisor (0: none), and the process on record (pid 0: none), which counts
 * as ours while it lives though its parent may be gone. */
void processes_set_peer(struct processes *p, pid_t peer);
void processes_set_recorded(struct processes *p, const struct process_id *recorded);

/* Look at the machine. *out_count of ours live (zombies do not). False: not all could be
 * seen, so that nothing is proven. */
bool processes_find(struct processes *p, size_t *out_count);
/* Signal what the last processes_find found. */
void processes_signal(struct processes *p, int signal_number);
/* SIGKILL to what was found: through the cgroup at once where nobody else's is in it,
 * else stopped first, so that what forks cannot outrun it. */
void processes_kill(struct processes *p);
/* How many different processes were signalled (SIGTERM or SIGKILL) since the last reset
 * by processes_new. */
size_t processes_signalled(const struct processes *p);

/* The identity of a living process, boot left empty. False: there is none. */
bool process_identify(pid_t pid, struct process_id *out);
/* True where the very process lives (a zombie does not), on this boot. */
bool process_is_alive(const struct process_id *id);
/* A pidfd of the very process, to poll for its end. -1: it is gone, or the kernel has no
 * pidfds (errno ENOSYS). */
int process_open(const struct process_id *id);

#endif
