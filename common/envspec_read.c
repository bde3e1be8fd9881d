/*
 * envspec_read: a definition that came from the other end, or from a disk. [wire]
 *
 * What is accepted may be put on command lines and into requirements files as it is.
 */
#include "common/envspec.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/runspec.h"
#include "common/tree.h"

#define WHAT "environment"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define SOURCE_MAX 1024
#define IMAGE_MAX 1024
#define LOCATION_MAX ((size_t)TREE_PATH_MAX)

static int refuse(struct error *err, const char *key, const char *why)
{
    return error_set(err, ERR_CORRUPT, WHAT ": \"%s\" %s", key, why);
}

/* --- texts ----------------------------------------------------------------------------
 */

/* 1 to max bytes, no control characters, no blank at either end. */
static bool text_is_plain(const char *text, size_t max)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return length >= 1 && length <= max && text[0] != ' ' && text[length - 1] != ' ';
}

/* As text_is_plain, and nobody takes it for an option or a comment. */
static bool text_is_word(const char *text, size_t max)
{
    return text_is_plain(text, max) && text[0] != '-' && text[0] != '#';
}

static bool has_no_blank(const char *text)
{
    return strchr(text, ' ') == NULL;
}

/* Of a group or an extra: PEP 508's names. */
static bool text_is_name(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length <= ENVSPEC_NAME_MAX &&
           strspn(text, LETTERS "-_.") == length && strspn(text, LETTERS) > 0 &&
           strspn(text + length - 1, LETTERS) == 1;
}

static bool text_is_specifiers(const char *text)
{
    return strlen(text) <= ENVSPEC_NAME_MAX &&
           strspn(text, LETTERS ".*<>=!~,+-_") == strlen(text);
}

int envspec_line_check(const char *text, struct error *err)
{
    if (!text_is_word(text, ENVSPEC_TEXT_MAX)) {
        return error_set(err, ERR_CORRUPT, "it is no line of text");
    }
    if (strstr(text, " #") != NULL) {
        return error_set(err, ERR_CORRUPT, "a comment begins in it (\" #\")");
    }
    for (const char *at = text; (at = strstr(at, " -")) != NULL; at++) {
        if (strncmp(at, " --hash=", 8) != 0) {
            return error_set(err, ERR_CORRUPT, "an option begins in it (\"%.20s\")", at);
        }
    }
    return text[strlen(text) - 1] != '\\'
               ? 0
               : error_set(err, ERR_CORRUPT, "it ends with a backslash");
}

/* --- options --------------------------------------------------------------------------
 */

int envspec_option_check(const char *option, struct error *err)
{
    static const struct {
        const char *name;
        bool has_value;
    } known[] = {
        {"--index-url", true},    {"--extra-index-url", true},
        {"--find-links", true},   {"--no-index", false},
        {"--pre", false},         {"--only-binary", true},
        {"--no-binary", true},    {"--prefer-binary", false},
        {"--trusted-host", true}, {"--require-hashes", false},
    };
    size_t length = strcspn(option, " ");

    if (!text_is_plain(option, ENVSPEC_TEXT_MAX)) {
        return error_set(err, ERR_CORRUPT, "an option is no line of text");
    }
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strlen(known[i].name) == length &&
            memcmp(known[i].name, option, length) == 0) {
            const char *value = option + length + (option[length] == ' ' ? 1 : 0);
            bool is_good = known[i].has_value ? text_is_word(value, ENVSPEC_TEXT_MAX) &&
                                                    has_no_blank(value)
                                              : option[length] == '\0';

            return is_good ? 0
                           : error_set(err, ERR_CORRUPT, "%s: %s", known[i].name,
                                       known[i].has_value ? "it takes one value"
                                                          : "it takes no value");
        }
    }
    return error_set(err, ERR_CORRUPT, "there is no option %.60s", option);
}

/* --- parts ----------------------------------------------------------------------------
 */

/* A member that may be missing or null: a text that is_good finds good. */
static int take_text(const struct json *j, const char *key, bool (*is_good)(const char *),
                     char **out, struct error *err)
{
    const struct json *value = json_get(j, key);

    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (!json_is_string(value) || !is_good(json_string(value))) {
        return refuse(err, key, "is not what it may be");
    }
    *out = xstrdup(json_string(value));
    return 0;
}

