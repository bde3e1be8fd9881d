/*
 * strbuf: a growing buffer of bytes with a limit from birth.            [base]
 *
 * Always NUL-terminated behind its length, so that .data can be used as a string where
 * the bytes have no NUL. A failed append leaves the buffer as it was. Life: strbuf_init
 * (or STRBUF_INIT) -> strbuf_add ... -> strbuf_release.
 *
 * The adding calls without a limit error (strbuf_puts, strbuf_printf, ...) are for text
 * of ours and abort when the limit is passed; bytes whose amount comes from a file or
 * from the other end go through strbuf_add.
 */
#ifndef COMMON_STRBUF_H
#define COMMON_STRBUF_H

#include "common/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *data;         /* never NULL after init; data[length] is NUL */
    size_t length;      /* bytes in use */
    size_t capacity;    /* bytes allocated */
    size_t limit_bytes; /* length never exceeds this */
};

#define STRBUF_TEXT_LIMIT ((size_t)16 << 20)

/* What .data points to before the first byte; nobody writes there. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
extern char strbuf_empty[1];

#define STRBUF_INIT                                                                      \
    {                                                                                    \
        .data = strbuf_empty, .length = 0, .capacity = 0,                                \
        .limit_bytes = STRBUF_TEXT_LIMIT                                                 \
    }
#define CLEANUP_STRBUF __attribute__((cleanup(strbuf_release)))

void strbuf_init(struct strbuf *sb, size_t limit_bytes);
/* Free the memory; the buffer is empty and usable again, its limit kept. */
void strbuf_release(struct strbuf *sb);
/* Set the length to 0, keep the memory. */
void strbuf_reset(struct strbuf *sb);

/* Append bytes, which do not lie in sb. Errors: ERR_LIMIT (over the limit, or no memory;
 * nothing was appended). */
int strbuf_add(struct strbuf *sb, const void *data, size_t length, struct error *err);
/* Make room for length more bytes and return where they start; strbuf_grown says how many
 * came. NULL: ERR_LIMIT. */
char *strbuf_reserve(struct strbuf *sb, size_t length, struct error *err);
void strbuf_grown(struct strbuf *sb, size_t length);
/* Remove the first length bytes. length <= sb->length. */
void strbuf_consume(struct strbuf *sb, size_t length);
/* Cut to length bytes. length <= sb->length. */
void strbuf_truncate(struct strbuf *sb, size_t length);

/* Append text of ours; abort when the limit is passed. */
void strbuf_putc(struct strbuf *sb, char c);
/* Append the code point (at most 0x10ffff) as UTF-8 (RFC 3629 section 3). */
void strbuf_put_utf8(struct strbuf *sb, uint32_t code_point);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_printf(struct strbuf *sb, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void strbuf_vprintf(struct strbuf *sb, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Hand the bytes over as a malloc'ed, NUL-terminated string; the buffer is empty
 * afterwards. */
char *strbuf_detach(struct strbuf *sb);

#endif
