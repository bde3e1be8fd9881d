/*
 * requirements_options: lines of requirement files that begin with an option.
 * [controller]
 */
#include "controller/requirements_inside.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cli.h"
#include "common/files.h"
#include "common/mem.h"

struct option;

typedef int taker(struct requirements *r, const struct option *option, const char *value,
                  const struct requirement_place *place, struct error *err);

struct option {
    const char *name;
    char letter; /* or NUL */
    bool has_value;
    taker *take;
};

static taker take_plain, take_index, take_binary, take_links, take_file, take_constraints,
    take_editable, take_nothing, take_no_wheel;

static const struct option options[] = {
    {"--requirement", 'r', true, take_file},
    {"--constraint", 'c', true, take_constraints},
    {"--editable", 'e', true, take_editable},
    {"--index-url", 'i', true, take_index},
    {"--pypi-url", '\0', true, take_index},
    {"--extra-index-url", '\0', true, take_plain},
    {"--find-links", 'f', true, take_links},
    {"--no-index", '\0', false, take_plain},
    {"--pre", '\0', false, take_plain},
    {"--only-binary", '\0', true, take_binary},
    {"--no-binary", '\0', true, take_binary},
    {"--prefer-binary", '\0', false, take_plain},
    {"--require-hashes", '\0', false, take_plain},
    {"--trusted-host", '\0', true, take_plain},
    /* These change nothing about what is installed. */
    {"--use-feature", '\0', true, take_nothing},
    {"--always-unzip", 'Z', false, take_nothing},
    {"--use-wheel", '\0', false, take_nothing},
    {"--no-use-wheel", '\0', false, take_no_wheel},
};

/* ---- what they do ---- */

static void add_once(struct strvec *list, const char *text)
{
    if (!strvec_contains(list, text)) {
        strvec_push(list, text);
    }
}

static int add_option(struct requirements *r, const char *name, const char *value,
                      struct error *err)
{
    CLEANUP_FREE char *text =
        value != NULL ? xasprintf("%s %s", name, value) : xstrdup(name);

    if (envspec_option_check(text, err) < 0) {
        err->code = ERR_CONFIG;
        return -1;
    }
    add_once(&r->spec->options, text);
    return 0;
}

static int take_plain(struct requirements *r, const struct option *option,
                      const char *value, const struct requirement_place *place,
                      struct error *err)
{
    (void)place;
    return add_option(r, option->name, value, err);
}

static int take_nothing(struct requirements *r, const struct option *option,
                        const char *value, const struct requirement_place *place,
                        struct error *err)
{
    (void)r;
    (void)option;
    (void)value;
    (void)place;
    (void)err;
    return 0;
}

static int take_no_wheel(struct requirements *r, const struct option *option,
                         const char *value, const struct requirement_place *place,
                         struct error *err)
{
    (void)option;
    (void)value;
    (void)place;
    return add_option(r, "--no-binary", ":all:", err);
}

/* Of several the last counts. */
static int take_index(struct requirements *r, const struct option *option,
                      const char *value, const struct requirement_place *place,
                      struct error *err)
{
    static const char name[] = "--index-url ";

    (void)option;
    (void)place;
    if (strstr(value, "://") == NULL) {
        return error_set(err, ERR_CONFIG, "%s%s: an index is an address (https://...)",
                         name, value);
    }
    for (size_t i = r->spec->options.count; i-- > 0;) {
        if (strncmp(r->spec->options.items[i], name, strlen(name)) == 0) {
            strvec_remove(&r->spec->options, i);
        }
    }
    return add_option(r, "--index-url", value, err);
}

/* ":all:", ":none:" or names, one option each. */
static int take_binary(struct requirements *r, const struct option *option,
                       const char *value, const struct requirement_place *place,
                       struct error *err)
{
    (void)place;
    for (;;) {
        size_t length = strcspn(value, ",");
        CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;

        if (value[0] == ':') {
            strbuf_printf(&name, "%.*s", (int)length, value);
            if (strcmp(name.data, ":all:") != 0 && strcmp(name.data, ":none:") != 0) {
                return error_set(err, ERR_CONFIG,
                                 "%s: %s is neither :all: nor :none:", option->name,
                                 name.data);
            }
        } else if (pep508_name(value, length, &name, err) < 0) {
            return error_wrap(err, "%s", option->name);
        }
        if (add_option(r, option->name, name.data, err) < 0) {
            return -1;
        }
        if (value[length] == '\0') {
            return 0;
        }
        value += length + 1;
    }
}

