#include "controller/envwish.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/files.h"
#include "common/mem.h"

const struct envwish_key envwish_keys[] = {
#define KEY(key, type, is_source, help) {key, ENVWISH_##type, is_source, help},
#include "controller/environment_keys.def"
};
const size_t envwish_key_count = ARRAY_SIZE(envwish_keys);

static const struct envwish_key *find_key(const char *name, const char *origin,
                                          unsigned line, struct error *err)
{
    const char *names[ARRAY_SIZE(envwish_keys)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(envwish_keys); i++) {
        names[i] = envwish_keys[i].key;
        if (strcmp(names[i], name) == 0) {
            return &envwish_keys[i];
        }
    }
    nearest = cli_nearest(name, names, ARRAY_SIZE(names));
    error_set(err, ERR_CONFIG, "%s: line %u: an environment has no key \"%s\"", origin,
              line, name);
    if (nearest != NULL) {
        error_hint(err, "did you mean %s?", nearest);
    }
    return NULL;
}

static int wrong_type(const struct yaml_node *node, const char *origin, const char *what,
                      struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s: line %u: \"%s\" must be %s", origin,
                     node->line, node->key, what);
}

/* A path here, absolute. The caller's. */
static char *path_of(const char *text, const char *folder)
{
    const char *home = getenv("HOME");

    return strncmp(text, "~/", 2) == 0 && home != NULL ? files_join(home, text + 2)
                                                       : files_join(folder, text);
}

static struct json *item_of(const struct envwish_key *key, const char *text,
                            const char *folder)
{
    if (key->type != ENVWISH_FILE && key->type != ENVWISH_FILES) {
        return json_new_string(text);
    }
    CLEANUP_FREE char *path = path_of(text, folder);
    return json_new_bytes(path, strlen(path));
}

static struct json *read_list(const struct envwish_key *key, const struct yaml_node *node,
                              const char *folder, const char *origin, struct error *err)
{
    CLEANUP_JSON struct json *list = json_new_array();

    if (node->kind == YAML_SCALAR) {
        json_append(list, item_of(key, node->text, folder));
        return TAKE_PTR(list);
    }
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        if (node->kind != YAML_LIST || item->kind != YAML_SCALAR ||
            item->text[0] == '\0') {
            wrong_type(node, origin, "a text or a list of texts", err);
            return NULL;
        }
        json_append(list, item_of(key, item->text, folder));
    }
    return TAKE_PTR(list);
}

static struct json *read_map(const struct yaml_node *node, const char *origin,
                             struct error *err)
{
    CLEANUP_JSON struct json *map = json_new_object();

    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        if (item->kind != YAML_SCALAR || item->key == NULL || item->key[0] == '\0' ||
            strchr(item->key, '=') != NULL) {
            wrong_type(node, origin, "a map of names to texts", err);
            return NULL;
        }
        json_add_string(map, item->key, item->text);
    }
    return TAKE_PTR(map);
}

static struct json *read_value(const struct envwish_key *key,
                               const struct yaml_node *node, const char *folder,
                               const char *origin, struct error *err)
{
    bool is_text = node->kind == YAML_SCALAR && node->text[0] != '\0';

    switch (key->type) {
    case ENVWISH_TEXT:
    case ENVWISH_FILE:
        if (is_text) {
            return item_of(key, node->text, folder);
        }
        wrong_type(node, origin, "a text", err);
        return NULL;
    case ENVWISH_FLAG:
        if (is_text &&
            (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
            return json_new_bool(node->text[0] == 't');
        }
        wrong_type(node, origin, "true or false", err);
        return NULL;
    case ENVWISH_FILES:
    case ENVWISH_LIST:
        return read_list(key, node, folder, origin, err);
    case ENVWISH_MAP:
        if (node->kind == YAML_MAP) {
            return read_map(node, origin, err);
        }
        break;
    }
    wrong_type(node, origin, "a map of names to texts", err);
    return NULL;
}

struct json *envwish_read(const struct yaml_node *node, const char *folder,
                          const char *origin, struct error *err)
{
    CLEANUP_JSON struct json *wish = json_new_object();

    json_add_string(wish, "origin", origin);
    json_add_bytes(wish, "folder", folder, strlen(folder));
    if (node->kind == YAML_SCALAR && node->text[0] != '\0') {
        json_add_string(wish, "use", node->text);
        return TAKE_PTR(wish);
    }
    if (node->kind != YAML_MAP) {
        error_set(err, ERR_CONFIG,
                  "%s: an environment is a text (a file, a name, none) or a map", origin);
        return NULL;
    }
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        const struct envwish_key *key = find_key(item->key, origin, item->line, err);
        struct json *value =
            key != NULL ? read_value(key, item, folder, origin, err) : NULL;

        if (value == NULL) {
            return NULL;
        }
        json_add(wish, item->key, value);
    }
    return TAKE_PTR(wish);
}

struct json *envwish_file(const char *path, struct error *err)
{
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *node =
        yaml_read(path, path, err);

    if (node == NULL) {
        return NULL;
    }
    CLEANUP_FREE char *folder = xstrdup(path);
    *strrchr(folder, '/') = '\0';
    struct json *wish = envwish_read(node, folder, path, err);
    if (wish != NULL) {
        json_add_bool(wish, "is_file", true);
    }
    return wish;
}
