/*
 * environment_build: a run gets its environment: it is there, somebody builds it, or we
 * do. [executor]
 *
 * The prepare stage's work. Of runs that need one environment at once, who holds the
 * identity's lock builds, at most `slots` of them at a time on the node; the others show
 * the builder's log as their own and wait for the lock. Then the build is ready, or they
 * take its failure; where it was canceled or killed neither is there, and the first of
 * them builds. A build appears whole (READY, after a sync) or not at all: who fails
 * removes what is there, and the next one what a killed one left.
 */
#ifndef EXECUTOR_ENVIRONMENT_BUILD_H
#define EXECUTOR_ENVIRONMENT_BUILD_H

#include "executor/environment.h"

/* What the prepare stage has. All borrowed. */
struct preparation {
    const struct noderoot *root;
    const struct runspec *spec;
    int run_fd;
    int64_t attempt;
    const char *password;      /* LIVY_PASSWORD "=...", or NULL */
    struct programs *programs; /* their environment is complete */
};

/*
 * Find or make the run's environment and pin it. Errors: ERR_CANCELED (the run is being
 * ended), else what could not be done, as a sentence for the user, with a hint.
 */
int environment_prepare(const struct preparation *p, struct error *err);

#endif
