/*
 * json_scan: is this text one JSON document, to the letter?            [base]
 *
 * Where json.c's library is lenient, this is not. It builds nothing.
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Check text against RFC 8259 and the bounds of json.h: valid UTF-8, one value and
 * nothing but white space around it, at most JSON_DEPTH_MAX containers within each other,
 * no NUL and no half surrogate pair in strings, no integer beyond JSON_INTEGER_MAX.
 * Duplicate keys and the size of fractional numbers are the caller's. is_lenient: NUL in
 * strings and integers of any size pass. Errors: ERR_CORRUPT (with the byte offset),
 * ERR_LIMIT (too deep).
 */
int json_scan(const char *text, size_t length, bool is_lenient, struct error *err);

#endif