/* A path in the snapshot; "" is its root where may_be_root. NULL: err. */
static char *take_path(const struct json *value, const char *key, bool may_be_root,
                       struct error *err)
{
    CLEANUP_FREE char *path = json_take_bytes(value, WHAT, key, TREE_PATH_MAX, err);

    if (path == NULL) {
        return NULL;
    }
    if (!(may_be_root && path[0] == '\0') && !runspec_path_is_valid(path)) {
        refuse(err, key, "is no path in the snapshot");
        return NULL;
    }
    return TAKE_PTR(path);
}

static int take_digest(const struct json *j, struct oid *out, struct error *err)
{
    const char *hex;

    if (json_get_string(j, WHAT, "digest", &hex, err) < 0) {
        return -1;
    }
    if (oid_from_hex(hex, out, err) < 0) {
        return error_wrap(err, WHAT ": \"digest\"");
    }
    return oid_is_zero(out) ? refuse(err, "digest", "is of nothing") : 0;
}

/* A list that may be missing; out is NULL then. */
static int find_list(const struct json *j, const char *key, const struct json **out,
                     struct error *err)
{
    const struct json *value = json_get(j, key);

    *out = NULL;
    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    return json_get_array(j, WHAT, key, ENVSPEC_ITEMS_MAX, out, err);
}

/* A list of texts that is_good finds good; is_sorted: and each above the one before. */
static int take_texts(const struct json *j, const char *key,
                      bool (*is_good)(const char *), bool is_sorted, struct strvec *out,
                      struct error *err)
{
    const struct json *array;

    if (find_list(j, key, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        const char *text = json_string(item);

        if (text == NULL || !is_good(text)) {
            return refuse(err, key, "has an item that is not what it may be");
        }
        if (is_sorted && out->count > 0 &&
            strcmp(out->items[out->count - 1], text) >= 0) {
            return refuse(err, key, "is not sorted");
        }
        strvec_push(out, text);
    }
    return 0;
}

static bool text_is_channel(const char *text)
{
    return text_is_word(text, 4096) && has_no_blank(text);
}

static bool text_is_conda_spec(const char *text)
{
    return text_is_word(text, 4096);
}

static bool text_is_image(const char *text)
{
    return text_is_word(text, IMAGE_MAX) && has_no_blank(text);
}

static bool text_is_source(const char *text)
{
    return text_is_plain(text, SOURCE_MAX);
}

static bool text_is_marker(const char *text)
{
    return text[0] == '\0' ||
           (strlen(text) <= 4096 && envspec_line_check(text, NULL) == 0);
}

static bool text_is_extras(const char *text)
{
    return strlen(text) <= 4096 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-,") == strlen(text) &&
           text[0] != '-';
}

/* --- requirements ---------------------------------------------------------------------
 */

static int take_local(const struct json *item, const char *key,
                      struct envspec_requirement *out, struct error *err)
{
    const char *kind;

    out->path = take_path(json_get(item, "path"), "path", true, err);
    out->name = json_take_bytes(json_get(item, "name"), WHAT, "name", TREE_NAME_MAX, err);
    if (out->path == NULL || out->name == NULL ||
        json_get_string(item, WHAT, "kind", &kind, err) < 0 ||
        take_digest(item, &out->digest, err) < 0 ||
        take_text(item, "extras", text_is_extras, &out->extras, err) < 0 ||
        take_text(item, "marker", text_is_marker, &out->marker, err) < 0) {
        return -1;
    }
    out->extras = out->extras != NULL ? out->extras : xstrdup("");
    out->marker = out->marker != NULL ? out->marker : xstrdup("");
    out->is_folder = strcmp(kind, "d") == 0;
    out->is_editable = json_bool(json_get(item, "is_editable"));
    out->is_brought = json_bool(json_get(item, "is_brought"));
    if (!out->is_folder && strcmp(kind, "f") != 0) {
        return refuse(err, key, "has local content that is neither file nor folder");
    }
    if (out->path[0] != '\0' &&
        (strlen(out->name) > strlen(out->path) ||
         strcmp(out->path + strlen(out->path) - strlen(out->name), out->name) != 0)) {
        return refuse(err, key, "has local content whose name is not its path's");
    }
    if (strchr(out->name, '/') != NULL ||
        (!out->is_folder && (!runspec_path_is_valid(out->name) ||
                             envspec_line_check(out->name, NULL) < 0))) {
        return refuse(err, key, "has local content whose name is none");
    }
    return 0;
}

static int take_item(const struct json *item, const char *key,
                     struct envspec_requirements *list, struct error *err)
{
    const char *text = json_string(item);

