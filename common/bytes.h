/*
 * bytes: little-endian numbers, hexadecimal, base64, UTF-8 and random bytes. [base]
 */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Little-endian, at any address; 2, 4 and 8 bytes are read or written. */
void bytes_put_u16(uint8_t *out, uint16_t value);
void bytes_put_u32(uint8_t *out, uint32_t value);
void bytes_put_u64(uint8_t *out, uint64_t value);
uint16_t bytes_get_u16(const uint8_t *in);
uint32_t bytes_get_u32(const uint8_t *in);
uint64_t bytes_get_u64(const uint8_t *in);

/* Lower-case hexadecimal; out has 2 * length + 1 bytes and is NUL-terminated. */
void bytes_to_hex(char *out, const void *data, size_t length);
/* hex must have exactly 2 * length lower-case digits. Errors: ERR_CORRUPT. */
int bytes_from_hex(void *out, size_t length, const char *hex, struct error *err);

/* RFC 4648 section 4, padded. Appends to out; aborts when out's limit is passed. */
void bytes_to_base64(struct strbuf *out, const void *data, size_t length);
/* Strict: alphabet, padding, length and unused bits are checked. Appends to out, which is
 * as it was on failure. Errors: ERR_CORRUPT, ERR_LIMIT. */
int bytes_from_base64(struct strbuf *out, const char *text, struct error *err);

/* How many bytes at the beginning of data are well-formed UTF-8. */
size_t bytes_utf8_prefix(const void *data, size_t length);

/* True where text ends with end; "" ends all. */
bool bytes_end_with(const char *text, const char *end);
/* Well-formed UTF-8 (Unicode 15 table 3-7: no surrogates, no overlong forms). NUL counts
 * as a character. */
bool bytes_is_utf8(const void *data, size_t length);

/* Fill with random bytes of the kernel (getrandom). Aborts where the kernel has none. */
void bytes_random(void *out, size_t length);

/* Decimal, no sign, no space, whole string. Errors: ERR_CORRUPT (not a number), ERR_LIMIT
 * (over max). */
int bytes_parse_u64(const char *text, uint64_t max, uint64_t *out, struct error *err);

#endif
