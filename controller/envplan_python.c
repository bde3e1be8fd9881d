/*
 * envplan_python: a script's own header (PEP 723), and uv.lock.            [controller]
 */
#include "controller/envplan_inside.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/files.h"
#include "common/mem.h"
#include "controller/envwish.h"
#include "controller/pyproject.h"
#include "controller/toml.h"

#define SCRIPT_MAX ((size_t)8 << 20)
#define BEGIN "# /// script"
#define END "# ///"

/* ---- PEP 723 ---- */

/* The length of the line at text, without its end; *next is behind it. */
static size_t line_length(const char *text, const char **next)
{
    size_t length = strcspn(text, "\n");

    *next = text + length + (text[length] == '\n' ? 1 : 0);
    return length > 0 && text[length - 1] == '\r' ? length - 1 : length;
}

static bool is_line(const char *text, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(text, wanted, length) == 0;
}

/* Of a header: "#" alone, or "# ...". */
static bool is_comment(const char *text, size_t length)
{
    return length >= 1 && text[0] == '#' && (length == 1 || text[1] == ' ');
}

/* From behind the first line to the last END of the comment block; NULL: there is none.
 */
static const char *header_end(const char *text)
{
    const char *end = NULL;

    while (*text != '\0') {
        const char *next;
        size_t length = line_length(text, &next);

        if (!is_comment(text, length)) {
            break;
        }
        if (is_line(text, length, END)) {
            end = text;
        }
        text = next;
    }
    return end;
}

/* The block's lines without their comment marks, in the lines that they have. */
static void put_header(const char *text, const char *end, unsigned lines_before,
                       struct strbuf *out)
{
    for (unsigned i = 0; i < lines_before; i++) {
        strbuf_putc(out, '\n');
    }
    while (text < end) {
        const char *next;
        size_t length = line_length(text, &next);
        size_t mark = length > 1 ? 2 : 1;

        strbuf_printf(out, "%.*s\n", (int)(length - mark), text + mark);
        text = next;
    }
}

int envplan_header(const char *path, const char *shown, struct strbuf *out,
                   struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *next;
    unsigned number = 0;
    bool has_one = false;

    text.limit_bytes = SCRIPT_MAX;
    if (files_read(AT_FDCWD, path, &text, err) < 0) {
        return -1;
    }
    for (const char *line = text.data; *line != '\0'; line = next) {
        size_t length = line_length(line, &next);
        const char *end;

        number++;
        if (!is_line(line, length, BEGIN)) {
            continue;
        }
        end = header_end(next);
        if (end == NULL) {
            error_set(err, ERR_CONFIG, "%s:%u: the header is not closed", shown, number);
            return error_hint(err, "it ends with a line \"" END "\"");
        }
        if (has_one) {
            return error_set(err, ERR_CONFIG, "%s:%u: a second header", shown, number);
        }
        put_header(next, end, number, out);
        has_one = true;
    }
    return has_one ? 1 : 0;
}

int envplan_script(struct envplan *plan, struct error *err)
{
    CLEANUP_STRBUF struct strbuf header = STRBUF_INIT;
    CLEANUP_JSON struct json *document = NULL;
    const char *script = plan->script != NULL ? plan->script : "";
    CLEANUP_FREE char *path = files_join(plan->project, script);
    int has_header;

    if (plan->script == NULL) {
        return error_set(err, ERR_CONFIG,
                         "script: a plain command has no header to read");
    }
    has_header = envplan_header(path, script, &header, err);
    if (has_header <= 0) {
        return has_header < 0
                   ? -1
                   : error_set(err, ERR_CONFIG, "%s has no header (" BEGIN ", PEP 723)",
                               script);
    }
    document = toml_parse(script, header.data, header.length, err);
    return document != NULL ? pyproject_script(&plan->requirements, document, script, err)
                            : -1;
}

/* ---- uv.lock ---- */

/* Where uv takes a package from; one that lies in the project is imported from there. */
static int take_member(struct envplan *plan, const struct json *package,
                       const char *project, const char *shown, struct error *err)
{
    const struct json *source = json_get(package, "source");
    const char *place = json_string(json_get(source, "editable"));
    const char *other = json_string(json_get(source, "directory"));

    place = place != NULL ? place : json_string(json_get(source, "virtual"));
    other = other != NULL ? other : json_string(json_get(source, "path"));
    if (other != NULL) {
        const char *name = json_string(json_get(package, "name"));

        error_set(err, ERR_CONFIG, "%s: %s comes from %s, which a lock does not carry",
                  shown, name != NULL ? name : "a package", other);
        return error_hint(err, "say environment: {pyproject: .} instead");
    }
    if (place == NULL) {
        return 0;
    }
    CLEANUP_FREE char *top = files_join(plan->project, project);
    CLEANUP_FREE char *path = files_join(project[0] != '\0' ? top : plan->project, place);
    CLEANUP_FREE char *inside = envplan_inside(plan, path, err);
    if (inside == NULL) {
        return error_wrap(err, "%s", shown);
    }
    CLEANUP_FREE char *file = inside[0] != '\0' ? files_join(inside, "pyproject.toml")
                                                : xstrdup("pyproject.toml");
    envspec_add_lock_file(plan->requirements.spec, file, &(struct oid){{0}});
    pyproject_import_from(&plan->requirements, inside);
    return 0;
}

static void add_names(const struct json *list, struct strvec *out)
{
    for (const struct json *item = json_first(list); item != NULL;
         item = json_next(item)) {
        strvec_push(out, json_string(item));
    }
}

static int take_packages(struct envplan *plan, const struct json *document,
                         const char *project, const char *shown, struct error *err)
{
    const char *python = json_string(json_get(document, "requires-python"));
    const struct json *packages = json_get(document, "package");

    if (python != NULL &&
        pyproject_want_python(&plan->requirements, python, shown, err) < 0) {
        return -1;
    }
    for (const struct json *package = json_first(packages); package != NULL;
         package = json_next(package)) {
        if (take_member(plan, package, project, shown, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int envplan_lock(struct envplan *plan, const struct json *layer, const char *path,
                 struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *inside = envplan_inside(plan, path, err);
    CLEANUP_JSON struct json *document = NULL;
    struct envspec *spec = plan->requirements.spec;
    char *slash;

    text.limit_bytes = TOML_SIZE_MAX;
    if (inside == NULL || files_read(AT_FDCWD, path, &text, err) < 0) {
        return -1;
    }
    document = toml_parse(inside, text.data, text.length, err);
    if (document == NULL) {
        return -1;
    }
    free(spec->lock_project);
    spec->kind = ENVSPEC_LOCK;
    spec->lock_project = xstrdup(inside);
    slash = strrchr(spec->lock_project, '/');
    *(slash != NULL ? slash : spec->lock_project) = '\0';
    envspec_add_lock_file(spec, inside, &(struct oid){{0}});
    CLEANUP_FREE char *project_file =
        spec->lock_project[0] != '\0' ? files_join(spec->lock_project, "pyproject.toml")
                                      : xstrdup("pyproject.toml");
    envspec_add_lock_file(spec, project_file, &(struct oid){{0}});
    add_names(json_get(layer, "groups"), &spec->lock_groups);
    add_names(json_get(layer, "extras"), &spec->lock_extras);
    return take_packages(plan, document, spec->lock_project, inside, err);
}
