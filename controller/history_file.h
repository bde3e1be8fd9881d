/*
 * history_file: what history's own files share.            [controller]
 *
 * history.c writes, history_read.c reads.
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

#endif
