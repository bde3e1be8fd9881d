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
 */
#ifndef CONTROLLER_ATTEND_LIVY_H
#define CONTROLLER_ATTEND_LIVY_H

#include "common/error.h"

#include <stdint.h>

/* The variable in which its stage gets Livy's password. */
#define ATTEND_LIVY_PASSWORD "ERRAND_LIVY_PASSWORD"

/* Look after the run in this folder until it has ended. The exit status: 0 where its
 * driver.result says how; else what to exit with. What it has to say goes to stderr. */
int attend_livy(const char *run_folder, int64_t attempt);

#endif
