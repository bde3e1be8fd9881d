/*
 * envplan_find: which environment is meant.            [controller]
 */
#define _GNU_SOURCE /* realpath */
#include "controller/envplan_inside.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bytes.h"
#include "common/cli.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/variables.h"
#include "controller/envwish.h"
#include "controller/pyproject.h"
#include "controller/toml.h"

/* ---- those that come with errand ---- */

static const struct {
    const char *name, *help, *others, *text;
} curated[] = {
#define ENVIRONMENT(name, help, others, text) {name, help, others, text},
#include "controller/curated.def"
#undef ENVIRONMENT
};

bool envplan_curated(size_t i, const char **out_name, const char **out_help,
                     const char **out_text)
{
    if (i >= ARRAY_SIZE(curated)) {
        return false;
    }
    *out_name = curated[i].name;
    *out_help = curated[i].help;
    *out_text = curated[i].text;
    return true;
}

/* True where name is one of others. */
static bool is_called(const char *others, const char *name)
{
    while (others[0] != '\0') {
        size_t length = strcspn(others, " ");
        CLEANUP_FREE char *pattern = xstrndup(others, length);

        if (fnmatch(pattern, name, 0) == 0) {
            return true;
        }
        others += length + (others[length] == ' ' ? 1 : 0);
    }
    return false;
}

/* NULL without err: there is none of that name. */
static struct json *find_curated(const char *name, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(curated); i++) {
        if (strcmp(curated[i].name, name) == 0 || is_called(curated[i].others, name)) {
            __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *node =
                yaml_parse(name, curated[i].text, strlen(curated[i].text), err);

            return node != NULL ? envwish_read(node, "/", name, err) : NULL;
        }
    }
    return NULL;
}

/* ---- by name ---- */

static bool is_there(const char *path, mode_t type)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static void list_names(const char *folder, struct strvec *out)
{
    CLEANUP_FREE char *path = files_join(folder, "environments");
    CLEANUP_DIR DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir != NULL && out->count < 1000 && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        if (length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0) {
            strvec_adopt(out, xstrndup(entry->d_name, length - 5));
        }
    }
}

void envplan_names(const char *project, const char *user_folder, struct strvec *out)
{
    list_names(project, out);
    if (user_folder != NULL) {
        list_names(user_folder, out);
    }
    for (size_t i = 0; i < ARRAY_SIZE(curated); i++) {
        strvec_push(out, curated[i].name);
    }
    strvec_sort_unique(out);
}

static int no_such_name(const struct envplan *plan, const char *name, struct error *err)
{
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf all = STRBUF_INIT;
    const char *nearest;

    envplan_names(plan->project, plan->user_folder, &names);
    for (size_t i = 0; i < names.count && all.length < 300; i++) {
        strbuf_printf(&all, "%s%s", i > 0 ? ", " : "", names.items[i]);
    }
    nearest = cli_nearest(name, (const char *const *)strvec_argv(&names), names.count);
    error_set(err, ERR_NOT_FOUND,
              "there is no environment \"%s\": no such file here, and no such name",
              name);
    return nearest != NULL ? error_hint(err, "did you mean %s?", nearest)
                           : error_hint(err, "names: %s", all.data);
}

static struct json *find_named(const struct envplan *plan, const char *name,
                               struct error *err)
{
    const char *folders[] = {plan->project, plan->user_folder};
    struct error why = ERROR_INIT;
    struct json *wish;

    if (strchr(name, '/') != NULL) {
        no_such_name(plan, name, err);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(folders) && folders[i] != NULL; i++) {
        CLEANUP_FREE char *path = xasprintf("%s/environments/%s.yaml", folders[i], name);

        if (is_there(path, S_IFREG)) {
            return envwish_file(path, err);
        }
    }
    wish = find_curated(name, &why);
    if (wish == NULL) {
        (void)(why.code != ERR_NONE ? error_copy(err, &why)
                                    : no_such_name(plan, name, err));
    }
    return wish;
}

/* ---- by what it looks like ---- */

static struct json *wish_of(const char *key, const char *value, const char *folder,
                            bool is_file)
{
    struct json *wish = json_new_object();

    json_add_string(wish, "origin", key);
    json_add_bytes(wish, "folder", folder, strlen(folder));
    if (is_file && strcmp(key, "requirements") == 0) {
        json_append(json_add(wish, key, json_new_array()),
                    json_new_bytes(value, strlen(value)));
    } else if (strcmp(key, "script") == 0) {
        json_add_bool(wish, key, true);
        json_add_bytes(wish, "script_path", value, strlen(value));
    } else {
        json_add_bytes(wish, key, value, strlen(value));
    }
    return wish;
}

/* What a file of this name is: a key of an environment, or NULL. */
static const char *key_of_file(const char *path)
{
    static const struct {
        const char *end, *key;
    } rows[] = {{".txt", "requirements"},  {".in", "requirements"},
                {"uv.lock", "lock"},       {"pyproject.toml", "pyproject"},
                {".lock", "requirements"}, {".yml", "conda"},
                {".yaml", "conda"}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (bytes_end_with(path, rows[i].end)) {
            return rows[i].key;
        }
    }
    return NULL;
}

bool envplan_is_source(const char *name)
{
    return key_of_file(name) != NULL;
}

/* A YAML file is conda's where it says dependencies, else one of ours. */
static struct json *yaml_wish(const char *path, const char *folder, struct error *err)
{
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *node =
        yaml_read(path, path, err);

