/*
 * history_file: what history's own files share.            [controller]
 *
 * history.c writes what becomes of runs, history_edit.c what a person says of them;
 * history_read.c reads.
 */
#ifndef CONTROLLER_HISTORY_FILE_H
#define CONTROLLER_HISTORY_FILE_H

#include "controller/history.h"
#include "controller/sql.h"

struct history {
    struct sql *db;
    char *path;
    int64_t schema; /* above HISTORY_SCHEMA: another errand's; only read */
};

#define HISTORY_SCHEMA 1

/* Load the run of that very id; out was initialised. Errors: ERR_NOT_FOUND, ERR_CORRUPT,
 * as sql_step. */
int history_load(struct history *h, const char *id, struct history_run *out,
                 struct error *err);

/* A transaction that writes. Errors: ERR_VERSION (a newer errand's file), as sql_begin.
 */
int history_begin(struct history *h, struct error *err);
/* End what history_begin began: commit where result is 0, else undo. Returns result, or
 * -1 where it was not committed. */
int history_finish(struct history *h, int result, struct error *err);

/* Tables whose rows belong to a run, beside runs itself, by (store, run). */
extern const char *const history_run_tables[];
extern const size_t history_run_tables_count;

#endif
