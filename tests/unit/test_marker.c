#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/marker.h"

#define OBJECT "{\"protocol\":1,\"root\":\"/home/me/.errand\"}"
#define LINE MARKER_EXECUTOR OBJECT "\n"

/* What came of a whole stream. */
struct outcome {
    enum marker_kind kind;
    size_t used;
    size_t noise_bytes;
    enum error_code code;
    char json[256];
    char words[256];
    char noise[MARKER_NOISE_KEEP + 1];
};

/* Feed text in pieces of at most step bytes until a marker or an error comes. */
static void feed(struct outcome *out, const char *text, size_t length, size_t step)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct json *j = NULL;
    struct error err = ERROR_INIT;
    struct marker m;
    size_t used = 0;

    memset(out, 0, sizeof(*out));
    marker_init(&m);
    while (out->used < length && out->kind == MARKER_NONE && err.code == ERR_NONE) {
        size_t n = length - out->used < step ? length - out->used : step;

        if (marker_input(&m, text + out->used, n, &used, &out->kind, &j, &err) == 0) {
            assert_true(used <= n);
            assert_true(used == n || out->kind != MARKER_NONE);
            out->used += used;
        }
    }
    out->code = err.code;
    out->noise_bytes = m.noise_bytes;
    if (j != NULL) {
        json_write(j, false, &sb);
        memcpy(out->json, sb.data, sb.length + 1);
        json_free(j);
    }
    if (out->kind == MARKER_IS_BOOTSTRAP) {
        memcpy(out->words, m.line.data, m.line.length + 1);
    }
    strbuf_reset(&sb);
    marker_noise(&m, &sb);
    assert_true(sb.length <= MARKER_NOISE_KEEP);
    memcpy(out->noise, sb.data, sb.length + 1);
    marker_release(&m);
}

static void finds_the_line_at_once(void **state)
{
    struct outcome o;

    (void)state;
    feed(&o, "\n" LINE "frames", strlen("\n" LINE "frames"), 1000);
    assert_int_equal(o.kind, MARKER_IS_EXECUTOR);
    assert_string_equal(o.json, OBJECT);
    assert_int_equal(o.used, strlen("\n" LINE));
    assert_int_equal(o.noise_bytes, 1);
}

static void finds_the_line_in_noise_however_it_is_cut(void **state)
{
    static const char text[] = "Welcome!\r\n\xff\xfe ERRAND-EXECUTOR {\"no\":1}\n"
                               "ERRAND-EXECUTORS\nprompt> \n" LINE "tail";
    struct outcome whole;

    (void)state;
    feed(&whole, text, sizeof(text) - 1, sizeof(text));
    assert_int_equal(whole.kind, MARKER_IS_EXECUTOR);
    assert_string_equal(whole.json, OBJECT);
    assert_int_equal(whole.used, sizeof(text) - 1 - 4);
    for (size_t step = 1; step < sizeof(text); step++) {
        struct outcome o;

        feed(&o, text, sizeof(text) - 1, step);
        assert_memory_equal(&o, &whole, sizeof(o));
    }
}

static void a_carriage_return_before_the_end_is_no_part_of_it(void **state)
{
    static const char text[] = "\r\n" MARKER_EXECUTOR OBJECT "\r\n";
    static const char script[] = MARKER_BOOTSTRAP "missing Linux x86_64\r\n";
    struct outcome o;

    (void)state;
    feed(&o, text, sizeof(text) - 1, 3);
    assert_int_equal(o.kind, MARKER_IS_EXECUTOR);
    feed(&o, script, sizeof(script) - 1, 3);
    assert_string_equal(o.words, "missing Linux x86_64");
}

static void one_marker_may_follow_another(void **state)
{
    static const char text[] = "hi\n" MARKER_BOOTSTRAP "missing Linux x86_64\n\n" LINE;
    size_t length = sizeof(text) - 1;
    enum marker_kind kind;
    struct json *j;
    struct marker m;
    size_t used;
    size_t more;

    (void)state;
    marker_init(&m);
    assert_int_equal(marker_input(&m, text, length, &used, &kind, &j, NULL), 0);
    assert_int_equal(kind, MARKER_IS_BOOTSTRAP);
    assert_null(j);
    assert_string_equal(m.line.data, "missing Linux x86_64");
    assert_int_equal(marker_input(&m, text + used, length - used, &more, &kind, &j, NULL),
                     0);
    assert_int_equal(kind, MARKER_IS_EXECUTOR);
    assert_int_equal(used + more, length);
    json_free(j);
    marker_release(&m);
}

static void a_marker_with_a_bad_object_is_an_error(void **state)
{
    static const char *const texts[] = {
        MARKER_EXECUTOR "\n",       MARKER_EXECUTOR "[]\n",
        MARKER_EXECUTOR "{} {}\n",  MARKER_EXECUTOR "{\"a\":1,\"a\":2}\n",
        MARKER_EXECUTOR "\xff{}\n",
    };
    struct outcome o;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        feed(&o, texts[i], strlen(texts[i]), 5);
        assert_int_equal(o.code, ERR_PROTOCOL);
        assert_int_equal(o.kind, MARKER_NONE);
    }
}

