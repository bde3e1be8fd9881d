/*
 * toml: TOML documents as JSON.            [controller]
 *
 * All of TOML 1.0, for the files of Python projects, whose other sections may hold
 * anything. A table is an object, an array an array; dates and times are strings as they
 * are written, so are inf and nan; integers beyond 2^53 are the nearest number. Bounded:
 * TOML_SIZE_MAX bytes, TOML_DEPTH_MAX deep, TOML_COUNT_MAX keys in a table. Source:
 * toml.io, v1.0.0.
 */
#ifndef CONTROLLER_TOML_H
#define CONTROLLER_TOML_H

#include "common/json.h"

#define TOML_SIZE_MAX ((size_t)16 << 20)
#define TOML_DEPTH_MAX 24
#define TOML_COUNT_MAX 4096
#define TOML_TABLES_MAX 100000 /* that have a header */

/*
 * Parse a document; name stands in sentences ("pyproject.toml"). The caller's, or NULL.
 * Errors: ERR_CONFIG ("pyproject.toml:3: ..."), ERR_LIMIT.
 */
struct json *toml_parse(const char *name, const char *data, size_t length,
                        struct error *err);

#endif
