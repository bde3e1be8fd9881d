#include "controller/pyproject.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/cli.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/pep440.h"
#include "controller/pep508.h"
#include "controller/poetry.h"
#include "controller/toml.h"

#define GROUPS_DEEP_MAX 16

static char *absolute(const struct requirements *r, const char *folder)
{
    return folder[0] != '\0' ? files_join(r->project, folder) : xstrdup(r->project);
}

struct json *pyproject_read(const struct requirements *r, const char *folder,
                            char **out_shown, struct error *err)
{
    CLEANUP_FREE char *top = absolute(r, folder);
    CLEANUP_FREE char *path = files_join(top, "pyproject.toml");
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct json *document;

    *out_shown = requirements_shown(r, path);
    if (files_read(AT_FDCWD, path, &text, err) < 0) {
        return NULL;
    }
    document = toml_parse(*out_shown, text.data, text.length, err);
    if (document != NULL && poetry_standardise(document, *out_shown, err) < 0) {
        json_free(TAKE_PTR(document));
    }
    return document;
}

int pyproject_want_python(struct requirements *r, const char *specifiers,
                          const char *origin, struct error *err)
{
    CLEANUP_STRBUF struct strbuf all = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf canonical = STRBUF_INIT;
    const char *so_far = r->spec->python != NULL ? r->spec->python : "";

    if (pep440_python(specifiers, &all, err) < 0) {
        return error_wrap(err, "%s", origin);
    }
    if (so_far[0] != '\0' && all.length > 0) {
        strbuf_puts(&all, ",");
    }
    strbuf_puts(&all, so_far);
    if (pep440_specifiers(all.data, all.length, &canonical, err) < 0) {
        return error_wrap(err, "%s", origin);
    }
    free(r->spec->python);
    r->spec->python = strbuf_detach(&canonical);
    return 0;
}

/* ---- sources ---- */

/* "name @ git+URL@REV", "name @ URL", "PATH": where a package comes from, in uv's keys,
 * which are Poetry's too; NULL where nothing is said that errand knows. */
static char *source_of(const struct json *source, const char *requirement_name,
                       const char *extras)
{
    const char *git = json_string(json_get(source, "git"));
    const char *url = json_string(json_get(source, "url"));
    const char *path = json_string(json_get(source, "path"));
    const char *subdirectory = json_string(json_get(source, "subdirectory"));
    const char *open = extras[0] != '\0' ? "[" : "";
    const char *close = extras[0] != '\0' ? "]" : "";

    if (git != NULL) {
        const char *revision = json_string(json_get(source, "rev"));

        revision = revision ? revision : json_string(json_get(source, "tag"));
        revision = revision ? revision : json_string(json_get(source, "branch"));
        return xasprintf("%s%s%s%s @ git+%s%s%s%s%s", requirement_name, open, extras,
                         close, git, revision ? "@" : "", revision ? revision : "",
                         subdirectory ? "#subdirectory=" : "",
                         subdirectory ? subdirectory : "");
    }
    if (url != NULL) {
        return xasprintf("%s%s%s%s @ %s", requirement_name, open, extras, close, url);
    }
    if (path != NULL) {
        return xasprintf("%s%s%s%s%s", path[0] == '.' || path[0] == '/' ? "" : "./", path,
                         open, extras, close);
    }
    return NULL;
}

/* A member of table by its normalised name. */
static const struct json *find_normal(const struct json *table, const char *name)
{
    CLEANUP_STRBUF struct strbuf wanted = STRBUF_INIT;

    if (!json_is_object(table) || pep508_name(name, strlen(name), &wanted, NULL) < 0) {
        return NULL;
    }
    for (const struct json *one = json_first(table); one != NULL; one = json_next(one)) {
        CLEANUP_STRBUF struct strbuf normal = STRBUF_INIT;

        if (pep508_name(json_key(one), strlen(json_key(one)), &normal, NULL) == 0 &&
            strcmp(normal.data, wanted.data) == 0) {
            return one;
        }
    }
    return NULL;
}

