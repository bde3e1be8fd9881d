/*
 * shape: what a JSON value from the other end must look like, as a table. [wire]
 *
 * A shape says the type of a value and its bounds; a member says under which key of an
 * object it stands, and whether it may be absent or null. Members that no row names are
 * ignored. Checking changes nothing and gives nothing back but the sentence that says
 * what is wrong and where ("files: item 2: offset: ..."); whoever reads the value
 * afterwards may rely on it. Depth is that of the table.
 */
#ifndef COMMON_SHAPE_H
#define COMMON_SHAPE_H

#include "common/json.h"

enum shape_kind {
    SHAPE_STRING,  /* min to max bytes */
    SHAPE_INTEGER, /* min to max */
    SHAPE_BOOL,
    SHAPE_TIME,   /* RFC 3339 as clock_format writes it */
    SHAPE_HEX,    /* exactly max lower-case hexadecimal digits */
    SHAPE_RUN_ID, /* FORMATS.md 4 */
    SHAPE_WORD,   /* one of words */
    SHAPE_BYTES,  /* a byte string of at most max bytes, without NUL */
    SHAPE_OBJECT, /* members */
    SHAPE_ARRAY,  /* min to max items, each as item says */
    SHAPE_MAP,    /* an object with any keys, at most max, each value as item says */
    SHAPE_KIND_COUNT
};

struct shape;

struct shape_member {
    const char *key; /* NULL behind the last row */
    const struct shape *shape;
    bool is_optional;
    bool may_be_null;
};

struct shape {
    enum shape_kind kind;
    int64_t min, max;
    const char *const *words; /* NULL behind the last */
    const struct shape *item;
    const struct shape_member *members; /* NULL: any object */
    /* What the table cannot say; NULL: nothing. Called when all else is right. */
    int (*check)(const struct json *value, struct error *err);
};

/* value may be NULL: there is none. Errors: ERR_CORRUPT. */
int shape_check(const struct shape *shape, const struct json *value, struct error *err);

#endif
