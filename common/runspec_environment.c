#include "common/runspec_environment.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/tree.h"

#define WHAT "run specification"
#define IMPORTS_MAX 256
#define IMPORT_MAX_BYTES 255
#define SHARED_MAX 16

void runspec_environment_release(struct runspec_environment *environment)
{
    free(environment->pin_build);
    envspec_release(&environment->definition);
    strvec_release(&environment->imports);
    strvec_release(&environment->shared);
}

/* --- encoding ------------------------------------------------------------------------
 */

static struct json *pin_object(const struct runspec_environment *environment)
{
    struct json *pin = json_new_object();

    json_add_string(pin, "identity", environment->pin_identity);
    json_add_string(pin, "build", environment->pin_build);
    return pin;
}

static void add_list(struct json *object, const char *key, const struct strvec *sv)
{
    struct json *array;

    if (sv->count == 0) {
        return;
    }
    array = json_add(object, key, json_new_array());
    for (size_t i = 0; i < sv->count; i++) {
        json_append(array, json_new_bytes(sv->items[i], strlen(sv->items[i])));
    }
}

struct json *runspec_environment_to_json(const struct runspec_environment *environment)
{
    struct json *object = json_new_object();

    json_add(object, "pin",
             environment->pin_identity[0] != '\0' ? pin_object(environment)
                                                  : json_new_null());
    if (environment->has_definition) {
        json_add(object, "definition", envspec_to_json(&environment->definition));
    }
    if (!oid_is_zero(&environment->brought)) {
        char hex[OID_HEX_SIZE];

        oid_to_hex(&environment->brought, hex);
        json_add_string(object, "brought", hex);
    }
    if (environment->is_refresh) {
        json_add_bool(object, "is_refresh", true);
    }
    add_list(object, "imports", &environment->imports);
    add_list(object, "shared", &environment->shared);
    if (environment->slots != RUNSPEC_PREPARE_SLOTS_DEFAULT) {
        json_add_integer(object, "slots", environment->slots);
    }
    return object;
}

/* --- decoding ------------------------------------------------------------------------
 */

static int refuse(struct error *err, const char *key, const char *why)
{
    return error_set(err, ERR_CORRUPT, WHAT ": environment: \"%s\" %s", key, why);
}

static bool is_said(const struct json *value)
{
    return value != NULL && !json_is_null(value);
}

/* A build's name: a time and something random; it becomes a part of a path. */
static bool build_is_valid(const char *build)
{
    size_t length = strlen(build);

    return length >= 1 && length <= 64 &&
           strspn(build, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789-") == length;
}

static int take_pin(const struct json *j, struct runspec_environment *environment,
                    struct error *err)
{
    const struct json *pin = json_get(j, "pin");
    const char *identity;
    const char *build = json_string(json_get(pin, "build"));
    struct oid digest;

    if (!is_said(pin)) {
        return 0;
    }
    if (json_get_string(pin, WHAT, "identity", &identity, err) < 0) {
        return -1;
    }
    if (oid_from_hex(identity, &digest, NULL) < 0) {
        return refuse(err, "pin", "names no environment");
    }
    if (is_said(json_get(pin, "build")) && (build == NULL || !build_is_valid(build))) {
        return refuse(err, "pin", "names no build");
    }
    oid_to_hex(&digest, environment->pin_identity);
    environment->pin_build = build != NULL ? xstrdup(build) : NULL;
    return 0;
}

static int take_brought(const struct json *j, struct oid *out, struct error *err)
{
    const char *digest = json_string(json_get(j, "brought"));

    if (!is_said(json_get(j, "brought"))) {
        return 0;
    }
    return digest != NULL && oid_from_hex(digest, out, NULL) == 0
               ? 0
               : refuse(err, "brought", "names no tree");
}

/* A module's dotted name: it goes into a program's text. */
static bool import_is_valid(const char *name)
{
    size_t length = strlen(name);

    if (length > IMPORT_MAX_BYTES) {
        return false;
    }
    for (;;) {
        size_t part = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789_");

        if (part == 0 || (name[0] >= '0' && name[0] <= '9')) {
            return false;
        }
        if (name[part] == '\0') {
            return true;
        }
        if (name[part] != '.') {
            return false;
        }
        name += part + 1;
    }
}

static bool shared_is_valid(const char *path)
{
    return path[0] == '/' || strncmp(path, "~/", 2) == 0;
}

/* A list of byte strings that may be missing, each as is_valid wants it. */
static int take_list(const struct json *j, const char *key, size_t max,
                     bool (*is_valid)(const char *), struct strvec *out,
                     struct error *err)
{
    const struct json *array;

    if (!is_said(json_get(j, key))) {
        return 0;
    }
    if (json_get_array(j, WHAT, key, max, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;

        bytes.limit_bytes = TREE_PATH_MAX;
        if (json_bytes(item, key, &bytes, err) < 0) {
            return error_wrap(err, WHAT);
        }
        if (memchr(bytes.data, '\0', bytes.length) != NULL || !is_valid(bytes.data)) {
            return refuse(err, key, "has an item that is not what it may be");
        }
        strvec_push(out, bytes.data);
    }
    return 0;
}

int runspec_environment_from_json(const struct json *j,
                                  struct runspec_environment *environment,
                                  struct error *err)
{
    const struct json *definition = json_get(j, "definition");

    if (take_pin(j, environment, err) < 0 ||
        take_brought(j, &environment->brought, err) < 0 ||
        take_list(j, "imports", IMPORTS_MAX, import_is_valid, &environment->imports,
                  err) < 0 ||
        take_list(j, "shared", SHARED_MAX, shared_is_valid, &environment->shared, err) <
            0) {
        return -1;
    }
    environment->is_refresh = json_bool(json_get(j, "is_refresh"));
    if (is_said(json_get(j, "slots")) &&
        json_get_integer(j, WHAT, "slots", 1, RUNSPEC_PREPARE_SLOTS_MAX,
                         &environment->slots, err) < 0) {
        return -1;
    }
    if (!is_said(definition)) {
        return 0;
    }
    environment->has_definition = true;
    if (envspec_from_json(definition, &environment->definition, err) < 0) {
        return error_wrap(err, WHAT);
    }
    return 0;
}
