#define _GNU_SOURCE /* realpath */
#include "controller/envplan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/files.h"
#include "common/mem.h"
#include "common/tree.h"
#include "controller/envplan_inside.h"
#include "controller/envwish.h"
#include "controller/pyproject.h"

#define LAYERS_MAX (sizeof(((struct envplan *)NULL)->layers) / sizeof(struct json *))
#define PACKAGES_MAX 100000

void envplan_init(struct envplan *plan)
{
    *plan = (struct envplan){.project = NULL};
}

void envplan_release(struct envplan *plan)
{
    free(plan->project);
    free(plan->user_folder);
    free(plan->script);
    free(plan->name);
    for (size_t i = 0; i < plan->layer_count; i++) {
        json_free(plan->layers[i]);
    }
    strvec_release(&plan->variables);
    if (plan->is_open) {
        requirements_release(&plan->requirements);
    }
    envplan_init(plan);
}

/* A byte string of a layer, "" where there is none. The caller's. */
static char *text_of(const struct json *layer, const char *key)
{
    CLEANUP_STRBUF struct strbuf bytes = STRBUF_INIT;

    (void)(json_get(layer, key) != NULL &&
           json_bytes(json_get(layer, key), key, &bytes, NULL));
    return strbuf_detach(&bytes);
}

/* ---- which one ---- */

/* Put wish, which is taken, and what it extends below it. Errors: ERR_CONFIG. */
static int add_layers(struct envplan *plan, struct json *wish, struct error *err)
{
    for (;;) {
        const char *key = json_get(wish, "use") != NULL    ? "use"
                          : json_get(wish, "name") != NULL ? "name"
                                                           : "extends";
        CLEANUP_FREE char *below = text_of(wish, key);
        CLEANUP_FREE char *folder = text_of(wish, "folder");
        CLEANUP_FREE char *name = NULL;
        bool is_none = false;

        if (plan->layer_count == LAYERS_MAX) {
            json_free(wish);
            return error_set(err, ERR_CONFIG,
                             "environments extend one another more than "
                             "%zu deep",
                             LAYERS_MAX);
        }
        plan->layers[plan->layer_count++] = wish;
        if (below[0] == '\0') {
            return 0;
        }
        wish = envplan_meaning(plan, below, folder, &name, &is_none, err);
        if (is_none) {
            return strcmp(key, "use") == 0 ? 1 : 0;
        }
        if (wish == NULL) {
            CLEANUP_FREE char *origin =
                text_of(plan->layers[plan->layer_count - 1], "origin");

            return error_wrap(err, "%s", origin);
        }
        if (plan->name == NULL && strcmp(key, "extends") != 0) {
            plan->name = TAKE_PTR(name);
        }
    }
}

/* What is extended comes first. */
static void turn_round(struct envplan *plan)
{
    for (size_t i = 0; i < plan->layer_count / 2; i++) {
        struct json *other = plan->layers[plan->layer_count - 1 - i];

        plan->layers[plan->layer_count - 1 - i] = plan->layers[i];
        plan->layers[i] = other;
    }
}