    if (node == NULL) {
        return NULL;
    }
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        if (item->key != NULL && (strcmp(item->key, "dependencies") == 0 ||
                                  strcmp(item->key, "channels") == 0)) {
            return wish_of("conda", path, folder, true);
        }
    }
    return envwish_file(path, err);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Something on the node: "/opt/py/bin/python3", "python3.11", "~/envs/x", "conda:NAME",
 * "image:REF". NULL: it does not look so. */
static struct json *wish_on_node(const char *text, const char *folder)
{
    if (strncmp(text, "conda:", 6) == 0) {
        return wish_of("conda_env", text + 6, folder, false);
    }
    if (strncmp(text, "image:", 6) == 0) {
        return wish_of("image", text + 6, folder, false);
    }
    if (strncmp(base_name(text), "python", 6) == 0 ||
        strncmp(base_name(text), "pypy", 4) == 0) {
        return wish_of("interpreter", text, folder, false);
    }
    if (text[0] == '/' || strncmp(text, "~/", 2) == 0) {
        return wish_of("venv", text, folder, false);
    }
    return NULL;
}

struct json *envplan_meaning(const struct envplan *plan, const char *text,
                             const char *folder, char **out_name, bool *is_none,
                             struct error *err)
{
    CLEANUP_FREE char *path = files_join(folder, text);
    CLEANUP_FREE char *project_file = files_join(path, "pyproject.toml");
    const char *key = key_of_file(text);
    struct json *wish;

    *is_none = strcmp(text, "none") == 0;
    *out_name = xstrdup(text);
    if (*is_none) {
        return NULL;
    }
    if (is_there(path, S_IFREG) && key != NULL) {
        return strcmp(key, "conda") == 0 ? yaml_wish(path, folder, err)
                                         : wish_of(key, path, folder, true);
    }
    if (is_there(path, S_IFREG) && bytes_end_with(text, ".py")) {
        return wish_of("script", path, folder, true);
    }
    if (text[0] != '/' && is_there(project_file, S_IFREG)) {
        return wish_of("pyproject", path, folder, true);
    }
    if (key != NULL && strncmp(text, "image:", 6) != 0) {
        error_set(err, ERR_NOT_FOUND, "there is no %s in %s", text, folder);
        return NULL;
    }
    wish = wish_on_node(text, folder);
    return wish != NULL ? wish : find_named(plan, text, err);
}

/* ---- nothing was said ---- */

/* True where the file says what the project needs: many a pyproject.toml only configures
 * tools. One that cannot be read may: who takes it then says what is wrong with it. */
static bool is_telling(const char *path, const char *key)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    if (!is_there(path, S_IFREG)) {
        return false;
    }
    if (strcmp(key, "pyproject") != 0) {
        return true;
    }
    CLEANUP_JSON struct json *document = NULL;
    return files_read(AT_FDCWD, path, &text, NULL) < 0 ||
           (document = toml_parse(path, text.data, text.length, NULL)) == NULL ||
           json_get(document, "project") != NULL ||
           json_get(json_get(document, "tool"), "poetry") != NULL;
}

static struct json *discover_in(const struct envplan *plan, const char *folder,
                                char **out_name)
{
    static const struct {
        const char *file, *key;
    } rows[] = {{"uv.lock", "lock"},
                {"pyproject.toml", "pyproject"},
                {"requirements.txt", "requirements"},
                {"environment.yml", "conda"},
                {"environment.yaml", "conda"},
                {"conda_dependencies.yml", "conda"},
                {".azureml/conda_dependencies.yml", "conda"},
                {"aml_config/conda_dependencies.yml", "conda"}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *path = files_join(folder, rows[i].file);

        if (is_telling(path, rows[i].key)) {
            size_t length = strlen(plan->project);

            *out_name = xstrdup(path + length + 1);
            return wish_of(rows[i].key, path, folder, true);
        }
    }
    return NULL;
}

struct json *envplan_discover(const struct envplan *plan, char **out_name,
                              struct error *err)
{
    if (plan->script == NULL) {
        return discover_in(plan, plan->project, out_name);
    }
    CLEANUP_FREE char *path = files_join(plan->project, plan->script);
    CLEANUP_FREE char *folder = xstrdup(path);
    CLEANUP_STRBUF struct strbuf header = STRBUF_INIT;
    int has_header = envplan_header(path, plan->script, &header, err);

    if (has_header < 0) {
        return NULL;
    }
    *strrchr(folder, '/') = '\0';
    if (has_header > 0) {
        *out_name = xasprintf("the header of %s", plan->script);
        return wish_of("script", path, folder, true);
    }
    struct json *wish = discover_in(plan, folder, out_name);
    return wish != NULL || strcmp(folder, plan->project) == 0
               ? wish
               : discover_in(plan, plan->project, out_name);
}

/* ---- variables of this machine ---- */

int envplan_check_question(const struct envplan *plan, const struct json *layer,
                           const char *pair, struct error *err)
{
    const char *origin = json_string(json_get(layer, "origin"));
    size_t length = plan->user_folder != NULL ? strlen(plan->user_folder) : 0;
    bool is_own = length > 0 && strncmp(origin, plan->user_folder, length) == 0 &&
                  origin[length] == '/';

    if (!variables_asks(pair, VARIABLES_HERE) || is_own ||
        !json_bool(json_get(layer, "is_file"))) {
        return 0;
    }
    error_set(err, ERR_CONFIG,
              "%s: variables: %.*s: ${" VARIABLES_HERE
              ":...} does not count in such a file",
              origin, (int)strcspn(pair, "="), pair);
    return error_hint(err, "say it under `variables:` in errand.yaml, which is asked "
                           "about, or in config.yaml");
}