/* What uv or Poetry is told of where a package comes from; NULL: nothing. */
static const struct json *find_source(const struct json *document, const char *name)
{
    const struct json *tool = json_get(document, "tool");
    const struct json *poetry = json_get(tool, "poetry");
    const struct json *groups = json_get(poetry, "group");
    const struct json *found =
        find_normal(json_get(json_get(tool, "uv"), "sources"), name);

    if (found == NULL) {
        found = find_normal(json_get(poetry, "dependencies"), name);
    }
    for (const struct json *one = json_first(groups); one != NULL && found == NULL;
         one = json_next(one)) {
        found = find_normal(json_get(one, "dependencies"), name);
    }
    return json_is_object(found) ? found : NULL;
}

/* A dependency, from where it is told to be taken. */
static int add_dependency(struct requirements *r, const struct json *document,
                          const char *text, const char *folder, const char *origin,
                          struct error *err)
{
    CLEANUP_PEP508 struct pep508 requirement = {.name = NULL};
    CLEANUP_FREE char *top = absolute(r, folder);
    const struct json *source;

    if (pep508_parse(text, &requirement, err) < 0) {
        return error_wrap(err, "%s", origin);
    }
    source = find_source(document, requirement.name);
    if (source != NULL) {
        CLEANUP_FREE char *place =
            source_of(source, requirement.name, requirement.extras);

        if (place != NULL) {
            CLEANUP_FREE char *whole =
                requirement.marker[0] != '\0'
                    ? xasprintf("%s ; %s", place, requirement.marker)
                    : xstrdup(place);

            return requirements_dependency(r, whole, top, origin, err);
        }
        if (json_bool(json_get(source, "workspace"))) {
            error_set(
                err, ERR_CONFIG,
                "%s: %s is a member of uv's workspace, which only uv.lock describes",
                origin, requirement.name);
            return error_hint(err, "uv lock writes it; environment: {lock: uv.lock}");
        }
    }
    return requirements_dependency(r, text, top, origin, err);
}

/* ---- lists ---- */

static int add_list(struct requirements *r, const struct json *document,
                    const struct json *list, const char *folder, const char *where,
                    struct error *err)
{
    size_t number = 0;

    if (list != NULL && !json_is_array(list)) {
        return error_set(err, ERR_CONFIG, "%s: it is no list", where);
    }
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        CLEANUP_FREE char *origin = xasprintf("%s, item %zu", where, ++number);

