/*
 * environment_local: the environment that files and settings here come to. [controller]
 *
 * As a run would have it, without one: read, checked, and reduced to its definition. No
 * node is asked; which identity it gets there depends on the node's Python and builder.
 */
#ifndef CONTROLLER_ENVIRONMENT_LOCAL_H
#define CONTROLLER_ENVIRONMENT_LOCAL_H

#include "controller/environment_source.h"

/* True where name can only be meant as something here: a file or folder. */
bool environment_local_is_meant(const char *name);
/*
 * what: as --environment has it, NULL: the project's. target: whose own settings count,
 * NULL: the configured one's. *out_digest: of the definition's identity form. out was
 * zeroed. Reads the project where the definition has local content. Errors: as
 * submission_plan, ERR_NOT_FOUND (nothing says what it is).
 */
int environment_local_read(struct environment_source *out,
                           struct command_context *context, const char *what,
                           const char *target, struct oid *out_digest, struct error *err);

#endif
