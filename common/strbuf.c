#include "common/strbuf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define CAPACITY_FIRST 64

/* Shared by all empty buffers; not const, because .data is not; never written. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
char strbuf_empty[1] = "";

void strbuf_init(struct strbuf *sb, size_t limit_bytes)
{
    sb->data = strbuf_empty;
    sb->length = 0;
    sb->capacity = 0;
    sb->limit_bytes = limit_bytes;
}

void strbuf_release(struct strbuf *sb)
{
    if (sb->capacity > 0) {
        free(sb->data);
    }
    strbuf_init(sb, sb->limit_bytes);
}

void strbuf_reset(struct strbuf *sb)
{
    strbuf_truncate(sb, 0);
}

/* At least needed, twice what there is, and not more than the limit and its NUL. */
static size_t next_capacity(const struct strbuf *sb, size_t needed)
{
    size_t most = sb->limit_bytes == SIZE_MAX ? SIZE_MAX : sb->limit_bytes + 1;
    size_t next = sb->capacity > most / 2 ? most : sb->capacity * 2;

    if (next < CAPACITY_FIRST) {
        next = CAPACITY_FIRST < most ? CAPACITY_FIRST : most;
    }
    return next < needed ? needed : next;
}

char *strbuf_reserve(struct strbuf *sb, size_t length, struct error *err)
{
    size_t needed;
    size_t next;
    char *data;

    if (length > sb->limit_bytes - sb->length ||
        __builtin_add_overflow(sb->length + 1, length, &needed)) {
        error_set(err, ERR_LIMIT,
                  "%zu bytes do not fit into a buffer of %zu with %zu in use", length,
                  sb->limit_bytes, sb->length);
        return NULL;
    }
    if (needed > sb->capacity) {
        next = next_capacity(sb, needed);
        data = realloc(sb->capacity > 0 ? sb->data : NULL, next);
        if (data == NULL) {
            error_set(err, ERR_LIMIT, "no memory for a buffer of %zu bytes", next);
            return NULL;
        }
        sb->data = data;
        sb->capacity = next;
        sb->data[sb->length] = '\0';
    }
    return sb->data + sb->length;
}

void strbuf_grown(struct strbuf *sb, size_t length)
{
    if (length > 0) {
        assert(length < sb->capacity - sb->length);
        sb->length += length;
        sb->data[sb->length] = '\0';
    }
}

int strbuf_add(struct strbuf *sb, const void *data, size_t length, struct error *err)
{
    char *room;

    if (length == 0) {
        return 0;
    }
    room = strbuf_reserve(sb, length, err);
    if (room == NULL) {
        return -1;
    }
    memcpy(room, data, length);
    strbuf_grown(sb, length);
    return 0;
}

void strbuf_consume(struct strbuf *sb, size_t length)
{
    assert(length <= sb->length);
    if (length > 0) {
        memmove(sb->data, sb->data + length, sb->length - length);
        strbuf_truncate(sb, sb->length - length);
    }
}

void strbuf_truncate(struct strbuf *sb, size_t length)
{
    assert(length <= sb->length);
    sb->length = length;
    if (sb->capacity > 0) {
        sb->data[length] = '\0';
    }
}

static void check_limit(int result)
{
    if (result < 0) {
        mem_abort("a buffer's limit was passed by text of our own");
    }
}

void strbuf_putc(struct strbuf *sb, char c)
{
    check_limit(strbuf_add(sb, &c, 1, NULL));
}

void strbuf_put_utf8(struct strbuf *sb, uint32_t code_point)
{
    if (code_point < 0x80) {
        strbuf_putc(sb, (char)code_point);
        return;
    }
    if (code_point < 0x800) {
        strbuf_putc(sb, (char)(0xc0 | code_point >> 6));
    } else {
        if (code_point < 0x10000) {
            strbuf_putc(sb, (char)(0xe0 | code_point >> 12));
        } else {
            strbuf_putc(sb, (char)(0xf0 | code_point >> 18));
            strbuf_putc(sb, (char)(0x80 | (code_point >> 12 & 0x3f)));
        }
        strbuf_putc(sb, (char)(0x80 | (code_point >> 6 & 0x3f)));
    }
    strbuf_putc(sb, (char)(0x80 | (code_point & 0x3f)));
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
    check_limit(strbuf_add(sb, s, strlen(s), NULL));
}

void strbuf_printf(struct strbuf *sb, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    strbuf_vprintf(sb, format, args);
    va_end(args);
}

void strbuf_vprintf(struct strbuf *sb, const char *format, va_list args)
{
    va_list again;
    int length;
    char *room;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) {
        mem_abort("text could not be formatted");
    }
    room = strbuf_reserve(sb, (size_t)length, NULL);
    check_limit(room == NULL ? -1 : 0);
    vsnprintf(room, (size_t)length + 1, format, args);
    strbuf_grown(sb, (size_t)length);
}

char *strbuf_detach(struct strbuf *sb)
{
    char *data = sb->capacity > 0 ? sb->data : xstrdup("");

    strbuf_init(sb, sb->limit_bytes);
    return data;
}
