#include "common/pep440.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/strvec.h"

#define VERSION_MAX 200 /* bytes; what is longer is no version that anybody published */

/* ---- a version ---- */

struct reader {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
    return c == '.' || c == '-' || c == '_';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Digits without leading zeros; false where there are none. */
static bool read_number(struct reader *r, struct strbuf *out)
{
    const char *start = r->at;

    while (r->at < r->end && is_digit(*r->at)) {
        r->at++;
    }
    if (r->at == start) {
        return false;
    }
    while (start < r->at - 1 && *start == '0') {
        start++;
    }
    strbuf_printf(out, "%.*s", (int)(r->at - start), start);
    return true;
}

/* A word, in any case, that is not the beginning of a longer one. */
static bool read_word(struct reader *r, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(r->end - r->at) < length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (lower(r->at[i]) != word[i]) {
            return false;
        }
    }
    if (r->at + length < r->end && is_letter(r->at[length])) {
        return false;
    }
    r->at += length;
    return true;
}

struct suffix {
    const char *word, *written;
};

/* [separator] word [separator] [number]: a missing number is 0. */
static bool read_suffix(struct reader *r, const struct suffix *suffixes, size_t count,
                        struct strbuf *out)
{
    struct reader saved = *r;

    if (r->at < r->end && is_separator(*r->at)) {
        r->at++;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_word(r, suffixes[i].word)) {
            struct reader behind = *r;

            strbuf_puts(out, suffixes[i].written);
            if (r->at < r->end && is_separator(*r->at)) {
                r->at++;
            }
            if (!read_number(r, out)) {
                strbuf_puts(out, "0");
                *r = behind;
            }
            return true;
        }
    }
    *r = saved;
    return false;
}

static void read_pre(struct reader *r, struct strbuf *out)
{
    static const struct suffix words[] = {
        {"alpha", "a"}, {"beta", "b"}, {"preview", "rc"}, {"pre", "rc"},
        {"rc", "rc"},   {"a", "a"},    {"b", "b"},        {"c", "rc"},
    };

    (void)read_suffix(r, words, ARRAY_SIZE(words), out);
}

static void read_post(struct reader *r, struct strbuf *out)
{
    static const struct suffix words[] = {
        {"post", ".post"}, {"rev", ".post"}, {"r", ".post"}};

    if (r->end - r->at >= 2 && r->at[0] == '-' && is_digit(r->at[1])) {
        r->at++;
        strbuf_puts(out, ".post");
        (void)read_number(r, out);
        return;
    }
    (void)read_suffix(r, words, ARRAY_SIZE(words), out);
}

static void read_dev(struct reader *r, struct strbuf *out)
{
    static const struct suffix words[] = {{"dev", ".dev"}};

    (void)read_suffix(r, words, ARRAY_SIZE(words), out);
}

/* "+ubuntu.1": false where what follows the plus is none. */
static bool read_local(struct reader *r, struct strbuf *out)
{
    bool was_separator = true;

    if (r->at == r->end || *r->at != '+') {
        return true;
    }
    strbuf_putc(out, *r->at++);
    for (; r->at < r->end &&
           (is_digit(*r->at) || is_letter(*r->at) || is_separator(*r->at));
         r->at++) {
        if (is_separator(*r->at) && was_separator) {
            return false;
        }
        was_separator = is_separator(*r->at);
        if (was_separator) {
            strbuf_putc(out, '.');
        } else {
            strbuf_putc(out, lower(*r->at));
        }
    }
    return !was_separator;
}

/* Epoch and release. */
static bool read_release(struct reader *r, struct strbuf *out)
{
    if (r->at < r->end && lower(*r->at) == 'v') {
        r->at++;
    }
    if (!read_number(r, out)) {
        return false;
    }
    if (r->at < r->end && *r->at == '!') {
        r->at++;
        if (out->length == 1 && out->data[0] == '0') {
            strbuf_reset(out); /* epoch 0 is not written */
        } else {
            strbuf_putc(out, '!');
        }
        if (!read_number(r, out)) {
            return false;
        }
    }
    while (r->end - r->at >= 2 && r->at[0] == '.' && is_digit(r->at[1])) {
        r->at++;
        strbuf_putc(out, '.');
        (void)read_number(r, out);
    }
    return true;
}

