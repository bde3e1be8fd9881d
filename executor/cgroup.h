/*
 * cgroup: a control group (version 2) of a run's own, where errand may make one.
 * [executor]
 *
 * Where there is one, no process of the run can hide from its clean-up, whatever it does
 * to its session, parents and environment. Runs started from within a run are siblings,
 * and supervisors stay outside. Nothing here is needed: without it the clean-up goes by
 * the tree of processes and their environment, and says so.
 *
 * Source: Documentation/admin-guide/cgroup-v2.rst.
 */
#ifndef EXECUTOR_CGROUP_H
#define EXECUTOR_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup {
    int parent_fd; /* the folder that it lies in; -1: none */
    int fd;        /* -1: none */
    char name[80];
    uint64_t oom_kills; /* when it was opened, or the attempt began */
};

/* Make, or find again, the group of a run, and move this process out of any other run's
 * group. Failure leaves fd -1. */
void cgroup_open(struct cgroup *cg, const char *run_id);
/* Move a process into it. False: it could not be. */
bool cgroup_add(const struct cgroup *cg, pid_t pid);
/* False where a process is in it, or in a group below it, or nobody can say. */
bool cgroup_is_empty(const struct cgroup *cg);
/* Fill pids with those in it (not below it), at most max; returns how many there are. */
size_t cgroup_list(const struct cgroup *cg, pid_t *pids, size_t max);
/* SIGKILL to all in it and below it, at once (Linux 5.14). False: not to be had. */
bool cgroup_kill(const struct cgroup *cg);
/* A further attempt begins: what happened to those before is not its own. */
void cgroup_begin_attempt(struct cgroup *cg);
/* True where the kernel's OOM killer took a process of it since then, or since
 * cgroup_open: proof. */
bool cgroup_was_out_of_memory(const struct cgroup *cg);
/* Remove it (it must be empty) and close. */
void cgroup_remove(struct cgroup *cg);
void cgroup_close(struct cgroup *cg);

#endif
