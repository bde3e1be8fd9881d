/*
 * requirements_add: what one line of a requirement file asks for.            [controller]
 */
#define _GNU_SOURCE /* realpath */
#include "controller/requirements_inside.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/files.h"
#include "common/mem.h"
#include "common/pep440.h"
#include "controller/pyproject.h"

/* ---- what lies in the project ---- */

/* "file:///x", "file:x" or a path, absolute. The caller's, or NULL: err. */
static char *absolute_path(const char *folder, const char *path, struct error *err)
{
    if (strncmp(path, "file:", 5) == 0) {
        path += 5;
        if (strncmp(path, "//localhost/", 12) == 0) {
            path += 11;
        } else if (strncmp(path, "///", 3) == 0) {
            path += 2;
        } else if (strncmp(path, "//", 2) == 0) {
            error_set(err, ERR_CONFIG, "file:%s names another machine", path);
            return NULL;
        }
    }
    return path[0] == '/' ? xstrdup(path) : files_join(folder, path);
}

char *requirements_path(const struct requirements *r, const char *folder,
                        const char *path, bool *out_is_folder, struct error *err)
{
    CLEANUP_FREE char *absolute = absolute_path(folder, path, err);
    size_t length = strlen(r->project);
    struct stat st;

    if (absolute == NULL) {
        return NULL;
    }
    CLEANUP_FREE char *real = realpath(absolute, NULL);
    if (real == NULL || stat(real, &st) != 0) {
        error_sys(err, "look at %s", path);
        error_hint(err, "paths begin at %s", folder);
        return NULL;
    }
    if (strcmp(r->project, "/") == 0 || strncmp(real, r->project, length) != 0 ||
        (real[length] != '/' && real[length] != '\0')) {
        error_set(err, ERR_CONFIG, "%s is outside the project %s", path, r->project);
        error_hint(err, "only the project's folder is sent; put it in there");
        return NULL;
    }
    *out_is_folder = S_ISDIR(st.st_mode);
    return xstrdup(real + length + (real[length] == '/' ? 1 : 0));
}

/* ---- comparison with what was read ---- */

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Both name one version, and not the same; or two addresses. */
static bool contradicts(const struct requirement_seen *a,
                        const struct requirement_seen *b)
{
    if (strstr(a->specifiers, ":") != NULL && strstr(b->specifiers, ":") != NULL) {
        return !is_same_text(a->specifiers, b->specifiers);
    }
    return pep440_is_pinned(a->specifiers) && pep440_is_pinned(b->specifiers) &&
           !pep440_same(a->specifiers + strspn(a->specifiers, "="),
                        b->specifiers + strspn(b->specifiers, "="));
}

int requirements_see(struct requirements *r, const struct requirement_seen *seen,
                     struct error *err)
{
    for (size_t i = 0; seen->name != NULL && i < r->seen_count; i++) {
        const struct requirement_seen *other = &r->seen[i];

        if (other->name == NULL || !is_same_text(other->name, seen->name) ||
            !is_same_text(other->marker, seen->marker)) {
            continue;
        }
        if (contradicts(other, seen)) {
            return error_set(err, ERR_CONFIG, "%s%s%s contradicts %s, which has %s",
                             seen->name,
                             strstr(seen->specifiers, ":") != NULL ? " @ " : "",
                             seen->specifiers, other->origin, other->specifiers);
        }
        if (seen->is_constraint == other->is_constraint) {
            strvec_pushf(&r->notes, "%s: %s is there twice, also in %s", seen->origin,
                         seen->name, other->origin);
        }
    }
    r->seen = xrealloc(r->seen, r->seen_count + 1, sizeof(*r->seen));
    r->seen[r->seen_count++] = (struct requirement_seen){
        .name = seen->name != NULL ? xstrdup(seen->name) : NULL,
        .specifiers = xstrdup(seen->specifiers),
        .marker = xstrdup(seen->marker),
        .origin = xstrdup(seen->origin),
        .is_constraint = seen->is_constraint,
        .has_hash = seen->has_hash,
        .is_pinned = seen->is_pinned,
    };
    return 0;
}

/* ---- hashes ---- */

static const struct algorithm {
    const char *name;
    size_t digits;
} algorithms[] = {{"sha256", 64}, {"sha384", 96}, {"sha512", 128}};

