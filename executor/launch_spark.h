/*
 * launch_spark: a run's script becomes Spark's driver.            [executor]
 *
 * In client mode (local, standalone, YARN if asked) the stage's process starts
 * spark-submit, stays, and ends as the script did, which spark_driver.py wrote down in
 * the run's folder: spark-submit's own status is that of a JVM, and does not tell a
 * signal from 128 + n, nor Spark's failure from the script's. The script's output goes
 * straight into driver.log; what Spark and spark-submit say goes to engine.log. In
 * cluster mode on YARN `errand-executor attend yarn` is executed in the script's place
 * instead; for Livy, the controller's program that the specification names.
 *
 * Life: a zeroed struct -> launch_spark_prepare, in the work tree -> launch_spark_run, or
 * execve of argv where is_attended -> launch_spark_release.
 */
#ifndef EXECUTOR_LAUNCH_SPARK_H
#define EXECUTOR_LAUNCH_SPARK_H

#include "common/log.h"
#include "executor/environment.h"
#include "executor/exitslot.h"
#include "executor/spark_node.h"
#include "executor/spark_ship.h"
#include "executor/spark_submit.h"
#include "executor/stage.h"

struct launch_spark {
    /* Filled by the caller; borrowed. */
    const struct noderoot *root;
    const struct runspec *spec;
    const struct environment_pin *pin;
    const char *interpreter;  /* of the run's environment, or NULL */
    struct strvec *variables; /* the script's; what Spark needs is added */
    const struct log *log;    /* control.log */
    int64_t attempt;
    int run_fd;

    /* Filled by launch_spark_prepare. */
    struct spark_node node;
    struct spark_place place;
    struct spark_shipment shipment; /* for executors elsewhere */
    struct strvec argv;             /* spark-submit's, or the attendant's */
    bool is_attended;
};

/*
 * Find Spark and the Python of driver and executors, write the driver beside the run, and
 * decide what is started. Errors: spark_node_find's; spark_place_choose's;
 * ERR_UNSUPPORTED (driver and executors would have different Pythons; the run has an
 * attendant, and now none would be started); ERR_NOT_FOUND; ERR_IO.
 */
int launch_spark_prepare(struct launch_spark *l, struct error *err);

/*
 * Start spark-submit and wait until it has ended. Once it is executed, said goes to
 * *report_fd, which is then closed. slot gets how the script ended, and a sentence where
 * there is more to say than that; could_not_start where it never began. Errors: none:
 * that is in slot too.
 */
void launch_spark_run(struct launch_spark *l, const struct stage_report *said,
                      int *report_fd, struct exitslot *slot);

void launch_spark_release(struct launch_spark *l);

/* engine.log for writing, at its end. Errors: by errno. */
int launch_spark_open_log(int run_fd, struct error *err);

#endif
