/*
 * envplan_conda: conda's environment files, and the original's conda_dependencies.yml.
 *                                                                            [controller]
 *
 * One that names Python and packages of PyPI alone needs no conda, unless one is wished
 * for as its builder.
 */
#include "controller/envplan_inside.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/files.h"
#include "common/mem.h"
#include "controller/pyproject.h"
#include "controller/yaml.h"

#define CLEANUP_YAML __attribute__((cleanup(yaml_node_cleanup)))

struct conda_file {
    struct envplan *plan;
    char *shown, *folder;
    struct yaml_node *root;
};

static void conda_file_release(struct conda_file *f)
{
    free(f->shown);
    free(f->folder);
    yaml_node_free(f->root);
}

static int open_file(struct envplan *plan, const char *path, struct conda_file *out,
                     struct error *err)
{
    size_t length = strlen(plan->project);
    char *slash;

    *out = (struct conda_file){.plan = plan, .folder = xstrdup(path)};
    out->shown = xstrdup(strncmp(path, plan->project, length) == 0 && path[length] == '/'
                             ? path + length + 1
                             : path);
    slash = strrchr(out->folder, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    out->root = yaml_read(path, out->shown, err);
    return out->root != NULL ? 0 : -1;
}

static const struct yaml_node *member(const struct yaml_node *map, const char *key)
{
    for (const struct yaml_node *item = map->kind == YAML_MAP ? map->first : NULL;
         item != NULL; item = item->next) {
        if (strcmp(item->key, key) == 0) {
            return item;
        }
    }
    return NULL;
}

static int refuse(const struct conda_file *f, const struct yaml_node *node,
                  const char *why, struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s:%u: %s", f->shown, node->line, why);
}

static int check_keys(const struct conda_file *f, struct error *err)
{
    static const char *const known[] = {"name",   "channels",  "dependencies",
                                        "prefix", "variables", "platforms"};

    for (const struct yaml_node *item = f->root->first; item != NULL; item = item->next) {
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            is_known = is_known || (item->key && strcmp(item->key, known[i]) == 0);
        }
        if (!is_known) {
            const char *nearest =
                item->key ? cli_nearest(item->key, known, ARRAY_SIZE(known)) : NULL;

            error_set(err, ERR_CONFIG, "%s:%u: a conda file has no key \"%.60s\"",
                      f->shown, item->line, item->key ? item->key : "");
            return nearest != NULL ? error_hint(err, "did you mean %s?", nearest) : -1;
        }
    }
    return 0;
}

/* ---- one spec ---- */

static bool is_blank(char c)
{
    return isspace((unsigned char)c) != 0;
}

static void put_lower(struct strbuf *out, char c)
{
    strbuf_printf(out, "%c", tolower((unsigned char)c));
}

/* A spec with single blanks, its name in small letters; the rest is conda's own grammar.
 */
static void tidy(const char *text, struct strbuf *out)
{
    while (is_blank(*text)) {
        text++;
    }
    for (; *text != '\0' && strchr("=<>!~ [", *text) == NULL; text++) {
        put_lower(out, *text);
    }
    for (; *text != '\0'; text++) {
        if (!is_blank(*text)) {
            strbuf_putc(out, *text);
        } else if (text[1] != '\0' && !is_blank(text[1])) {
            strbuf_putc(out, ' ');
        }
    }
}

/* What follows the name where the spec is of that name ("" where nothing does); else
 * NULL.
 */
static const char *version_of(const char *spec, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(spec, name, length) != 0 ||
        (spec[length] != '\0' && strchr("=<>!~ ", spec[length]) == NULL)) {
        return NULL;
    }
    return spec + length + strspn(spec + length, " ");
}

/* conda's "=3.6.2" and "3.6.2" as PEP 440 has them; a build behind a second = goes. */
static char *python_specifiers(const char *version)
{
    CLEANUP_FREE char *text = xstrdup(version);
    char *build;
    char *at = text;

    if (at[0] == '=' && at[1] != '=') {
        at++;
        at += strspn(at, " ");
        build = strchr(at, '=');
        if (build != NULL) {
            *build = '\0';
        }
        if (strpbrk(at, "*<>!~,") == NULL) {
            return xasprintf("==%s.*", at);
        }
        return xasprintf("==%s", at);
    }
    if (at[0] == '=' && at[1] == '=') {
        build = strchr(at + 2, '=');
        if (build != NULL) {
            *build = '\0';
        }
    }
    return xstrdup(at);
}

static int take_spec(struct conda_file *f, const struct yaml_node *item,
                     struct strvec *specs, struct error *err)
{
    CLEANUP_STRBUF struct strbuf spec = STRBUF_INIT;