static int no_version(const char *text, size_t length, struct error *err)
{
    int shown = (int)(length < 60 ? length : 60);

    return error_set(err, ERR_CONFIG, "\"%.*s\" is no version", shown, text);
}

int pep440_version(const char *text, size_t length, struct strbuf *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf version = STRBUF_INIT;
    struct reader r = {.at = text, .end = text + length};

    if (length > VERSION_MAX || !read_release(&r, &version)) {
        return no_version(text, length, err);
    }
    read_pre(&r, &version);
    read_post(&r, &version);
    read_dev(&r, &version);
    if (!read_local(&r, &version) || r.at != r.end) {
        return no_version(text, length, err);
    }
    strbuf_puts(out, version.data);
    return 0;
}

/* ---- specifiers ---- */

static const char *const operators[] = {"===", "~=", "==", "!=", "<=", ">=", "<", ">"};

static const char *operator_of(const char *text, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
        size_t n = strlen(operators[i]);

        if (length >= n && memcmp(text, operators[i], n) == 0) {
            return operators[i];
        }
    }
    return NULL;
}

static bool is_equality(const char *operator)
{
    return strcmp(operator, "==") == 0 || strcmp(operator, "!=") == 0;
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && isspace((unsigned char)(*text)[0])) {
        (*text)++;
        (*length)--;
    }
    while (*length > 0 && isspace((unsigned char)(*text)[*length - 1])) {
        (*length)--;
    }
}

static int no_operator(const char *text, size_t length, struct error *err)
{
    int shown = (int)(length < 60 ? length : 60);

    if (length > 1 && text[0] == '=' && text[1] != '=') {
        error_set(err, ERR_CONFIG, "\"%.*s\": = is no comparison", shown, text);
        return error_hint(err, "did you mean =%.*s?", shown, text);
    }
    if (length > 1 && text[0] == '=' && text[1] == '>') {
        return error_set(err, ERR_CONFIG, "\"%.*s\": => is written >=", shown, text);
    }
    if (length > 0 && is_digit(text[0])) {
        error_set(err, ERR_CONFIG, "\"%.*s\": a version needs a comparison before it",
                  shown, text);
        return error_hint(err, "did you mean ==%.*s?", shown, text);
    }
    return error_set(err, ERR_CONFIG,
                     "\"%.*s\" is no version specifier; it begins with ==, >=, <=, ~=, "
                     "!=, < or >",
                     shown, text);
}

/* What some version may follow and some not. */
static int check_version(const char *operator, const char * version, bool has_star,
                         struct error *err)
{
    if (has_star && !is_equality(operator)) {
        error_set(err, ERR_CONFIG, "\"%s%s.*\": .* goes only with == and !=", operator,
                  version);
        return error_hint(err, "did you mean %s%s?", operator, version);
    }
    if (has_star && strpbrk(version, "+d") != NULL) {
        return error_set(err, ERR_CONFIG,
                         "\"%s%s.*\": .* follows plain numbers alone", operator, version);
    }
    if (strcmp(operator, "~=") == 0 && strchr(version, '.') == NULL) {
        error_set(err, ERR_CONFIG, "\"~=%s\": ~= needs a version with two numbers",
                  version);
        return error_hint(err, "did you mean ==%s.*?", version);
    }
    if (!is_equality(operator) && strchr(version, '+') != NULL) {
        return error_set(err, ERR_CONFIG,
                         "\"%s%s\": a version with + goes only with == and !=", operator,
                         version);
    }
    return 0;
}

static int one_specifier(const char *text, size_t length, struct strvec *out,
                         struct error *err)
{
    CLEANUP_STRBUF struct strbuf version = STRBUF_INIT;
    const char *operator= operator_of(text, length);
    bool has_star;

