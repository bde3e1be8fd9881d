/*
 * rundir: the folder of one run (FORMATS.md 4).            [executor]
 *
 * A run is made aside and renamed into place, whole: before that it does not exist,
 * afterwards it is accepted and never started twice. Readers need no lock.
 */
#ifndef EXECUTOR_RUNDIR_H
#define EXECUTOR_RUNDIR_H

#include "common/runspec.h"
#include "executor/journal.h"
#include "executor/noderoot.h"

/*
 * Accept a run: spec.json (these bytes), journal with Starting, exit, requests/, control,
 * logs, work aside; queue entry; synced; renamed. 1: made; 0: the same specification had
 * been accepted before (also as a tombstone); -1: err (ERR_MISMATCH: same id, other
 * bytes). executor_digest and store id go into the first journal line.
 */
int rundir_accept(const struct noderoot *root, const struct runspec *spec,
                  const void *spec_bytes, size_t spec_length, const char *store_id,
                  const char *executor_digest, struct error *err);

/* Open runs/<id>. Errors: ERR_NOT_FOUND. */
int rundir_open(const struct noderoot *root, const char *id, struct error *err);
/* Read and decode spec.json; *out_digest (may be NULL): its plain digest. spec was
 * initialised. */
int rundir_read_spec(int run_fd, struct runspec *spec, struct oid *out_digest,
                     struct error *err);
/* The ids of all runs, tombstones not counted. */
int rundir_list(const struct noderoot *root, struct strvec *out, struct error *err);

/* A request, made aside and renamed, then a byte into `control` (nobody listening is no
 * error). grace_ms -1: as the specification has it. */
int rundir_request(int run_fd, const char *request, const char *reason, const char *by,
                   int64_t grace_ms, struct error *err);

/*
 * Remove a run that is final: tombstone first, then the folder (renamed aside, then
 * removed). Where the disk has no room for the tombstone, all goes first but what makes
 * the run known; it is never started twice. Errors: ERR_BUSY (a supervisor lives or it is
 * not final), ERR_NO_SPACE (even so: others took the room).
 */
int rundir_remove(const struct noderoot *root, const char *id, struct error *err);

/* Remove what accepting and removing left half done more than an hour ago. */
int rundir_sweep(const struct noderoot *root, struct error *err);

/* Note that the submitter has everything (for retention): a file `collected` in the
 * folder, with what it said; empty where the disk is full. */
int rundir_set_collected(int run_fd, const void *json_text, size_t length,
                         struct error *err);
bool rundir_is_collected(int run_fd);

#endif