/* An address, or a folder of the project, which is sent. */
static int take_links(struct requirements *r, const struct option *option,
                      const char *value, const struct requirement_place *place,
                      struct error *err)
{
    bool is_folder = false;

    if (strstr(value, "://") != NULL && strncmp(value, "file:", 5) != 0) {
        return add_option(r, option->name, value, err);
    }
    CLEANUP_FREE char *path = requirements_path(r, place->folder, value, &is_folder, err);
    if (path == NULL) {
        return -1;
    }
    if (!is_folder) {
        return error_set(err, ERR_CONFIG, "--find-links %s: it is no folder", value);
    }
    envspec_add_local(&r->spec->find_links, path, "", "")->is_folder = true;
    return 0;
}

static int include(struct requirements *r, const char *value, bool is_constraints,
                   const struct requirement_place *place, struct error *err)
{
    CLEANUP_FREE char *path =
        value[0] == '/' ? xstrdup(value) : files_join(place->folder, value);
    struct stat st;

    if (strstr(value, "://") != NULL) {
        error_set(err, ERR_CONFIG, "%s: %s: a list at an address is not read",
                  place->origin, value);
        return error_hint(err, "download it into the project");
    }
    if (stat(path, &st) != 0) {
        error_sys(err, "%s: read %s", place->origin, value);
        return err->code == ERR_NOT_FOUND
                   ? error_hint(err, "paths begin at the file's own folder, %s",
                                place->folder)
                   : -1;
    }
    return requirements_file(r, path, is_constraints, err);
}

static int take_file(struct requirements *r, const struct option *option,
                     const char *value, const struct requirement_place *place,
                     struct error *err)
{
    (void)option;
    return include(r, value, place->is_constraint, place, err);
}

static int take_constraints(struct requirements *r, const struct option *option,
                            const char *value, const struct requirement_place *place,
                            struct error *err)
{
    (void)option;
    return include(r, value, true, place, err);
}

static int take_editable(struct requirements *r, const struct option *option,
                         const char *value, const struct requirement_place *place,
                         struct error *err)
{
    (void)option;
    return requirements_add_editable(r, value, place, err);
}

/* ---- which one it is ---- */

static int unknown_option(const char *word, struct error *err)
{
    const char *names[ARRAY_SIZE(options)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        names[i] = options[i].name;
    }
    nearest = cli_nearest(word, names, ARRAY_SIZE(options));
    error_set(err, ERR_CONFIG, "requirement files know no option %.60s", word);
    return nearest != NULL ? error_hint(err, "did you mean %s?", nearest) : -1;
}

/* "--name", "--name=value", "-rvalue": the row, and where a value begins in word, or
 * NULL.
 */
static const struct option *find_option(const char *word, const char **value)
{
    *value = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        size_t length = strlen(options[i].name);

        if (strncmp(word, options[i].name, length) == 0 &&
            (word[length] == '\0' || word[length] == '=')) {
            *value = word[length] == '=' ? word + length + 1 : NULL;
            return &options[i];
        }
        if (options[i].letter != '\0' && word[1] == options[i].letter) {
            *value = word[2] != '\0' ? word + 2 + (word[2] == '=' ? 1 : 0) : NULL;
            return &options[i];
        }
    }
    return NULL;
}

/* Only what is said of this line gets its origin: an included file says its own. */
static int take(struct requirements *r, const struct option *option, const char *value,
                const struct requirement_place *place, struct error *err)
{
    int result = option->take(r, option, value, place, err);
    bool has_origin = option->take == take_file || option->take == take_constraints;

    return result < 0 && !has_origin ? error_wrap(err, "%s", place->origin) : result;
}

int requirements_options(struct requirements *r, const struct strvec *words,
                         const struct requirement_place *place, struct error *err)
{
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];
        const char *value;
        const struct option *option;

        if (word[0] != '-') {
            error_set(err, ERR_CONFIG, "%s: \"%.60s\" stands behind an option",
                      place->origin, word);
            return error_hint(err, "a requirement has a line of its own");
        }
        option = find_option(word, &value);
        if (option == NULL) {
            unknown_option(word, err);
            return error_wrap(err, "%s", place->origin);
        }
        if (option->has_value && value == NULL && i + 1 < words->count) {
            value = words->items[++i];
        }
        if (option->has_value != (value != NULL && value[0] != '\0')) {
            return error_set(err, ERR_CONFIG, "%s: %s %s", place->origin, option->name,
                             option->has_value ? "needs a value" : "takes no value");
        }
        if (take(r, option, value, place, err) < 0) {
            return -1;
        }
    }
    return 0;
}