    if (operator== NULL) {
        return no_operator(text, length, err);
    }
    text += strlen(operator);
    length -= strlen(operator);
    trim(&text, &length);
    if (strcmp(operator, "===") == 0) {
        if (length == 0 || length > VERSION_MAX || memchr(text, ' ', length) != NULL) {
            return no_version(text, length, err);
        }
        strvec_pushf(out, "===%.*s", (int)length, text);
        return 0;
    }
    has_star = length > 2 && memcmp(text + length - 2, ".*", 2) == 0;
    if (length > 0 && operator_of(text, length) != NULL) {
        return error_set(
            err, ERR_CONFIG,
            "\"%s%.*s\": two comparisons in a row", operator, (int)(length < 60 ? length
                                                                                : 60),
            text);
    }
    if (pep440_version(text, length - (has_star ? 2 : 0), &version, err) < 0 ||
        check_version(operator, version.data, has_star, err) < 0) {
        return -1;
    }
    strvec_pushf(out, "%s%s%s", operator, version.data, has_star ? ".*" : "");
    return 0;
}

int pep440_specifiers(const char *text, size_t length, struct strbuf *out,
                      struct error *err)
{
    CLEANUP_STRVEC struct strvec all = STRVEC_INIT;

    trim(&text, &length);
    while (length > 0) {
        const char *comma = memchr(text, ',', length);
        size_t part = comma != NULL ? (size_t)(comma - text) : length;
        const char *one = text;
        size_t one_length = part;

        trim(&one, &one_length);
        /* A comma at the end is accepted, as packaging does. */
        if (one_length > 0 && one_specifier(one, one_length, &all, err) < 0) {
            return -1;
        }
        if (one_length == 0 && comma != NULL) {
            return error_set(err, ERR_CONFIG, "nothing stands before a comma");
        }
        text += part + (comma != NULL ? 1 : 0);
        length -= part + (comma != NULL ? 1 : 0);
    }
    strvec_sort_unique(&all);
    for (size_t i = 0; i < all.count; i++) {
        strbuf_printf(out, "%s%s", i > 0 ? "," : "", all.items[i]);
    }
    return 0;
}

int pep440_python(const char *text, struct strbuf *out, struct error *err)
{
    size_t length = strlen(text);
    size_t dots = 0;

    trim(&text, &length);
    if (length == 0 || !is_digit(text[0])) {
        return pep440_specifiers(text, length, out, err);
    }
    for (size_t i = 0; i < length; i++) {
        dots += text[i] == '.';
    }
    CLEANUP_STRBUF struct strbuf specifier = STRBUF_INIT;
    bool is_series = dots < 2 && strspn(text, "0123456789.") >= length;
    strbuf_printf(&specifier, "==%.*s%s", (int)length, text, is_series ? ".*" : "");
    return pep440_specifiers(specifier.data, specifier.length, out, err);
}

bool pep440_is_pinned(const char *specifiers)
{
    return strncmp(specifiers, "==", 2) == 0 && strchr(specifiers, ',') == NULL &&
           (strncmp(specifiers, "===", 3) == 0 || strchr(specifiers, '*') == NULL);
}

/* Behind ".0" as often as it stands there. */
static const char *skip_zeros(const char *version)
{
    while (version[0] == '.' && version[1] == '0' && !is_digit(version[2])) {
        version += 2;
    }
    return version;
}

bool pep440_same(const char *a, const char *b)
{
    for (;;) {
        /* Zeros at the end of the release alone: what follows them is no number. */
        const char *a_end = skip_zeros(a);
        const char *b_end = skip_zeros(b);

        if ((a_end[0] != '.' || !is_digit(a_end[1])) &&
            (b_end[0] != '.' || !is_digit(b_end[1]))) {
            a = a_end;
            b = b_end;
        }
        if (*a != *b) {
            return false;
        }
        if (*a == '\0') {
            return true;
        }
        a++;
        b++;
    }
}
