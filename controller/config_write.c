/* config_write: what is printed from the table of keys.            [controller] */
#include "controller/config.h"

#include "common/json.h"
#include "controller/config_table.h"
#include "controller/envwish.h"

#include <string.h>

#define TARGET_PREFIX "targets.NAME."

static const char project_head[] =
    "# errand.yaml: how this project runs on other machines.\n"
    "#\n"
    "# Every key may be left out; what stands behind a # without a blank is the default\n"
    "# or an example; with an indented key uncomment the one that it is indented below.\n"
    "# What the command line says counts before this file, and this file before your "
    "own\n"
    "# config.yaml. Targets are added with `errand target add`; `errand config show` "
    "tells\n"
    "# every value and where it comes from.\n";

static const char user_head[] =
    "# config.yaml: your own settings, in the folder that `errand config show` names;\n"
    "# /etc/errand/config.yaml has those of everybody on this machine.\n"
    "#\n"
    "# The keys of errand.yaml may stand here too, as defaults of all your projects.\n"
    "# A target may stand here under targets, or in a file of its own, "
    "targets.d/NAME.yaml,\n"
    "# as `errand target add` makes it.\n";

static const char target_head[] =
    "# targets.d/gpu1.yaml: a place to run named gpu1, as `errand target add gpu1` makes "
    "it.\n"
    "# Every key but host may be left out. Try it with `errand target check gpu1`.\n";

/* Append what stands behind a key where nobody set it: its example, else its default. */
static const char *sample(const struct config_key *key)
{
    return key->example[0] != '\0' ? key->example : key->fallback;
}

static bool belongs(const struct config_key *key, enum config_example which)
{
    bool is_target = strncmp(key->path, TARGET_PREFIX, strlen(TARGET_PREFIX)) == 0;
    switch (which) {
    case CONFIG_EXAMPLE_PROJECT:
        return key->scope == CONFIG_PROJECT;
    case CONFIG_EXAMPLE_USER:
        return key->scope == CONFIG_USER;
    case CONFIG_EXAMPLE_TARGET:
        return is_target;
    case CONFIG_EXAMPLE_COUNT:
        break;
    }
    return false;
}

/* The levels of path down to its last one: the length of "targets.gpu1." in
 * "targets.gpu1.port". */
static size_t group_length(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot == NULL ? 0 : (size_t)(dot - path) + 1;
}

/* Open the groups that path is in and the one before it was not, a line each. */
static void write_groups(const char *path, const char *before, struct strbuf *out)
{
    size_t shared = 0;
    while (before[shared] != '\0' && before[shared] == path[shared]) {
        shared++;
    }
    unsigned depth = 0;
    for (const char *level = path, *dot; (dot = strchr(level, '.')) != NULL;
         level = dot + 1, depth++) {
        if ((size_t)(dot - path) < shared) {
            continue;
        }
        const char *name = strncmp(level, "NAME.", 5) == 0 ? "gpu1" : NULL;
        strbuf_printf(out, "#%*s%.*s:\n", (int)(2 * depth), "",
                      name == NULL ? (int)(dot - level) : 4, name == NULL ? level : name);
    }
}

/* What a map may say, where the key is explained for the first time. */
static void write_environment_keys(struct strbuf *out)
{
    for (size_t i = 0; i < envwish_key_count; i++) {
        strbuf_printf(out, "# - %s: %s\n", envwish_keys[i].key, envwish_keys[i].help);
    }
}

void config_write_example(enum config_example which, struct strbuf *out)
{
    static const char *const heads[] = {project_head, user_head, target_head};
    _Static_assert(ARRAY_SIZE(heads) == CONFIG_EXAMPLE_COUNT, "a head for each example");
    strbuf_puts(out, heads[which]);
    const char *before = "";
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (!belongs(key, which)) {
            continue;
        }
        const char *path = key->path;
        if (which == CONFIG_EXAMPLE_TARGET) {
            path += strlen(TARGET_PREFIX);
        }
        size_t group = group_length(path);
        int indent = 0;
        for (size_t k = 0; k < group; k++) {
            indent += path[k] == '.' ? 2 : 0;
        }
        strbuf_printf(out, "\n# %s\n", key->help);
        if (key->type == CONFIG_ENVIRONMENT && which == CONFIG_EXAMPLE_PROJECT) {
            write_environment_keys(out);
        }
        write_groups(path, before, out);
        /* The one key that a target cannot do without. */
        bool is_live = which == CONFIG_EXAMPLE_TARGET && strcmp(path, "host") == 0;
        strbuf_printf(out, "%s%*s%s: %s\n", is_live ? "" : "#", indent, "", path + group,
                      sample(key));
        before = path;
    }
}

