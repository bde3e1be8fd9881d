/*
 * json: the one reader and writer of JSON.            [base]
 *
 * A thin, strict skin over cJSON, which alone is lenient: it clamps integers, ignores
 * case in keys, takes the first of duplicate keys, cuts strings at \u0000 and accepts
 * what trails. Here a document is one value of valid UTF-8, at most JSON_DEPTH_MAX deep,
 * without duplicate keys, without NUL in strings, without integers beyond 2^53, and ends
 * where the text ends. A number with a fraction or an exponent is any finite double.
 * Getters are case-sensitive and say which key of what was missing or of the wrong type.
 *
 * struct json is opaque and owned as a tree: json_free of the root frees all; json_add
 * moves the child into the parent.
 *
 * A byte string (a path, an argument) is a JSON string where it is valid UTF-8 without
 * NUL, else {"base64": "..."}; the *_bytes calls write and read both forms.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "common/strvec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32
#define JSON_INTEGER_MAX (INT64_C(1) << 53)

struct json;

/* text need not be NUL-terminated. Errors: ERR_CORRUPT (with the byte offset, or the key
 * that is there twice), ERR_LIMIT (too deep, or no memory). */
struct json *json_parse(const char *text, size_t length, struct error *err);
/*
 * The same for what other people's servers write: of members with one key the getters see
 * the first, a string ends before its first NUL, and an integer beyond 2^53 is a number
 * for which json_is_integer is false. The result is for reading only; written, it need
 * not read back.
 */
struct json *json_parse_lenient(const char *text, size_t length, struct error *err);
void json_free(struct json *j);
DEFINE_CLEANUP_FREE(json)
#define CLEANUP_JSON __attribute__((cleanup(json_cleanup)))

/* Append the document on one line without a newline; is_pretty: indented, over several
 * lines. What was written reads back as the same values; bytes that are not UTF-8 are
 * written as U+FFFD. Aborts when out's limit is passed. */
void json_write(const struct json *j, bool is_pretty, struct strbuf *out);

/* As json_write on one line, the members of each object sorted by key, byte by byte:
 * equal values have equal text. */
void json_write_sorted(const struct json *j, struct strbuf *out);

/* New values, which belong to the caller until json_add or json_append. */
struct json *json_new_object(void);
struct json *json_new_array(void);
/* s: text for people; what has to come back byte for byte goes through json_new_bytes. */
struct json *json_new_string(const char *s);
struct json *json_new_strings(const struct strvec *texts); /* an array of such */
struct json *json_new_bytes(const void *data, size_t length);
struct json *json_new_integer(int64_t value); /* within +-JSON_INTEGER_MAX */
struct json *json_new_bool(bool value);
struct json *json_new_null(void);
struct json *json_new_number(double value); /* finite */

/* Move child into object under key, or at the end of array. Return child, still usable,
 * now owned by the parent. */
struct json *json_add(struct json *object, const char *key, struct json *child);
struct json *json_append(struct json *array, struct json *child);

/* A deep copy; NULL of NULL. */
struct json *json_copy(const struct json *j);

/* Shorthands for objects. A NULL string is written as null. */
void json_add_string(struct json *object, const char *key, const char *s);
void json_add_bytes(struct json *object, const char *key, const void *data,
                    size_t length);
void json_add_integer(struct json *object, const char *key, int64_t value);
void json_add_bool(struct json *object, const char *key, bool value);
/* UTC milliseconds as RFC 3339; null where utc_ms is 0. */
void json_add_time(struct json *object, const char *key, int64_t utc_ms);

/* These, and the getters, take NULL as a value of no type. */
bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
bool json_is_string(const struct json *j);
bool json_is_null(const struct json *j);
bool json_is_bool(const struct json *j);
bool json_is_number(const struct json *j);
/* A number without a fraction, within +-JSON_INTEGER_MAX. */
bool json_is_integer(const struct json *j);

/* The member, or NULL where there is none or j is no object. Borrowed from j. */
const struct json *json_get(const struct json *j, const char *key);
/* Number of members of an object or items of an array; 0 for anything else. */
size_t json_count(const struct json *j);
/* Item or member i, NULL beyond the end. Linear in i: to visit all, use json_first and
 * json_next. Borrowed. */
const struct json *json_at(const struct json *j, size_t i);
const struct json *json_first(const struct json *j);
const struct json *json_next(const struct json *item);
/* The key of a member, NULL for an array item. Borrowed. */
const char *json_key(const struct json *item);

/* The value itself. NULL, false or 0 where it is of another type (for json_integer: where
 * json_is_integer is false): test the type first, or use the getters below. */
const char *json_string(const struct json *j);
int64_t json_integer(const struct json *j);
double json_number(const struct json *j);
bool json_bool(const struct json *j);

/*
 * Required members. what names the document in the sentence ("run specification").
 * Strings are borrowed from j. Errors: ERR_CORRUPT (missing, wrong type, out of range).
 */
int json_get_string(const struct json *j, const char *what, const char *key,
                    const char **out, struct error *err);
int json_get_integer(const struct json *j, const char *what, const char *key, int64_t min,
                     int64_t max, int64_t *out, struct error *err);
int json_get_bool(const struct json *j, const char *what, const char *key, bool *out,
                  struct error *err);
int json_get_object(const struct json *j, const char *what, const char *key,
                    const struct json **out, struct error *err);
int json_get_array(const struct json *j, const char *what, const char *key,
                   size_t max_count, const struct json **out, struct error *err);
/* null, as json_add_time writes it, reads as 0. */
int json_get_time(const struct json *j, const char *what, const char *key,
                  int64_t *out_utc_ms, struct error *err);
/* Append the bytes of a byte string (either form) to out. Errors: also ERR_LIMIT. */
int json_get_bytes(const struct json *j, const char *what, const char *key,
                   struct strbuf *out, struct error *err);
int json_bytes(const struct json *value, const char *what, struct strbuf *out,
               struct error *err);
/* The same as a C string of at most max bytes, malloc'ed: the bytes have no NUL. key
 * names it in a sentence about what. NULL: err. */
char *json_take_bytes(const struct json *value, const char *what, const char *key,
                      size_t max, struct error *err);
/* A member's text into out; "" where it is absent or of another type. What does not fit
 * is cut at a character. */
void json_copy_text(const struct json *j, const char *key, char *out, size_t size);

#endif
