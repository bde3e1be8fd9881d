#include "executor/jsonline.h"

#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"

void jsonline_bytes(struct jsonline *l, const char *data, size_t length)
{
    if (l->is_full || length > l->capacity - l->length) {
        l->is_full = true;
        return;
    }
    memcpy(l->out + l->length, data, length);
    l->length += length;
}

static void put(struct jsonline *l, const char *s)
{
    jsonline_bytes(l, s, strlen(s));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is kept and written through */
void jsonline_init(struct jsonline *l, char *out, size_t capacity)
{
    *l = (struct jsonline){.out = out, .capacity = capacity};
    put(l, "{");
}

static void put_key(struct jsonline *l, const char *key)
{
    put(l, l->has_member ? ",\"" : "\"");
    put(l, key);
    put(l, "\":");
    l->has_member = true;
}

static void put_escaped(struct jsonline *l, unsigned char c)
{
    char text[8];
    if (c == '"' || c == '\\') {
        snprintf(text, sizeof(text), "\\%c", c);
    } else if (c < 0x20 || c == 0x7f) {
        snprintf(text, sizeof(text), "\\u%04x", c);
    } else {
        snprintf(text, sizeof(text), "%c", c);
    }
    put(l, text);
}

void jsonline_text(struct jsonline *l, const char *key, const char *s, size_t max_bytes)
{
    put_key(l, key);
    if (s == NULL) {
        put(l, "null");
        return;
    }
    size_t length = strnlen(s, max_bytes);
    bool is_cut = s[length] != '\0';
    put(l, "\"");
    while (length > 0) {
        size_t good = bytes_utf8_prefix(s, length);
        for (size_t i = 0; i < good; i++) {
            unsigned char c = (unsigned char)s[i];
            if (c >= 0x80) {
                jsonline_bytes(l, s + i, 1);
            } else {
                put_escaped(l, c);
            }
        }
        s += good;
        length -= good;
        /* A character cut in two at the end is left out, a bad byte is marked. */
        if (length > 0 && is_cut && length < 4) {
            break;
        }
        if (length > 0) {
            put(l, "?");
            s++;
            length--;
        }
    }
    put(l, "\"");
}

void jsonline_string(struct jsonline *l, const char *key, const char *s)
{
    jsonline_text(l, key, s, SIZE_MAX >> 1);
}

void jsonline_integer(struct jsonline *l, const char *key, int64_t value)
{
    char text[24];
    put_key(l, key);
    snprintf(text, sizeof(text), "%lld", (long long)value);
    put(l, text);
}

void jsonline_time(struct jsonline *l, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(text, utc_ms);
    jsonline_string(l, key, text);
}

void jsonline_raw(struct jsonline *l, const char *key, const char *text)
{
    put_key(l, key);
    put(l, text != NULL ? text : "null");
}

void jsonline_object(struct jsonline *l, const char *key)
{
    put_key(l, key);
    put(l, "{");
    l->has_member = false;
}

void jsonline_end(struct jsonline *l)
{
    put(l, "}");
    l->has_member = true;
}

void jsonline_pad(struct jsonline *l, size_t until)
{
    while (!l->is_full && l->length < until) {
        put(l, " ");
    }
}
