/*
 * provision: what a run's environment needs of this machine, before the run is sent.
 * [controller]
 *
 * The node is asked what it would do (assessment.h), unless a run of this project had the
 * same environment there: what it lacks is said before anything is sent. Then what is to
 * come along is gathered and brought: uv (bootstrap_uv), wheels (wheels_from).
 *
 * A project that nobody trusts yet may name variables and secrets. None becomes a
 * variable of the programs that work here (PYTHONPATH, LD_PRELOAD, PIP_CONFIG_FILE ...
 * say what they run): they get the secrets as WHEELS_SECRET NAME, which a list asks for.
 */
#ifndef CONTROLLER_PROVISION_H
#define CONTROLLER_PROVISION_H

#include "controller/submission.h"

/* ROW(word, meaning): where a node's wheels come from. */
#define PROVISION_WHEELS_TABLE(ROW)                                                      \
    ROW("controller", "this machine collects them")                                      \
    ROW("index", "the node gets them")

/* Are wheels to come from here? Errors: ERR_USAGE, ERR_CONFIG (no such word). */
int provision_wants_wheels(const struct config *config, const struct target *target,
                           const struct submission_request *request, bool *out,
                           struct error *err);
/*
 * After submission_snapshot, before submission_record; again over another connection
 * after ERR_LINK. is_interrupted may be NULL. Errors: assessment_ask's, wheels_collect's,
 * bringing_send's.
 */
int provision(struct submission *submission, struct command_context *context,
              struct client *client, const struct target *target,
              const struct submission_request *request, const bool *is_interrupted,
              struct error *err);

#endif
