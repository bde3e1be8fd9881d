#define _XOPEN_SOURCE 700 /* realpath */
#include "controller/config.h"

#include "common/files.h"
#include "common/json.h"
#include "controller/config_file.h"
#include "controller/target.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROJECT_FILE "errand.yaml"
#define SYSTEM_FILE "/etc/errand/config.yaml"
#define TARGETS_MAX 10000

struct config {
    char *project;
    char *project_file;       /* or NULL */
    struct config_values set; /* from the command line */
    struct config_values
        values; /* from files, the first that counts first; maps merged */
    struct config_values fallbacks; /* of each row that has one */
    struct strvec notes;
    struct trust_claim *claims;
    size_t claim_count;
};

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    free(config->project);
    free(config->project_file);
    config_values_release(&config->set);
    config_values_release(&config->values);
    config_values_release(&config->fallbacks);
    strvec_release(&config->notes);
    for (size_t i = 0; i < config->claim_count; i++) {
        trust_claim_release(&config->claims[i]);
    }
    free(config->claims);
    free(config);
}

/* ---- looking up ---- */

static struct config_value *find_in(const struct config_values *values, const char *path)
{
    for (size_t i = 0; i < values->count; i++) {
        if (strcmp(values->items[i]->path, path) == 0) {
            return values->items[i];
        }
    }
    return NULL;
}

/* The value that counts, or NULL. */
static const struct config_value *find(const struct config *config, const char *path)
{
    const struct config_key *key = config_key_find(path);
    assert(key != NULL);
    const struct config_value *value = find_in(&config->set, path);
    if (value == NULL) {
        value = find_in(&config->values, path);
    }
    return value != NULL ? value : find_in(&config->fallbacks, key->path);
}

const char *config_project(const struct config *config)
{
    return config->project;
}

const char *config_project_file(const struct config *config)
{
    return config->project_file;
}

const struct strvec *config_notes(const struct config *config)
{
    return &config->notes;
}

struct trust_claim *config_claims(struct config *config, size_t *out_count)
{
    *out_count = config->claim_count;
    return config->claims;
}

bool config_has(const struct config *config, const char *key)
{
    return find(config, key) != NULL;
}

const char *config_string(const struct config *config, const char *key)
{
    const struct config_value *value = find(config, key);
    return value == NULL ? NULL : value->text;
}

int64_t config_integer(const struct config *config, const char *key)
{
    const struct config_value *value = find(config, key);
    return value == NULL ? 0 : (int64_t)value->number;
}

uint64_t config_size(const struct config *config, const char *key)
{
    const struct config_value *value = find(config, key);
    return value == NULL ? 0 : value->number;
}

const struct strvec *config_list(const struct config *config, const char *key)
{
    static const struct strvec none = STRVEC_INIT;
    const struct config_value *value = find(config, key);
    return value == NULL ? &none : &value->items;
}

const struct strvec *config_map(const struct config *config, const char *key)
{
    return config_list(config, key);
}

const char *config_origin(const struct config *config, const char *key)
{
    const struct config_value *value = find(config, key);
    return value == NULL ? "default" : value->origin;
}

void config_targets(const struct config *config, struct strvec *out)
{
    strvec_push(out, "local");
    for (size_t i = 0; i < config->values.count; i++) {
        const char *path = config->values.items[i]->path;
        if (strncmp(path, CONFIG_TARGETS, strlen(CONFIG_TARGETS)) == 0) {
            const char *name = path + strlen(CONFIG_TARGETS);
            CLEANUP_FREE char *copy = xstrndup(name, (size_t)(strrchr(name, '.') - name));
            if (!strvec_contains(out, copy)) {
                strvec_push(out, copy);
            }
        }
    }
    strvec_sort(out);
}

void config_visit(const struct config *config, config_visitor *visit, void *context)
{
    const struct config_values *sources[] = {&config->set, &config->values,
                                             &config->fallbacks};
    for (size_t s = 0; s < ARRAY_SIZE(sources); s++) {
        for (size_t i = 0; i < sources[s]->count; i++) {
            const struct config_value *value = sources[s]->items[i];
            if (find(config, value->path) == value) {
                visit(context, value);
            }
        }
    }
}

/* ---- setting ---- */

