/*
 * toml_scalar: strings, numbers, dates, and what stands between.             [controller]
 */
#include "controller/toml_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

int toml_refuse(const struct toml_reader *r, struct error *err, const char *why)
{
    return error_set(err, ERR_CONFIG, "%s:%u: %s", r->name, r->line, why);
}

/* ---- between ---- */

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

void toml_skip_blanks(struct toml_reader *r)
{
    while (*r->at == ' ' || *r->at == '\t') {
        r->at++;
    }
}

static int skip_comment(struct toml_reader *r, struct error *err)
{
    if (*r->at != '#') {
        return 0;
    }
    while (r->at < r->end && *r->at != '\n' && !(r->at[0] == '\r' && r->at[1] == '\n')) {
        if (is_control(*r->at)) {
            return toml_refuse(r, err, "a control character stands in a comment");
        }
        r->at++;
    }
    return 0;
}

/* True, and behind it, where a line ends here. */
static bool take_line_end(struct toml_reader *r)
{
    if (r->at[0] == '\r' && r->at[1] == '\n') {
        r->at++;
    }
    if (*r->at != '\n') {
        return false;
    }
    r->at++;
    r->line++;
    return true;
}

int toml_skip_lines(struct toml_reader *r, struct error *err)
{
    do {
        toml_skip_blanks(r);
        if (skip_comment(r, err) < 0) {
            return -1;
        }
    } while (take_line_end(r));
    return 0;
}

int toml_end_line(struct toml_reader *r, struct error *err)
{
    toml_skip_blanks(r);
    if (skip_comment(r, err) < 0) {
        return -1;
    }
    if (r->at < r->end && !take_line_end(r)) {
        return toml_refuse(r, err,
                           "something stands behind the value; a key has a line of "
                           "its own");
    }
    return 0;
}

/* ---- strings ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int take_code_point(struct toml_reader *r, int digits, struct strbuf *out,
                           struct error *err)
{
    uint32_t c = 0;

    for (int i = 0; i < digits; i++) {
        int value = hex_value(*r->at);

        if (value < 0) {
            return toml_refuse(r, err, "\\u has 4 hexadecimal digits, \\U has 8");
        }
        c = c << 4 | (uint32_t)value;
        r->at++;
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return toml_refuse(r, err, "an escape names no character of text");
    }
    strbuf_put_utf8(out, c);
    return 0;
}

/* Behind a backslash. */
static int take_escape(struct toml_reader *r, bool is_long, struct strbuf *out,
                       struct error *err)
{
    static const char names[] = "btnfr\"\\";
    static const char values[] = "\b\t\n\f\r\"\\";
    const char *found = *r->at != '\0' ? strchr(names, *r->at) : NULL;

    if (found != NULL) {
        strbuf_putc(out, values[found - names]);
        r->at++;
        return 0;
    }
    if (*r->at == 'u' || *r->at == 'U') {
        int digits = *r->at++ == 'u' ? 4 : 8;

        return take_code_point(r, digits, out, err);
    }
    if (is_long) { /* the line goes on: blanks and line ends are nothing */
        const char *start = r->at;

        toml_skip_blanks(r);
        if (take_line_end(r)) {
            do {
                toml_skip_blanks(r);
            } while (take_line_end(r));
            return 0;
        }
        r->at = start;
    }
    return toml_refuse(r, err, "an unknown escape stands behind a backslash");
}

/* At three quotes: up to two more of them belong to the string. */
static bool take_long_end(struct toml_reader *r, char quote, struct strbuf *out)
{
    if (strncmp(r->at, quote == '"' ? "\"\"\"" : "'''", 3) != 0) {
        return false;
    }
    r->at += 3;
    for (int i = 0; i < 2 && *r->at == quote; i++) {
        strbuf_putc(out, quote);
        r->at++;
    }
    return true;
}

static int take_long(struct toml_reader *r, char quote, struct strbuf *out,
                     struct error *err)
{
    r->at += 3;
    (void)take_line_end(r);
    while (!take_long_end(r, quote, out)) {
        if (r->at >= r->end) {
            return toml_refuse(r, err, "a long string is not closed");
        }
        if (take_line_end(r)) {
            strbuf_putc(out, '\n');
        } else if (is_control(*r->at)) {
            return toml_refuse(r, err, "a control character stands in a string");
        } else if (*r->at == '\\' && quote == '"') {
            r->at++;
            if (take_escape(r, true, out, err) < 0) {
                return -1;
            }
        } else {
            strbuf_putc(out, *r->at++);
        }
    }
    return 0;
}

int toml_string(struct toml_reader *r, bool may_be_long, struct strbuf *out,
                struct error *err)
{
    char quote = *r->at;

    if (r->at[1] == quote && r->at[2] == quote) {
        return may_be_long ? take_long(r, quote, out, err)
                           : toml_refuse(r, err, "a key is no long string");
    }
    for (r->at++; *r->at != quote;) {
        if (r->at >= r->end || is_control(*r->at)) {
            return toml_refuse(r, err, "a string is not closed on its line");
        }
        if (*r->at == '\\' && quote == '"') {
            r->at++;
            if (take_escape(r, false, out, err) < 0) {
                return -1;
            }
        } else {
            strbuf_putc(out, *r->at++);
        }
    }
    r->at++;
    return 0;
}

