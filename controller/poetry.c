#include "controller/poetry.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/mem.h"
#include "common/strvec.h"

#define RELEASE_MAX 6 /* numbers of a version that count in a bound */
#define NUMBER_MAX 1000000000

/* ---- Constraints */

static int refuse(const char *text, struct error *err)
{
    return error_set(err, ERR_CONFIG, "\"%.80s\" is no version constraint of Poetry's",
                     text);
}

/* The numbers that a version begins with. False: with none, or with one too large. */
static bool read_release(const char *version, unsigned long out[RELEASE_MAX],
                         size_t *count)
{
    *count = 0;
    while (*count < RELEASE_MAX && isdigit((unsigned char)*version)) {
        char *end;
        out[*count] = strtoul(version, &end, 10);
        if (out[*count] > NUMBER_MAX) {
            return false;
        }
        *count += 1;
        if (*end != '.') {
            break;
        }
        version = end + 1;
    }
    return *count > 0;
}

/* The first version above all that "^" or "~" take: after the number at `last` was
 * counted up. */
static void add_bound(const char *version, const unsigned long release[RELEASE_MAX],
                      size_t last, struct strbuf *out)
{
    strbuf_printf(out, ">=%s,<", version);
    for (size_t i = 0; i < last; i++) {
        strbuf_printf(out, "%lu.", release[i]);
    }
    strbuf_printf(out, "%lu", release[last] + 1);
}

/* "^0.2.3" keeps its first number that is not 0, "~1.2.3" its first two. */
static bool add_range(char sign, const char *version, struct strbuf *out)
{
    unsigned long release[RELEASE_MAX];
    size_t count;
    size_t last = 0;
    if (!read_release(version, release, &count) || strchr(version, '*') != NULL) {
        return false;
    }
    if (sign == '~') {
        last = count > 1 ? 1 : 0;
    } else {
        while (last + 1 < count && release[last] == 0) {
            last++;
        }
    }
    add_bound(version, release, last, out);
    return true;
}

static bool add_clause(const char *sign, const char *version, struct strbuf *out)
{
    static const char *const same[] = {"==", ">=", "<=", "!=", "~=", ">", "<"};
    bool is_bare = sign[0] == '\0' || strcmp(sign, "=") == 0;
    version += version[0] == 'v' ? 1 : 0;
    if (is_bare && strcmp(version, "*") == 0) {
        return true;
    }
    if (!isdigit((unsigned char)version[0])) {
        return false;
    }
    if (out->length > 0) {
        strbuf_putc(out, ',');
    }
    if (strcmp(sign, "^") == 0 || strcmp(sign, "~") == 0) {
        return add_range(sign[0], version, out);
    }
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        if (strcmp(sign, same[i]) == 0) {
            strbuf_printf(out, "%s%s", sign, version);
            return true;
        }
    }
    strbuf_printf(out, "==%s", version);
    return is_bare;
}

int poetry_constraint(const char *text, struct strbuf *out, struct error *err)
{
    const char *at = text;
    if (strchr(text, '|') != NULL) {
        error_set(err, ERR_CONFIG,
                  "\"%.80s\" has alternatives, which other tools than Poetry do not know",
                  text);
        return error_hint(err, "name one range; or poetry export -o requirements.txt, "
                               "and environment: {requirements: requirements.txt}");
    }
    at += strspn(at, " ,");
    while (*at != '\0') {
        size_t length = strspn(at, "<>=!~^");
        CLEANUP_FREE char *sign = xstrndup(at, length);
        at += length + strspn(at + length, " ");
        length = strcspn(at, " ,");
        CLEANUP_FREE char *version = xstrndup(at, length);
        if (!add_clause(sign, version, out)) {
            return refuse(text, err);
        }
        at += length + strspn(at + length, " ,");
    }
    return 0;
}

/* ---- One dependency */

/* "python_version" of what names but "3.8", for which 3.8.10 is that one. */
static const char *python_variable(const char *version, size_t length)
{
    size_t dots = 0;
    for (size_t i = 0; i < length; i++) {
        dots += version[i] == '.';
    }
    return dots < 2 && memchr(version, '*', length) == NULL ? "python_version"
                                                            : "python_full_version";
}

/* "; python_version < '3.11' and (...)" of `python` and `markers`. */
static int add_marker(const struct json *entry, struct strbuf *out, struct error *err)
{
    const char *python = json_string(json_get(entry, "python"));
    const char *markers = json_string(json_get(entry, "markers"));
    CLEANUP_STRBUF struct strbuf range = STRBUF_INIT;
    const char *between = " ; ";
    if (python != NULL && poetry_constraint(python, &range, err) < 0) {
        return -1;
    }
    for (const char *at = range.data; *at != '\0';) {
        size_t sign = strspn(at, "<>=!~");
        size_t length = strcspn(at, ",");
        strbuf_printf(out, "%s%s %.*s '%.*s'", between,
                      python_variable(at + sign, length - sign), (int)sign, at,
                      (int)(length - sign), at + sign);
        between = " and ";
        at += length + (at[length] == ',' ? 1 : 0);
    }
    if (markers != NULL) {
        strbuf_printf(out, "%s(%s)", between, markers);
    }
    return 0;
}

