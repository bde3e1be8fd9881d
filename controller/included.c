#include "controller/included.h"

#include <stdbool.h>
#include <string.h>

#include "common/mem.h"
#include "common/strbuf.h"

static bool is_component(const char *path, size_t length, const char *text)
{
    return strlen(text) == length && memcmp(path, text, length) == 0;
}

int included_add(struct strvec *paths, const char *path, struct error *err)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    const char *p = path;

    if (path[0] == '/') {
        return error_set(err, ERR_CONFIG,
                         "snapshot.include: %s: paths begin at the project's folder",
                         path);
    }
    while (*p != '\0') {
        size_t length = strcspn(p, "/");

        if (is_component(p, length, "..")) {
            return error_set(err, ERR_CONFIG, "snapshot.include: %s leaves the project",
                             path);
        }
        if (length > 0 && !is_component(p, length, ".")) {
            strbuf_printf(&clean, "%s%.*s", clean.length > 0 ? "/" : "", (int)length, p);
        }
        p += length + (p[length] == '/');
    }
    strvec_push(paths, clean.data);
    return 0;
}

enum included_relation included_relate(const struct strvec *paths, const char *path,
                                       const char **out_included)
{
    size_t length = paths->count > 0 ? strlen(path) : 0;
    enum included_relation found = INCLUDED_APART;

    for (size_t i = 0; i < paths->count && found < INCLUDED_IT; i++) {
        const char *include = paths->items[i];
        size_t include_length = strlen(include);
        size_t common = length < include_length ? length : include_length;

        if (memcmp(path, include, common) != 0) {
            continue;
        }
        if (length == include_length) {
            found = INCLUDED_IT;
        } else if (length > include_length &&
                   (include_length == 0 || path[include_length] == '/')) {
            found = INCLUDED_BELOW;
        } else if (length < include_length && (length == 0 || include[length] == '/')) {
            found = INCLUDED_ABOVE;
        } else {
            continue;
        }
        *out_included = include;
    }
    return found;
}