static int add_variables(struct envplan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->layer_count; i++) {
        const struct json *map = json_get(plan->layers[i], "variables");
        CLEANUP_FREE char *conda = text_of(plan->layers[i], "conda");

        if (conda[0] != '\0' && envplan_conda_variables(plan, conda, err) < 0) {
            return -1;
        }
        for (const struct json *one = json_first(map); one != NULL;
             one = json_next(one)) {
            strvec_pushf(&plan->variables, "%s=%s", json_key(one), json_string(one));
            if (envplan_check_question(plan, plan->layers[i],
                                       plan->variables.items[plan->variables.count - 1],
                                       err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* How people call what was said in so many words: its file, or where it was said. */
static char *name_of(const struct json *wish)
{
    static const char *const keys[] = {"pyproject", "lock",      "conda", "interpreter",
                                       "venv",      "conda_env", "image"};
    CLEANUP_FREE char *origin = text_of(wish, "origin");
    const struct json *files = json_get(wish, "requirements");

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        CLEANUP_FREE char *value = text_of(wish, keys[i]);

        if (value[0] != '\0') {
            const char *slash = strrchr(value, '/');

            return xstrdup(i < 3 && slash != NULL ? slash + 1 : value);
        }
    }
    if (json_count(files) == 1 && json_get(wish, "packages") == NULL) {
        CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
        const char *slash;

        (void)json_bytes(json_first(files), "requirements", &path, NULL);
        slash = strrchr(path.data, '/');
        return xstrdup(slash != NULL ? slash + 1 : path.data);
    }
    return TAKE_PTR(origin);
}

int envplan_open(struct envplan *plan, const struct envplan_request *request,
                 struct error *err)
{
    struct json *wish = NULL;
    int result;

    plan->project = realpath(request->project, NULL);
    if (plan->project == NULL) {
        return error_sys(err, "find the project %s", request->project);
    }
    plan->user_folder =
        request->user_folder != NULL ? xstrdup(request->user_folder) : NULL;
    plan->script = request->script != NULL ? xstrdup(request->script) : NULL;
    if (request->wish != NULL) {
        wish = json_copy(request->wish);
    } else if (request->may_discover) {
        struct error why = ERROR_INIT;

        wish = envplan_discover(plan, &plan->name, &why);
        if (wish == NULL && why.code != ERR_NONE) {
            return error_copy(err, &why);
        }
    }
    if (wish == NULL) {
        return 0;
    }
    result = add_layers(plan, wish, err);
    if (result != 0) {
        return result < 0 ? -1 : 0;
    }
    if (plan->name == NULL) {
        plan->name = name_of(plan->layers[0]);
    }
    turn_round(plan);
    return add_variables(plan, err) < 0 ? -1 : 1;
}

/* ---- the definition ---- */

char *envplan_inside(const struct envplan *plan, const char *path, struct error *err)
{
    CLEANUP_FREE char *real = realpath(path, NULL);
    size_t length = strlen(plan->project);

    if (real == NULL) {
        error_sys(err, "look at %s", path);
        return NULL;
    }
    if (strncmp(real, plan->project, length) != 0 ||
        (real[length] != '/' && real[length] != '\0')) {
        error_set(err, ERR_CONFIG, "%s is outside the project %s", path, plan->project);
        error_hint(err, "only the project's folder is sent");
        return NULL;
    }
    return xstrdup(real + length + (real[length] == '/' ? 1 : 0));
}

typedef int item_taker(struct envplan *plan, const char *text, const char *folder,
                       const char *origin, struct error *err);

static int take_requirements(struct envplan *plan, const char *text, const char *folder,
                             const char *origin, struct error *err)
{
    (void)folder;
    return requirements_file(&plan->requirements, text, false, err) < 0
               ? (err->code == ERR_NOT_FOUND ? error_wrap(err, "%s", origin) : -1)
               : 0;
}

static int take_constraints(struct envplan *plan, const char *text, const char *folder,
                            const char *origin, struct error *err)
{
    (void)folder;
    return requirements_file(&plan->requirements, text, true, err) < 0
               ? (err->code == ERR_NOT_FOUND ? error_wrap(err, "%s", origin) : -1)
               : 0;
}

static int take_package(struct envplan *plan, const char *text, const char *folder,
                        const char *origin, struct error *err)
{
    return requirements_line(&plan->requirements, text, folder, origin, false, err);
}

static int take_index(struct envplan *plan, const char *text, const char *folder,
                      const char *origin, struct error *err)
{
    CLEANUP_FREE char *line = xasprintf("--index-url %s", text);

    return requirements_line(&plan->requirements, line, folder, origin, false, err);
}

static int take_extra_index(struct envplan *plan, const char *text, const char *folder,
                            const char *origin, struct error *err)
{
    CLEANUP_FREE char *line = xasprintf("--extra-index-url %s", text);

    return requirements_line(&plan->requirements, line, folder, origin, false, err);
}

/* Every item of a key, a text or a list of them. */
static int take_items(struct envplan *plan, const struct json *layer, const char *key,
                      item_taker *take, struct error *err)
{
    const struct json *value = json_get(layer, key);
    bool is_list = json_is_array(value);
    CLEANUP_FREE char *folder = text_of(layer, "folder");
    CLEANUP_FREE char *where = text_of(layer, "origin");
    size_t number = 0;

    for (const struct json *item = is_list ? json_first(value) : value; item != NULL;
         item = is_list ? json_next(item) : NULL) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        CLEANUP_FREE char *origin =
            is_list && json_count(value) > 1
                ? xasprintf("%s: %s, item %zu", where, key, ++number)
                : xasprintf("%s: %s", where, key);

        if (json_bytes(item, key, &text, err) < 0 ||
            take(plan, text.data, folder, origin, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* "a,b" of a list of extras. */
static void join_extras(const struct json *list, struct strbuf *out)
{
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        strbuf_printf(out, "%s%s", out->length > 0 ? "," : "", json_string(item));
    }
}

static int take_pyproject(struct envplan *plan, const struct json *layer,
                          struct error *err)
{
    CLEANUP_FREE char *path = text_of(layer, "pyproject");
    CLEANUP_FREE char *inside = NULL;
    CLEANUP_STRBUF struct strbuf extras = STRBUF_INIT;
    CLEANUP_STRVEC struct strvec groups = STRVEC_INIT;
    struct requirements *r = &plan->requirements;
    struct stat st;
    int result;

    if (path[0] == '\0') {
        return 0;
    }
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        *strrchr(path, '/') = '\0';
    }
    inside = envplan_inside(plan, path, err);
    if (inside == NULL) {
        return -1;
    }
    join_extras(json_get(layer, "extras"), &extras);
    for (const struct json *item = json_first(json_get(layer, "groups")); item != NULL;
         item = json_next(item)) {
        strvec_push(&groups, json_string(item));
    }
    result = pyproject_expand(r, inside, extras.data, plan->name, err);
    if (result == 0) {
        struct envspec_requirement *item =
            envspec_add_local(&r->spec->requirements, inside, extras.data, "");

        item->is_folder = true;
        strvec_pushf(
            &r->notes,
            "%s: only the project's build tells what it needs: the environment is "
            "made anew with each change of its folder",
            plan->name);
    }
    return result < 0 ? -1 : pyproject_groups(r, inside, &groups, err);
}

static int take_existing(struct envplan *plan, const struct json *layer,
                         struct error *err)
{
    static const struct {
        const char *key;
        enum envspec_location location;
    } rows[] = {{"interpreter", ENVSPEC_LOCATION_INTERPRETER},
                {"venv", ENVSPEC_LOCATION_VENV},
                {"conda_env", ENVSPEC_LOCATION_CONDA}};
    struct envspec *spec = plan->requirements.spec;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_FREE char *value = text_of(layer, rows[i].key);

        if (value[0] == '\0') {
            continue;
        }
        if (value[0] == '-') {
            return error_set(err, ERR_CONFIG, "%s: \"%s\" is no path", rows[i].key,
                             value);
        }
        free(spec->location);
        spec->kind = ENVSPEC_EXISTING;
        spec->location_kind = rows[i].location;
        spec->location = TAKE_PTR(value);
    }
    CLEANUP_FREE char *image = text_of(layer, "image");
    if (image[0] != '\0') {
        free(spec->image);
        spec->kind = ENVSPEC_IMAGE;
        spec->image = TAKE_PTR(image);
    }
    return 0;
}

static int take_settings(const struct json *layer, struct runspec_environment *out,
                         struct error *err)
{
    CLEANUP_FREE char *builder = text_of(layer, "builder");
    CLEANUP_FREE char *origin = text_of(layer, "origin");

    if (builder[0] != '\0' && !envspec_builder_is_known(builder)) {
        error_set(err, ERR_CONFIG, "%s: there is no builder \"%s\"", origin, builder);
        return error_hint(err, "there are uv, pip, micromamba, mamba, conda, podman and "
                               "docker");
    }
    if (builder[0] != '\0') {
        free(out->definition.builder);
        out->definition.builder = TAKE_PTR(builder);
    }
    for (const struct json *item = json_first(json_get(layer, "imports")); item != NULL;
         item = json_next(item)) {
        if (!strvec_contains(&out->imports, json_string(item))) {
            strvec_push(&out->imports, json_string(item));
        }
    }
    return 0;
}

static bool wants_conda(const struct json *layer)
{
    CLEANUP_FREE char *builder = text_of(layer, "builder");
    return strcmp(builder, "micromamba") == 0 || strcmp(builder, "mamba") == 0 ||
           strcmp(builder, "conda") == 0;
}

static int fill_layer(struct envplan *plan, const struct json *layer,
                      struct runspec_environment *out, struct error *err)
{
    CLEANUP_FREE char *conda = text_of(layer, "conda");
    CLEANUP_FREE char *lock = text_of(layer, "lock");

    if (take_items(plan, layer, "index", take_index, err) < 0 ||
        take_items(plan, layer, "extra_index", take_extra_index, err) < 0 ||
        take_items(plan, layer, "requirements", take_requirements, err) < 0 ||
        take_items(plan, layer, "constraints", take_constraints, err) < 0 ||
        take_items(plan, layer, "packages", take_package, err) < 0 ||
        take_pyproject(plan, layer, err) < 0 ||
        (json_bool(json_get(layer, "script")) && envplan_script(plan, err) < 0) ||
        (conda[0] != '\0' && envplan_conda(plan, conda, wants_conda(layer), err) < 0) ||
        (lock[0] != '\0' && envplan_lock(plan, layer, lock, err) < 0) ||
        take_existing(plan, layer, err) < 0 || take_settings(layer, out, err) < 0) {
        return -1;
    }
    return 0;
}

/* The one that adds most wins; what its files want counts too. */
static int want_python(struct envplan *plan, struct error *err)
{
    for (size_t i = plan->layer_count; i-- > 0;) {
        CLEANUP_FREE char *python = text_of(plan->layers[i], "python");
        CLEANUP_FREE char *origin = text_of(plan->layers[i], "origin");

        if (python[0] != '\0') {
            CLEANUP_FREE char *where = xasprintf("%s: python", origin);

            return pyproject_want_python(&plan->requirements, python, where, err);
        }
    }
    return 0;
}

/* Every digest to come, and none of them known yet. */
static void set_digests(struct envspec *spec, int byte)
{
    struct envspec_requirements *lists[] = {&spec->requirements, &spec->constraints,
                                            &spec->find_links};

    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            memset(&lists[k]->items[i].digest, byte, sizeof(struct oid));
        }
    }
    for (size_t i = 0; i < spec->lock_file_count; i++) {
        memset(&spec->lock_files[i].digest, byte, sizeof(struct oid));
    }
}

/* By the very check that the node makes: what it would refuse is said now. */
static int check_as_node(const struct envplan *plan, struct envspec *spec,
                         struct error *err)
{
    CLEANUP_ENVSPEC struct envspec back;
    CLEANUP_JSON struct json *j = NULL;

    envspec_init(&back);
    set_digests(spec, 1);
    envspec_normalize(spec);
    j = envspec_to_json(spec);
    set_digests(spec, 0);
    if (envspec_from_json(j, &back, err) < 0) {
        err->code = ERR_CONFIG;
        return error_wrap(err, "%s", plan->name);
    }
    return 0;
}

static int check_definition(const struct envplan *plan, struct envspec *spec,
                            struct error *err)
{
    bool has_packages = spec->requirements.count > 0 || spec->constraints.count > 0;

    if (has_packages && (spec->kind != ENVSPEC_PACKAGES && spec->kind != ENVSPEC_CONDA)) {
        error_set(err, ERR_CONFIG, "%s: packages cannot be added to %s", plan->name,
                  spec->kind == ENVSPEC_LOCK ? "a lock"
                                             : "an environment that is there already");
        return error_hint(err, "say one of both");
    }
    if (spec->requirements.count > ENVSPEC_ITEMS_MAX ||
        spec->constraints.count > ENVSPEC_ITEMS_MAX) {
        return error_set(err, ERR_LIMIT, "%s: it has more than %d requirements",
                         plan->name, ENVSPEC_ITEMS_MAX);
    }
    return check_as_node(plan, spec, err);
}

int envplan_fill(struct envplan *plan, const struct strvec *variables,
                 const struct strvec *secrets, struct runspec_environment *out,
                 struct error *err)
{
    struct envspec *spec = &out->definition;

    if (requirements_init(&plan->requirements, plan->project, variables, secrets, spec,
                          err) < 0) {
        return -1;
    }
    plan->is_open = true;
    out->has_definition = true;
    for (size_t i = 0; i < plan->layer_count; i++) {
        if (fill_layer(plan, plan->layers[i], out, err) < 0) {
            return -1;
        }
    }
    if (want_python(plan, err) < 0 || requirements_finish(&plan->requirements, err) < 0) {
        return -1;
    }
    free(spec->source);
    spec->source = xstrndup(plan->name, strcspn(plan->name, "\r\n\t"));
    return check_definition(plan, spec, err);
}

void envplan_describe(const struct envplan *plan, const struct envspec *spec,
                      struct strbuf *out)
{
    size_t count =
        plan->requirements.pinned + plan->requirements.unpinned + spec->conda.count;

    strbuf_puts(out, plan->name);
    if (spec->kind == ENVSPEC_PACKAGES || spec->kind == ENVSPEC_CONDA) {
        strbuf_printf(out, ", %zu package%s", count, count == 1 ? "" : "s");
    }
    if (plan->requirements.unpinned > 0) {
        strbuf_printf(out, ", %zu not pinned", plan->requirements.unpinned);
    }
    if (spec->kind == ENVSPEC_EXISTING) {
        strbuf_puts(out, ", which is on the node");
    }
}

/* ---- digests ---- */

static int find_digest(const struct object_source *source, const struct oid *root,
                       const char *path, bool is_folder, struct oid *out,
                       struct error *err)
{
    struct tree_entry entry;
    int found;

    if (path[0] == '\0') {
        *out = *root;
        return 1;
    }
    found = tree_find(source, root, path, &entry, err);
    if (found > 0 && (entry.kind == TREE_FOLDER) == is_folder &&
        entry.kind != TREE_SYMLINK) {
        *out = entry.oid;
        return 1;
    }
    return found < 0 ? -1 : 0;
}

static int missing(const char *path, const char **out_missing, struct error *err)
{
    if (out_missing != NULL) {
        *out_missing = path;
    }
    return error_set(err, ERR_CONFIG,
                     "the environment needs %s, which is not in the snapshot", path);
}

static int list_digests(struct envspec_requirements *list,
                        const struct object_source *source, const struct oid *root,
                        const char **out_missing, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct envspec_requirement *item = &list->items[i];
        int found = item->text != NULL ? 1
                                       : find_digest(source, root, item->path,
                                                     item->is_folder, &item->digest, err);

        if (found <= 0) {
            return found < 0 ? -1 : missing(item->path, out_missing, err);
        }
    }
    return 0;
}

int envplan_digests(struct envspec *spec, const struct object_source *source,
                    const struct oid *root, const char **out_missing, struct error *err)
{
    if (list_digests(&spec->requirements, source, root, out_missing, err) < 0 ||
        list_digests(&spec->find_links, source, root, out_missing, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < spec->lock_file_count; i++) {
        struct envspec_file *file = &spec->lock_files[i];
        int found = find_digest(source, root, file->path, false, &file->digest, err);

        if (found <= 0) {
            return found < 0 ? -1 : missing(file->path, out_missing, err);
        }
    }
    envspec_normalize(spec);
    return 0;
}
