/*
 * environment_brought: a builder that came along from the controller. [executor]
 *
 * Where the node has no uv and the run's `brought` has one, it becomes <root>/bin/uv, for
 * this run and all later ones; one that is for another machine, or does not start, is
 * told of and left out.
 */
#ifndef EXECUTOR_ENVIRONMENT_BROUGHT_H
#define EXECUTOR_ENVIRONMENT_BROUGHT_H

#include "executor/environment_build.h"

/* The node's tools, a uv that came along among them; the caller's. What was tried in vain
 * is in the run's log. Starts uv, for at most 10 s. */
struct tools *environment_brought_tools(const struct preparation *p);

#endif