static void add_extras(const struct json *entry, struct strbuf *out)
{
    const char *between = "[";
    const struct json *extras = json_get(entry, "extras");
    for (const struct json *one = json_first(extras); one != NULL; one = json_next(one)) {
        if (json_is_string(one)) {
            strbuf_printf(out, "%s%s", between, json_string(one));
            between = ",";
        }
    }
    strbuf_puts(out, between[0] == ',' ? "]" : "");
}

/* A package's entry, a constraint or a table, as the standard writes it. */
static int add_requirement(struct json *list, const char *name, const struct json *entry,
                           const char *shown, struct error *err)
{
    const char *version =
        json_string(json_is_string(entry) ? entry : json_get(entry, "version"));
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf range = STRBUF_INIT;
    if (!json_is_string(entry) && !json_is_object(entry)) {
        return error_set(err, ERR_CONFIG,
                         "%s: tool.poetry: %.60s is neither a version "
                         "constraint nor a table",
                         shown, name);
    }
    strbuf_puts(&text, name);
    add_extras(entry, &text);
    if ((version != NULL && poetry_constraint(version, &range, err) < 0) ||
        (strbuf_puts(&text, range.data), add_marker(entry, &text, err)) < 0) {
        return error_wrap(err, "%s: tool.poetry: %.60s", shown, name);
    }
    json_append(list, json_new_string(text.data));
    return 0;
}

/* One package may have an entry for each Python. */
static int add_package(struct json *list, const struct json *package, const char *shown,
                       struct error *err)
{
    const char *name = json_key(package);
    if (!json_is_array(package)) {
        return add_requirement(list, name, package, shown, err);
    }
    for (const struct json *one = json_first(package); one != NULL;
         one = json_next(one)) {
        if (add_requirement(list, name, one, shown, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- Tables */

static bool is_optional(const struct json *package)
{
    return json_is_object(package) && json_bool(json_get(package, "optional"));
}

/* All of a table but Python itself and what only an extra brings. */
static int add_table(struct json *list, const struct json *table, const char *shown,
                     struct error *err)
{
    for (const struct json *one = json_is_object(table) ? json_first(table) : NULL;
         one != NULL; one = json_next(one)) {
        if (strcmp(json_key(one), "python") != 0 && !is_optional(one) &&
            add_package(list, one, shown, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* An extra names packages of the main table. */
static int add_extra(struct json *list, const struct json *names,
                     const struct json *packages, const char *shown, struct error *err)
{
    for (const struct json *one = json_is_array(names) ? json_first(names) : NULL;
         one != NULL; one = json_next(one)) {
        const struct json *package =
            json_is_string(one) ? json_get(packages, json_string(one)) : NULL;
        if (package == NULL) {
            return error_set(err, ERR_CONFIG,
                             "%s: tool.poetry.extras.%.60s: an item is none of "
                             "tool.poetry.dependencies",
                             shown, json_key(names));
        }
        if (add_package(list, package, shown, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_project(struct json *document, const struct json *tables,
                       const char *shown, struct error *err)
{
    const struct json *packages = json_get(tables, "dependencies");
    const struct json *extras = json_get(tables, "extras");
    const char *python = json_string(json_get(packages, "python"));
    struct json *project = json_add(document, "project", json_new_object());
    struct json *list = json_add(project, "dependencies", json_new_array());
    struct json *optional = json_add(project, "optional-dependencies", json_new_object());
    CLEANUP_STRBUF struct strbuf range = STRBUF_INIT;
    if (python != NULL && poetry_constraint(python, &range, err) < 0) {
        return error_wrap(err, "%s: tool.poetry: python", shown);
    }
    if (range.length > 0) {
        json_add_string(project, "requires-python", range.data);
    }
    for (const struct json *one = json_is_object(extras) ? json_first(extras) : NULL;
         one != NULL; one = json_next(one)) {
        struct json *extra = json_add(optional, json_key(one), json_new_array());
        if (add_extra(extra, one, packages, shown, err) < 0) {
            return -1;
        }
    }
    return add_table(list, packages, shown, err);
}

/* Those of today and Poetry's older dev-dependencies. */
static int add_groups(struct json *document, const struct json *tables, const char *shown,
                      struct error *err)
{
    const struct json *groups = json_get(tables, "group");
    const struct json *dev = json_get(tables, "dev-dependencies");
    struct json *out = json_add(document, "dependency-groups", json_new_object());
    if (dev != NULL &&
        add_table(json_add(out, "dev", json_new_array()), dev, shown, err) < 0) {
        return -1;
    }
    for (const struct json *one = json_is_object(groups) ? json_first(groups) : NULL;
         one != NULL; one = json_next(one)) {
        struct json *list = json_add(out, json_key(one), json_new_array());
        if (add_table(list, json_get(one, "dependencies"), shown, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int poetry_standardise(struct json *document, const char *shown, struct error *err)
{
    const struct json *tables = json_get(json_get(document, "tool"), "poetry");
    if (!json_is_object(tables) || json_get(document, "project") != NULL ||
        json_get(document, "dependency-groups") != NULL ||
        json_get(tables, "build") != NULL) {
        return 0;
    }
    return add_project(document, tables, shown, err) < 0
               ? -1
               : add_groups(document, tables, shown, err);
}