    if (text != NULL) {
        envspec_add_line(list, text);
        return envspec_line_check(text, err) < 0 ? error_wrap(err, WHAT ": \"%s\"", key)
                                                 : 0;
    }
    if (!json_is_object(item)) {
        return refuse(err, key, "has an item that is neither text nor object");
    }
    envspec_add_line(list, "");
    free(TAKE_PTR(list->items[list->count - 1].text));
    return take_local(item, key, &list->items[list->count - 1], err);
}

static int take_requirements(const struct json *j, const char *key,
                             struct envspec_requirements *list, struct error *err)
{
    const struct json *array;

    if (find_list(j, key, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        if (take_item(item, key, list, err) < 0) {
            return -1;
        }
        if (list->count > 1 && envspec_compare(&list->items[list->count - 2],
                                               &list->items[list->count - 1]) >= 0) {
            return refuse(err, key, "is not sorted");
        }
    }
    return 0;
}

static int take_options(const struct json *j, struct strvec *out, struct error *err)
{
    const struct json *array;

    if (find_list(j, "options", &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        const char *text = json_string(item);

        if (text == NULL) {
            return refuse(err, "options", "has an item that is no text");
        }
        if (envspec_option_check(text, err) < 0) {
            return error_wrap(err, WHAT ": \"options\"");
        }
        strvec_push(out, text);
    }
    return 0;
}

/* --- what one kind has ----------------------------------------------------------------
 */

static int take_lock_files(const struct json *lock, struct envspec *spec,
                           struct error *err)
{
    const struct json *array;

    if (json_get_array(lock, WHAT, "files", ENVSPEC_ITEMS_MAX, &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        CLEANUP_FREE char *path = take_path(json_get(item, "path"), "path", false, err);
        struct oid digest;

        if (path == NULL || take_digest(item, &digest, err) < 0) {
            return -1;
        }
        if (spec->lock_file_count > 0 &&
            strcmp(spec->lock_files[spec->lock_file_count - 1].path, path) >= 0) {
            return refuse(err, "files", "is not sorted");
        }
        envspec_add_lock_file(spec, path, &digest);
    }
    return spec->lock_file_count > 0 ? 0 : refuse(err, "files", "is empty");
}

static int take_lock(const struct json *j, struct envspec *spec, struct error *err)
{
    const struct json *lock = json_get(j, "lock");

    if (lock == NULL || json_is_null(lock)) {
        return 0;
    }
    if (!json_is_object(lock)) {
        return refuse(err, "lock", "is no object");
    }
    spec->lock_project = take_path(json_get(lock, "project"), "project", true, err);
    if (spec->lock_project == NULL || take_lock_files(lock, spec, err) < 0 ||
        take_texts(lock, "groups", text_is_name, true, &spec->lock_groups, err) < 0 ||
        take_texts(lock, "extras", text_is_name, true, &spec->lock_extras, err) < 0) {
        return -1;
    }
    return 0;
}

static int take_location(const struct json *j, struct envspec *spec, struct error *err)
{
    const struct json *location = json_get(j, "location");

    if (location == NULL || json_is_null(location)) {
        return 0;
    }
    for (unsigned i = 0; i < ENVSPEC_LOCATION_COUNT; i++) {
        const char *name = envspec_location_name((enum envspec_location)i);
        const struct json *value = json_get(location, name);

        if (value != NULL) {
            free(spec->location);
            spec->location_kind = (enum envspec_location)i;
            spec->location = json_take_bytes(value, WHAT, name, LOCATION_MAX, err);
            if (spec->location == NULL) {
                return -1;
            }
        }
    }
    if (json_count(location) != 1 || spec->location == NULL ||
        spec->location[0] == '\0' || spec->location[0] == '-') {
        return refuse(err, "location", "does not say one place");
    }
    return 0;
}

static int take_paths(const struct json *j, struct envspec *spec, struct error *err)
{
    const struct json *array;

    if (find_list(j, "paths", &array, err) < 0) {
        return -1;
    }
    for (const struct json *item = json_first(array); item != NULL;
         item = json_next(item)) {
        CLEANUP_FREE char *path = take_path(item, "paths", true, err);

        if (path == NULL) {
            return -1;
        }
        strvec_push(&spec->paths, path);
    }
    return 0;
}

/* Each kind has its own parts, and none of another's. */
static int check_parts(const struct envspec *spec, struct error *err)
{
    enum envspec_kind kind = spec->kind;
    bool has_packages = kind == ENVSPEC_PACKAGES || kind == ENVSPEC_CONDA;

    if ((kind == ENVSPEC_LOCK) != (spec->lock_project != NULL)) {
        return refuse(err, "lock", "does not go with the kind");
    }
    if ((kind == ENVSPEC_EXISTING) != (spec->location != NULL)) {
        return refuse(err, "location", "does not go with the kind");
    }
    if ((kind == ENVSPEC_IMAGE) != (spec->image != NULL)) {
        return refuse(err, "image", "does not go with the kind");
    }
    if (kind != ENVSPEC_CONDA && (spec->conda.count > 0 || spec->channels.count > 0)) {
        return refuse(err, "conda", "does not go with the kind");
    }
    if (!has_packages && (spec->requirements.count > 0 || spec->constraints.count > 0)) {
        return refuse(err, "requirements", "does not go with the kind");
    }
    for (size_t k = 0; k < spec->find_links.count; k++) {
        if (spec->find_links.items[k].text != NULL ||
            !spec->find_links.items[k].is_folder) {
            return refuse(err, "find_links", "has an item that is no folder");
        }
    }
    return 0;
}

static int take_kind(const struct json *j, struct envspec *spec, struct error *err)
{
    const char *name;

    if (json_get_string(j, WHAT, "kind", &name, err) < 0) {
        return -1;
    }
    for (unsigned i = 0; i < ENVSPEC_KIND_COUNT; i++) {
        if (strcmp(envspec_kind_name((enum envspec_kind)i), name) == 0) {
            spec->kind = (enum envspec_kind)i;
            return 0;
        }
    }
    return error_set(err, ERR_CORRUPT, WHAT ": \"%.40s\" is no kind of environment",
                     name);
}

static int check_format(const struct json *j, struct error *err)
{
    int64_t format;

    if (json_get_integer(j, WHAT, "format", 1, JSON_INTEGER_MAX, &format, err) < 0) {
        return -1;
    }
    return format <= ENVSPEC_FORMAT
               ? 0
               : error_set(err, ERR_VERSION,
                           WHAT ": its format is newer than this program knows");
}

int envspec_from_json(const struct json *j, struct envspec *spec, struct error *err)
{
    if (!json_is_object(j)) {
        return error_set(err, ERR_CORRUPT, WHAT ": it is no object");
    }
    if (check_format(j, err) < 0 || take_kind(j, spec, err) < 0 ||
        take_text(j, "source", text_is_source, &spec->source, err) < 0 ||
        take_text(j, "python", text_is_specifiers, &spec->python, err) < 0 ||
        take_text(j, "builder", envspec_builder_is_known, &spec->builder, err) < 0 ||
        take_text(j, "image", text_is_image, &spec->image, err) < 0 ||
        take_requirements(j, "requirements", &spec->requirements, err) < 0 ||
        take_requirements(j, "constraints", &spec->constraints, err) < 0 ||
        take_requirements(j, "find_links", &spec->find_links, err) < 0 ||
        take_options(j, &spec->options, err) < 0 ||
        take_texts(j, "channels", text_is_channel, false, &spec->channels, err) < 0 ||
        take_texts(j, "conda", text_is_conda_spec, true, &spec->conda, err) < 0 ||
        take_lock(j, spec, err) < 0 || take_location(j, spec, err) < 0 ||
        take_paths(j, spec, err) < 0) {
        return -1;
    }
    return check_parts(spec, err);
}
