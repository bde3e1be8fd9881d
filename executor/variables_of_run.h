/*
 * variables_of_run: what a run's specification says of its environment variables.
 * [executor]
 */
#ifndef EXECUTOR_VARIABLES_OF_RUN_H
#define EXECUTOR_VARIABLES_OF_RUN_H

#include "common/runspec.h"

/*
 * Set them in list, which has the login's. ${node:NAME} in a value is what NAME is here
 * at this moment: the login's, or that of a variable of the run before it; "" where it is
 * not set. Errors: ERR_CONFIG (a question that is none).
 */
int variables_of_run(const struct runspec *spec, struct strvec *list, struct error *err);

/* Take into this process's own environment those by which a cluster knows who asks, and
 * its programs find their way (KRB5CCNAME, JAVA_HOME ...): for what is asked about the
 * run. Errors: as above. */
int variables_of_run_adopt(const struct runspec *spec, struct error *err);

#endif
