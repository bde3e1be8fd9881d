#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "executor/requests.h"
#include "tests/unit/node.h"

#define DEFAULT_MS 5000

/* The scratch as a run's folder. */
static int run_of(const struct scratch *s)
{
    scratch_mkdir(s, "requests");
    return s->fd;
}

static void put(const struct scratch *s, const char *name, const char *text)
{
    CLEANUP_FREE char *path = xasprintf("requests/%s", name);

    scratch_write(s, path, text);
}

static void without_a_request_nothing_is_canceled(void **state)
{
    struct cancel_request out;
    const struct scratch *s = *state;

    assert_false(requests_find_cancel(s->fd, DEFAULT_MS, &out));
    assert_false(requests_find_cancel(run_of(s), DEFAULT_MS, &out));
}

static void a_cancel_is_found_with_its_words(void **state)
{
    struct cancel_request out;
    const struct scratch *s = *state;
    int run_fd = run_of(s);

    put(s, "1000-aa.json",
        "{\"request\":\"cancel\",\"reason\":\"enough\",\"by\":\"me@here\",\"grace_ms\":"
        "7}");
    assert_true(requests_find_cancel(run_fd, DEFAULT_MS, &out));
    assert_int_equal(out.grace_ms, 7);
    assert_string_equal(out.reason, "enough");
    assert_string_equal(out.by, "me@here");
}

static void the_first_has_the_word_and_the_shortest_grace_counts(void **state)
{
    struct cancel_request out;
    const struct scratch *s = *state;
    int run_fd = run_of(s);

    put(s, "2000-aa.json",
        "{\"request\":\"cancel\",\"reason\":\"second\",\"grace_ms\":3}");
    put(s, "1000-bb.json",
        "{\"request\":\"cancel\",\"reason\":\"first\",\"grace_ms\":9}");
    put(s, "3000-cc.json",
        "{\"request\":\"cancel\",\"reason\":\"third\",\"grace_ms\":null}");
    assert_true(requests_find_cancel(run_fd, DEFAULT_MS, &out));
    assert_string_equal(out.reason, "first");
    assert_int_equal(out.grace_ms, 3);
}

/* A full disk leaves an empty file where a cancel was asked for. */
static void an_empty_request_is_a_cancel_without_words(void **state)
{
    struct cancel_request out;
    const struct scratch *s = *state;
    int run_fd = run_of(s);

    put(s, "1000-aa.json", "");
    assert_true(requests_find_cancel(run_fd, DEFAULT_MS, &out));
    assert_int_equal(out.grace_ms, DEFAULT_MS);
    assert_string_equal(out.reason, "");
}

static void what_is_no_request_asks_for_nothing(void **state)
{
    static const char *const texts[] = {"{",
                                        "[]",
                                        "null",
                                        "{\"request\":\"signal\"}",
                                        "{\"request\":1}",
                                        "{\"reason\":\"x\"}"};
    struct cancel_request out;
    const struct scratch *s = *state;
    int run_fd = run_of(s);

    put(s, ".tmp-1", "{\"request\":\"cancel\"}");
    put(s, "1000-aa", "{\"request\":\"cancel\"}");
    put(s, ".json", "");
    scratch_mkdir(s, "requests/1000-dd.json");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        put(s, "1000-aa.json", texts[i]);
        assert_false(requests_find_cancel(run_fd, DEFAULT_MS, &out));
    }
}

static void a_grace_that_cannot_be_is_the_default(void **state)
{
    static const char *const graces[] = {"-1", "1.5", "\"7\"", "86400001",
                                         "9007199254740992"};
    const struct scratch *s = *state;
    int run_fd = run_of(s);

    for (size_t i = 0; i < ARRAY_SIZE(graces); i++) {
        struct cancel_request out;
        CLEANUP_FREE char *text =
            xasprintf("{\"request\":\"cancel\",\"grace_ms\":%s}", graces[i]);

        put(s, "1000-aa.json", text);
        assert_true(requests_find_cancel(run_fd, DEFAULT_MS, &out));
        assert_int_equal(out.grace_ms, DEFAULT_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(without_a_request_nothing_is_canceled),
        NODE_TEST(a_cancel_is_found_with_its_words),
        NODE_TEST(the_first_has_the_word_and_the_shortest_grace_counts),
        NODE_TEST(an_empty_request_is_a_cancel_without_words),
        NODE_TEST(what_is_no_request_asks_for_nothing),
        NODE_TEST(a_grace_that_cannot_be_is_the_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
