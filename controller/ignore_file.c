#include "controller/ignore_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fdio.h"
#include "controller/wildmatch.h"

/* What a rule is compared with, and how; the common kinds need no pattern. */
enum rule_kind {
    NAME_IS,      /* the name is literal */
    NAME_ENDS,    /* the name ends with literal */
    NAME_BEGINS,  /* the name begins with literal */
    NAME_MATCHES, /* the name matches pattern */
    PATH_MATCHES, /* the path is literal and what pattern matches behind it */
};

struct rule {
    struct ignore_rule public;
    enum rule_kind kind;
    bool is_for_folders;
    const char *literal; /* borrowed from the file's text */
    size_t literal_length;
    struct wildmatch *pattern; /* NULL: nothing follows */
};

struct ignore_file {
    char *shown;
    char *text;
    struct rule *rules;
    size_t count, capacity;
};

/* ---- one line ---- */

/* Blanks at the end do not count, unless a backslash stands before (dir.c,
 * trim_trailing_spaces). */
static void trim_blanks(char *line)
{
    char *first = NULL;

    for (char *p = line; *p != '\0'; p++) {
        if (*p != ' ') {
            first = NULL;
        } else if (!first) {
            first = p;
        }
        if (*p == '\\' && *++p == '\0') {
            return;
        }
    }
    if (first) {
        *first = '\0';
    }
}

static void compile_name(struct rule *rule, const char *pattern, size_t length)
{
    size_t plain = wildmatch_literal_length(pattern, length);

    rule->literal = pattern;
    rule->literal_length = plain;
    if (plain == length) {
        rule->kind = NAME_IS;
        rule->public.names_it = true;
    } else if (plain == length - 1 && pattern[plain] == '*') {
        rule->kind = NAME_BEGINS;
    } else if (pattern[0] == '*' &&
               wildmatch_literal_length(pattern + 1, length - 1) == length - 1) {
        rule->kind = NAME_ENDS;
        rule->literal = pattern + 1;
        rule->literal_length = length - 1;
    } else {
        rule->kind = NAME_MATCHES;
        rule->pattern = wildmatch_new(pattern, length);
    }
}

static void compile_path(struct rule *rule, const char *pattern, size_t length)
{
    size_t plain = wildmatch_literal_length(pattern, length);
    size_t slash = pattern[0] == '/'; /* it anchors, and is no part of the path */
    size_t last = length;

    while (pattern[last - 1] != '/') {
        last--;
    }
    rule->kind = PATH_MATCHES;
    rule->public.names_it =
        wildmatch_literal_length(pattern + last, length - last) == length - last;
    /* What stands before the first special byte is taken off before the pattern is
     * compiled, as in git: so "a**b" behind it begins with "**". */
    rule->literal = pattern + slash;
    rule->literal_length = plain - slash;
    if (plain < length) {
        rule->pattern = wildmatch_new(pattern + plain, length - plain);
    }
}

/* A line that is no comment, trimmed. dir.c, parse_path_pattern. */
static void compile_line(struct rule *rule, const char *line)
{
    const char *pattern = line + (line[0] == '!');
    size_t length = strlen(pattern);

    rule->public.is_negated = line[0] == '!';
    if (length > 0 && pattern[length - 1] == '/') {
        length--;
        rule->is_for_folders = true;
    }
    if (memchr(pattern, '/', length)) {
        compile_path(rule, pattern, length);
    } else {
        compile_name(rule, pattern, length);
    }
}

static void add_line(struct ignore_file *f, char *line, unsigned number)
{
    struct rule *rule;

    trim_blanks(line);
    if (f->count == f->capacity) {
        f->capacity = f->capacity > 0 ? f->capacity * 2 : 8;
        f->rules = xrealloc(f->rules, f->capacity, sizeof(*f->rules));
    }
    rule = &f->rules[f->count++];
    *rule = (struct rule){.public = {.text = line, .line = number}};
    compile_line(rule, line);
}

/* ---- files ---- */

/* Every line of the text is cut out in place; its end is a newline. */
static void parse(struct ignore_file *f, char *text, size_t length)
{
    char *line = text, *end = text + length;
    unsigned number = 1;

    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
    }
    for (; line < end; number++) {
        char *newline = memchr(line, '\n', (size_t)(end - line));

        if (newline != line && line[0] != '#') {
            newline[newline[-1] == '\r' ? -1 : 0] = '\0';
            add_line(f, line, number);
        }
        line = newline + 1;
    }
}

struct ignore_file *ignore_file_new(const char *shown, struct strbuf *text)
{
    struct ignore_file *f = xcalloc(1, sizeof(*f));
    size_t length = text->length;

    f->shown = xstrdup(shown);
    text->limit_bytes = text->limit_bytes > length ? text->limit_bytes : length + 1;
    if (length > 0 && text->data[length - 1] != '\n') {
        strbuf_putc(text, '\n');
        length++;
    }
    f->text = strbuf_detach(text);
    parse(f, f->text, length);
    return f;
}

void ignore_file_free(struct ignore_file *f)
{
    if (f) {
        for (size_t i = 0; i < f->count; i++) {
            wildmatch_free(f->rules[i].pattern);
        }
        free(f->rules);
        free(f->text);
        free(f->shown);
        free(f);
    }
}

struct ignore_file *ignore_file_read(int dir_fd, const char *path, const char *shown,
                                     bool is_nofollow, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text;
    CLEANUP_FD int fd = -1;
    struct stat st;

    strbuf_init(&text, IGNORE_FILE_MAX);
    err->code = ERR_NONE;
    fd = openat(dir_fd, path,
                O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
                    (is_nofollow ? O_NOFOLLOW : 0));
    if (fd < 0) {
        if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != ENXIO) {
            error_sys(err, "read %s", shown);
        }
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return NULL;
    }
    if (fdio_read_all(fd, shown, &text, err) < 0) {
        return NULL;
    }
    return ignore_file_new(shown, &text);
}

const char *ignore_file_shown(const struct ignore_file *f)
{
    return f->shown;
}

/* ---- judging ---- */

static bool is_path_match(const struct rule *rule, const struct ignore_entry *e)
{
    size_t plain = rule->literal_length;

    if (plain > e->path_length || memcmp(rule->literal, e->path, plain) != 0) {
        return false;
    }
    return rule->pattern
               ? wildmatch_matches(rule->pattern, e->path + plain, e->path_length - plain)
               : plain == e->path_length;
}

static bool is_match(const struct rule *rule, const struct ignore_entry *e)
{
    size_t length = rule->literal_length;

    if (rule->is_for_folders && !e->is_folder) {
        return false;
    }
    switch (rule->kind) {
    case NAME_IS:
        return length == e->name_length && memcmp(rule->literal, e->name, length) == 0;
    case NAME_ENDS:
        return length <= e->name_length &&
               memcmp(rule->literal, e->name + e->name_length - length, length) == 0;
    case NAME_BEGINS:
        return length <= e->name_length && memcmp(rule->literal, e->name, length) == 0;
    case NAME_MATCHES:
        return wildmatch_matches(rule->pattern, e->name, e->name_length);
    case PATH_MATCHES:
        return is_path_match(rule, e);
    }
    return false;
}

const struct ignore_rule *ignore_file_match(const struct ignore_file *f,
                                            const struct ignore_entry *entry)
{
    for (size_t i = f->count; i-- > 0;) {
        if (is_match(&f->rules[i], entry)) {
            return &f->rules[i].public;
        }
    }
    return NULL;
}
