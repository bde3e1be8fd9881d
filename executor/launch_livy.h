/*
 * launch_livy: a run's script is given to a Livy server.            [executor]
 *
 * By the controller's own program, `errand attend livy`, whose path the specification
 * has: only it speaks HTTPS without a curl program. The stage's process starts it, stays,
 * and ends as the script did, which the attendant writes down in driver.result.<attempt>.
 * They die together: the supervisors watch the stage's process alone.
 */
#ifndef EXECUTOR_LAUNCH_LIVY_H
#define EXECUTOR_LAUNCH_LIVY_H

#include "common/log.h"
#include "common/runspec.h"
#include "executor/exitslot.h"
#include "executor/stage.h"

/* All borrowed. */
struct launch_livy {
    const struct runspec *spec;
    const char *run_path;
    struct strvec *variables; /* the script's, and the password */
    const struct log *log;    /* control.log, where the attendant writes too */
    int64_t attempt;
    int run_fd;
};

/*
 * Start the attendant and wait until it has ended. Once it is executed, said goes to
 * *report_fd, which is then closed. None is started where one before has written down how
 * the script ended. True: slot has how the script ended. False: the
 * attendant died before it knew, with this wait status; another one may go on.
 */
bool launch_livy_run(const struct launch_livy *l, const struct stage_report *said,
                     int *report_fd, struct exitslot *slot, int *out_status);

#endif
