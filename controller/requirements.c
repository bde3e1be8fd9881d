#define _GNU_SOURCE /* realpath */
#include "controller/requirements.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/files.h"
#include "common/mem.h"
#include "controller/requirements_inside.h"

int requirements_init(struct requirements *r, const char *project,
                      const struct strvec *variables, const struct strvec *secrets,
                      struct envspec *spec, struct error *err)
{
    *r = (struct requirements){.variables = variables, .secrets = secrets, .spec = spec};
    r->project = realpath(project, NULL);
    return r->project != NULL ? 0 : error_sys(err, "find the project %s", project);
}

void requirements_release(struct requirements *r)
{
    for (size_t i = 0; i < r->credentials.count; i++) {
        mem_wipe(r->credentials.items[i], strlen(r->credentials.items[i]));
    }
    for (size_t i = 0; i < r->seen_count; i++) {
        free(r->seen[i].name);
        free(r->seen[i].specifiers);
        free(r->seen[i].marker);
        free(r->seen[i].origin);
    }
    free(r->seen);
    free(r->project);
    strvec_release(&r->credentials);
    strvec_release(&r->notes);
    strvec_release(&r->open);
    *r = (struct requirements){.project = NULL};
}

char *requirements_shown(const struct requirements *r, const char *path)
{
    size_t length = strlen(r->project);

    if (strncmp(path, r->project, length) == 0 && path[length] == '/') {
        return xstrdup(path + length + 1);
    }
    return xstrdup(path);
}

/* ---- a line's words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

/* Split as a shell does: blanks, quotes, backslashes. Errors: ERR_CONFIG. */
static int split_words(const char *text, struct strvec *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf word = STRBUF_INIT;
    char quote = '\0';
    bool has_word = false;

    for (; *text != '\0'; text++) {
        if (quote == '\0' && is_blank(*text)) {
            if (has_word) {
                strvec_push(out, word.data);
                strbuf_reset(&word);
                has_word = false;
            }
        } else if (quote == '\0' && (*text == '"' || *text == '\'')) {
            quote = *text;
            has_word = true;
        } else if (*text == quote) {
            quote = '\0';
        } else if (*text == '\\' && quote != '\'' && text[1] != '\0') {
            strbuf_putc(&word, *++text);
            has_word = true;
        } else {
            strbuf_putc(&word, *text);
            has_word = true;
        }
    }
    if (quote != '\0') {
        return error_set(err, ERR_CONFIG, "a %c is not closed", quote);
    }
    if (has_word) {
        strvec_push(out, word.data);
    }
    return 0;
}

/* Where a comment begins: a # at the line's beginning or behind a blank. */
static size_t comment_begin(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == '#' && (i == 0 || is_blank(text[i - 1]))) {
            return i;
        }
    }
    return strlen(text);
}

/* Where a requirement's own options begin: at the first word with a hyphen. Source: pip.
 */
static size_t options_begin(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == '-' && i > 0 && is_blank(text[i - 1])) {
            return i;
        }
    }
    return strlen(text);
}

static int check_text(const char *text, struct error *err)
{
    size_t length = strlen(text);

    if (length > ENVSPEC_TEXT_MAX) {
        return error_set(err, ERR_LIMIT, "it has more than %zu bytes", ENVSPEC_TEXT_MAX);
    }
    if (!bytes_is_utf8(text, length)) {
        error_set(err, ERR_CONFIG, "it is not UTF-8");
        return error_hint(err, "save the file as UTF-8");
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && !is_blank(text[i])) || c == 0x7f) {
            return error_set(err, ERR_CONFIG, "it has a control character");
        }
    }
    if (length > 0 && text[length - 1] == '\\') {
        return error_set(err, ERR_CONFIG, "it ends with a backslash");
    }
    return 0;
}

/* A line whose variables and credentials were seen to. */
static int read_expanded(struct requirements *r, const char *text,
                         const struct requirement_place *place, struct error *err)
{
    CLEANUP_STRVEC struct strvec words = STRVEC_INIT;
    size_t begin;

    if (text[0] == '-') {
        return split_words(text, &words, err) < 0
                   ? -1
                   : requirements_options(r, &words, place, err);
    }
    begin = options_begin(text);
    if (split_words(text + begin, &words, err) < 0) {
        return -1;
    }
    while (begin > 0 && is_blank(text[begin - 1])) {
        begin--;
    }
    CLEANUP_FREE char *requirement = xstrndup(text, begin);
    return requirements_add(r, requirement, &words, place, err);
}

