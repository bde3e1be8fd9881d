/*
 * submission_environment: the environment of a run that is submitted.        [controller]
 *
 * The first that says something counts: --environment, the target's environment, the
 * configuration's. Nothing said, and no interpreter named: what lies beside the script.
 */
#ifndef CONTROLLER_SUBMISSION_ENVIRONMENT_H
#define CONTROLLER_SUBMISSION_ENVIRONMENT_H

#include "controller/envplan.h"
#include "controller/submission.h"

/* Which environment is meant; s has its script, framework and interpreter. As
 * envplan_open; errors also ERR_USAGE. */
int submission_environment_open(struct submission *s, struct command_context *context,
                                const struct target *target,
                                const struct submission_request *request,
                                struct envplan *plan, struct error *err);
/* Where the plan names an interpreter or a virtual environment that a Livy's cluster has,
 * that becomes the run's interpreter, and nothing is built. True: it does. */
bool submission_environment_names_python(struct submission *s,
                                         const struct envplan *plan);
/* Read it, put it into the specification, whose variables and secrets are there already,
 * and say in a line what it is. As envplan_fill. */
int submission_environment_fill(struct submission *s, struct command_context *context,
                                const struct target *target, struct envplan *plan,
                                struct error *err);
/* What of it lies in the snapshot, once there is one. As envplan_digests, with the rule
 * that left it out. */
int submission_environment_digests(struct submission *s, struct command_context *context,
                                   struct error *err);

/* True where an environment is only prepared and nothing of the project is built into it:
 * the project stays here. */
bool submission_environment_stays(const struct submission *s,
                                  const struct submission_request *request);
/* Then the snapshot is an empty folder: put it into the store, which is open, and into
 * the specification. Errors: the store's. */
int submission_environment_nothing(struct submission *s, struct command_context *context,
                                   struct error *err);

#endif
