/*
 * terminal: whatever comes, only UTF-8 text and colours reach a terminal, the same for
 * every way of cutting the stream, and bounded in length.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "controller/terminal_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void filter(const uint8_t *data, size_t size, size_t piece, bool is_line,
                   struct strbuf *out)
{
    struct terminal_filter f;

    terminal_filter_init(&f, is_line);
    for (size_t i = 0; i < size; i += piece) {
        terminal_filter_feed(&f, data + i, size - i < piece ? size - i : piece, out);
    }
    terminal_filter_finish(&f, out);
}

static void check_harmless(const struct strbuf *out, bool is_line)
{
    assert(bytes_is_utf8(out->data, out->length));
    for (size_t i = 0; i < out->length; i++) {
        unsigned char c = (unsigned char)out->data[i];
        if (c == 0x1b) {
            const char *end = out->data + i + 2;
            end += strspn(end, "0123456789:;");
            assert(!is_line && out->data[i + 1] == '[' && *end == 'm');
        } else if (c < 0x20) {
            assert(!is_line && (c == '\n' || c == '\t' || c == '\r'));
        }
        assert(c != 0x7f);
        /* C1 controls: U+0080 to U+009F. */
        assert(c != 0xc2 || (unsigned char)out->data[i + 1] >= 0xa0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 3, 5, 64};
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT, line = STRBUF_INIT;

    if (size == 0) {
        return 0;
    }
    filter(data, size, size, false, &whole);
    check_harmless(&whole, false);
    assert(whole.length <= size * TERMINAL_FILTER_GROWTH + 4);
    filter(data, size, size, true, &line);
    check_harmless(&line, true);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        CLEANUP_STRBUF struct strbuf cut = STRBUF_INIT;
        filter(data, size, pieces[i], false, &cut);
        assert(cut.length == whole.length &&
               memcmp(cut.data, whole.data, whole.length) == 0);
    }
    return 0;
}
