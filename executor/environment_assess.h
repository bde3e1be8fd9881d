/*
 * environment_assess: what this node would do for an environment, before anything is
 * sent for it.            [executor]
 *
 * The answer to ASSESS (PROTOCOL.md). Interpreters and builders that are not known yet
 * are started and asked, and what they said is kept for the run to come.
 */
#ifndef EXECUTOR_ENVIRONMENT_ASSESS_H
#define EXECUTOR_ENVIRONMENT_ASSESS_H

#include "executor/environment.h"

/* True where uv could build what this definition says. */
bool environment_suits_uv(const struct envspec *definition);

/*
 * The report; spec has an environment's definition, and perhaps an interpreter.
 * brings_uv: the controller has a uv that could come along. Blocks while programs answer
 * (10 s each at most). The caller's; NULL: environment_choose's errors.
 */
struct json *environment_assess(const struct noderoot *root, const struct runspec *spec,
                                bool brings_uv, struct error *err);

#endif
