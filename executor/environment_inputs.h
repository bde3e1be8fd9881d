/*
 * environment_inputs: what a builder reads, written into a folder.            [executor]
 *
 * requirements.txt and constraints.txt in pip's format, and beside them, each in a folder
 * of its own, wheels, archives and projects out of the run's snapshot, which the lines
 * name by paths relative to the folder. ${NAME} of credentials stays as it is: uv and pip
 * put the variable's value there themselves, so that no secret is written down.
 */
#ifndef EXECUTOR_ENVIRONMENT_INPUTS_H
#define EXECUTOR_ENVIRONMENT_INPUTS_H

#include "common/runspec.h"
#include "executor/noderoot.h"

/*
 * Write them into the open, empty folder. Lists that are empty have no file. Errors: the
 * disk's, ERR_NOT_FOUND and ERR_CORRUPT (what lies in the snapshot).
 */
int environment_inputs_write(const struct noderoot *root, const struct runspec *spec,
                             int dir_fd, struct error *err);

/*
 * Write a uv.lock and the pyproject.toml files that belong to it into the open, empty
 * folder, each under its path in the snapshot. Errors: as above.
 */
int environment_inputs_write_lock(const struct noderoot *root, const struct runspec *spec,
                                  int dir_fd, struct error *err);

/* How many of the requirements may be another version the next time. */
int64_t environment_inputs_unpinned(const struct envspec *definition);

#endif
