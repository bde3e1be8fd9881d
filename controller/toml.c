#include "controller/toml.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "common/strvec.h"
#include "controller/toml_inside.h"

/* How a table, or an array of tables, came to be, which says who may add to it. */
enum origin {
    ORIGIN_PATH,   /* on the way of a header to a deeper table */
    ORIGIN_HEADER, /* [a] */
    ORIGIN_DOTTED, /* a.b = 1 */
    ORIGIN_ARRAY,  /* [[a]]: the array */
};

struct known {
    struct json *json;
    struct json *last; /* of an array: its last table */
    enum origin origin;
};

struct parser {
    struct toml_reader r;
    struct json *root;
    struct known *known; /* what may be added to; inline tables are not among them */
    size_t count, capacity;
};

/* ---- what is known ---- */

/* The newest are asked for most. */
static struct known *find_known(const struct parser *p, const struct json *json)
{
    for (size_t i = p->count; i-- > 0;) {
        if (p->known[i].json == json) {
            return &p->known[i];
        }
    }
    return NULL;
}

static int add_known(struct parser *p, struct json *json, enum origin origin,
                     struct error *err)
{
    if (p->count == TOML_TABLES_MAX) {
        return error_set(err, ERR_LIMIT, "%s: it has more than %d tables", p->r.name,
                         TOML_TABLES_MAX);
    }
    if (p->count == p->capacity) {
        p->capacity = p->capacity > 0 ? 2 * p->capacity : 32;
        p->known = xrealloc(p->known, p->capacity, sizeof(*p->known));
    }
    p->known[p->count++] = (struct known){.json = json, .origin = origin};
    return 0;
}

static int refuse_key(const struct parser *p, const char *key, const char *why,
                      struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s:%u: \"%.60s\" %s", p->r.name, p->r.line, key,
                     why);
}

static int add_member(struct parser *p, struct json *table, const char *key,
                      struct json *value, struct error *err)
{
    if (json_get(table, key) != NULL) {
        json_free(value);
        return refuse_key(p, key, "is there twice", err);
    }
    if (json_count(table) >= TOML_COUNT_MAX) {
        json_free(value);
        return error_set(err, ERR_LIMIT, "%s:%u: a table has more than %d keys",
                         p->r.name, p->r.line, TOML_COUNT_MAX);
    }
    json_add(table, key, value);
    return 0;
}

/* ---- keys ---- */

