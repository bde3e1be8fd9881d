#include "common/json_scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"

struct scan {
    const char *text;
    size_t length;
    size_t at;
    size_t depth;
    bool is_lenient;
    struct error *err;
};

static int refuse(const struct scan *s, const char *what)
{
    return error_set(s->err, ERR_CORRUPT, "JSON: %s at byte %zu", what, s->at);
}

/* The next byte, or NUL at the end: a NUL in the text is valid nowhere. */
static char peek(const struct scan *s)
{
    if (s->at < s->length) {
        return s->text[s->at];
    }
    return '\0';
}

static bool take(struct scan *s, char c)
{
    if (s->at < s->length && s->text[s->at] == c) {
        s->at++;
        return true;
    }
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct scan *s)
{
    while (is_space(peek(s))) {
        s->at++;
    }
}

static size_t skip_digits(struct scan *s)
{
    size_t first = s->at;

    while (peek(s) >= '0' && peek(s) <= '9') {
        s->at++;
    }
    return s->at - first;
}

static int scan_integer_size(struct scan *s, size_t first, size_t digits)
{
    int64_t value = 0;

    for (size_t i = 0; i < digits && value <= JSON_INTEGER_MAX; i++) {
        value = value * 10 + (s->text[first + i] - '0');
    }
    if (value > JSON_INTEGER_MAX) {
        s->at = first;
        return refuse(s, "an integer beyond 2^53");
    }
    return 0;
}

static int scan_number(struct scan *s)
{
    size_t first;
    size_t digits;
    bool is_integer = true;

    take(s, '-');
    first = s->at;
    digits = skip_digits(s);
    if (digits == 0 || (digits > 1 && s->text[first] == '0')) {
        return refuse(s, "a malformed number");
    }
    if (take(s, '.')) {
        is_integer = false;
        if (skip_digits(s) == 0) {
            return refuse(s, "a malformed number");
        }
    }
    if (take(s, 'e') || take(s, 'E')) {
        is_integer = false;
        if (!take(s, '+')) {
            take(s, '-');
        }
        if (skip_digits(s) == 0) {
            return refuse(s, "a malformed number");
        }
    }
    return is_integer && !s->is_lenient ? scan_integer_size(s, first, digits) : 0;
}

/* Four hexadecimal digits, or -1. */
static int32_t take_code_unit(struct scan *s)
{
    int32_t unit = 0;

    for (size_t i = 0; i < 4; i++) {
        char c = peek(s);

        if (c >= '0' && c <= '9') {
            unit = unit << 4 | (c - '0');
        } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
            unit = unit << 4 | ((c | 0x20) - 'a' + 10);
        } else {
            return -1;
        }
        s->at++;
    }
    return unit;
}

/* What follows "\u". */
static int scan_code_unit(struct scan *s)
{
    int32_t unit = take_code_unit(s);

    if (unit < 0) {
        return refuse(s, "a malformed escape");
    }
    if (unit == 0 && !s->is_lenient) {
        return refuse(s, "a NUL in a string");
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        return 0;
    }
    if (unit <= 0xdbff && take(s, '\\') && take(s, 'u')) {
        unit = take_code_unit(s);
        if (unit >= 0xdc00 && unit <= 0xdfff) {
            return 0;
        }
    }
    return refuse(s, "half a surrogate pair");
}

static int scan_escape(struct scan *s)
{
    char c = peek(s);

    if (c == 'u') {
        s->at++;
        return scan_code_unit(s);
    }
    if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL) {
        return refuse(s, "an unknown escape");
    }
    s->at++;
    return 0;
}

static int scan_string(struct scan *s)
{
    if (!take(s, '"')) {
        return refuse(s, "expected a string");
    }
    while (s->at < s->length) {
        unsigned char c = (unsigned char)s->text[s->at];

        if (c < 0x20) {
            return refuse(s, "a control character in a string");
        }
        s->at++;
        if (c == '"') {
            return 0;
        }
        if (c == '\\' && scan_escape(s) < 0) {
            return -1;
        }
    }
    return refuse(s, "a string without end");
}

static int scan_word(struct scan *s, const char *word)
{
    size_t length = strlen(word);

    if (s->length - s->at < length || memcmp(s->text + s->at, word, length) != 0) {
        return refuse(s, "expected a value");
    }
    s->at += length;
    return 0;
}

static int scan_value(struct scan *s);

static int scan_member(struct scan *s)
{
    skip_space(s);
    if (scan_string(s) < 0) {
        return -1;
    }
    skip_space(s);
    if (!take(s, ':')) {
        return refuse(s, "expected ':'");
    }
    return scan_value(s);
}

/* An object or an array, from behind its opening bracket. */
static int scan_container(struct scan *s, char closing, int (*scan_item)(struct scan *))
{
    if (++s->depth > JSON_DEPTH_MAX) {
        return error_set(s->err, ERR_LIMIT, "JSON: more than %d levels deep at byte %zu",
                         JSON_DEPTH_MAX, s->at);
    }
    skip_space(s);
    if (!take(s, closing)) {
        do {
            if (scan_item(s) < 0) {
                return -1;
            }
            skip_space(s);
        } while (take(s, ','));
        if (!take(s, closing)) {
            return refuse(s,
                          closing == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        }
    }
    s->depth--;
    return 0;
}

static int scan_value(struct scan *s)
{
    skip_space(s);
    switch (peek(s)) {
    case '{':
        s->at++;
        return scan_container(s, '}', scan_member);
    case '[':
        s->at++;
        return scan_container(s, ']', scan_value);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        break;
    }
    if (peek(s) == '-' || (peek(s) >= '0' && peek(s) <= '9')) {
        return scan_number(s);
    }
    return refuse(s, "expected a value");
}

int json_scan(const char *text, size_t length, bool is_lenient, struct error *err)
{
    struct scan s = {
        .text = text, .length = length, .is_lenient = is_lenient, .err = err};

    s.at = bytes_utf8_prefix(text, length);
    if (s.at < length) {
        return refuse(&s, "bytes that are not UTF-8");
    }
    s.at = 0;
    if (scan_value(&s) < 0) {
        return -1;
    }
    skip_space(&s);
    if (s.at < length) {
        return refuse(&s, "something behind the document");
    }
    return 0;
}
