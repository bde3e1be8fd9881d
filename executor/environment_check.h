/*
 * environment_check: does an environment work?            [executor]
 */
#ifndef EXECUTOR_ENVIRONMENT_CHECK_H
#define EXECUTOR_ENVIRONMENT_CHECK_H

#include "executor/environment_program.h"

/* start: the words that start its interpreter, NULL behind them. It starts, and each of
 * these modules can be imported. Errors: ERR_CANCELED, ERR_UNSUPPORTED with what cannot
 * be imported and why. */
int environment_check(struct programs *programs, const char *const *start,
                      const struct strvec *imports, struct error *err);

#endif
