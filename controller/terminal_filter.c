#include "controller/terminal_filter.h"

#include "common/bytes.h"
#include "common/mem.h"

#include <stdint.h>
#include <string.h>

#define ESC 0x1b
#define DEL 0x7f

/* Characters that a person does not see but a terminal, or the eye, obeys. */
struct range {
    uint32_t first, last;
};
static const struct range hidden[] = {
    {0x80, 0x9f},       /* C1 */
    {0xad, 0xad},       /* soft hyphen */
    {0x61c, 0x61c},     /* Arabic letter mark */
    {0x180e, 0x180e},   /* Mongolian vowel separator */
    {0x200b, 0x200b},   /* zero width space */
    {0x200e, 0x200f},   /* left-to-right and right-to-left mark */
    {0x2028, 0x202e},   /* line and paragraph separator, embeddings, overrides */
    {0x2060, 0x206f},   /* invisible operators, isolates */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xfff9, 0xfffb},   /* interlinear annotation */
    {0xe0000, 0xe0fff}, /* tags */
};

void terminal_filter_init(struct terminal_filter *filter, bool is_line)
{
    *filter = (struct terminal_filter){.is_line = is_line};
}

static bool is_hidden(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
        if (c >= hidden[i].first && c <= hidden[i].last) {
            return true;
        }
    }
    return false;
}

static void put_control(const struct terminal_filter *filter, unsigned char c,
                        struct strbuf *out)
{
    bool is_layout = c == '\n' || c == '\t' || c == '\r';
    if (is_layout && !filter->is_line) {
        strbuf_putc(out, (char)c);
    } else {
        strbuf_printf(out, "^%c", c == DEL ? '?' : c + '@');
    }
}

/* One whole character of UTF-8, of more than one byte. */
static void put_character(const char *text, size_t length, struct strbuf *out)
{
    static const unsigned char masks[] = {0, 0, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)text[0] & masks[length];
    for (size_t i = 1; i < length; i++) {
        c = c << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (is_hidden(c)) {
        strbuf_printf(out, "\\u{%x}", c);
    } else {
        strbuf_add(out, text, length, NULL);
    }
}

/* How many bytes a character that begins with c has; 0: none begins so. */
static size_t character_length(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* True where some well-formed character begins with these bytes (Unicode 15 table 3-7).
 */
static bool begins_character(const char *text, size_t length)
{
    char whole[4];
    size_t wanted = character_length((unsigned char)text[0]);
    if (wanted <= length) {
        return wanted == length && bytes_is_utf8(text, length);
    }
    memcpy(whole, text, length);
    for (int fill = 0x80; fill <= 0xbf; fill += 0x10) {
        memset(whole + length, fill, wanted - length);
        if (bytes_is_utf8(whole, wanted)) {
            return true;
        }
    }
    return false;
}

/* Show the held bytes one by one, as what they are by themselves. */
static void put_held(struct terminal_filter *filter, struct strbuf *out)
{
    for (size_t i = 0; i < filter->held; i++) {
        unsigned char c = (unsigned char)filter->hold[i];
        if (c < 0x20 || c == DEL) {
            put_control(filter, c, out);
        } else if (c < 0x80) {
            strbuf_putc(out, (char)c);
        } else {
            strbuf_printf(out, "\\x%02x", c);
        }
    }
    filter->held = 0;
}

static void put_colour(struct terminal_filter *filter, struct strbuf *out)
{
    if (filter->is_line) {
        put_held(filter, out);
        return;
    }
    strbuf_add(out, filter->hold, filter->held, NULL);
    /* "" and "0" reset; a reset among others may be followed by a colour. */
    const char *parameters = filter->hold + 2;
    size_t length = filter->held - 3;
    filter->is_coloured = !(length == 0 || (length == 1 && parameters[0] == '0'));
    filter->held = 0;
}

/* c follows ESC in hold. False: the sequence is no colour, and c is still to be taken. */
static bool take_sequence(struct terminal_filter *filter, unsigned char c,
                          struct strbuf *out)
{
    bool fits = filter->held == 1 ? c == '[' : (c >= '0' && c <= ';') || c == 'm';
    if (!fits || filter->held + 1 == sizeof filter->hold) {
        put_held(filter, out);
        return false;
    }
    filter->hold[filter->held++] = (char)c;
    if (c == 'm') {
        put_colour(filter, out);
    }
    return true;
}

/* c follows the beginning of a character in hold. As take_sequence. */
static bool take_character(struct terminal_filter *filter, unsigned char c,
                           struct strbuf *out)
{
    filter->hold[filter->held] = (char)c;
    if (!begins_character(filter->hold, filter->held + 1)) {
        put_held(filter, out);
        return false;
    }
    filter->held++;
    if (filter->held == character_length((unsigned char)filter->hold[0])) {
        put_character(filter->hold, filter->held, out);
        filter->held = 0;
    }
    return true;
}

static void take(struct terminal_filter *filter, unsigned char c, struct strbuf *out)
{
    if (filter->held > 0) {
        bool is_sequence = filter->hold[0] == ESC;
        if (is_sequence ? take_sequence(filter, c, out)
                        : take_character(filter, c, out)) {
            return;
        }
    }
    if (c == ESC || character_length(c) > 1) {
        filter->hold[0] = (char)c;
        filter->held = 1;
    } else if (c < 0x20 || c == DEL) {
        put_control(filter, c, out);
    } else if (c >= 0x80) {
        strbuf_printf(out, "\\x%02x", c);
    } else {
        strbuf_putc(out, (char)c);
    }
}

/* Bytes from the beginning of data that are printable ASCII or newline. */
static size_t plain_prefix(const struct terminal_filter *filter, const char *data,
                           size_t length)
{
    size_t i = 0;
    while (i < length && ((data[i] >= 0x20 && data[i] < DEL) ||
                          (data[i] == '\n' && !filter->is_line))) {
        i++;
    }
    return i;
}

void terminal_filter_feed(struct terminal_filter *filter, const void *data, size_t length,
                          struct strbuf *out)
{
    const char *bytes = data;
    for (size_t i = 0; i < length;) {
        size_t plain = filter->held > 0 ? 0 : plain_prefix(filter, bytes + i, length - i);
        if (plain > 0) {
            strbuf_add(out, bytes + i, plain, NULL);
            i += plain;
        } else {
            take(filter, (unsigned char)bytes[i++], out);
        }
    }
}

void terminal_filter_finish(struct terminal_filter *filter, struct strbuf *out)
{
    put_held(filter, out);
    if (filter->is_coloured) {
        strbuf_puts(out, "\x1b[0m");
        filter->is_coloured = false;
    }
}
