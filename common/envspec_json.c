/*
 * envspec_json: a definition as JSON, and what of it is in the identity. [wire]
 */
#include "common/envspec.h"

#include <string.h>

#include "common/mem.h"

/* --- as JSON --------------------------------------------------------------------------
 */

static void add_text(struct json *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        json_add_string(object, key, text);
    }
}

static void add_digest(struct json *object, const struct oid *digest)
{
    char hex[OID_HEX_SIZE];

    oid_to_hex(digest, hex);
    json_add_string(object, "digest", hex);
}

static void add_texts(struct json *object, const char *key, const struct strvec *sv)
{
    if (sv->count > 0) {
        json_add(object, key, json_new_strings(sv));
    }
}

static void add_byte_strings(struct json *object, const char *key,
                             const struct strvec *sv)
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

/* All of local content but where it lies. A folder's name decides nothing. */
static struct json *local_content(const struct envspec_requirement *item,
                                  bool want_folders_name)
{
    struct json *object = json_new_object();

    if (!item->is_folder || want_folders_name) {
        json_add_bytes(object, "name", item->name, strlen(item->name));
    }
    json_add_string(object, "kind", item->is_folder ? "d" : "f");
    add_digest(object, &item->digest);
    add_text(object, "extras", item->extras);
    add_text(object, "marker", item->marker);
    if (item->is_editable) {
        json_add_bool(object, "is_editable", true);
    }
    return object;
}

static void add_items(struct json *object, const char *key,
                      const struct envspec_requirements *list)
{
    struct json *array;

    if (list->count == 0) {
        return;
    }
    array = json_add(object, key, json_new_array());
    for (size_t i = 0; i < list->count; i++) {
        const struct envspec_requirement *item = &list->items[i];

        if (item->text != NULL) {
            json_append(array, json_new_string(item->text));
        } else {
            struct json *local = json_append(array, local_content(item, true));

            json_add_bytes(local, "path", item->path, strlen(item->path));
            if (item->is_brought) {
                json_add_bool(local, "is_brought", true);
            }
        }
    }
}

static struct json *lock_object(const struct envspec *spec)
{
    struct json *lock = json_new_object();
    struct json *files = json_new_array();

    json_add_bytes(lock, "project", spec->lock_project, strlen(spec->lock_project));
    json_add(lock, "files", files);
    for (size_t i = 0; i < spec->lock_file_count; i++) {
        struct json *file = json_append(files, json_new_object());

        json_add_bytes(file, "path", spec->lock_files[i].path,
                       strlen(spec->lock_files[i].path));
        add_digest(file, &spec->lock_files[i].digest);
    }
    add_texts(lock, "groups", &spec->lock_groups);
    add_texts(lock, "extras", &spec->lock_extras);
    return lock;
}

/* What both forms have. */
static struct json *common_form(const struct envspec *spec)
{
    struct json *j = json_new_object();

    json_add_integer(j, "format", ENVSPEC_FORMAT);
    json_add_string(j, "kind", envspec_kind_name(spec->kind));
    add_text(j, "python", spec->python);
    add_text(j, "builder", spec->builder);
    add_texts(j, "conda", &spec->conda);
    add_text(j, "image", spec->image);
    if (spec->location != NULL) {
        struct json *location = json_add(j, "location", json_new_object());

        json_add_bytes(location, envspec_location_name(spec->location_kind),
                       spec->location, strlen(spec->location));
    }
    return j;
}

struct json *envspec_to_json(const struct envspec *spec)
{
    struct json *j = common_form(spec);

    add_text(j, "source", spec->source);
    add_texts(j, "channels", &spec->channels);
    add_items(j, "requirements", &spec->requirements);
    add_items(j, "constraints", &spec->constraints);
    add_items(j, "find_links", &spec->find_links);
    add_texts(j, "options", &spec->options);
    if (spec->lock_project != NULL) {
        json_add(j, "lock", lock_object(spec));
    }
    add_byte_strings(j, "paths", &spec->paths);
    return j;
}

/* --- the identity ---------------------------------------------------------------------
 */

void envspec_without_userinfo(const char *text, struct strbuf *out)
{
    for (const char *sep; (sep = strstr(text, "://")) != NULL;) {
        const char *authority = sep + 3;
        size_t length = strcspn(authority, "/?# ");
        const char *at = NULL;

        for (size_t i = 0; i < length; i++) {
            at = authority[i] == '@' ? authority + i : at;
        }
        strbuf_printf(out, "%.*s", (int)(authority - text), text);
        text = at != NULL ? at + 1 : authority;
    }
    strbuf_puts(out, text);
}

static void add_public(struct json *object, const char *key, const struct strvec *sv)
{
    CLEANUP_STRVEC struct strvec without = STRVEC_INIT;

    for (size_t i = 0; i < sv->count; i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

        envspec_without_userinfo(sv->items[i], &text);
        strvec_push(&without, text.data);
    }
    add_texts(object, key, &without);
}

/* Sorted once more: credentials took part in the order that the list has. */
static void add_identity_items(struct json *object, const char *key,
                               const struct envspec_requirements *list)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    CLEANUP_STRVEC struct strvec locals = STRVEC_INIT;
    struct json *array;

    if (list->count == 0) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct envspec_requirement *item = &list->items[i];
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

        if (item->text != NULL) {
            envspec_without_userinfo(item->text, &text);
            strvec_push(&lines, text.data);
        } else {
            CLEANUP_JSON struct json *local = local_content(item, false);

            json_write_sorted(local, &text);
            strvec_push(&locals, text.data);
        }
    }
    array = json_add(object, key, json_new_array());
    strvec_sort_unique(&lines);
    for (size_t i = 0; i < lines.count; i++) {
        json_append(array, json_new_string(lines.items[i]));
    }
    strvec_sort_unique(&locals);
    for (size_t i = 0; i < locals.count; i++) {
        json_append(array, json_parse(locals.items[i], strlen(locals.items[i]), NULL));
    }
}

/* Files by digest, in the order of their paths. */
static struct json *lock_identity(const struct envspec *spec)
{
    struct json *lock = json_new_object();
    struct json *files = json_add(lock, "files", json_new_array());

    for (size_t i = 0; i < spec->lock_file_count; i++) {
        char hex[OID_HEX_SIZE];

        oid_to_hex(&spec->lock_files[i].digest, hex);
        json_append(files, json_new_string(hex));
    }
    add_texts(lock, "groups", &spec->lock_groups);
    add_texts(lock, "extras", &spec->lock_extras);
    return lock;
}

struct json *envspec_identity(const struct envspec *spec)
{
    struct json *j = common_form(spec);

    add_identity_items(j, "requirements", &spec->requirements);
    add_identity_items(j, "constraints", &spec->constraints);
    add_identity_items(j, "find_links", &spec->find_links);
    add_public(j, "options", &spec->options);
    add_public(j, "channels", &spec->channels);
    if (spec->lock_project != NULL) {
        json_add(j, "lock", lock_identity(spec));
    }
    return j;
}

void envspec_digest(const struct envspec *spec, struct oid *out)
{
    CLEANUP_JSON struct json *identity = envspec_identity(spec);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    json_write_sorted(identity, &text);
    oid_of_bytes(text.data, text.length, out);
}