/* An outer map adds the names that an inner one does not have. */
static void merge_items(struct strvec *inner, const struct strvec *outer)
{
    size_t count = inner->count;
    for (size_t i = 0; i < outer->count; i++) {
        const char *item = outer->items[i];
        size_t name_length = strcspn(item, "=") + 1;
        bool is_known = false;
        for (size_t k = 0; k < count && !is_known; k++) {
            is_known = strncmp(inner->items[k], item, name_length) == 0;
        }
        if (!is_known) {
            strvec_push(inner, item);
        }
    }
    strvec_sort(inner);
}

/* Move the values of an outer source behind those that are there. */
static void add_outer(struct config *config, struct config_values *outer)
{
    for (size_t i = 0; i < outer->count; i++) {
        struct config_value *value = outer->items[i];
        struct config_value *inner = find_in(&config->values, value->path);
        if (inner == NULL) {
            config_values_adopt(&config->values, TAKE_PTR(outer->items[i]));
        } else if (value->key->type == CONFIG_MAP) {
            merge_items(&inner->items, &value->items);
        }
    }
}

/* text is YAML: of a list, a map, or a default. NULL: err. */
static struct config_value *read_text(const struct config_key *key, const char *path,
                                      const char *text, const char *dir,
                                      const char *origin, struct error *err)
{
    CLEANUP_FREE char *yaml = xasprintf("value: %s", text);
    __attribute__((cleanup(yaml_node_cleanup))) struct yaml_node *root =
        yaml_parse(origin, yaml, strlen(yaml), err);
    return root == NULL || root->first == NULL
               ? NULL
               : config_value_read(path, key, root->first, dir, origin, err);
}

int config_set(struct config *config, const char *key, const char *text,
               const char *option, struct error *err)
{
    const struct config_key *row = config_key_find(key);
    assert(row != NULL);
    struct config_value *value = NULL;
    CLEANUP_FREE char *cwd = getcwd(NULL, 0);
    if (row->type == CONFIG_LIST || row->type == CONFIG_MAP ||
        (row->type == CONFIG_ENVIRONMENT && text[0] == '{')) {
        value = read_text(row, key, text, cwd == NULL ? "/" : cwd, option, err);
    } else {
        CLEANUP_FREE char *copy = xstrdup(text);
        const struct yaml_node node = {.kind = YAML_SCALAR, .text = copy};
        value = config_value_read(key, row, &node, cwd == NULL ? "/" : cwd, option, err);
    }
    if (value == NULL) {
        if (err != NULL) {
            err->code = ERR_USAGE;
        }
        return -1;
    }
    struct config_value *older = find_in(&config->set, key);
    struct config_value *outer = find_in(&config->values, key);
    if (row->type == CONFIG_MAP && outer != NULL) {
        merge_items(&value->items, &outer->items);
    }
    if (older == NULL) {
        config_values_adopt(&config->set, value);
        return 0;
    }
    struct config_value swapped = *older;
    *older = *value;
    *value = swapped;
    config_value_free(value);
    return 0;
}

static int add_fallbacks(struct config *config, struct error *err)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->fallback[0] == '\0') {
            continue;
        }
        struct config_value *value =
            read_text(key, key->path, key->fallback, "/", "default", err);
        if (value == NULL) {
            return -1;
        }
        config_values_adopt(&config->fallbacks, value);
    }
    return 0;
}

/* ---- reading files ---- */

struct loader {
    struct config *config;
    const struct home *home;
    const struct config_options *options;
};

/* Ask for what needs consent. 0: the values may count. */
static int settle_claim(struct loader *l, struct trust_claim *claim, struct error *err)
{
    struct config *config = l->config;
    config->claims =
        xrealloc(config->claims, config->claim_count + 1, sizeof(*config->claims));
    config->claims[config->claim_count++] = *claim;
    struct trust_claim *kept = &config->claims[config->claim_count - 1];
    if (trust_check(l->home, kept, err) != 0) {
        return -1;
    }
    return kept->is_trusted || l->options->want_untrusted
               ? 0
               : trust_ask(l->home, kept, l->options->terminal, err);
}

/* As config_file_read. */
static int load_file(struct loader *l, const struct config_file *file, struct error *err)
{
    __attribute__((cleanup(config_values_release))) struct config_values values = {0};
    struct trust_claim claim = {.path = NULL};
    int found = config_file_read(file, &values, &claim, err);
    if (found > 0 && claim.path != NULL && settle_claim(l, &claim, err) != 0) {
        return -1;
    }
    if (found > 0) {
        add_outer(l->config, &values);
    }
    return found;
}

