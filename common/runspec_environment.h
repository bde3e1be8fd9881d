/*
 * runspec_environment: the part of a specification that says how the run gets its Python
 * environment.            [wire]
 *
 * For runspec.c alone.
 */
#ifndef COMMON_RUNSPEC_ENVIRONMENT_H
#define COMMON_RUNSPEC_ENVIRONMENT_H

#include "common/runspec.h"

/* Free what it points to. */
void runspec_environment_release(struct runspec_environment *environment);
/* All but the variables. What is not said is not written. The caller's. */
struct json *runspec_environment_to_json(const struct runspec_environment *environment);
/* Errors: ERR_CORRUPT, ERR_VERSION. */
int runspec_environment_from_json(const struct json *j,
                                  struct runspec_environment *environment,
                                  struct error *err);

#endif
