/*
 * environment_version: does a Python version fit what was asked for? [executor]
 *
 * Specifiers as PEP 440 has them, comma-separated: "==3.11.*", ">=3.9,<3.13", "~=3.10".
 * Versions are those of interpreters: a release and, before its day, a0, b1 or rc2.
 * Nothing allocates.
 */
#ifndef EXECUTOR_ENVIRONMENT_VERSION_H
#define EXECUTOR_ENVIRONMENT_VERSION_H

#include <stdbool.h>

/* Below, equal or above 0, as a is older than, the same as, or newer than b. What is no
 * number counts as the end. */
int environment_version_compare(const char *a, const char *b);

/* True where version fits every one of the specifiers; "" fits all. A specifier that is
 * none fits nothing. */
bool environment_version_fits(const char *version, const char *specifiers);

/* True for 3.14.0rc1 and the like. */
bool environment_version_is_early(const char *version);

#endif