/* ---- numbers, dates, true and false ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits of base at text, underscores between them left out. NULL: they are none. */
static const char *take_digits(const char *text, int base, struct strbuf *out)
{
    bool was_digit = false;

    for (;; text++) {
        int value = hex_value(*text);

        if (*text == '_' && was_digit && hex_value(text[1]) >= 0) {
            was_digit = false;
            continue;
        }
        if (value < 0 || value >= base) {
            return was_digit ? text : NULL;
        }
        strbuf_putc(out, *text);
        was_digit = true;
    }
}

static struct json *integer_of(const char *digits, int base)
{
    long long value;

    errno = 0;
    value = strtoll(digits, NULL, base);
    if (errno == ERANGE) {
        return NULL;
    }
    return value >= -JSON_INTEGER_MAX && value <= JSON_INTEGER_MAX
               ? json_new_integer(value)
               : json_new_number((double)value);
}

/* "0xff", "0o7", "0b1". */
static struct json *prefixed_number(const char *word)
{
    int base = word[1] == 'x' ? 16 : (word[1] == 'o' ? 8 : 2);
    CLEANUP_STRBUF struct strbuf digits = STRBUF_INIT;
    const char *end = take_digits(word + 2, base, &digits);

    return end != NULL && *end == '\0' ? integer_of(digits.data, base) : NULL;
}

/* A fraction or an exponent behind the digits of a number. */
static const char *take_fraction(const char *at, struct strbuf *digits)
{
    if (*at == '.') {
        strbuf_putc(digits, '.');
        at = take_digits(at + 1, 10, digits);
    }
    if (at != NULL && (*at == 'e' || *at == 'E')) {
        strbuf_putc(digits, 'e');
        at++;
        if (*at == '+' || *at == '-') {
            strbuf_putc(digits, *at++);
        }
        at = take_digits(at, 10, digits);
    }
    return at;
}

static struct json *decimal_number(const char *word)
{
    CLEANUP_STRBUF struct strbuf digits = STRBUF_INIT;
    const char *at = word;
    const char *end;
    double value;

    if (*at == '+' || *at == '-') {
        strbuf_printf(&digits, "%s", *at == '-' ? "-" : "");
        at++;
    }
    if (at[0] == '0' && (is_digit(at[1]) || at[1] == '_')) {
        return NULL;
    }
    end = take_digits(at, 10, &digits);
    if (end == NULL) {
        return NULL;
    }
    if (*end == '\0') {
        return integer_of(digits.data, 10);
    }
    end = take_fraction(end, &digits);
    if (end == NULL || *end != '\0') {
        return NULL;
    }
    value = strtod(digits.data, NULL);
    return isfinite(value) ? json_new_number(value) : json_new_string("inf");
}

/* True where text looks as pattern does: 0 is a digit, all else itself. */
static bool looks_like(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; text++, pattern++) {
        if (*pattern == '0' ? !is_digit(*text) : *text != *pattern) {
            return false;
        }
    }
    return true;
}

/* What follows "00:00:00": a fraction, an offset, nothing. */
static bool ends_like_time(const char *text)
{
    if (*text == '.') {
        size_t length = strspn(text + 1, "0123456789");

        if (length == 0) {
            return false;
        }
        text += length + 1;
    }
    if (*text == 'Z' || *text == 'z') {
        return text[1] == '\0';
    }
    if (*text == '+' || *text == '-') {
        return looks_like(text + 1, "00:00") && text[6] == '\0';
    }
    return *text == '\0';
}

static bool is_date(const char *word)
{
    if (looks_like(word, "00:00:00")) {
        return ends_like_time(word + 8);
    }
    if (!looks_like(word, "0000-00-00")) {
        return false;
    }
    word += 10;
    if (*word == '\0') {
        return true;
    }
    return strchr("Tt ", *word) != NULL && looks_like(word + 1, "00:00:00") &&
           ends_like_time(word + 9);
}

static size_t word_length(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_+-.:");

    /* A blank between a date and its time. */
    if (length == 10 && looks_like(text, "0000-00-00") && looks_like(text + 10, " 00:")) {
        length += 1 + strspn(text + 11, "0123456789:.zZ+-");
    }
    return length;
}

struct json *toml_word(struct toml_reader *r, struct error *err)
{
    size_t length = word_length(r->at);
    CLEANUP_FREE char *word = xstrndup(r->at, length);
    const char *unsigned_word = word + (word[0] == '+' || word[0] == '-' ? 1 : 0);
    struct json *value = NULL;

    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        value = json_new_bool(word[0] == 't');
    } else if (strcmp(unsigned_word, "inf") == 0 || strcmp(unsigned_word, "nan") == 0 ||
               is_date(word)) {
        value = json_new_string(word);
    } else if (word[0] == '0' && word[1] != '\0' && strchr("xob", word[1]) != NULL) {
        value = prefixed_number(word);
    } else if (length > 0) {
        value = decimal_number(word);
    }
    if (value == NULL) {
        error_set(err, ERR_CONFIG, "%s:%u: \"%.40s\" is no value", r->name, r->line,
                  length > 0 ? word : "");
        error_hint(err, "a text has quotes around it");
        return NULL;
    }
    r->at += length;
    return value;
}
