#include "controller/config_file.h"
#include "common/variables.h"

#include "common/fdio.h"
#include "common/files.h"
#include "controller/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void config_values_release(struct config_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        config_value_free(values->items[i]);
    }
    free(values->items);
    *values = (struct config_values){.items = NULL};
}

void config_values_adopt(struct config_values *values, struct config_value *value)
{
    values->items = xrealloc(values->items, values->count + 1, sizeof(*values->items));
    values->items[values->count++] = value;
}

/* Where in which file: for sentences. */
struct place {
    const struct config_file *file;
    const char *dir;
};

static int unknown_key(const struct place *place, const struct yaml_node *node,
                       const char *path, struct error *err)
{
    const char *elsewhere = config_key_elsewhere(path);
    const char *near = config_key_nearest(path);
    if (elsewhere != NULL) {
        return error_set(err, ERR_CONFIG,
                         "%s:%u: unknown key \"%s\" in this place; there is %s (a level "
                         "is indented below the one that it belongs to)",
                         place->file->shown, node->line, node->key, elsewhere);
    }
    if (near != NULL) {
        return error_set(err, ERR_CONFIG,
                         "%s:%u: unknown key \"%s\"; did you mean \"%s\"?",
                         place->file->shown, node->line, node->key, near);
    }
    error_set(err, ERR_CONFIG, "%s:%u: unknown key \"%s\"", place->file->shown,
              node->line, node->key);
    return error_hint(err, "all keys: errand config reference");
}

static int read_value(const struct place *place, const struct yaml_node *node,
                      const char *path, const struct config_key *key,
                      struct config_values *values, struct error *err)
{
    if (node->kind == YAML_SCALAR && node->is_null) {
        return 0;
    }
    CLEANUP_FREE char *origin = xasprintf("%s:%u", place->file->shown, node->line);
    struct config_value *value =
        config_value_read(path, key, node, place->dir, origin, err);
    if (value == NULL) {
        return -1;
    }
    config_values_adopt(values, value);
    return 0;
}

static int read_map(const struct place *place, const struct yaml_node *map,
                    const char *prefix, struct config_values *values, struct error *err);

/* node is no value: keys that stand below path, or nothing that is known. */
static int read_group(const struct place *place, const struct yaml_node *node,
                      const char *path, bool is_target, struct config_values *values,
                      struct error *err)
{
    if (is_target && !target_name_is_valid(node->key)) {
        return error_set(err, ERR_CONFIG,
                         "%s:%u: \"%s\" is no name for a target (letters, digits, . _ -, "
                         "at most 64)",
                         place->file->shown, node->line, node->key);
    }
    if (!is_target && !config_key_is_group(path)) {
        return unknown_key(place, node, path, err);
    }
    if (node->kind == YAML_SCALAR && node->is_null) {
        return 0;
    }
    if (node->kind != YAML_MAP) {
        return error_set(err, ERR_CONFIG, "%s:%u: \"%s\" must have keys below it",
                         place->file->shown, node->line, node->key);
    }
    CLEANUP_FREE char *prefix = xasprintf("%s.", path);
    return read_map(place, node, prefix, values, err);
}

/* Read the members of map, whose keys stand behind prefix. As deep as rows have levels.
 */
static int read_map(const struct place *place, const struct yaml_node *map,
                    const char *prefix, struct config_values *values, struct error *err)
{
    bool are_targets = strcmp(prefix, CONFIG_TARGETS) == 0;
    for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
        CLEANUP_FREE char *path = xasprintf("%s%s", prefix, node->key);
        /* A dot is for a target's name alone; elsewhere it would be taken for a level. */
        if (!are_targets && strchr(node->key, '.') != NULL) {
            return unknown_key(place, node, path, err);
        }
        const struct config_key *key = are_targets ? NULL : config_key_find(path);
        int rc = key != NULL ? read_value(place, node, path, key, values, err)
                             : read_group(place, node, path, are_targets, values, err);
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct config_value *const *left = a, *const *right = b;
    return strcmp((*left)->path, (*right)->path);
}