int requirements_line(struct requirements *r, const char *text, const char *folder,
                      const char *origin, bool is_constraint, struct error *err)
{
    struct requirement_place place = {
        .folder = folder, .origin = origin, .is_constraint = is_constraint};
    CLEANUP_STRBUF struct strbuf expanded = STRBUF_INIT;
    size_t length;

    while (is_blank(*text)) {
        text++;
    }
    length = comment_begin(text);
    while (length > 0 && is_blank(text[length - 1])) {
        length--;
    }
    if (length == 0) {
        return 0;
    }
    CLEANUP_FREE char *line = xstrndup(text, length);
    for (char *c = line; *c != '\0'; c++) {
        if (is_blank(*c)) {
            *c = ' '; /* a definition has no control characters */
        }
    }
    /* What an included file says of itself has its own place. */
    if (check_text(line, err) < 0 || requirements_expand(r, line, &expanded, err) < 0 ||
        check_text(expanded.data, err) < 0) {
        return error_wrap(err, "%s", origin);
    }
    return read_expanded(r, expanded.data, &place, err);
}

int requirements_dependency(struct requirements *r, const char *text, const char *folder,
                            const char *origin, struct error *err)
{
    while (is_blank(*text)) {
        text++;
    }
    if (text[0] == '-') {
        return error_set(err, ERR_CONFIG, "%s: \"%.60s\" is an option, not a requirement",
                         origin, text);
    }
    return requirements_line(r, text, folder, origin, false, err);
}

/* ---- files ---- */

static bool is_comment(const char *text)
{
    while (is_blank(*text)) {
        text++;
    }
    return *text == '#';
}

struct lines {
    char *at; /* the next line */
    unsigned number;
};

/* The next line as it stands, NUL-terminated in place; NULL at the end. */
static char *next_raw(struct lines *lines)
{
    char *line = lines->at;
    size_t length;

    if (line == NULL || *line == '\0') {
        return NULL;
    }
    length = strcspn(line, "\r\n");
    lines->number++;
    lines->at = line + length;
    if (lines->at[0] == '\r' && lines->at[1] == '\n') {
        lines->at++;
    }
    if (*lines->at != '\0') {
        lines->at++;
    }
    line[length] = '\0';
    return line;
}

/*
 * The next line with those that continue it; false at the end. A
 * comment line ends a continued one. Source: pip.
 */
static bool next_line(struct lines *lines, struct strbuf *out, unsigned *number)
{
    const char *raw = next_raw(lines);

    strbuf_reset(out);
    *number = lines->number;
    if (raw == NULL) {
        return false;
    }
    for (; raw != NULL; raw = next_raw(lines)) {
        size_t length = strlen(raw);

        if (is_comment(raw)) {
            break;
        }
        if (length == 0 || raw[length - 1] != '\\') {
            strbuf_puts(out, raw);
            break;
        }
        strbuf_printf(out, "%.*s", (int)(length - 1), raw);
    }
    return true;
}

static int read_lines(struct requirements *r, struct lines *lines, const char *folder,
                      const char *shown, bool is_constraints, struct error *err)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    unsigned number = 0;

    while (next_line(lines, &line, &number)) {
        CLEANUP_FREE char *origin = xasprintf("%s:%u", shown, number);

        if (requirements_line(r, line.data, folder, origin, is_constraints, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_text(struct requirements *r, const char *path, const char *shown,
                     struct strbuf *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf data = STRBUF_INIT;

    data.limit_bytes = REQUIREMENTS_SIZE_MAX;
    if (files_read(AT_FDCWD, path, &data, err) < 0) {
        return -1;
    }
    r->size_bytes += data.length;
    if (++r->files > REQUIREMENTS_FILES_MAX || r->size_bytes > REQUIREMENTS_SIZE_MAX) {
        return error_set(err, ERR_LIMIT,
                         "%s: with it there are more than %d requirement files, or more "
                         "than %zu MiB of them",
                         shown, REQUIREMENTS_FILES_MAX, REQUIREMENTS_SIZE_MAX >> 20);
    }
    if (requirements_decode(data.data, data.length, out, err) < 0) {
        return error_wrap(err, "%s", shown);
    }
    return memchr(out->data, '\0', out->length) == NULL
               ? 0
               : error_set(err, ERR_CONFIG, "%s: it is no text", shown);
}

int requirements_file(struct requirements *r, const char *path, bool is_constraints,
                      struct error *err)
{
    CLEANUP_FREE char *real = realpath(path, NULL);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int result;

    if (real == NULL) {
        return error_sys(err, "read %s", path);
    }
    CLEANUP_FREE char *shown = requirements_shown(r, real);
    if (strvec_contains(&r->open, real)) {
        return error_set(err, ERR_CONFIG, "%s includes itself", shown);
    }
    if (r->open.count == REQUIREMENTS_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT,
                         "%s: files include one another more than %d deep", shown,
                         REQUIREMENTS_DEPTH_MAX);
    }
    if (read_text(r, real, shown, &text, err) < 0) {
        return -1;
    }
    CLEANUP_FREE char *folder = xstrdup(real);
    *strrchr(folder, '/') = '\0';
    strvec_push(&r->open, real);
    struct lines lines = {.at = text.data};
    result = read_lines(r, &lines, folder[0] != '\0' ? folder : "/", shown,
                        is_constraints, err);
    strvec_remove(&r->open, r->open.count - 1);
    return result;
}