static int take_key(struct parser *p, struct strvec *out, struct error *err)
{
    struct toml_reader *r = &p->r;

    for (;;) {
        toml_skip_blanks(r);
        if (*r->at == '"' || *r->at == '\'') {
            CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;

            if (toml_string(r, false, &key, err) < 0) {
                return -1;
            }
            strvec_push(out, key.data);
        } else {
            size_t length = strspn(r->at, "abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

            if (length == 0) {
                return toml_refuse(r, err, "a key is missing");
            }
            strvec_adopt(out, xstrndup(r->at, length));
            r->at += length;
        }
        toml_skip_blanks(r);
        if (*r->at != '.') {
            break;
        }
        if (out->count == TOML_DEPTH_MAX) {
            return toml_refuse(r, err, "a key has too many parts");
        }
        r->at++;
    }
    return 0;
}

/* ---- values ---- */

static struct json *take_value(struct parser *p, unsigned depth, struct error *err);
static int take_pair(struct parser *p, struct json *table, unsigned depth,
                     struct error *err);

static struct json *take_array(struct parser *p, unsigned depth, struct error *err)
{
    CLEANUP_JSON struct json *array = json_new_array();

    p->r.at++;
    for (;;) {
        struct json *item;

        if (toml_skip_lines(&p->r, err) < 0) {
            return NULL;
        }
        if (*p->r.at == ']') {
            p->r.at++;
            return TAKE_PTR(array);
        }
        item = take_value(p, depth, err);
        if (item == NULL) {
            return NULL;
        }
        json_append(array, item);
        if (toml_skip_lines(&p->r, err) < 0) {
            return NULL;
        }
        if (*p->r.at == ',') {
            p->r.at++;
        } else if (*p->r.at != ']') {
            toml_refuse(&p->r, err, "a , or ] is missing in an array");
            return NULL;
        }
    }
}

static struct json *take_inline(struct parser *p, unsigned depth, struct error *err)
{
    CLEANUP_JSON struct json *table = json_new_object();

    p->r.at++;
    toml_skip_blanks(&p->r);
    if (*p->r.at == '}') {
        p->r.at++;
        return TAKE_PTR(table);
    }
    for (;;) {
        if (take_pair(p, table, depth, err) < 0) {
            return NULL;
        }
        toml_skip_blanks(&p->r);
        if (*p->r.at == '}') {
            p->r.at++;
            return TAKE_PTR(table);
        }
        if (*p->r.at != ',') {
            toml_refuse(&p->r, err, "a , or } is missing in a table on one line");
            return NULL;
        }
        p->r.at++;
    }
}

static struct json *take_value(struct parser *p, unsigned depth, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    if (depth > TOML_DEPTH_MAX) {
        toml_refuse(&p->r, err, "values are nested too deep");
        return NULL;
    }
    toml_skip_blanks(&p->r);
    switch (*p->r.at) {
    case '"':
    case '\'':
        return toml_string(&p->r, true, &text, err) < 0 ? NULL
                                                        : json_new_string(text.data);
    case '[':
        return take_array(p, depth + 1, err);
    case '{':
        return take_inline(p, depth + 1, err);
    default:
        return toml_word(&p->r, err);
    }
}

/* The table that a dotted key leads to from table; made where there is none. */
static struct json *dotted_table(struct parser *p, struct json *table,
                                 const struct strvec *key, struct error *err)
{
    for (size_t i = 0; i + 1 < key->count; i++) {
        const struct json *there = json_get(table, key->items[i]);
        struct known *known = there != NULL ? find_known(p, there) : NULL;

        if (there != NULL && (known == NULL || known->origin != ORIGIN_DOTTED)) {
            refuse_key(p, key->items[i], "is there already", err);
            return NULL;
        }
        if (known == NULL) {
            struct json *made = json_new_object();

            if (add_member(p, table, key->items[i], made, err) < 0 ||
                add_known(p, made, ORIGIN_DOTTED, err) < 0) {
                return NULL;
            }
            table = made;
        } else {
            table = known->json;
        }
    }
    return table;
}

static int take_pair(struct parser *p, struct json *table, unsigned depth,
                     struct error *err)
{
    CLEANUP_STRVEC struct strvec key = STRVEC_INIT;
    struct json *value;

    if (take_key(p, &key, err) < 0) {
        return -1;
    }
    assert(key.count > 0);
    if (*p->r.at != '=') {
        return refuse_key(p, key.items[key.count - 1], "has no = behind it", err);
    }
    p->r.at++;
    if (depth + key.count > TOML_DEPTH_MAX) {
        return toml_refuse(&p->r, err, "values are nested too deep");
    }
    table = dotted_table(p, table, &key, err);
    if (table == NULL) {
        return -1;
    }
    value = take_value(p, depth + (unsigned)key.count - 1, err);
    return value != NULL ? add_member(p, table, key.items[key.count - 1], value, err)
                         : -1;
}

/* ---- headers ---- */

/* One level of a header: the table there, or the last one of an array; made where there
 * is none. */
static struct json *step(struct parser *p, struct json *table, const char *key,
                         struct error *err)
{
    const struct json *there = json_get(table, key);
    struct known *known = there != NULL ? find_known(p, there) : NULL;

    if (known != NULL) {
        return known->origin == ORIGIN_ARRAY ? known->last : known->json;
    }
    if (there != NULL) {
        refuse_key(p, key, "is a value, not a table", err);
        return NULL;
    }
    struct json *made = json_new_object();
    if (add_member(p, table, key, made, err) < 0 ||
        add_known(p, made, ORIGIN_PATH, err) < 0) {
        return NULL;
    }
    return made;
}

static struct json *open_table(struct parser *p, struct json *parent, const char *key,
                               struct error *err)
{
    const struct json *there = json_get(parent, key);
    struct known *known = there != NULL ? find_known(p, there) : NULL;

    if (there == NULL) {
        struct json *made = json_new_object();

        return add_member(p, parent, key, made, err) < 0 ||
                       add_known(p, made, ORIGIN_HEADER, err) < 0
                   ? NULL
                   : made;
    }
    if (known == NULL || known->origin != ORIGIN_PATH) {
        refuse_key(p, key, "is there twice", err);
        return NULL;
    }
    known->origin = ORIGIN_HEADER;
    return known->json;
}

static struct json *open_item(struct parser *p, struct json *parent, const char *key,
                              struct error *err)
{
    const struct json *there = json_get(parent, key);
    struct known *known = there != NULL ? find_known(p, there) : NULL;

    if (there == NULL) {
        struct json *array = json_new_array();

        if (add_member(p, parent, key, array, err) < 0 ||
            add_known(p, array, ORIGIN_ARRAY, err) < 0) {
            return NULL;
        }
        known = &p->known[p->count - 1];
    }
    if (known == NULL || known->origin != ORIGIN_ARRAY) {
        refuse_key(p, key, "is no list of tables", err);
        return NULL;
    }
    known->last = json_append(known->json, json_new_object());
    return known->last;
}

/* "[a.b]" or "[[a.b]]": the table that the lines below belong to. NULL: err. */
static struct json *take_header(struct parser *p, struct error *err)
{
    CLEANUP_STRVEC struct strvec key = STRVEC_INIT;
    struct json *table = p->root;
    bool is_item = p->r.at[1] == '[';

    p->r.at += is_item ? 2 : 1;
    if (take_key(p, &key, err) < 0) {
        return NULL;
    }
    if (strncmp(p->r.at, is_item ? "]]" : "]", is_item ? 2 : 1) != 0) {
        toml_refuse(&p->r, err, "a table's name is not closed");
        return NULL;
    }
    p->r.at += is_item ? 2 : 1;
    assert(key.count > 0);
    for (size_t i = 0; i + 1 < key.count && table != NULL; i++) {
        table = step(p, table, key.items[i], err);
    }
    if (table == NULL) {
        return NULL;
    }
    return is_item ? open_item(p, table, key.items[key.count - 1], err)
                   : open_table(p, table, key.items[key.count - 1], err);
}

static int take_document(struct parser *p, struct error *err)
{
    struct json *table = p->root;

    for (;;) {
        if (toml_skip_lines(&p->r, err) < 0) {
            return -1;
        }
        if (p->r.at >= p->r.end) {
            return 0;
        }
        if (*p->r.at == '[') {
            table = take_header(p, err);
            if (table == NULL) {
                return -1;
            }
        } else if (take_pair(p, table, 1, err) < 0) {
            return -1;
        }
        if (toml_end_line(&p->r, err) < 0) {
            return -1;
        }
    }
}

struct json *toml_parse(const char *name, const char *data, size_t length,
                        struct error *err)
{
    CLEANUP_JSON struct json *root = json_new_object();

    if (length > TOML_SIZE_MAX) {
        error_set(err, ERR_LIMIT, "%s: %zu bytes, more than %zu", name, length,
                  TOML_SIZE_MAX);
        return NULL;
    }
    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        length -= 3;
    }
    if (!bytes_is_utf8(data, length) || memchr(data, '\0', length) != NULL) {
        error_set(err, ERR_CONFIG, "%s: it is no UTF-8 text", name);
        return NULL;
    }
    CLEANUP_FREE char *text = xstrndup(data, length);
    struct parser p = {.r = {.name = name, .at = text, .end = text + length, .line = 1},
                       .root = root};
    int result = take_document(&p, err);
    free(p.known);
    return result < 0 ? NULL : TAKE_PTR(root);
}
