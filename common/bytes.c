#include "common/bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <nettle/base16.h>
#include <nettle/base64.h>

#include "common/mem.h"

#define SHOWN_TEXT_MAX 60

/* Unrolled, these become one move each: they run for every file of a snapshot. */
static void put_little(uint8_t *out, uint64_t value, size_t size)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get_little(const uint8_t *in, size_t size)
{
    uint64_t value = 0;

#pragma GCC unroll 8
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

void bytes_put_u16(uint8_t *out, uint16_t value)
{
    put_little(out, value, sizeof(value));
}

void bytes_put_u32(uint8_t *out, uint32_t value)
{
    put_little(out, value, sizeof(value));
}

void bytes_put_u64(uint8_t *out, uint64_t value)
{
    put_little(out, value, sizeof(value));
}

uint16_t bytes_get_u16(const uint8_t *in)
{
    return (uint16_t)get_little(in, sizeof(uint16_t));
}

uint32_t bytes_get_u32(const uint8_t *in)
{
    return (uint32_t)get_little(in, sizeof(uint32_t));
}

uint64_t bytes_get_u64(const uint8_t *in)
{
    return get_little(in, sizeof(uint64_t));
}

void bytes_to_hex(char *out, const void *data, size_t length)
{
    base16_encode_update(out, length, data);
    out[2 * length] = '\0';
}

/* nettle's decoder passes over white space and takes capitals; names of content have one
 * spelling only. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int bytes_from_hex(void *out, size_t length, const char *hex, struct error *err)
{
    uint8_t *bytes = out;

    if (strnlen(hex, 2 * length + 1) != 2 * length) {
        return error_set(err, ERR_CORRUPT, "not %zu hexadecimal digits: %.*s", 2 * length,
                         SHOWN_TEXT_MAX, hex);
    }
    for (size_t i = 0; i < length; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return error_set(err, ERR_CORRUPT,
                             "not a lower-case hexadecimal number: %.*s", SHOWN_TEXT_MAX,
                             hex);
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

void bytes_to_base64(struct strbuf *out, const void *data, size_t length)
{
    size_t encoded = BASE64_ENCODE_RAW_LENGTH(length);
    char *room = strbuf_reserve(out, encoded, NULL);

    if (room == NULL) {
        mem_abort("base64: the buffer's limit was passed");
    }
    base64_encode_raw(room, length, data);
    strbuf_grown(out, encoded);
}

/* The number of '=' at the end, or -1 where the text has not the form of base64. nettle's
 * decoder passes over white space and needs no padding at the end of a message. */
static int base64_padding(const char *text, size_t length)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = length - strspn(text, alphabet);

    if (length % 4 != 0 || padding > 2) {
        return -1;
    }
    return strspn(text + length - padding, "=") == padding ? (int)padding : -1;
}

int bytes_from_base64(struct strbuf *out, const char *text, struct error *err)
{
    size_t length = strlen(text);
    int padding = base64_padding(text, length);
    struct base64_decode_ctx ctx;
    size_t decoded;
    size_t written;
    char *room;

    if (padding < 0) {
        return error_set(err, ERR_CORRUPT, "not base64: %.*s", SHOWN_TEXT_MAX, text);
    }
    if (length == 0) {
        return 0;
    }
    decoded = length / 4 * 3 - (size_t)padding;
    room = strbuf_reserve(out, decoded, err);
    if (room == NULL) {
        return -1;
    }
    base64_decode_init(&ctx);
    written = BASE64_DECODE_LENGTH(length);
    if (!base64_decode_update(&ctx, &written, (uint8_t *)room, length, text) ||
        !base64_decode_final(&ctx) || written != decoded) {
        strbuf_truncate(out, out->length); /* its NUL may be overwritten */
        return error_set(err, ERR_CORRUPT, "base64 with bits left over: %.*s",
                         SHOWN_TEXT_MAX, text);
    }
    strbuf_grown(out, decoded);
    return 0;
}

static bool is_within(uint8_t byte, uint8_t low, uint8_t high)
{
    return byte >= low && byte <= high;
}

/* A row of Unicode 15, table 3-7: the first byte's range, the second's, and how long. */
struct utf8_row {
    uint8_t first_low, first_high;
    uint8_t second_low, second_high;
    uint8_t length;
};

static const struct utf8_row utf8_rows[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* Length of the well-formed sequence of two or more bytes at p; 0 where there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    const struct utf8_row *row = utf8_rows;
    const struct utf8_row *end = utf8_rows + ARRAY_SIZE(utf8_rows);

    while (row < end && !is_within(p[0], row->first_low, row->first_high)) {
        row++;
    }
    if (row == end || left < row->length ||
        !is_within(p[1], row->second_low, row->second_high)) {
        return 0;
    }
    for (size_t i = 2; i < row->length; i++) {
        if (!is_within(p[i], 0x80, 0xbf)) {
            return 0;
        }
    }
    return row->length;
}

size_t bytes_utf8_prefix(const void *data, size_t length)
{
    const uint8_t *p = data;
    size_t at = 0;

    while (at < length) {
        uint64_t eight;
        size_t step = 1;

        if (length - at >= sizeof(eight)) {
            memcpy(&eight, p + at, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof(eight);
                continue;
            }
        }
        if (p[at] >= 0x80) {
            step = utf8_sequence(p + at, length - at);
        }
        if (step == 0) {
            break;
        }
        at += step;
    }
    return at;
}

bool bytes_is_utf8(const void *data, size_t length)
{
    return bytes_utf8_prefix(data, length) == length;
}

void bytes_random(void *out, size_t length)
{
    uint8_t *p = out;

    while (length > 0) {
        ssize_t got = getrandom(p, length, 0);

        if (got < 0 && errno != EINTR) {
            mem_abort("the kernel gives no random bytes");
        }
        if (got > 0) {
            p += got;
            length -= (size_t)got;
        }
    }
}

int bytes_parse_u64(const char *text, uint64_t max, uint64_t *out, struct error *err)
{
    uint64_t value = 0;
    bool is_over = false;

    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0') {
        return error_set(err, ERR_CORRUPT, "not a number: \"%.*s\"", SHOWN_TEXT_MAX,
                         text);
    }
    for (const char *p = text; *p != '\0'; p++) {
        is_over = is_over || __builtin_mul_overflow(value, 10, &value) ||
                  __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
    }
    if (is_over || value > max) {
        return error_set(err, ERR_LIMIT, "%.*s is more than %llu", SHOWN_TEXT_MAX, text,
                         (unsigned long long)max);
    }
    *out = value;
    return 0;
}

bool bytes_end_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}
