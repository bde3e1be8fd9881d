/*
 * pep508_marker: when a requirement counts ("python_version < '3.9'"). [controller]
 *
 * Read by recursive descent and written with single blanks, double quotes, today's names
 * of variables, and brackets where they are needed.
 */
#include "controller/pep508.h"

#include <string.h>

#include "common/cli.h"
#include "common/mem.h"

#define DEPTH_MAX 32

struct reader {
    const char *at;
    unsigned depth;
};

static const struct {
    const char *name, *written;
} variables[] = {
    {"python_version", NULL},
    {"python_full_version", NULL},
    {"os_name", NULL},
    {"sys_platform", NULL},
    {"platform_release", NULL},
    {"platform_system", NULL},
    {"platform_version", NULL},
    {"platform_machine", NULL},
    {"platform_python_implementation", NULL},
    {"implementation_name", NULL},
    {"implementation_version", NULL},
    {"extra", NULL},
    {"extras", NULL},
    {"dependency_groups", NULL},
    {"os.name", "os_name"},
    {"sys.platform", "sys_platform"},
    {"platform.version", "platform_version"},
    {"platform.machine", "platform_machine"},
    {"platform.python_implementation", "platform_python_implementation"},
    {"python_implementation", "platform_python_implementation"},
};

static void skip_blanks(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t') {
        r->at++;
    }
}

static size_t word_length(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_.");
}

static bool take_word(struct reader *r, const char *word)
{
    skip_blanks(r);
    if (word_length(r->at) != strlen(word) || strncmp(r->at, word, strlen(word)) != 0) {
        return false;
    }
    r->at += strlen(word);
    return true;
}

static int unknown_variable(const char *word, struct error *err)
{
    const char *names[ARRAY_SIZE(variables)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
        names[i] = variables[i].name;
    }
    nearest = cli_nearest(word, names, ARRAY_SIZE(variables));
    error_set(err, ERR_CONFIG, "a marker knows no \"%.40s\"", word);
    return nearest != NULL ? error_hint(err, "did you mean %s?", nearest) : -1;
}

static int parse_string(struct reader *r, struct strbuf *out, struct error *err)
{
    char quote = *r->at;
    const char *end = strchr(r->at + 1, quote);
    size_t length;

    if (end == NULL) {
        return error_set(err, ERR_CONFIG, "a marker's %c is not closed", quote);
    }
    length = (size_t)(end - r->at - 1);
    quote = memchr(r->at + 1, '"', length) != NULL ? '\'' : '"';
    strbuf_printf(out, "%c%.*s%c", quote, (int)length, r->at + 1, quote);
    r->at = end + 1;
    return 0;
}

/* A variable or a quoted text. */
static int parse_value(struct reader *r, struct strbuf *out, bool *is_variable,
                       struct error *err)
{
    size_t length;

    skip_blanks(r);
    if (*r->at == '"' || *r->at == '\'') {
        return parse_string(r, out, err);
    }
    length = word_length(r->at);
    if (length == 0) {
        return error_set(err, ERR_CONFIG,
                         *r->at == '\0'
                             ? "a marker ends too early"
                             : "a marker has \"%.20s\" where a name or a quoted "
                               "text belongs",
                         r->at);
    }
    CLEANUP_FREE char *word = xstrndup(r->at, length);
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
        if (strcmp(variables[i].name, word) == 0) {
            strbuf_puts(out, variables[i].written != NULL ? variables[i].written : word);
            *is_variable = true;
            r->at += length;
            return 0;
        }
    }
    return unknown_variable(word, err);
}

static int parse_operator(struct reader *r, struct strbuf *out, struct error *err)
{
    static const char *const operators[] = {
        "===", "==", "!=", "<=", ">=", "~=", "<", ">"};

    skip_blanks(r);
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        if (strncmp(r->at, operators[i], strlen(operators[i])) == 0) {
            r->at += strlen(operators[i]);
            strbuf_printf(out, " %s ", operators[i]);
            return 0;
        }
    }
    if (take_word(r, "in")) {
        strbuf_puts(out, " in ");
        return 0;
    }
    if (take_word(r, "not") && take_word(r, "in")) {
        strbuf_puts(out, " not in ");
        return 0;
    }
    return error_set(err, ERR_CONFIG,
                     "a marker has \"%.20s\" where a comparison belongs (==, <, in ...)",
                     r->at);
}

static int parse_or(struct reader *r, struct strbuf *out, bool *has_or,
                    struct error *err);

static int parse_comparison(struct reader *r, struct strbuf *out, struct error *err)
{
    bool is_variable = false;

    if (parse_value(r, out, &is_variable, err) < 0 || parse_operator(r, out, err) < 0 ||
        parse_value(r, out, &is_variable, err) < 0) {
        return -1;
    }
    return is_variable ? 0 : error_set(err, ERR_CONFIG, "a marker compares no variable");
}

/* A comparison, or an expression in brackets, which stay where it is an or that stands_in
 * an and. */
static int parse_atom(struct reader *r, struct strbuf *out, bool *has_or,
                      struct error *err)
{
    skip_blanks(r);
    if (*r->at != '(') {
        return parse_comparison(r, out, err);
    }
    if (++r->depth > DEPTH_MAX) {
        return error_set(err, ERR_CONFIG, "a marker is nested too deep");
    }
    r->at++;
    if (parse_or(r, out, has_or, err) < 0) {
        return -1;
    }
    skip_blanks(r);
    if (*r->at != ')') {
        return error_set(err, ERR_CONFIG, "a marker's ( is not closed");
    }
    r->at++;
    r->depth--;
    return 0;
}

/* Append text, in brackets where it has an or. */
static void add_part(struct strbuf *out, const struct strbuf *text, bool has_or)
{
    strbuf_printf(out, has_or ? "(%s)" : "%s", text->data);
}

static int parse_and(struct reader *r, struct strbuf *out, bool *has_or,
                     struct error *err)
{
    CLEANUP_STRBUF struct strbuf first = STRBUF_INIT;
    bool first_has_or = false;

    if (parse_atom(r, &first, &first_has_or, err) < 0) {
        return -1;
    }
    if (!take_word(r, "and")) {
        *has_or = *has_or || first_has_or;
        strbuf_puts(out, first.data);
        return 0;
    }
    add_part(out, &first, first_has_or);
    do {
        CLEANUP_STRBUF struct strbuf next = STRBUF_INIT;
        bool next_has_or = false;

        strbuf_puts(out, " and ");
        if (parse_atom(r, &next, &next_has_or, err) < 0) {
            return -1;
        }
        add_part(out, &next, next_has_or);
    } while (take_word(r, "and"));
    return 0;
}

static int parse_or(struct reader *r, struct strbuf *out, bool *has_or, struct error *err)
{
    if (parse_and(r, out, has_or, err) < 0) {
        return -1;
    }
    while (take_word(r, "or")) {
        *has_or = true;
        strbuf_puts(out, " or ");
        if (parse_and(r, out, has_or, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int pep508_marker(const char *text, struct strbuf *out, struct error *err)
{
    struct reader r = {.at = text};
    CLEANUP_STRBUF struct strbuf marker = STRBUF_INIT;
    bool has_or = false;

    if (parse_or(&r, &marker, &has_or, err) < 0) {
        return -1;
    }
    skip_blanks(&r);
    if (*r.at != '\0') {
        return error_set(err, ERR_CONFIG, "a marker has \"%.40s\" behind its end", r.at);
    }
    strbuf_puts(out, marker.data);
    return 0;
}
