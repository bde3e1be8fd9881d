/*
 * journal: append-only record of one run's states.            [executor]
 *
 * One JSON object a line (FORMATS.md 4.2). A line is either whole and synced or never
 * happened; a torn last line is cut off by the next writer. One writer at a time (who
 * holds the run's queue entry), any number of readers. Room for the last lines is
 * reserved at creation, so that a full disk does not keep a run from ending.
 *
 * Life: journal_create or journal_open -> journal_append ... -> journal_close. Appending
 * allocates nothing.
 */
#ifndef EXECUTOR_JOURNAL_H
#define EXECUTOR_JOURNAL_H

#include "common/runstate.h"

#define JOURNAL_RESERVE_BYTES (64 << 10)

struct journal {
    int fd;
    int64_t seq;     /* of the last line */
    int64_t attempt; /* of the last line */
    enum run_state state;
};

/* What a line says beside seq and time. Pointers are borrowed; NULL and zero members are
 * left out. */
struct journal_entry {
    enum run_state state;
    int64_t attempt;
    const char *reason;
    const char *node, *store, *boot, *executor; /* first line */
    const char *queued;
    const struct process_id *process;
    const struct run_environment *environment;
    const struct run_engine *engine;
    bool has_log_offset;
    uint64_t log_offset;
    const int64_t *took_us; /* RUN_TOOK_COUNT times, of which those known are written */
    const struct run_exit *exit;
    const char *proof; /* "cgroup", "tree", "none" */
    int64_t ended, survivors;
    bool has_outputs;
    const char
        *outputs_json; /* the bytes of outputs.json, or NULL: none could be collected */
    bool has_logs;
    uint64_t driver_log_bytes, control_log_bytes, metrics_bytes;
};

/* Make the journal in the folder of a run with its first line; not yet synced
 * (rundir_create does that). */
int journal_create(int run_fd, const struct journal_entry *first, struct error *err);
/* Open for writing: cuts a torn tail. */
int journal_open(struct journal *j, int run_fd, struct error *err);
/* Append lines (one write) and sync once. Nothing was appended on failure. Errors:
 * ERR_IO, ERR_NO_SPACE. */
int journal_append(struct journal *j, const struct journal_entry *entries, size_t count,
                   struct error *err);
void journal_close(struct journal *j);

/* Fold the journal of a run into status (initialised). Takes whole lines only;
 * status->seq says how far. */
int journal_read(int run_fd, struct run_status *status, struct error *err);
/* The same from offset on, adding each whole line's text to lines where not NULL; *offset
 * moves behind the last whole line. */
struct strvec;
int journal_read_more(int run_fd, uint64_t *offset, struct run_status *status,
                      struct strvec *lines, struct error *err);

#endif
