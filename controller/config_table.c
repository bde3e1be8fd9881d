#include "controller/config_table.h"

#include "common/bytes.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"
#include "common/runspec.h"
#include "controller/envwish.h"
#include "controller/target.h"

#include <stdlib.h>
#include <string.h>

#define KEY(path, type, fallback, example, scope, help)                                  \
    {path, CONFIG_##type, fallback, example, CONFIG_##scope, help},
const struct config_key config_keys[] = {
#include "controller/config_keys.def"
};
const size_t config_key_count = ARRAY_SIZE(config_keys);

static const char *const type_words[] = {
#define ROW(symbol, word) word,
    CONFIG_TYPE_TABLE(ROW)
#undef ROW
};
_Static_assert(ARRAY_SIZE(type_words) == CONFIG_TYPE_COUNT, "a word for each type");

static const char *const framework_words[] = {
#define ROW(symbol, name, meaning) name,
    FRAMEWORK_TABLE(ROW)
#undef ROW
        NULL};
static const char *const kind_words[] = {
#define ROW(symbol, name) name,
    TARGET_KIND_TABLE(ROW)
#undef ROW
        NULL};
static const char *const deploy_words[] = {
#define ROW(symbol, name) name,
    SPARK_DEPLOY_TABLE(ROW)
#undef ROW
        NULL};
static const char *const transport_words[] = {"auto", "ssh2", "openssh", "local", NULL};

/* What the whole number of a key may be. */
#define INTEGER_MAX UINT64_C(1000000000)
#define PORT_MAX 65535

const char *config_type_word(enum config_type type)
{
    return type_words[type];
}

#define NAME_LEVEL "NAME"

/* A name may have dots: it is what stands between the row's head and its last level. */
static bool is_row_of(const char *row, const char *path)
{
    const char *name = strstr(row, NAME_LEVEL);
    if (name == NULL) {
        return strcmp(row, path) == 0;
    }
    size_t head = (size_t)(name - row), length = strlen(path);
    const char *tail = name + strlen(NAME_LEVEL);
    return strncmp(row, path, head) == 0 && length > head + strlen(tail) &&
           strcmp(path + length - strlen(tail), tail) == 0;
}

const struct config_key *config_key_find(const char *path)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (is_row_of(config_keys[i].path, path)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

bool config_key_is_group(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < config_key_count; i++) {
        const char *row = config_keys[i].path;
        if (strncmp(row, path, length) == 0 && row[length] == '.') {
            return true;
        }
    }
    return false;
}

static const char *last_level(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot == NULL ? path : dot + 1;
}

const char *config_key_nearest(const char *path)
{
    const char *word = last_level(path);
    const char *group = strncmp(path, CONFIG_TARGETS, strlen(CONFIG_TARGETS)) == 0
                            ? CONFIG_TARGETS NAME_LEVEL "."
                            : path;
    size_t length = group == path ? (size_t)(word - path) : strlen(group);
    const char *names[ARRAY_SIZE(config_keys)];
    size_t count = 0;
    for (size_t i = 0; i < config_key_count; i++) {
        const char *row = config_keys[i].path;
        if (strncmp(row, group, length) == 0) {
            names[count++] = row + length;
        }
    }
    return cli_nearest(word, names, count);
}

const char *config_key_elsewhere(const char *path)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (strcmp(last_level(config_keys[i].path), last_level(path)) == 0) {
            return config_keys[i].path;
        }
    }
    return NULL;
}

void config_value_free(struct config_value *value)
{
    if (value == NULL) {
        return;
    }
    free(value->path);
    free(value->origin);
    free(value->text);
    strvec_release(&value->items);
    free(value);
}

static int refuse(const struct config_value *value, const char *what, struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s: %s: %s", value->origin, value->path, what);
}

static int wrong_type(const struct config_value *value, struct error *err)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): every type has its words */
    return error_set(err, ERR_CONFIG, "%s: \"%s\" must be %s", value->origin, value->path,
                     type_words[value->key->type]);
}

static int read_word(struct config_value *value, const char *const *words,
                     struct error *err)
{
    size_t count = 0;
    for (; words[count] != NULL; count++) {
        if (strcmp(words[count], value->text) == 0) {
            return 0;
        }
    }
    const char *near = cli_nearest(value->text, words, count);
    error_set(err, ERR_CONFIG, "%s: \"%s\" must be %s, not \"%s\"", value->origin,
              value->path, type_words[value->key->type], value->text);
    return near == NULL ? -1 : error_hint(err, "did you mean \"%s\"?", near);
}

/* Numbers of which not all have a meaning, by the last level of their path. */
static const struct {
    const char *level;
    uint64_t min, max;
} ranges[] = {
    {"port", 1, PORT_MAX},
    {"attempts", 1, RUNSPEC_ATTEMPTS_MAX},
    {"prepare_slots", 1, RUNSPEC_PREPARE_SLOTS_MAX},
    {"executor_cores", 1, SPARK_CORES_MAX},
    {"num_executors", 1, SPARK_EXECUTORS_MAX},
    {"max_attempts", 1, SPARK_ATTEMPTS_MAX},
};