static void write_cell(const char *text, struct strbuf *out)
{
    if (text[0] == '\0') {
        strbuf_puts(out, " |");
    } else {
        strbuf_printf(out, " `%s` |", text);
    }
}

void config_write_reference(struct strbuf *out)
{
    strbuf_puts(out, "| key | value | default | counts in | meaning |\n"
                     "|---|---|---|---|---|\n");
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        strbuf_puts(out, "|");
        write_cell(key->path, out);
        strbuf_printf(out, " %s |", config_type_word(key->type));
        write_cell(key->fallback, out);
        strbuf_printf(out, " %s | %s |\n",
                      key->scope == CONFIG_PROJECT
                          ? "any file"
                          : "your own files; a project's once trusted",
                      key->help);
    }
    strbuf_puts(out, "\n| key of an environment | is | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < envwish_key_count; i++) {
        strbuf_puts(out, "|");
        write_cell(envwish_keys[i].key, out);
        strbuf_printf(out, " %s | %s |\n",
                      envwish_keys[i].is_source ? "a source" : "beside one",
                      envwish_keys[i].help);
    }
}

/* A value as it would stand in YAML, on one line. */
static void write_value(const struct config_value *value, struct strbuf *out)
{
    if (value->text != NULL) {
        yaml_write_scalar(out, value->text);
        return;
    }
    bool is_map = value->key->type == CONFIG_MAP;
    strbuf_putc(out, is_map ? '{' : '[');
    for (size_t i = 0; i < value->items.count; i++) {
        const char *item = value->items.items[i];
        strbuf_puts(out, i > 0 ? ", " : "");
        if (is_map) {
            CLEANUP_FREE char *name = xstrndup(item, strcspn(item, "="));
            yaml_write_scalar(out, name);
            strbuf_puts(out, ": ");
            item += strlen(name) + 1;
        }
        yaml_write_scalar(out, item);
    }
    strbuf_putc(out, is_map ? '}' : ']');
}

static void write_line(void *context, const struct config_value *value)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_printf(&line, "%s: ", value->path);
    write_value(value, &line);
    strbuf_printf(context, "%-48s # %s\n", line.data, value->origin);
}

void config_write_values(const struct config *config, struct strbuf *out)
{
    const char *file = config_project_file(config);
    strbuf_printf(out, "# project: %s (%s)\n", config_project(config),
                  file == NULL ? "no errand.yaml from here upwards" : file);
    config_visit(config, write_line, out);
}

static struct json *value_to_json(const struct config_value *value)
{
    if (value->key->type == CONFIG_INTEGER || value->key->type == CONFIG_SIZE) {
        return json_new_integer((int64_t)value->number);
    }
    if (value->text != NULL) {
        return json_new_bytes(value->text, strlen(value->text));
    }
    bool is_map = value->key->type == CONFIG_MAP;
    struct json *result = is_map ? json_new_object() : json_new_array();
    for (size_t i = 0; i < value->items.count; i++) {
        const char *item = value->items.items[i];
        if (is_map) {
            CLEANUP_FREE char *name = xstrndup(item, strcspn(item, "="));
            item += strlen(name) + 1;
            json_add_bytes(result, name, item, strlen(item));
        } else {
            json_append(result, json_new_bytes(item, strlen(item)));
        }
    }
    return result;
}

static void add_to_json(void *context, const struct config_value *value)
{
    struct json *item = json_append(context, json_new_object());
    json_add_string(item, "key", value->path);
    json_add(item, "value", value_to_json(value));
    json_add_string(item, "origin", value->origin);
}

static void add_path(struct json *object, const char *key, const char *path)
{
    json_add(object, key,
             path == NULL ? json_new_null() : json_new_bytes(path, strlen(path)));
}

struct json *config_to_json(const struct config *config)
{
    struct json *document = json_new_object();
    add_path(document, "project", config_project(config));
    add_path(document, "project_file", config_project_file(config));
    config_visit(config, add_to_json, json_add(document, "values", json_new_array()));
    return document;
}
