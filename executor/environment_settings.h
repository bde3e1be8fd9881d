/*
 * environment_settings: what the node's user told pip, for a builder that does not ask
 * pip. [executor]
 *
 * Nodes behind a mirror say so in pip's variables or in pip.conf, and uv reads neither.
 * Source: pip.pypa.io/en/stable/topics/configuration, docs.astral.sh/uv (environment).
 */
#ifndef EXECUTOR_ENVIRONMENT_SETTINGS_H
#define EXECUTOR_ENVIRONMENT_SETTINGS_H

#include "common/strvec.h"

#include <stdbool.h>

/*
 * Set uv's variables to what pip would do with these, as far as they are not set.
 * has_sources: the definition says itself where packages come from, so that only
 * certificates and trust are taken over.
 */
void environment_settings_for_uv(struct strvec *variables, bool has_sources);

#endif
