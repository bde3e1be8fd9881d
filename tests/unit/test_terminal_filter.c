#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "controller/terminal.h"
#include "controller/terminal_filter.h"

struct row {
    const char *in, *out;
};

/* What a stream becomes; a colour that is left on is ended. */
static const struct row rows[] = {
    {"plain text\n", "plain text\n"},
    {"a\tb\r\nc", "a\tb\r\nc"},
    {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
    /* colours */
    {"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
    {"\x1b[mx", "\x1b[mx"},
    {"\x1b[1;38;5;208mx\x1b[m", "\x1b[1;38;5;208mx\x1b[m"},
    {"\x1b[38:2::1:2:3mx\x1b[0m", "\x1b[38:2::1:2:3mx\x1b[0m"},
    {"\x1b[31mleft on", "\x1b[31mleft on\x1b[0m"},
    /* other sequences are shown */
    {"\x1b[2J\x1b[H", "^[[2J^[[H"},
    {"\x1b[?25l", "^[[?25l"},
    {"\x1b[>4;1m", "^[[>4;1m"},
    {"\x1b[6n", "^[[6n"},
    {"\x1b]0;title\x07", "^[]0;title^G"},
    {"\x1b]52;c;aGk=\x1b\\", "^[]52;c;aGk=^[\\"},
    {"\x1bP+q544e\x1b\\", "^[P+q544e^[\\"},
    {"\x1b"
     "c",
     "^[c"},
    {"\x1b\x1b[31mx\x1b[0m", "^[\x1b[31mx\x1b[0m"},
    {"\x1b[3\x1b[31mx\x1b[0m", "^[[3\x1b[31mx\x1b[0m"},
    {"\x1b[3\nm", "^[[3\nm"},
    {"\x1b[31\xc3\xa4", "^[[31\xc3\xa4"},
    {"\x1b", "^["},
    {"\x1b[31", "^[[31"},
    /* control characters */
    {"\x07\x08\x0b\x0c\x0e\x0f\x7f\x01", "^G^H^K^L^N^O^?^A"},
    {"\xc2\x9b"
     "31m",
     "\\u{9b}31m"},
    {"\xc2\x85", "\\u{85}"},
    {"\x9b"
     "31m",
     "\\x9b31m"},
    /* what turns or hides text */
    {"\xe2\x80\xae"
     "abc\xe2\x80\xac",
     "\\u{202e}abc\\u{202c}"},
    {"\xe2\x81\xa6x\xe2\x81\xa9", "\\u{2066}x\\u{2069}"},
    {"\xd8\x9c", "\\u{61c}"},
    {"\xe2\x80\x8e\xe2\x80\x8f", "\\u{200e}\\u{200f}"},
    {"\xe2\x80\xa8", "\\u{2028}"},
    {"\xf3\xa0\x81\x81", "\\u{e0041}"},
    {"a\xe2\x80\x8d"
     "b",
     "a\xe2\x80\x8d"
     "b"},
    /* no UTF-8 */
    {"\xff\xfe", "\\xff\\xfe"},
    {"\xc3(", "\\xc3("},
    {"\xe2\x82", "\\xe2\\x82"},
    {"\xe2\x28\xa1", "\\xe2(\\xa1"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    {"\xc0\xaf", "\\xc0\\xaf"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
    {"\xf0\x9f\x98\xc3\xa4", "\\xf0\\x9f\\x98\xc3\xa4"},
    {"\xc3\x1b[31mx\x1b[0m", "\\xc3\x1b[31mx\x1b[0m"},
};

static void filter(const char *data, size_t length, size_t cut, struct strbuf *out)
{
    struct terminal_filter f;
    terminal_filter_init(&f, false);
    terminal_filter_feed(&f, data, cut, out);
    terminal_filter_feed(&f, data + cut, length - cut, out);
    terminal_filter_finish(&f, out);
}

static void only_text_and_colours_get_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        filter(rows[i].in, strlen(rows[i].in), 0, &out);
        assert_string_equal(out.data, rows[i].out);
    }
}

static void a_stream_may_be_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t length = strlen(rows[i].in);
        for (size_t cut = 0; cut <= length; cut++) {
            CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
            filter(rows[i].in, length, cut, &out);
            assert_string_equal(out.data, rows[i].out);
        }
    }
}

static void a_nul_byte_is_shown(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    filter("a\0b", 3, 1, &out);
    assert_string_equal(out.data, "a^@b");
}

static void a_colour_without_end_is_none(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf in = STRBUF_INIT, out = STRBUF_INIT;
    strbuf_puts(&in, "\x1b[");
    for (int i = 0; i < 1000; i++) {
        strbuf_puts(&in, "1;");
    }
    strbuf_putc(&in, 'm');
    filter(in.data, in.length, 0, &out);
    assert_null(strchr(out.data, '\x1b'));
    assert_int_equal(out.length, in.length + 1);
}

static void a_line_of_ours_has_no_colours_and_no_newlines(void **state)
{
    (void)state;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    const char *text = "a\nb\tc\r\x1b[31md\xc3\xa4\xff";
    terminal_make_safe(text, strlen(text), &out);
    assert_string_equal(out.data, "a^Jb^Ic^M^[[31md\xc3\xa4\\xff");
}

/* Every string of three bytes that matter: nothing but colours has an ESC, all is UTF-8.
 */
static void no_short_string_gets_a_sequence_through(void **state)
{
    static const char bytes[] = {'\x1b', '[',    ']',    'm',    '0',    ';',
                                 '?',    '\n',   '\xc2', '\x9b', '\xe2', '\x80',
                                 '\xae', '\x00', 'J',    '\x7f'};
    (void)state;
    for (size_t i = 0; i < sizeof bytes * sizeof bytes * sizeof bytes * sizeof bytes;
         i++) {
        size_t n = i;
        char in[4];
        for (size_t k = 0; k < sizeof in; k++, n /= sizeof bytes) {
            in[k] = bytes[n % sizeof bytes];
        }
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        filter(in, sizeof in, 2, &out);
        assert_true(bytes_is_utf8(out.data, out.length));
        for (const char *p = out.data; (p = strchr(p, '\x1b')) != NULL;) {
            assert_int_equal(p[1], '[');
            p += 2 + strspn(p + 2, "0123456789:;");
            assert_int_equal(*p, 'm');
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_text_and_colours_get_through),
        cmocka_unit_test(a_stream_may_be_cut_anywhere),
        cmocka_unit_test(a_nul_byte_is_shown),
        cmocka_unit_test(a_colour_without_end_is_none),
        cmocka_unit_test(a_line_of_ours_has_no_colours_and_no_newlines),
        cmocka_unit_test(no_short_string_gets_a_sequence_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
