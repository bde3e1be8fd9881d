/*
 * attend_livy: looks after a run whose script runs on a Livy's cluster.     [controller]
 *
 * `errand attend livy`, a program that the run's stage on this machine starts and that
 * may be started again at any time: what it looks after is elsewhere. It brings the
 * project to the cluster's file system, has Livy start a batch once, and from then on
 * believes the run's folder there more than Livy (livy_driver.py says what lies in it):
 * Livy knows neither exit status nor, after a restart, its batches. driver.log is written
 * by nobody else; how the script ended goes to the file driver.result.<attempt> of the
 * run's folder.
 *
 * Never two scripts for one attempt: a batch has the attempt's tag as its name, which the
 * server takes once (0.7 and later) and by which it is found again; and the driver claims
 * the attempt before it begins, so that a second one, of a server without names, starts
 * nothing.
 *
 * SIGTERM: the script is ended, which is proven: the driver's last word, or no sign of
 * life of it any more.
 *
 * The prepare stage of a run with an environment starts it too, for one of two tasks that
 * have to be done before; it then says what it does on stderr alone.
 */
#ifndef CONTROLLER_ATTEND_LIVY_H
#define CONTROLLER_ATTEND_LIVY_H

#include "common/error.h"

#include <stdint.h>

/* ROW(symbol, name) */
#define ATTEND_LIVY_TABLE(ROW)                                                           \
    ROW(SCRIPT, "script")           /* look after the run until it has ended */          \
    ROW(PYTHON, "python")           /* ask the cluster which Python it has */            \
    ROW(ENVIRONMENT, "environment") /* put the pinned environment there */

enum attend_livy_task {
#define ROW(symbol, name) ATTEND_LIVY_##symbol,
    ATTEND_LIVY_TABLE(ROW)
#undef ROW
        ATTEND_LIVY_TASK_COUNT
};
/* Errors: ERR_USAGE. */
int attend_livy_task_parse(const char *name, enum attend_livy_task *out,
                           struct error *err);

/* Do it for the run in this folder. The exit status: 0 where it is done, for a script
 * where driver.result says how it ended; LIVY_LACKS; else what to exit with, and the last
 * line on stderr says why. */
int attend_livy(const char *run_folder, int64_t attempt, enum attend_livy_task task);

#endif