    if (item->is_null || item->text[0] == '\0') {
        strvec_pushf(&f->plan->requirements.notes, "%s:%u: an item that says nothing",
                     f->shown, item->line);
        return 0;
    }
    tidy(item->text, &spec);
    if (spec.data[0] == '-' || spec.data[0] == '#' || spec.length > 4096) {
        return refuse(f, item, "this is no conda package", err);
    }
    for (const char *c = spec.data; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return refuse(f, item, "a control character stands in it", err);
        }
    }
    strvec_push(specs, spec.data);
    return 0;
}

static int take_pip(struct conda_file *f, const struct yaml_node *list, struct error *err)
{
    if (list->kind != YAML_LIST) {
        return list->kind == YAML_SCALAR && list->is_null
                   ? 0
                   : refuse(f, list, "pip: is a list of requirements", err);
    }
    for (const struct yaml_node *item = list->first; item != NULL; item = item->next) {
        CLEANUP_FREE char *origin = xasprintf("%s:%u", f->shown, item->line);

        if (item->kind != YAML_SCALAR) {
            return refuse(f, item, "pip: is a list of requirements", err);
        }
        if (!item->is_null && requirements_line(&f->plan->requirements, item->text,
                                                f->folder, origin, false, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int take_dependencies(struct conda_file *f, struct strvec *specs,
                             struct error *err)
{
    const struct yaml_node *list = member(f->root, "dependencies");

    if (list == NULL || list->kind != YAML_LIST) {
        return error_set(err, ERR_CONFIG, "%s: it has no list of dependencies", f->shown);
    }
    for (const struct yaml_node *item = list->first; item != NULL; item = item->next) {
        int result;

        if (item->kind == YAML_SCALAR) {
            result = take_spec(f, item, specs, err);
        } else if (item->kind == YAML_MAP && item->count == 1 &&
                   strcmp(item->first->key, "pip") == 0) {
            result = take_pip(f, item->first, err);
        } else {
            result = refuse(f, item, "a dependency is a text, or a list under pip:", err);
        }
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the file ---- */

static bool is_of_pypi_too(const char *spec)
{
    static const char *const names[] = {"python", "pip", "setuptools", "wheel"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (version_of(spec, names[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static int take_channels(struct conda_file *f, struct error *err)
{
    const struct yaml_node *list = member(f->root, "channels");
    struct strvec *channels = &f->plan->requirements.spec->channels;

    for (const struct yaml_node *item = list != NULL ? list->first : NULL; item != NULL;
         item = item->next) {
        if (item->kind != YAML_SCALAR || item->text[0] == '\0' || item->text[0] == '-' ||
            strpbrk(item->text, " \t\r\n") != NULL) {
            return refuse(f, item, "this is no channel", err);
        }
        CLEANUP_STRBUF struct strbuf channel = STRBUF_INIT;
        if (requirements_channel(&f->plan->requirements, item->text, &channel, err) < 0) {
            return error_wrap(err, "%s:%u", f->shown, item->line);
        }
        if (!strvec_contains(channels, channel.data)) {
            strvec_push(channels, channel.data);
        }
    }
    return 0;
}

static int take_python(struct conda_file *f, const struct strvec *specs,
                       struct error *err)
{
    for (size_t i = 0; i < specs->count; i++) {
        const char *version = version_of(specs->items[i], "python");

        if (version != NULL && version[0] != '\0') {
            CLEANUP_FREE char *specifiers = python_specifiers(version);

            if (pyproject_want_python(&f->plan->requirements, specifiers, f->shown, err) <
                0) {
                return -1;
            }
        }
    }
    return 0;
}

int envplan_conda(struct envplan *plan, const char *path, bool wants_conda,
                  struct error *err)
{
    CLEANUP(conda_file_release) struct conda_file f;
    CLEANUP_STRVEC struct strvec specs = STRVEC_INIT;
    struct envspec *spec = plan->requirements.spec;
    bool needs_conda = wants_conda;

    if (open_file(plan, path, &f, err) < 0 || check_keys(&f, err) < 0 ||
        take_dependencies(&f, &specs, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < specs.count; i++) {
        needs_conda = needs_conda || !is_of_pypi_too(specs.items[i]);
    }
    if (!needs_conda) {
        return take_python(&f, &specs, err);
    }
    spec->kind = ENVSPEC_CONDA;
    for (size_t i = 0; i < specs.count; i++) {
        strvec_push(&spec->conda, specs.items[i]);
    }
    return take_channels(&f, err);
}

int envplan_conda_variables(struct envplan *plan, const char *path, struct error *err)
{
    CLEANUP(conda_file_release) struct conda_file f;
    const struct yaml_node *map;

    if (open_file(plan, path, &f, err) < 0) {
        return -1;
    }
    map = member(f.root, "variables");
    for (const struct yaml_node *item = map != NULL ? map->first : NULL; item != NULL;
         item = item->next) {
        if (item->kind != YAML_SCALAR || item->key == NULL || item->key[0] == '\0') {
            return refuse(&f, item, "variables: is a map of names to texts", err);
        }
        strvec_pushf(&plan->variables, "%s=%s", item->key, item->text);
    }
    return 0;
}