static int read_duration(struct config_value *value, struct error *err)
{
    int64_t ms = 0;
    if (clock_parse_duration(value->text, &ms, err) != 0) {
        return -1;
    }
    value->number = (uint64_t)ms;
    return strcmp(value->path, "grace") == 0 && ms > RUNSPEC_GRACE_MAX_MS
               ? error_set(err, ERR_CONFIG, "longer than one day: %s", value->text)
               : 0;
}

static int read_integer(struct config_value *value, struct error *err)
{
    const char *dot = strrchr(value->path, '.');
    const char *level = dot != NULL ? dot + 1 : value->path;
    if (bytes_parse_u64(value->text, INTEGER_MAX, &value->number, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        if (strcmp(level, ranges[i].level) == 0 &&
            (value->number < ranges[i].min || value->number > ranges[i].max)) {
            return error_set(err, ERR_CONFIG, "\"%s\" is not a number from %llu to %llu",
                             value->text, (unsigned long long)ranges[i].min,
                             (unsigned long long)ranges[i].max);
        }
    }
    return 0;
}

static int read_number(struct config_value *value, struct error *err)
{
    struct error inner = ERROR_INIT;
    int rc = 0;
    if (value->key->type == CONFIG_INTEGER) {
        rc = read_integer(value, &inner);
    } else if (value->key->type == CONFIG_SIZE) {
        rc = files_parse_size(value->text, &value->number, &inner);
        if (rc == 0 && value->number > (uint64_t)JSON_INTEGER_MAX) {
            rc = error_set(&inner, ERR_LIMIT, "too large");
        }
    } else {
        rc = read_duration(value, &inner);
    }
    return rc == 0 ? 0 : refuse(value, inner.text, err);
}

/* Make the path absolute: ~/ and what is relative. */
static int read_file(struct config_value *value, const char *file_dir, struct error *err)
{
    if (value->text[0] == '\0') {
        return refuse(value, "an empty path", err);
    }
    const char *home = getenv("HOME");
    char *path = NULL;
    if (strncmp(value->text, "~/", 2) == 0) {
        if (home == NULL || home[0] != '/') {
            return refuse(value, "~ is not known: HOME is not set", err);
        }
        path = files_join(home, value->text + 2);
    } else {
        path = files_join(file_dir, value->text);
    }
    free(value->text);
    value->text = path;
    return 0;
}

static int read_scalar(struct config_value *value, const char *file_dir,
                       struct error *err)
{
    switch (value->key->type) {
    case CONFIG_STRING:
    case CONFIG_BYTES:
        return value->text[0] == '\0' ? refuse(value, "an empty text", err) : 0;
    case CONFIG_FRAMEWORK:
        return read_word(value, framework_words, err);
    case CONFIG_TRANSPORT:
        return read_word(value, transport_words, err);
    case CONFIG_KIND:
        return read_word(value, kind_words, err);
    case CONFIG_DEPLOY_MODE:
        return read_word(value, deploy_words, err);
    case CONFIG_FILE:
        return read_file(value, file_dir, err);
    case CONFIG_INTEGER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return read_number(value, err);
    case CONFIG_LIST:
    case CONFIG_MAP:
    case CONFIG_ENVIRONMENT:
    case CONFIG_TYPE_COUNT:
        break;
    }
    return wrong_type(value, err);
}

static int read_items(struct config_value *value, const struct yaml_node *node,
                      struct error *err)
{
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (item->kind != YAML_SCALAR) {
            return wrong_type(value, err);
        }
        if (item->key == NULL) {
            strvec_push(&value->items, item->text);
        } else if (item->key[0] == '\0' || strchr(item->key, '=') != NULL) {
            return error_set(err, ERR_CONFIG, "%s: %s: \"%s\" is no name", value->origin,
                             value->path, item->key);
        } else {
            strvec_pushf(&value->items, "%s=%s", item->key, item->text);
        }
    }
    if (node->kind == YAML_MAP) {
        strvec_sort(&value->items);
    }
    return 0;
}

static int read_environment(struct config_value *value, const struct yaml_node *node,
                            const char *file_dir, struct error *err)
{
    CLEANUP_JSON struct json *wish = envwish_read(node, file_dir, value->origin, err);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (wish == NULL) {
        return -1;
    }
    json_write(wish, false, &text);
    value->text = strbuf_detach(&text);
    return 0;
}

struct config_value *config_value_read(const char *path, const struct config_key *key,
                                       const struct yaml_node *node, const char *file_dir,
                                       const char *origin, struct error *err)
{
    __attribute__((cleanup(config_value_cleanup))) struct config_value *value =
        xcalloc(1, sizeof *value);
    value->path = xstrdup(path);
    value->key = key;
    value->origin = xstrdup(origin);
    if (key->type == CONFIG_ENVIRONMENT) {
        return read_environment(value, node, file_dir, err) == 0 ? TAKE_PTR(value) : NULL;
    }
    enum yaml_kind wanted = key->type == CONFIG_LIST  ? YAML_LIST
                            : key->type == CONFIG_MAP ? YAML_MAP
                                                      : YAML_SCALAR;
    if (node->kind != wanted) {
        wrong_type(value, err);
        return NULL;
    }
    int rc = 0;
    if (wanted == YAML_SCALAR) {
        value->text = xstrdup(node->text);
        rc = read_scalar(value, file_dir, err);
    } else {
        rc = read_items(value, node, err);
    }
    return rc == 0 ? TAKE_PTR(value) : NULL;
}
