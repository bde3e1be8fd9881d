/*
 * json_write: the document as text, on the public half of json.h alone.            [base]
 *
 * Not cJSON's printing, which loses the last bits of numbers (2^53 becomes
 * 9.00719925474099e+15), passes bytes that are not UTF-8 on, and indents with tabs.
 */
#include "common/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define NUMBER_TEXT_SIZE 40
#define INDENT 2

static void put(struct strbuf *out, const char *text, size_t length)
{
    if (strbuf_add(out, text, length, NULL) < 0) {
        mem_abort("JSON: the buffer's limit was passed");
    }
}

/* The letter of a two-character escape, 'u' for the long form, NUL for a plain byte. */
static char escape_letter(char c)
{
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    unsigned char code = (unsigned char)c;

    if (c == '"' || c == '\\') {
        return c;
    }
    if (code >= 0x20) {
        return '\0';
    }
    if (letters[code] != '\0') {
        return letters[code];
    }
    return 'u';
}

static void write_utf8(const char *s, size_t length, struct strbuf *out)
{
    size_t done = 0;

    for (size_t i = 0; i < length; i++) {
        char letter = escape_letter(s[i]);

        if (letter == '\0') {
            continue;
        }
        put(out, s + done, i - done);
        done = i + 1;
        if (letter == 'u') {
            strbuf_printf(out, "\\u%04x", (unsigned)s[i]);
        } else {
            put(out, (const char[]){'\\', letter}, 2);
        }
    }
    put(out, s + done, length - done);
}

/* The document is UTF-8 whatever it was made of: a byte that is not becomes U+FFFD. */
static void write_string(const char *s, struct strbuf *out)
{
    size_t left = strlen(s);

    strbuf_putc(out, '"');
    for (;;) {
        size_t good = bytes_utf8_prefix(s, left);

        write_utf8(s, good, out);
        if (good == left) {
            break;
        }
        put(out, "\xef\xbf\xbd", 3);
        s += good + 1;
        left -= good + 1;
    }
    strbuf_putc(out, '"');
}

/* The shortest text that reads back as the same double. An integer beyond 2^53 gets a
 * fraction, to be read back as what it is. */
static void write_number(const struct json *j, struct strbuf *out)
{
    char text[NUMBER_TEXT_SIZE];
    double value = json_number(j);

    if (json_is_integer(j)) {
        strbuf_printf(out, "%" PRId64, json_integer(j));
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    strbuf_puts(out, text);
    if (strpbrk(text, ".e") == NULL) {
        strbuf_puts(out, ".0");
    }
}

static void break_line(size_t level, bool is_pretty, struct strbuf *out)
{
    if (is_pretty) {
        strbuf_printf(out, "\n%*s", (int)(level * INDENT), "");
    }
}

/* How a document is laid out. */
enum layout {
    LAYOUT_LINE,
    LAYOUT_INDENTED,
    LAYOUT_SORTED, /* on one line, members by key */
};

static void write_value(const struct json *value, size_t level, enum layout layout,
                        struct strbuf *out);

static int compare_keys(const void *left, const void *right)
{
    return strcmp(json_key(*(const struct json *const *)left),
                  json_key(*(const struct json *const *)right));
}

static void write_sorted_object(const struct json *object, size_t level,
                                struct strbuf *out)
{
    size_t count = json_count(object);
    CLEANUP_FREE const struct json **members = xcalloc(count + 1, sizeof(*members));
    size_t i = 0;

    for (const struct json *item = json_first(object); item != NULL;
         item = json_next(item)) {
        members[i++] = item;
    }
    qsort(members, count, sizeof(*members), compare_keys);
    strbuf_putc(out, '{');
    for (i = 0; i < count; i++) {
        if (i > 0) {
            strbuf_putc(out, ',');
        }
        write_string(json_key(members[i]), out);
        strbuf_putc(out, ':');
        write_value(members[i], level + 1, LAYOUT_SORTED, out);
    }
    strbuf_putc(out, '}');
}

static void write_container(const struct json *value, size_t level, enum layout layout,
                            struct strbuf *out)
{
    bool is_object = json_is_object(value);
    bool is_pretty = layout == LAYOUT_INDENTED;
    const struct json *next;

    strbuf_putc(out, is_object ? '{' : '[');
    for (const struct json *item = json_first(value); item != NULL; item = next) {
        next = json_next(item);
        break_line(level + 1, is_pretty, out);
        if (is_object) {
            write_string(json_key(item), out);
            strbuf_puts(out, is_pretty ? ": " : ":");
        }
        write_value(item, level + 1, layout, out);
        if (next != NULL) {
            strbuf_putc(out, ',');
        }
    }
    if (json_first(value) != NULL) {
        break_line(level, is_pretty, out);
    }
    strbuf_putc(out, is_object ? '}' : ']');
}

static void write_value(const struct json *value, size_t level, enum layout layout,
                        struct strbuf *out)
{
    if (json_is_object(value) && layout == LAYOUT_SORTED) {
        write_sorted_object(value, level, out);
    } else if (json_is_object(value) || json_is_array(value)) {
        write_container(value, level, layout, out);
    } else if (json_is_string(value)) {
        write_string(json_string(value), out);
    } else if (json_is_number(value)) {
        write_number(value, out);
    } else if (json_is_bool(value)) {
        strbuf_puts(out, json_bool(value) ? "true" : "false");
    } else {
        strbuf_puts(out, "null");
    }
}

void json_write(const struct json *j, bool is_pretty, struct strbuf *out)
{
    write_value(j, 0, is_pretty ? LAYOUT_INDENTED : LAYOUT_LINE, out);
}

void json_write_sorted(const struct json *j, struct strbuf *out)
{
    write_value(j, 0, LAYOUT_SORTED, out);
}
