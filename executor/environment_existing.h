/*
 * environment_existing: an interpreter, a virtual or a conda environment that the user
 * keeps on the node.            [executor]
 *
 * It is looked for and checked, and never changed. Interpreters are named by path or as
 * PATH has them, environments by their folder; conda environments by name too, as conda
 * notes them in ~/.conda/environments.txt.
 */
#ifndef EXECUTOR_ENVIRONMENT_EXISTING_H
#define EXECUTOR_ENVIRONMENT_EXISTING_H

#include "executor/environment.h"

/*
 * Find it and say what it is in out (initialised); begun_ns as for environment_take. 1;
 * 0: its interpreter would have to be started first (see tools_new); -1: ERR_NOT_FOUND,
 * ERR_UNSUPPORTED (another version than `python` says).
 */
int environment_existing(const struct runspec *spec, struct tools *tools,
                         int64_t begun_ns, struct environment_pin *out,
                         struct error *err);

#endif
