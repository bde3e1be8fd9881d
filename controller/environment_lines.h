/*
 * environment_lines: what an environment is made of, a line each.            [controller]
 *
 * For people who ask what is in an environment, and what differs between two: each thing
 * that is in the identity is a word and a text, "requirement numpy==1.26.4". Equal
 * environments have equal lines.
 */
#ifndef CONTROLLER_ENVIRONMENT_LINES_H
#define CONTROLLER_ENVIRONMENT_LINES_H

#include "common/json.h"
#include "common/strvec.h"

/* A definition in its identity form (FORMATS.md 4.1.1): append its lines. Members that
 * are not known are passed over. */
void environment_lines(const struct json *definition, struct strvec *out);
/* What a node added to it (FORMATS.md 3.1): its interpreter, platform and builder. */
void environment_node_lines(const struct json *document, struct strvec *out);
/* The lines of a lock, without comments and hashes: append. */
void environment_lock_lines(const char *lock, struct strvec *out);

/* The lines of a that b does not have, behind "- ", and the other way round behind "+ ";
 * "- " first where both tell of the same thing: append. True: there are none. */
bool environment_lines_differ(const struct strvec *a, const struct strvec *b,
                              struct strvec *out);

#endif
