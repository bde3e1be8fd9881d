#include "common/shape.h"

#include <inttypes.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/message.h"

#define KEY_SHOWN_MAX 60 /* bytes of a key from outside that a sentence repeats */

typedef int checker(const struct shape *shape, const struct json *value,
                    struct error *err);

static int refuse(struct error *err, const char *what)
{
    return error_set(err, ERR_CORRUPT, "%s", what);
}

static int check_string(const struct shape *shape, const struct json *value,
                        struct error *err)
{
    const char *s = json_string(value);
    int64_t length;

    if (s == NULL) {
        return refuse(err, "not a string");
    }
    length = (int64_t)strlen(s);
    if (length < shape->min || length > shape->max) {
        return error_set(err, ERR_CORRUPT,
                         "%" PRId64 " bytes where %" PRId64 " to %" PRId64 " may be",
                         length, shape->min, shape->max);
    }
    return 0;
}

static int check_integer(const struct shape *shape, const struct json *value,
                         struct error *err)
{
    int64_t n = json_integer(value);

    if (!json_is_integer(value) || n < shape->min || n > shape->max) {
        return error_set(err, ERR_CORRUPT, "not an integer from %" PRId64 " to %" PRId64,
                         shape->min, shape->max);
    }
    return 0;
}

static int check_bool(const struct shape *shape, const struct json *value,
                      struct error *err)
{
    (void)shape;
    return json_is_bool(value) ? 0 : refuse(err, "not true or false");
}

static int check_time(const struct shape *shape, const struct json *value,
                      struct error *err)
{
    const char *s = json_string(value);
    int64_t utc_ms;

    (void)shape;
    return s != NULL ? clock_parse(s, &utc_ms, err) : refuse(err, "not a time");
}

static int check_hex(const struct shape *shape, const struct json *value,
                     struct error *err)
{
    const char *s = json_string(value);

    if (s == NULL || (int64_t)strlen(s) != shape->max ||
        strspn(s, "0123456789abcdef") != (size_t)shape->max) {
        return error_set(err, ERR_CORRUPT, "not %" PRId64 " hexadecimal digits",
                         shape->max);
    }
    return 0;
}

static int check_run_id(const struct shape *shape, const struct json *value,
                        struct error *err)
{
    const char *s = json_string(value);

    (void)shape;
    return s != NULL && run_id_is_valid(s) ? 0 : refuse(err, "not a run id");
}

static int check_word(const struct shape *shape, const struct json *value,
                      struct error *err)
{
    const char *s = json_string(value);

    for (size_t i = 0; s != NULL && shape->words[i] != NULL; i++) {
        if (strcmp(s, shape->words[i]) == 0) {
            return 0;
        }
    }
    return refuse(err, "none of the words that may stand here");
}

static int check_bytes(const struct shape *shape, const struct json *value,
                       struct error *err)
{
    struct strbuf bytes;
    int result;

    strbuf_init(&bytes, (size_t)shape->max);
    result = json_bytes(value, "byte string", &bytes, NULL);
    if (result < 0 || memchr(bytes.data, '\0', bytes.length) != NULL) {
        result = error_set(err, ERR_CORRUPT,
                           "no byte string of at most %" PRId64 " bytes without NUL",
                           shape->max);
    }
    strbuf_release(&bytes);
    return result;
}

static int check_member(const struct shape_member *member, const struct json *object,
                        struct error *err)
{
    const struct json *value = json_get(object, member->key);

    if (value == NULL) {
        return member->is_optional
                   ? 0
                   : error_set(err, ERR_CORRUPT, "\"%s\" is missing", member->key);
    }
    if (json_is_null(value) && member->may_be_null) {
        return 0;
    }
    if (shape_check(member->shape, value, err) < 0) {
        return error_wrap(err, "%s", member->key);
    }
    return 0;
}

static int check_object(const struct shape *shape, const struct json *value,
                        struct error *err)
{
    const struct shape_member *member = shape->members;

    if (!json_is_object(value)) {
        return refuse(err, "not an object");
    }
    for (; member != NULL && member->key != NULL; member++) {
        if (check_member(member, value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_array(const struct shape *shape, const struct json *value,
                       struct error *err)
{
    int64_t count = 0;

    if (!json_is_array(value)) {
        return refuse(err, "not an array");
    }
    for (const struct json *item = json_first(value); item != NULL;
         item = json_next(item)) {
        if (++count > shape->max) {
            break;
        }
        if (shape_check(shape->item, item, err) < 0) {
            return error_wrap(err, "item %" PRId64, count);
        }
    }
    if (count < shape->min || count > shape->max) {
        return error_set(err, ERR_CORRUPT, "not %" PRId64 " to %" PRId64 " items",
                         shape->min, shape->max);
    }
    return 0;
}

static int check_map(const struct shape *shape, const struct json *value,
                     struct error *err)
{
    int64_t count = 0;

    if (!json_is_object(value)) {
        return refuse(err, "not an object");
    }
    for (const struct json *item = json_first(value); item != NULL;
         item = json_next(item)) {
        if (++count > shape->max) {
            return error_set(err, ERR_CORRUPT, "more than %" PRId64 " members",
                             shape->max);
        }
        if (shape_check(shape->item, item, err) < 0) {
            return error_wrap(err, "%.*s", KEY_SHOWN_MAX, json_key(item));
        }
    }
    return 0;
}

static checker *const checkers[] = {
    [SHAPE_STRING] = check_string, [SHAPE_INTEGER] = check_integer,
    [SHAPE_BOOL] = check_bool,     [SHAPE_TIME] = check_time,
    [SHAPE_HEX] = check_hex,       [SHAPE_RUN_ID] = check_run_id,
    [SHAPE_WORD] = check_word,     [SHAPE_BYTES] = check_bytes,
    [SHAPE_OBJECT] = check_object, [SHAPE_ARRAY] = check_array,
    [SHAPE_MAP] = check_map,
};

_Static_assert(ARRAY_SIZE(checkers) == SHAPE_KIND_COUNT, "a checker for every kind");

int shape_check(const struct shape *shape, const struct json *value, struct error *err)
{
    if (checkers[shape->kind](shape, value, err) < 0) {
        return -1;
    }
    return shape->check != NULL ? shape->check(value, err) : 0;
}
