/*
 * environment_check: does an environment work?            [executor]
 *
 * It is asked after a build, and when a run names a module that this build was not seen
 * to import yet: those that it was are noted in the build's folder, so that a ready
 * environment costs nothing.
 */
#ifndef EXECUTOR_ENVIRONMENT_CHECK_H
#define EXECUTOR_ENVIRONMENT_CHECK_H

#include "executor/environment_builder.h"
#include "executor/environment_program.h"

/* start: the words that start its interpreter, NULL behind them. It starts, and each of
 * these modules can be imported. Errors: ERR_CANCELED, ERR_UNSUPPORTED with what cannot
 * be imported and why. */
int environment_check(struct programs *programs, const char *const *start,
                      const struct strvec *imports, struct error *err);

/* The same in its builder's way, of the build in the open folder build_fd, with what its
 * run names; noted. Of an administrator's build nothing is noted, it is asked each time.
 */
int environment_check_build(struct build *b, int build_fd, struct error *err);
/* Whether the build was seen to import all of these. */
bool environment_was_checked(int build_fd, const struct strvec *imports);

#endif
