/*
 * runview: what this node knows of a run, be it there or removed.            [executor]
 *
 * A run's folder says it, or, where the run was removed, the tombstone that stays
 * (FORMATS.md 4.7). A view is of one moment. Life: runview_init -> runview_open ->
 * runview_release.
 */
#ifndef EXECUTOR_RUNVIEW_H
#define EXECUTOR_RUNVIEW_H

#include "executor/journal.h"
#include "executor/noderoot.h"

struct runview {
    int run_fd;               /* -1: only the tombstone is there */
    struct strvec lines;      /* the journal's whole lines */
    struct run_status status; /* their sum */
    uint64_t journal_offset;  /* behind the last of them */
    struct oid spec;          /* plain digest of spec.json */
    bool is_collected;
};

void runview_init(struct runview *view);
void runview_release(struct runview *view);
#define CLEANUP_RUNVIEW __attribute__((cleanup(runview_release)))

/* Errors: ERR_NOT_FOUND (neither run nor tombstone), ERR_CORRUPT, ERR_IO. */
int runview_open(struct runview *view, const struct noderoot *root, const char *id,
                 struct error *err);

/* The lines from *first on whose text is at most limit_bytes together, at least one where
 * there is any, as an array of strings; *first moves behind them. */
struct json *runview_lines(const struct runview *view, size_t *first, size_t limit_bytes);

#endif