static void hash_text(struct hasher *hasher, const char *text)
{
    hasher_add(hasher, text, strlen(text) + 1);
}

/* "path: value" to lines, and all of it, unambiguously, into the digest. */
static void claim_value(const struct config_value *value, struct hasher *hasher,
                        struct strvec *lines)
{
    hash_text(hasher, value->path);
    hash_text(hasher, config_type_word(value->key->type));
    if (value->text != NULL) {
        hash_text(hasher, value->text);
        strvec_pushf(lines, "%s: %s", value->path, value->text);
    }
    for (size_t i = 0; i < value->items.count; i++) {
        hash_text(hasher, value->items.items[i]);
        strvec_pushf(lines, "%s: %s", value->path, value->items.items[i]);
    }
    hash_text(hasher, "");
}

/* A value that reads this machine's variables would carry them to wherever it goes. */
static bool asks_for_ours(const struct config_value *value)
{
    bool asks = value->text != NULL && variables_asks(value->text, VARIABLES_HERE);
    for (size_t i = 0; i < value->items.count && !asks; i++) {
        asks = variables_asks(value->items.items[i], VARIABLES_HERE);
    }
    return asks;
}

static void make_claim(const struct config_file *file, const struct config_values *values,
                       bool is_foreign, struct trust_claim *claim)
{
    const struct config_value **guarded = xcalloc(values->count + 1, sizeof *guarded);
    size_t count = 0;
    for (size_t i = 0; i < values->count; i++) {
        const struct config_value *value = values->items[i];
        if (is_foreign || (file->is_project &&
                           (value->key->scope == CONFIG_USER || asks_for_ours(value)))) {
            guarded[count++] = value;
        }
    }
    qsort(guarded, count, sizeof *guarded, by_path);
    struct hasher hasher;
    struct oid digest;
    hasher_init(&hasher);
    for (size_t i = 0; i < count; i++) {
        claim_value(guarded[i], &hasher, &claim->lines);
    }
    hasher_finish(&hasher, &digest);
    oid_to_hex(&digest, claim->digest);
    if (claim->lines.count > 0) {
        claim->path = xstrdup(file->path);
    }
    free(guarded);
}

/* 1: the file's bytes and who owns it; 0: there is none. */
static int read_bytes(const struct config_file *file, struct strbuf *text, uid_t *owner,
                      struct error *err)
{
    /* O_NONBLOCK: a FIFO of that name must not stop us. */
    CLEANUP_FD int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return 0;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        return error_sys(err, "read %s", file->shown);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERR_CONFIG, "%s is no regular file", file->shown);
    }
    if (st.st_size > (off_t)YAML_SIZE_MAX) {
        return error_set(err, ERR_CONFIG, "%s: larger than 256 KiB", file->shown);
    }
    *owner = st.st_uid;
    return fdio_read_all(fd, file->shown, text, err) == 0 ? 1 : -1;
}

int config_file_read(const struct config_file *file, struct config_values *values,
                     struct trust_claim *claim, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    strbuf_init(&text, YAML_SIZE_MAX + 1);
    uid_t owner = 0;
    int found = read_bytes(file, &text, &owner, err);
    if (found <= 0) {
        return found;
    }
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *root =
        yaml_parse(file->shown, text.data, text.length, err);
    if (root == NULL) {
        return -1;
    }
    if (root->kind != YAML_MAP) {
        return error_set(err, ERR_CONFIG, "%s:%u: keys are expected (\"key: value\")",
                         file->shown, root->line);
    }
    const char *slash = strrchr(file->path, '/');
    CLEANUP_FREE char *dir = xstrndup(file->path, (size_t)(slash - file->path) + 1);
    const struct place place = {.file = file, .dir = dir};
    if (read_map(&place, root, file->prefix, values, err) != 0) {
        return -1;
    }
    make_claim(file, values, owner != 0 && owner != geteuid(), claim);
    return 1;
}