static const struct algorithm *find_algorithm(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        if (strlen(algorithms[i].name) == length &&
            strncmp(name, algorithms[i].name, length) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

static int add_hash(const char *value, struct strvec *out, struct error *err)
{
    size_t length = strcspn(value, ":");
    const struct algorithm *algorithm = find_algorithm(value, length);
    CLEANUP_FREE char *digits = xstrdup(value + length + (value[length] == ':' ? 1 : 0));

    if (algorithm == NULL) {
        return error_set(err, ERR_CONFIG,
                         "--hash: \"%.20s\" is not sha256, sha384 or sha512", value);
    }
    for (char *c = digits; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    if (strlen(digits) != algorithm->digits ||
        strspn(digits, "0123456789abcdef") != algorithm->digits) {
        return error_set(err, ERR_CONFIG,
                         "--hash: %s has %zu hexadecimal digits, not %.40s",
                         algorithm->name, algorithm->digits, digits);
    }
    strvec_pushf(out, "--hash=%s:%s", algorithm->name, digits);
    return 0;
}

/* A requirement's own options: --hash=X, --hash X. */
static int read_hashes(const struct strvec *options, struct strvec *out,
                       struct error *err)
{
    for (size_t i = 0; i < options->count; i++) {
        const char *word = options->items[i];
        const char *value = NULL;

        if (strncmp(word, "--hash=", 7) == 0) {
            value = word + 7;
        } else if (strcmp(word, "--hash") == 0 && i + 1 < options->count) {
            value = options->items[++i];
        }
        if (value == NULL) {
            error_set(err, ERR_CONFIG, "a requirement knows no option %.60s", word);
            return error_hint(err, word[0] == '-'
                                       ? "options for all have lines of their own"
                                       : "a requirement has a line of its own");
        }
        if (add_hash(value, out, err) < 0) {
            return -1;
        }
    }
    strvec_sort_unique(out);
    return 0;
}

/* ---- what it is ---- */

static bool ends_like_archive(const char *path, size_t length)
{
    static const char *const ends[] = {".whl",     ".zip", ".tar.gz", ".tgz",
                                       ".tar.bz2", ".tbz", ".tar.xz", ".txz"};

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        size_t end = strlen(ends[i]);

        if (length > end && strncmp(path + length - end, ends[i], end) == 0) {
            return true;
        }
    }
    return false;
}

/* An address without a name: "https://...", "git+ssh://...", "file:...". */
static bool is_address(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789+.-");

    return strncmp(text, "file:", 5) == 0 ||
           (length > 0 && strncmp(text + length, "://", 3) == 0);
}

static bool is_path(const char *text)
{
    size_t length = strcspn(text, " \t;[<>=!~@");

    return text[0] == '.' || text[0] == '/' || memchr(text, '/', length) != NULL ||
           ends_like_archive(text, length);
}

/* Cut the marker off text: " ;" behind an address, ";" behind a path. */
static int cut_marker(char *text, bool is_behind_blank, struct strbuf *marker,
                      struct error *err)
{
    for (char *c = text; *c != '\0'; c++) {
        if (*c == ';' && (!is_behind_blank || (c > text && c[-1] == ' '))) {
            *c = '\0';
            if (pep508_marker(c + 1, marker, err) < 0) {
                return -1;
            }
            break;
        }
    }
    for (size_t length = strlen(text);
         length > 0 && isspace((unsigned char)text[length - 1]);) {
        text[--length] = '\0';
    }
    return 0;
}

/* Cut "[a,b]" off the end of a path. */
static int cut_extras(char *path, struct strbuf *extras, struct error *err)
{
    size_t length = strlen(path);
    char *open = strrchr(path, '[');

    if (open == NULL || path[length - 1] != ']') {
        return 0;
    }
    *open = '\0';
    return pep508_extras(open + 1, length - (size_t)(open - path) - 2, extras, err);
}

/* As the node will check it. */
static int check_line(const char *text, struct error *err)
{
    if (envspec_line_check(text, err) < 0) {
        err->code = ERR_CONFIG;
        return -1;
    }
    return 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static int add_local(struct requirements *r, const char *text, bool is_editable,
                     const struct requirement_place *place, struct error *err)
{
    CLEANUP_FREE char *path = xstrdup(text);
    CLEANUP_STRBUF struct strbuf marker = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf extras = STRBUF_INIT;
    bool is_folder = false;
    struct envspec_requirement *item;

    if (place->is_constraint) {
        return error_set(err, ERR_CONFIG, "%s: a constraint names a version", text);
    }
    if (cut_marker(path, false, &marker, err) < 0 ||
        (marker.length > 0 && check_line(marker.data, err) < 0) ||
        cut_extras(path, &extras, err) < 0) {
        return -1;
    }
    CLEANUP_FREE char *inside =
        requirements_path(r, place->folder, path, &is_folder, err);
    if (inside == NULL) {
        return -1;
    }
    if (!is_folder && !ends_like_archive(inside, strlen(inside))) {
        return error_set(err, ERR_CONFIG,
                         "%s is neither a wheel, an archive nor a folder", path);
    }
    if (!is_folder && check_line(last_part(inside), err) < 0) {
        return error_wrap(err, "the name of %s", path);
    }
    if (is_folder && is_editable && marker.length == 0) {
        int result = pyproject_expand(r, inside, extras.data, place->origin, err);

        if (result != 0) {
            return result < 0 ? -1 : 0;
        }
    }
    item = envspec_add_local(&r->spec->requirements, inside, extras.data, marker.data);
    item->is_folder = is_folder;
    item->is_editable = is_editable;
    return 0;
}

/* " --hash=..." of all, behind a line. */
static void put_hashes(const struct strvec *hashes, struct strbuf *out)
{
    for (size_t i = 0; i < hashes->count; i++) {
        strbuf_printf(out, " %s", hashes->items[i]);
    }
}

static int add_text(struct requirements *r, const struct strbuf *text,
                    const struct requirement_seen *seen, struct error *err)
{
    if (text->length > ENVSPEC_TEXT_MAX) {
        return error_set(err, ERR_LIMIT, "with its hashes it has more than %zu bytes",
                         ENVSPEC_TEXT_MAX);
    }
    if (check_line(text->data, err) < 0 || requirements_see(r, seen, err) < 0) {
        return -1;
    }
    envspec_add_line(seen->is_constraint ? &r->spec->constraints : &r->spec->requirements,
                     text->data);
    return 0;
}

static int add_address(struct requirements *r, const char *text,
                       const struct strvec *hashes, const struct requirement_place *place,
                       struct error *err)
{
    CLEANUP_FREE char *address = xstrdup(text);
    CLEANUP_STRBUF struct strbuf marker = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct requirement_seen seen = {.specifiers = address,
                                    .marker = marker.data,
                                    .origin = (char *)(uintptr_t)place->origin,
                                    .is_constraint = place->is_constraint,
                                    .has_hash = hashes->count > 0,
                                    .is_pinned = true};

    if (cut_marker(address, true, &marker, err) < 0) {
        return -1;
    }
    if (strpbrk(address, " \t") != NULL) {
        return error_set(err, ERR_CONFIG, "a blank stands in the address %.80s", address);
    }
    seen.marker = marker.data;
    strbuf_puts(&line, address);
    if (marker.length > 0) {
        strbuf_printf(&line, " ; %s", marker.data);
    }
    put_hashes(hashes, &line);
    return add_text(r, &line, &seen, err);
}

static int add_named(struct requirements *r, const char *text,
                     const struct strvec *hashes, const struct requirement_place *place,
                     struct error *err)
{
    CLEANUP_PEP508 struct pep508 requirement = {.name = NULL};
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;

    if (pep508_parse(text, &requirement, err) < 0) {
        return -1;
    }
    if (requirement.url != NULL && (strncmp(requirement.url, "file:", 5) == 0)) {
        CLEANUP_FREE char *local =
            xasprintf("%s%s%s%s", requirement.url, requirement.extras[0] ? "[" : "",
                      requirement.extras, requirement.extras[0] ? "]" : "");
        CLEANUP_FREE char *whole = requirement.marker[0] != '\0'
                                       ? xasprintf("%s ; %s", local, requirement.marker)
                                       : xstrdup(local);

        return add_local(r, whole, false, place, err);
    }
    if (place->is_constraint && requirement.extras[0] != '\0') {
        return error_set(err, ERR_CONFIG, "a constraint has no extras: %s[%s]",
                         requirement.name, requirement.extras);
    }
    pep508_write(&requirement, &line);
    put_hashes(hashes, &line);
    return add_text(r, &line,
                    &(struct requirement_seen){
                        .name = requirement.name,
                        .specifiers = requirement.url != NULL ? requirement.url
                                                              : requirement.specifiers,
                        .marker = requirement.marker,
                        .origin = (char *)(uintptr_t)place->origin,
                        .is_constraint = place->is_constraint,
                        .has_hash = hashes->count > 0,
                        .is_pinned = requirement.url != NULL ||
                                     pep440_is_pinned(requirement.specifiers)},
                    err);
}

static int add_one(struct requirements *r, const char *text, const struct strvec *options,
                   const struct requirement_place *place, struct error *err)
{
    CLEANUP_STRVEC struct strvec hashes = STRVEC_INIT;

    if (read_hashes(options, &hashes, err) < 0) {
        return -1;
    }
    if (is_address(text) && strncmp(text, "file:", 5) != 0) {
        return add_address(r, text, &hashes, place, err);
    }
    if (is_address(text) || is_path(text)) {
        return add_local(r, text, false, place, err);
    }
    return add_named(r, text, &hashes, place, err);
}

int requirements_add(struct requirements *r, const char *text,
                     const struct strvec *options, const struct requirement_place *place,
                     struct error *err)
{
    return add_one(r, text, options, place, err) < 0
               ? error_wrap(err, "%s", place->origin)
               : 0;
}

int requirements_add_editable(struct requirements *r, const char *text,
                              const struct requirement_place *place, struct error *err)
{
    CLEANUP_STRVEC struct strvec none = STRVEC_INIT;

    if (is_address(text) && strncmp(text, "file:", 5) != 0) {
        return add_address(r, text, &none, place, err);
    }
    return add_local(r, text, true, place, err);
}

/* ---- all together ---- */

/* With hashes, every requirement has one, and one version. Source: pip. */
static int check_hashes(struct requirements *r, struct error *err)
{
    const struct requirement_seen *hashed = NULL;

    for (size_t i = 0; i < r->seen_count; i++) {
        hashed = r->seen[i].has_hash ? &r->seen[i] : hashed;
    }
    if (hashed == NULL) {
        return 0;
    }
    for (size_t i = 0; i < r->seen_count; i++) {
        const struct requirement_seen *one = &r->seen[i];
        const char *name = one->name != NULL ? one->name : one->specifiers;

        if (one->is_constraint) {
            continue;
        }
        if (!one->has_hash) {
            error_set(err, ERR_CONFIG,
                      "%s: %s has no --hash, but %s has: with hashes every requirement "
                      "needs one",
                      one->origin, name, hashed->origin);
            return error_hint(err, "uv pip compile --generate-hashes writes them all");
        }
        if (!one->is_pinned) {
            return error_set(err, ERR_CONFIG,
                             "%s: %s has a --hash and no version; it needs one (==)",
                             one->origin, name);
        }
    }
    if (!strvec_contains(&r->spec->options, "--require-hashes")) {
        strvec_push(&r->spec->options, "--require-hashes");
    }
    return 0;
}

/* Whether a requirement, or a constraint of its name, names one version. */
static bool is_pinned(const struct requirements *r, const struct requirement_seen *one)
{
    if (one->is_pinned || one->has_hash) {
        return true;
    }
    for (size_t i = 0; one->name != NULL && i < r->seen_count; i++) {
        if (r->seen[i].is_constraint && r->seen[i].is_pinned && r->seen[i].name != NULL &&
            strcmp(r->seen[i].name, one->name) == 0) {
            return true;
        }
    }
    return false;
}

int requirements_finish(struct requirements *r, struct error *err)
{
    if (check_hashes(r, err) < 0) {
        return -1;
    }
    envspec_normalize(r->spec);
    r->pinned = 0;
    r->unpinned = 0;
    for (size_t i = 0; i < r->spec->requirements.count; i++) {
        r->pinned += r->spec->requirements.items[i].text == NULL;
    }
    for (size_t i = 0; i < r->seen_count; i++) {
        bool is_repeated = false;

        for (size_t k = 0; k < i && r->seen[i].name != NULL; k++) {
            is_repeated = is_repeated || (!r->seen[k].is_constraint && r->seen[k].name &&
                                          strcmp(r->seen[k].name, r->seen[i].name) == 0);
        }
        if (!r->seen[i].is_constraint && !is_repeated) {
            *(is_pinned(r, &r->seen[i]) ? &r->pinned : &r->unpinned) += 1;
        }
    }
    return 0;
}
