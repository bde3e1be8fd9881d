#include "common/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/json_scan.h"

#define BASE64_KEY "base64"
#define PAIRWISE_MAX 16 /* keys compared pair by pair; more are sorted */

/* A struct json is a cJSON under another name: no header but this file's knows cJSON. */
static const cJSON *inner(const struct json *j)
{
    return (const cJSON *)j;
}

static cJSON *inner_mutable(struct json *j)
{
    return (cJSON *)j;
}

static struct json *outer(cJSON *item)
{
    if (item == NULL) {
        mem_abort("out of memory");
    }
    return (struct json *)item;
}

static const struct json *outer_const(const cJSON *item)
{
    return (const struct json *)item;
}

/* --- reading ------------------------------------------------------------------------ */

static int refuse_duplicate(const char *key, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "JSON: the key \"%.60s\" twice in one object",
                     key);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_many_keys(const cJSON *object, size_t count, struct error *err)
{
    CLEANUP_FREE const char **keys = xcalloc(count, sizeof(*keys));
    size_t used = 0;

    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        keys[used++] = item->string;
    }
    qsort(keys, used, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < used; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0) {
            return refuse_duplicate(keys[i], err);
        }
    }
    return 0;
}

static int check_keys(const cJSON *object, struct error *err)
{
    size_t count = (size_t)cJSON_GetArraySize(object);

    if (count > PAIRWISE_MAX) {
        return check_many_keys(object, count, err);
    }
    for (const cJSON *a = object->child; a != NULL; a = a->next) {
        for (const cJSON *b = a->next; b != NULL; b = b->next) {
            if (strcmp(a->string, b->string) == 0) {
                return refuse_duplicate(a->string, err);
            }
        }
    }
    return 0;
}

/* What the scan leaves open. As deep as the scan has let through. */
static int check_tree(const cJSON *tree, bool is_lenient, struct error *err)
{
    if (cJSON_IsNumber(tree) && !isfinite(tree->valuedouble)) {
        return error_set(err, ERR_CORRUPT, "JSON: a number too large for a double");
    }
    if (!is_lenient && cJSON_IsObject(tree) && check_keys(tree, err) < 0) {
        return -1;
    }
    for (const cJSON *item = tree->child; item != NULL; item = item->next) {
        if (check_tree(item, is_lenient, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static struct json *parse(const char *text, size_t length, bool is_lenient,
                          struct error *err)
{
    cJSON *tree;

    if (json_scan(text, length, is_lenient, err) < 0) {
        return NULL;
    }
    tree = cJSON_ParseWithLength(text, length);
    if (tree == NULL) {
        error_set(err, ERR_LIMIT, "JSON: no memory for a document of %zu bytes", length);
        return NULL;
    }
    if (check_tree(tree, is_lenient, err) < 0) {
        cJSON_Delete(tree);
        return NULL;
    }
    return outer(tree);
}

struct json *json_parse(const char *text, size_t length, struct error *err)
{
    return parse(text, length, false, err);
}

struct json *json_parse_lenient(const char *text, size_t length, struct error *err)
{
    return parse(text, length, true, err);
}

struct json *json_copy(const struct json *j)
{
    return j != NULL ? outer(cJSON_Duplicate(inner(j), true)) : NULL;
}

void json_free(struct json *j)
{
    cJSON_Delete(inner_mutable(j));
}

/* --- making ------------------------------------------------------------------------- */

struct json *json_new_object(void)
{
    return outer(cJSON_CreateObject());
}

struct json *json_new_array(void)
{
    return outer(cJSON_CreateArray());
}

struct json *json_new_string(const char *s)
{
    return outer(cJSON_CreateString(s));
}

struct json *json_new_strings(const struct strvec *texts)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < texts->count; i++) {
        json_append(array, json_new_string(texts->items[i]));
    }
    return array;
}

static struct json *new_base64(const void *data, size_t length)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct json *j = json_new_object();

    text.limit_bytes = SIZE_MAX;
    bytes_to_base64(&text, data, length);
    json_add_string(j, BASE64_KEY, text.data);
    return j;
}

struct json *json_new_bytes(const void *data, size_t length)
{
    CLEANUP_FREE char *text = NULL;

    if (length > 0 &&
        (memchr(data, '\0', length) != NULL || !bytes_is_utf8(data, length))) {
        return new_base64(data, length);
    }
    text = xstrndup(data, length);
    return json_new_string(text);
}

struct json *json_new_integer(int64_t value)
{
    assert(value >= -JSON_INTEGER_MAX && value <= JSON_INTEGER_MAX);
    return outer(cJSON_CreateNumber((double)value));
}

struct json *json_new_bool(bool value)
{
    return outer(cJSON_CreateBool(value));
}

struct json *json_new_null(void)
{
    return outer(cJSON_CreateNull());
}

struct json *json_new_number(double value)
{
    assert(isfinite(value));
    return outer(cJSON_CreateNumber(value));
}

struct json *json_add(struct json *object, const char *key, struct json *child)
{
    assert(json_is_object(object) && child != NULL && child != object);
    if (!cJSON_AddItemToObject(inner_mutable(object), key, inner_mutable(child))) {
        mem_abort("out of memory");
    }
    return child;
}

struct json *json_append(struct json *array, struct json *child)
{
    assert(json_is_array(array) && child != NULL && child != array);
    if (!cJSON_AddItemToArray(inner_mutable(array), inner_mutable(child))) {
        mem_abort("out of memory");
    }
    return child;
}

void json_add_string(struct json *object, const char *key, const char *s)
{
    json_add(object, key, s != NULL ? json_new_string(s) : json_new_null());
}

void json_add_bytes(struct json *object, const char *key, const void *data, size_t length)
{
    json_add(object, key, json_new_bytes(data, length));
}

void json_add_integer(struct json *object, const char *key, int64_t value)
{
    json_add(object, key, json_new_integer(value));
}

void json_add_bool(struct json *object, const char *key, bool value)
{
    json_add(object, key, json_new_bool(value));
}

void json_add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(text, utc_ms);
    json_add_string(object, key, utc_ms != 0 ? text : NULL);
}