static void noise_is_bounded_in_lines_and_in_one_line(void **state)
{
    size_t length = MARKER_NOISE_MAX + sizeof(LINE);
    CLEANUP_FREE char *text = xmalloc(length);
    struct outcome o;

    (void)state;
    for (size_t line = 1; line <= MARKER_NOISE_MAX; line *= 512) {
        for (size_t step = 1000; step <= 100000; step *= 10) {
            memset(text, 'x', MARKER_NOISE_MAX);
            for (size_t at = line; at <= MARKER_NOISE_MAX; at += line) {
                text[at - 1] = '\n';
            }
            memcpy(text + MARKER_NOISE_MAX, LINE, sizeof(LINE));
            feed(&o, text, length - 1, step);
            assert_int_equal(o.kind, MARKER_IS_EXECUTOR);
            assert_int_equal(o.noise_bytes, MARKER_NOISE_MAX);
            memmove(text + 1, text, length - 1);
            feed(&o, text, length, step);
            assert_int_equal(o.kind, MARKER_NONE);
            assert_int_equal(o.code, ERR_LIMIT);
        }
    }
}

static void a_line_that_is_too_long_is_noise(void **state)
{
    size_t length = MARKER_LINE_MAX + 1 + sizeof(LINE);
    CLEANUP_FREE char *text = xmalloc(length + 1);
    struct outcome o;

    (void)state;
    memset(text, ' ', length);
    memcpy(text, MARKER_EXECUTOR "{", strlen(MARKER_EXECUTOR "{"));
    text[MARKER_LINE_MAX] = '}';
    memcpy(text + MARKER_LINE_MAX + 1, "\n" LINE, sizeof("\n" LINE));
    for (size_t step = 1; step < 40000; step *= 7) {
        feed(&o, text, length, step);
        assert_int_equal(o.kind, MARKER_IS_EXECUTOR);
        assert_string_equal(o.json, OBJECT);
        assert_int_equal(o.noise_bytes, MARKER_LINE_MAX + 2);
    }
}

static void keeps_the_end_of_the_noise_for_the_sentence(void **state)
{
    struct outcome o;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)state;
    feed(&o, "motd\nPermission denied", 22, 4);
    assert_string_equal(o.noise, "motd\nPermission denied");
    for (int i = 0; i < 2000; i++) {
        strbuf_printf(&text, "line %d\n", i);
    }
    strbuf_puts(&text, "the end");
    feed(&o, text.data, text.length, 333);
    assert_int_equal(strlen(o.noise), MARKER_NOISE_KEEP);
    assert_string_equal(o.noise, text.data + text.length - MARKER_NOISE_KEEP);
}

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FACTS                                                                            \
    "{\"protocol\":1,\"features\":[],\"version\":\"0.1.0\",\"digest\":\"" DIGEST         \
    "\",\"store\":\"00112233445566778899aabbccddeeff\",\"node\":\"" DIGEST               \
    "\",\"boot\":\"b-0\",\"platform\":\"linux-x86_64\","                                 \
    "\"time\":\"2026-11-23T10:00:00.000Z\",\"root\":\"/home/me/.errand\"}"

/* Whether FACTS pass where one text in them is another. */
static bool passes(const char *old, const char *new)
{
    const char *at = strstr(FACTS, old);
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *facts = NULL;
    struct error err = ERROR_INIT;
    bool is_good;

    assert_non_null(at);
    strbuf_printf(&text, "%.*s%s%s", (int)(at - FACTS), FACTS, new, at + strlen(old));
    facts = json_parse(text.data, text.length, NULL);
    assert_non_null(facts);
    is_good = marker_check(facts, &err) == 0;
    assert_int_equal(err.code, is_good ? ERR_NONE : ERR_PROTOCOL);
    return is_good;
}

/* The store's and the node's id are keys of the history: "" means a run that was never
 * accepted. */
static void what_the_executor_says_of_itself_is_bounded(void **state)
{
    (void)state;
    assert_true(passes("0.1.0", "0.2.0"));
    assert_true(passes("{", "{\"new\":[1],"));
    assert_false(passes("00112233445566778899aabbccddeeff", ""));
    assert_false(passes("00112233445566778899aabbccddeeff", "../../../../etc/passwd"));
    assert_false(passes("\"node\":\"" DIGEST, "\"node\":\"x"));
    assert_false(passes("\"digest\":\"" DIGEST, "\"digest\":\"x"));
    assert_false(passes("b-0", ""));
    assert_false(passes("b-0", "0123456789012345678901234567890123456789"));
    assert_false(passes("2026-11-23T", "yesterday "));
    assert_false(passes("\"/home/me/.errand\"", "7"));
    assert_false(passes("\"version\"", "\"ver\""));
    assert_false(passes("\"protocol\":1", "\"protocol\":2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_line_at_once),
        cmocka_unit_test(finds_the_line_in_noise_however_it_is_cut),
        cmocka_unit_test(a_carriage_return_before_the_end_is_no_part_of_it),
        cmocka_unit_test(one_marker_may_follow_another),
        cmocka_unit_test(a_marker_with_a_bad_object_is_an_error),
        cmocka_unit_test(noise_is_bounded_in_lines_and_in_one_line),
        cmocka_unit_test(a_line_that_is_too_long_is_noise),
        cmocka_unit_test(what_the_executor_says_of_itself_is_bounded),
        cmocka_unit_test(keeps_the_end_of_the_noise_for_the_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
