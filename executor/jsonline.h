/*
 * jsonline: writes one JSON object into a fixed buffer.            [executor]
 *
 * For the supervisors, which allocate nothing once they run: journal lines, exit slots
 * and queue entries. Text that is not UTF-8 is written with '?' for its bad bytes. Past
 * the end of the buffer nothing is written and is_full is set; the caller looks once, at
 * the end.
 *
 * Life: jsonline_init -> jsonline_string, jsonline_object ... -> jsonline_end (once more
 * than jsonline_object) -> text in out, length bytes, no NUL.
 */
#ifndef EXECUTOR_JSONLINE_H
#define EXECUTOR_JSONLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jsonline {
    char *out; /* borrowed */
    size_t capacity, length;
    bool is_full;
    bool has_member; /* the open object has one already */
};

/* Begin with the opening brace of the outermost object. */
void jsonline_init(struct jsonline *l, char *out, size_t capacity);
/* Members. key is plain ASCII; s NULL is written as null, at most max_bytes of s count.
 */
void jsonline_string(struct jsonline *l, const char *key, const char *s);
void jsonline_text(struct jsonline *l, const char *key, const char *s, size_t max_bytes);
void jsonline_integer(struct jsonline *l, const char *key, int64_t value);
void jsonline_time(struct jsonline *l, const char *key, int64_t utc_ms);
/* text is JSON already, or NULL for null. */
void jsonline_raw(struct jsonline *l, const char *key, const char *text);
/* Open an object as a member; close the innermost. */
void jsonline_object(struct jsonline *l, const char *key);
void jsonline_end(struct jsonline *l);

/* Bytes behind the object: padding, checksums, the newline. */
void jsonline_bytes(struct jsonline *l, const char *data, size_t length);
void jsonline_pad(struct jsonline *l, size_t until); /* spaces up to that length */

#endif