/* --- looking ------------------------------------------------------------------------ */

bool json_is_object(const struct json *j)
{
    return cJSON_IsObject(inner(j));
}

bool json_is_array(const struct json *j)
{
    return cJSON_IsArray(inner(j));
}

bool json_is_string(const struct json *j)
{
    return cJSON_IsString(inner(j));
}

bool json_is_null(const struct json *j)
{
    return cJSON_IsNull(inner(j));
}

bool json_is_bool(const struct json *j)
{
    return cJSON_IsBool(inner(j));
}

bool json_is_number(const struct json *j)
{
    return cJSON_IsNumber(inner(j));
}

bool json_is_integer(const struct json *j)
{
    double value = json_number(j);

    return json_is_number(j) && value >= -(double)JSON_INTEGER_MAX &&
           value <= (double)JSON_INTEGER_MAX && value == (double)(int64_t)value;
}

const struct json *json_get(const struct json *j, const char *key)
{
    if (!json_is_object(j)) {
        return NULL;
    }
    return outer_const(cJSON_GetObjectItemCaseSensitive(inner(j), key));
}

size_t json_count(const struct json *j)
{
    size_t count = 0;

    for (const struct json *item = json_first(j); item != NULL; item = json_next(item)) {
        count++;
    }
    return count;
}

const struct json *json_at(const struct json *j, size_t i)
{
    const struct json *item = json_first(j);

    while (item != NULL && i > 0) {
        item = json_next(item);
        i--;
    }
    return item;
}

const struct json *json_first(const struct json *j)
{
    return json_is_object(j) || json_is_array(j) ? outer_const(inner(j)->child) : NULL;
}

const struct json *json_next(const struct json *item)
{
    return outer_const(inner(item)->next);
}

const char *json_key(const struct json *item)
{
    return inner(item)->string;
}

const char *json_string(const struct json *j)
{
    return json_is_string(j) ? inner(j)->valuestring : NULL;
}

int64_t json_integer(const struct json *j)
{
    return json_is_integer(j) ? (int64_t)inner(j)->valuedouble : 0;
}

double json_number(const struct json *j)
{
    return json_is_number(j) ? inner(j)->valuedouble : 0;
}

bool json_bool(const struct json *j)
{
    return cJSON_IsTrue(inner(j));
}

/* --- required members --------------------------------------------------------------- */

static int refuse_type(const char *what, const char *key, const char *wanted,
                       struct error *err)
{
    return error_set(err, ERR_CORRUPT, "%s: \"%s\" is not %s", what, key, wanted);
}

