/*
 * environment_activate: a script runs in the environment that its run has pinned.
 * [executor]
 *
 * Activated by variables alone, as the environment's own activate script would: PATH,
 * VIRTUAL_ENV or CONDA_PREFIX; PYTHONPATH for projects that are imported from the work
 * tree. What the node's login says about other Pythons is taken away, and about a Spark
 * where the environment brings one.
 */
#ifndef EXECUTOR_ENVIRONMENT_ACTIVATE_H
#define EXECUTOR_ENVIRONMENT_ACTIVATE_H

#include "common/strvec.h"
#include "executor/environment.h"

/*
 * Change variables (those of the node, changed by the run's) to the pinned environment's.
 * work is the absolute path of the work tree. *out_interpreter: what starts a Python
 * script, malloc'ed; an image leaves it alone, and has its own. Errors: ERR_NOT_FOUND (it
 * was removed).
 */
int environment_activate(const struct environment_pin *pin, const struct runspec *spec,
                         const char *work, struct strvec *variables,
                         char **out_interpreter, struct error *err);

#endif
