/*
 * bytes, clock: what is accepted as text has no other spelling (numbers and lengths of
 * time aside).
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_base64(const char *text)
{
    CLEANUP_STRBUF struct strbuf plain = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;

    if (bytes_from_base64(&plain, text, NULL) == 0) {
        bytes_to_base64(&again, plain.data, plain.length);
        assert(strcmp(again.data, text) == 0);
    }
}

static void try_hex(const char *text)
{
    size_t length = strlen(text) / 2;
    CLEANUP_FREE uint8_t *bytes = xmalloc(length);
    CLEANUP_FREE char *again = xmalloc(2 * length + 1);

    if (bytes_from_hex(bytes, length, text, NULL) == 0) {
        bytes_to_hex(again, bytes, length);
        assert(strcmp(again, text) == 0);
    }
}

static void try_time(const char *text)
{
    char again[CLOCK_TEXT_SIZE];
    int64_t ms = 0;

    if (clock_parse(text, &ms, NULL) == 0) {
        clock_format(again, ms);
        assert(strcmp(again, text) == 0);
    }
    if (clock_parse_duration(text, &ms, NULL) == 0) {
        assert(ms >= 0);
        clock_format_duration(again, ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = xstrndup((const char *)data, size);
    size_t good = bytes_utf8_prefix(data, size);
    uint64_t number = 0;

    assert(good <= size && bytes_is_utf8(data, good));
    if (bytes_parse_u64(text, 1000, &number, NULL) == 0) {
        assert(number <= 1000);
    }
    try_base64(text);
    try_hex(text);
    try_time(text);
    return 0;
}