        if (!json_is_string(item)) {
            return error_set(err, ERR_CONFIG, "%s: it is no text", origin);
        }
        if (add_dependency(r, document, json_string(item), folder, origin, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* "there is no WHAT NAME", with those that there are. */
static int refuse_name(const struct json *table, const char *shown, const char *what,
                       const char *name, struct error *err)
{
    CLEANUP_STRBUF struct strbuf all = STRBUF_INIT;

    for (const struct json *one = json_is_object(table) ? json_first(table) : NULL;
         one != NULL && all.length < 200; one = json_next(one)) {
        strbuf_printf(&all, "%s%.60s", all.length > 0 ? ", " : "", json_key(one));
    }
    error_set(err, ERR_CONFIG, "%s: it has no %s \"%.60s\"", shown, what, name);
    return all.length > 0 ? error_hint(err, "it has: %s", all.data) : -1;
}

static int add_extras(struct requirements *r, const struct json *document,
                      const char *shown, const char *folder, const char *extras,
                      struct error *err)
{
    const struct json *table =
        json_get(json_get(document, "project"), "optional-dependencies");

    while (extras[0] != '\0') {
        size_t length = strcspn(extras, ",");
        CLEANUP_FREE char *name = xstrndup(extras, length);
        CLEANUP_FREE char *where =
            xasprintf("%s: project.optional-dependencies.%s", shown, name);
        const struct json *list = find_normal(table, name);

        if (list == NULL) {
            return refuse_name(table, shown, "extra", name, err);
        }
        if (add_list(r, document, list, folder, where, err) < 0) {
            return -1;
        }
        extras += length + (extras[length] == ',' ? 1 : 0);
    }
    return 0;
}

/* A group, and those that it includes. Source: PEP 735. */
static int add_group(struct requirements *r, const struct json *document,
                     const char *shown, const char *folder, const char *name,
                     unsigned depth, struct error *err)
{
    const struct json *table = json_get(document, "dependency-groups");
    const struct json *list = find_normal(table, name);
    size_t number = 0;

    if (list == NULL) {
        return refuse_name(table, shown, "dependency group", name, err);
    }
    if (depth > GROUPS_DEEP_MAX) {
        return error_set(err, ERR_CONFIG, "%s: dependency groups include one another",
                         shown);
    }
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        const char *included = json_string(json_get(item, "include-group"));
        CLEANUP_FREE char *origin =
            xasprintf("%s: dependency-groups.%s, item %zu", shown, name, ++number);
        int result;

        if (included != NULL) {
            result = add_group(r, document, shown, folder, included, depth + 1, err);
        } else if (json_is_string(item)) {
            result = add_dependency(r, document, json_string(item), folder, origin, err);
        } else {
            result = error_set(err, ERR_CONFIG, "%s: it is no requirement", origin);
        }
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- a project ---- */

static bool is_dynamic(const struct json *project, const char *key)
{
    const struct json *list = json_get(project, "dynamic");

    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        if (json_is_string(item) && strcmp(json_string(item), key) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_there(const char *top, const char *name, mode_t type)
{
    CLEANUP_FREE char *path = files_join(top, name);
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

void pyproject_import_from(struct requirements *r, const char *folder)
{
    CLEANUP_FREE char *top = absolute(r, folder);
    bool has_src =
        is_there(top, "src", S_IFDIR) && !is_there(top, "src/__init__.py", S_IFREG);
    CLEANUP_FREE char *path =
        !has_src ? xstrdup(folder)
                 : (folder[0] != '\0' ? files_join(folder, "src") : xstrdup("src"));

    if (!strvec_contains(&r->spec->paths, path)) {
        strvec_push(&r->spec->paths, path);
    }
}

static int add_index(struct requirements *r, const struct json *item, bool is_default,
                     const char *folder, const char *shown, struct error *err)
{
    const char *url = json_string(json_get(item, "url"));
    CLEANUP_FREE char *line =
        xasprintf("%s %s", is_default ? "--index-url" : "--extra-index-url",
                  url != NULL ? url : "");

    return url == NULL ? 0 : requirements_line(r, line, folder, shown, false, err);
}

/* [[tool.uv.index]]: the default one, and others beside it. */
static int add_uv_indexes(struct requirements *r, const struct json *list,
                          const char *folder, const char *shown, struct error *err)
{
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        if (!json_bool(json_get(item, "explicit")) &&
            add_index(r, item, json_bool(json_get(item, "default")), folder, shown, err) <
                0) {
            return -1;
        }
    }
    return 0;
}

/* [[tool.poetry.source]]: the first that has no lower priority stands in PyPI's place,
 * unless this is named too. */
static int add_poetry_sources(struct requirements *r, const struct json *list,
                              const char *folder, const char *shown, struct error *err)
{
    bool has_default = false;

    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        const char *name = json_string(json_get(item, "name"));

        has_default |= name != NULL && strcasecmp(name, "pypi") == 0;
    }
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        const char *priority = json_string(json_get(item, "priority"));
        bool is_primary = (priority == NULL || strcmp(priority, "primary") == 0 ||
                           strcmp(priority, "default") == 0) &&
                          !json_bool(json_get(item, "secondary"));

        if ((priority == NULL || strcmp(priority, "explicit") != 0) &&
            add_index(r, item, is_primary && !has_default, folder, shown, err) < 0) {
            return -1;
        }
        has_default |= is_primary;
    }
    return 0;
}

static int add_indexes(struct requirements *r, const struct json *document,
                       const char *folder, const char *shown, struct error *err)
{
    const struct json *tool = json_get(document, "tool");
    const struct json *of_uv = json_get(json_get(tool, "uv"), "index");
    const struct json *of_poetry = json_get(json_get(tool, "poetry"), "source");

    return add_uv_indexes(r, of_uv, folder, shown, err) < 0
               ? -1
               : add_poetry_sources(r, of_poetry, folder, shown, err);
}

static int add_project(struct requirements *r, const struct json *document,
                       const char *shown, const char *folder, const char *extras,
                       struct error *err)
{
    const struct json *project = json_get(document, "project");
    const char *python = json_string(json_get(project, "requires-python"));
    CLEANUP_FREE char *where = xasprintf("%s: project.dependencies", shown);
    CLEANUP_FREE char *python_origin = xasprintf("%s: project.requires-python", shown);

    if ((python != NULL && pyproject_want_python(r, python, python_origin, err) < 0) ||
        add_list(r, document, json_get(project, "dependencies"), folder, where, err) <
            0 ||
        add_extras(r, document, shown, folder, extras, err) < 0 ||
        add_indexes(r, document, folder, shown, err) < 0) {
        return -1;
    }
    pyproject_import_from(r, folder);
    return 1;
}

int pyproject_expand(struct requirements *r, const char *folder, const char *extras,
                     const char *origin, struct error *err)
{
    CLEANUP_FREE char *shown = NULL;
    CLEANUP_FREE char *top = absolute(r, folder);
    bool has_setup =
        is_there(top, "setup.py", S_IFREG) || is_there(top, "setup.cfg", S_IFREG);
    struct error why = ERROR_INIT;
    CLEANUP_JSON struct json *document = pyproject_read(r, folder, &shown, &why);
    const struct json *project = json_get(document, "project");

    if (document == NULL && why.code != ERR_NOT_FOUND) {
        return error_copy(err, &why);
    }
    if (document == NULL && !has_setup) {
        error_set(err, ERR_CONFIG, "%s: %s is no Python project", origin,
                  folder[0] != '\0' ? folder : "the project's folder");
        return error_hint(err, "it has neither pyproject.toml nor setup.py");
    }
    if (!json_is_object(project) || is_dynamic(project, "dependencies") ||
        (extras[0] != '\0' && is_dynamic(project, "optional-dependencies"))) {
        return 0;
    }
    if (is_there(top, "poetry.lock", S_IFREG)) {
        strvec_pushf(&r->notes,
                     "%s: poetry.lock is not read; poetry export -o requirements.txt "
                     "writes its versions where they are",
                     shown);
    }
    return add_project(r, document, shown, folder, extras, err);
}

int pyproject_groups(struct requirements *r, const char *folder,
                     const struct strvec *groups, struct error *err)
{
    CLEANUP_FREE char *shown = NULL;
    CLEANUP_JSON struct json *document = NULL;

    if (groups->count == 0) {
        return 0;
    }
    document = pyproject_read(r, folder, &shown, err);
    if (document == NULL) {
        return -1;
    }
    for (size_t i = 0; i < groups->count; i++) {
        if (add_group(r, document, shown, folder, groups->items[i], 0, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int pyproject_script(struct requirements *r, const struct json *document,
                     const char *script, struct error *err)
{
    const char *python = json_string(json_get(document, "requires-python"));
    CLEANUP_FREE char *where = xasprintf("%s: dependencies", script);
    CLEANUP_FREE char *python_origin = xasprintf("%s: requires-python", script);
    CLEANUP_FREE char *folder = xstrdup(script);
    char *slash = strrchr(folder, '/');

    *(slash != NULL ? slash : folder) = '\0';
    if ((python != NULL && pyproject_want_python(r, python, python_origin, err) < 0) ||
        add_list(r, document, json_get(document, "dependencies"), folder, where, err) <
            0) {
        return -1;
    }
    return add_indexes(r, document, folder, script, err);
}