static const struct json *require(const struct json *j, const char *what, const char *key,
                                  struct error *err)
{
    const struct json *value = json_get(j, key);

    if (value == NULL && !json_is_object(j)) {
        error_set(err, ERR_CORRUPT, "%s: not an object", what);
    } else if (value == NULL) {
        error_set(err, ERR_CORRUPT, "%s: \"%s\" is missing", what, key);
    }
    return value;
}

int json_get_string(const struct json *j, const char *what, const char *key,
                    const char **out, struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (!json_is_string(value)) {
        return refuse_type(what, key, "a string", err);
    }
    *out = json_string(value);
    return 0;
}

int json_get_integer(const struct json *j, const char *what, const char *key, int64_t min,
                     int64_t max, int64_t *out, struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (!json_is_integer(value)) {
        return refuse_type(what, key, "an integer", err);
    }
    if (json_integer(value) < min || json_integer(value) > max) {
        return error_set(err, ERR_CORRUPT,
                         "%s: \"%s\" is %" PRId64 ", not within %" PRId64 " and %" PRId64,
                         what, key, json_integer(value), min, max);
    }
    *out = json_integer(value);
    return 0;
}

int json_get_bool(const struct json *j, const char *what, const char *key, bool *out,
                  struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (!json_is_bool(value)) {
        return refuse_type(what, key, "true or false", err);
    }
    *out = json_bool(value);
    return 0;
}

int json_get_object(const struct json *j, const char *what, const char *key,
                    const struct json **out, struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (!json_is_object(value)) {
        return refuse_type(what, key, "an object", err);
    }
    *out = value;
    return 0;
}

int json_get_array(const struct json *j, const char *what, const char *key,
                   size_t max_count, const struct json **out, struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (!json_is_array(value)) {
        return refuse_type(what, key, "an array", err);
    }
    if (json_count(value) > max_count) {
        return error_set(err, ERR_CORRUPT, "%s: \"%s\" has more than %zu items", what,
                         key, max_count);
    }
    *out = value;
    return 0;
}

int json_get_time(const struct json *j, const char *what, const char *key,
                  int64_t *out_utc_ms, struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (json_is_null(value)) {
        *out_utc_ms = 0;
        return 0;
    }
    if (!json_is_string(value)) {
        return refuse_type(what, key, "a time", err);
    }
    if (clock_parse(json_string(value), out_utc_ms, err) < 0) {
        return error_wrap(err, "%s: \"%s\"", what, key);
    }
    return 0;
}

int json_bytes(const struct json *value, const char *what, struct strbuf *out,
               struct error *err)
{
    const char *s = json_string(value);
    const char *encoded = json_string(json_get(value, BASE64_KEY));
    int result;

    if (s == NULL && (encoded == NULL || json_count(value) != 1)) {
        return error_set(err, ERR_CORRUPT, "%s: neither a string nor {\"base64\": ...}",
                         what);
    }
    result = s != NULL ? strbuf_add(out, s, strlen(s), err)
                       : bytes_from_base64(out, encoded, err);
    return result < 0 ? error_wrap(err, "%s", what) : 0;
}

int json_get_bytes(const struct json *j, const char *what, const char *key,
                   struct strbuf *out, struct error *err)
{
    const struct json *value = require(j, what, key, err);

    if (value == NULL) {
        return -1;
    }
    if (json_bytes(value, key, out, err) < 0) {
        return error_wrap(err, "%s", what);
    }
    return 0;
}

char *json_take_bytes(const struct json *value, const char *what, const char *key,
                      size_t max, struct error *err)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;
    bytes.limit_bytes = max;
    if (json_bytes(value, key, &bytes, err) < 0) {
        error_wrap(err, "%s", what);
        return NULL;
    }
    if (memchr(bytes.data, '\0', bytes.length) != NULL) {
        error_set(err, ERR_CORRUPT, "%s: \"%s\" has a NUL among its bytes", what, key);
        return NULL;
    }
    return strbuf_detach(&bytes);
}

void json_copy_text(const struct json *j, const char *key, char *out, size_t size)
{
    const char *text = json_string(json_get(j, key));
    size_t length = text != NULL ? bytes_utf8_prefix(text, strnlen(text, size - 1)) : 0;
    memcpy(out, text != NULL ? text : "", length);
    out[length] = '\0';
}
