/*
 * environment_explain: what a builder's failure means, in a sentence. [executor]
 *
 * Builders say a lot. A table of what they say, and what it means to who wrote the
 * requirements, turns it into one sentence and what to do; the whole text stays in the
 * build log. What no row knows is shown as the builder's own last words.
 */
#ifndef EXECUTOR_ENVIRONMENT_EXPLAIN_H
#define EXECUTOR_ENVIRONMENT_EXPLAIN_H

#include "common/error.h"

/* builder said text and ended with this status. Sets err; returns -1. */
int environment_explain(const char *builder, const char *text, int status,
                        struct error *err);

#endif