/* 1: path is there and may be read; 0: it is not, or passed over with a note. */
static int look_upwards(struct loader *l, const char *dir, const char *path,
                        bool is_start)
{
    struct stat st, dir_st;
    if (stat(path, &st) != 0 || stat(dir, &dir_st) != 0) {
        return 0;
    }
    if (!is_start && (dir_st.st_mode & S_IWOTH) != 0) {
        strvec_pushf(&l->config->notes,
                     "passed over %s: everybody may write to that folder", path);
        return 0;
    }
    return 1;
}

/* The nearest errand.yaml from the start upwards. */
static int load_project(struct loader *l, struct error *err)
{
    const char *start = l->options->start_dir == NULL ? "." : l->options->start_dir;
    char *dir = realpath(start, NULL);
    if (dir == NULL) {
        return error_sys(err, "find the folder %s", start);
    }
    l->config->project = dir;
    CLEANUP_FREE char *level = xstrdup(dir);
    for (bool is_start = true;; is_start = false) {
        CLEANUP_FREE char *path = files_join(level, PROJECT_FILE);
        if (look_upwards(l, level, path, is_start) > 0) {
            const struct config_file file = {
                .path = path,
                .shown = is_start && l->options->start_dir == NULL ? PROJECT_FILE : path,
                .prefix = "",
                .is_project = true,
            };
            int found = load_file(l, &file, err);
            if (found != 0) {
                free(l->config->project);
                l->config->project = TAKE_PTR(level);
                l->config->project_file = TAKE_PTR(path);
                return found > 0 ? 0 : -1;
            }
        }
        char *slash = strrchr(level, '/');
        if (slash[1] == '\0') {
            return 0;
        }
        slash[slash == level ? 1 : 0] = '\0';
    }
}

/* The names of targets.d/NAME.yaml, sorted. */
static int list_targets(struct loader *l, const char *dir_path, struct strvec *names,
                        struct error *err)
{
    CLEANUP_DIR DIR *dir = opendir(dir_path);
    if (dir == NULL) {
        return errno == ENOENT ? 0 : error_sys(err, "read %s", dir_path);
    }
    const struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (entry->d_name[0] == '.' || dot == NULL || strcmp(dot, ".yaml") != 0) {
            continue;
        }
        CLEANUP_FREE char *name = xstrndup(entry->d_name, (size_t)(dot - entry->d_name));
        if (names->count >= TARGETS_MAX) {
            return error_set(err, ERR_LIMIT, "more than %d targets in %s", TARGETS_MAX,
                             dir_path);
        }
        if (target_name_is_valid(name)) {
            strvec_push(names, name);
        } else {
            strvec_pushf(&l->config->notes, "passed over %s/%s: no name for a target",
                         dir_path, entry->d_name);
        }
    }
    strvec_sort(names);
    return 0;
}

static int load_targets(struct loader *l, struct error *err)
{
    CLEANUP_FREE char *dir = files_join(l->home->config, "targets.d");
    CLEANUP_STRVEC struct strvec names = STRVEC_INIT;
    if (list_targets(l, dir, &names, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s.yaml", dir, names.items[i]);
        CLEANUP_FREE char *prefix = xasprintf(CONFIG_TARGETS "%s.", names.items[i]);
        const struct config_file file = {.path = path, .shown = path, .prefix = prefix};
        if (load_file(l, &file, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int load_plain(struct loader *l, const char *path, struct error *err)
{
    const struct config_file file = {.path = path, .shown = path, .prefix = ""};
    return load_file(l, &file, err) < 0 ? -1 : 0;
}

struct config *config_load(const struct home *home, const struct config_options *options,
                           struct error *err)
{
    __attribute__((cleanup(config_cleanup))) struct config *config =
        xcalloc(1, sizeof *config);
    struct loader l = {.config = config, .home = home, .options = options};
    CLEANUP_FREE char *user_file = files_join(home->config, "config.yaml");
    if (add_fallbacks(config, err) != 0 || load_project(&l, err) != 0 ||
        load_targets(&l, err) != 0 || load_plain(&l, user_file, err) != 0 ||
        load_plain(&l, SYSTEM_FILE, err) != 0) {
        return NULL;
    }
    return TAKE_PTR(config);
}
