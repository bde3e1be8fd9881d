/*
 * known_hosts_name: the first field of a line of known_hosts. [controller]
 */
#ifndef CONTROLLER_KNOWN_HOSTS_NAME_H
#define CONTROLLER_KNOWN_HOSTS_NAME_H

#include "common/strbuf.h"

#include <stdbool.h>

/* Whether name ("host" or "[host]:port", lower case) is meant by field: a list of
 * patterns, or one hashed name. A damaged field means nobody. */
bool known_hosts_name_matches(const char *field, const char *name);
/* name hashed with a new salt, "|1|salt|hash": append. */
void known_hosts_name_hash(struct strbuf *out, const char *name);

#endif
