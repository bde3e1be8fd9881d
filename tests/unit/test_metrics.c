#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/metrics.h"
#include "tests/unit/place.h"

#define CLEANUP_METRICS CLEANUP(metrics_release)

static int note(void *context, const struct metric_value *value, struct error *err)
{
    struct strbuf *seen = context;
    (void)err;
    strbuf_puts(seen, value->name);
    if (value->has_step) {
        strbuf_printf(seen, "@%lld", (long long)value->step);
    }
    strbuf_putc(seen, ':');
    metrics_format(value->value, seen);
    strbuf_putc(seen, ';');
    return 0;
}

/* What is seen of a file of these bytes. */
static void assert_seen(const struct place *p, const char *text, const char *expected,
                        uint64_t unread)
{
    CLEANUP_STRBUF struct strbuf seen = STRBUF_INIT;
    struct metrics_unread said = {0};
    place_write(p, "home/state/runs/abcd/metrics", text);
    assert_int_equal(metrics_read(p->home, "abcd", 0, note, &seen, &said, NULL), 0);
    strbuf_puts(&seen, "");
    assert_string_equal(seen.data, expected);
    assert_int_equal(said.lines, unread);
}

static void values_come_in_the_order_of_the_lines(void **state)
{
    assert_seen(*state, "", "", 0);
    assert_seen(*state, "{\"loss\":1}\n\n{\"loss\":0.5,\"step\":2,\"word\":\"a b\"}\n",
                "loss:1;loss@2:0.5;word@2:a b;", 0);
    assert_seen(*state, "{\"step\":3,\"on\":true}", "on@3:true;", 0);
}

static void a_list_is_several_values_and_a_table_several_rows(void **state)
{
    assert_seen(*state, "{\"loss\":[1,0.25],\"step\":7,\"names\":[\"a\"],\"none\":[]}\n",
                "loss@7:1;loss@7:0.25;names@7:a;", 0);
    assert_seen(*state, "{\"row\":{\"x\":1,\"y\":[1,2]}}\n", "row:x=1 y=[1,2];", 0);
    assert_seen(*state, "{\"t\":{\"x\":[1,2],\"y\":[\"a\",\"b\"]}}\n",
                "t:x=1 y=a;t:x=2 y=b;", 0);
    assert_seen(*state, "{\"t\":{\"x\":[1,2],\"y\":[3]}}\n", "t:x=[1,2] y=[3];", 0);
}

static void numbers_that_json_does_not_have_are_read(void **state)
{
    assert_seen(*state,
                "{\"loss\": NaN, \"a\": -Infinity, \"b\": [Infinity], \"s\": \"NaN \\\" "
                "NaN\"}\n",
                "loss:NaN;a:-Infinity;b:Infinity;s:NaN \" NaN;", 0);
}

static void what_is_no_metric_is_counted_and_passed_over(void **state)
{
    assert_seen(*state,
                "loss 1\n[1]\n{\"a\":null}\n{\"\":1}\n{\"a\":[[1]]}\n{\"a\":1,\"a\":2}\n"
                "{\"good\":1}\n\xff\n{\"a\":1} x\n{\"cut\":",
                "good:1;", 8);
    const struct place *p = *state;
    struct metrics_unread said = {0};
    CLEANUP_STRBUF struct strbuf seen = STRBUF_INIT;
    place_write(p, "home/state/runs/abcd/metrics", "{\"a\":1}\n{\"b\":null}\n");
    assert_int_equal(metrics_read(p->home, "abcd", 0, note, &seen, &said, NULL), 0);
    assert_int_equal(said.first_line, 2);
    assert_non_null(strstr(said.first.text, "b: a number, a text"));
}

static void a_line_that_is_too_long_is_passed_over_in_little_memory(void **state)
{
    CLEANUP_FREE char *text = xmalloc(METRICS_LINE_MAX + 100);
    memset(text, ' ', METRICS_LINE_MAX + 50);
    memcpy(text + METRICS_LINE_MAX + 50, "\n{\"a\":1}\n", sizeof "\n{\"a\":1}\n");
    assert_seen(*state, text, "a:1;", 1);
}

static void generations_come_one_behind_another_up_to_the_limit(void **state)
{
    const struct place *p = *state;
    struct metrics_unread said = {0};
    CLEANUP_STRBUF struct strbuf all = STRBUF_INIT, some = STRBUF_INIT;
    place_write(p, "home/state/runs/abcd/metrics", "{\"a\":1}\n");
    place_write(p, "home/state/runs/abcd/metrics.1", "{\"a\":2}\n{\"a\":3}\n");
    assert_int_equal(metrics_read(p->home, "abcd", 0, note, &all, &said, NULL), 0);
    assert_string_equal(all.data, "a:1;a:2;a:3;");
    assert_int_equal(metrics_read(p->home, "abcd", 19, note, &some, &said, NULL), 0);
    assert_string_equal(some.data, "a:1;a:2;");
    assert_int_equal(said.lines, 0);
    assert_int_equal(metrics_read(p->home, "none", 0, note, &all, &said, NULL), 0);
    assert_string_equal(all.data, "a:1;a:2;a:3;");
}

static void in_short_it_is_the_latest_and_the_range(void **state)
{
    const struct place *p = *state;
    struct metrics_unread said = {0};
    CLEANUP_METRICS struct metrics metrics = {.items = NULL};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    place_write(
        p, "home/state/runs/abcd/metrics",
        "{\"a\":3,\"step\":1}\n{\"a\":-1.5,\"b\":\"x\",\"step\":2}\n{\"a\":NaN}\n");
    assert_int_equal(
        metrics_read(p->home, "abcd", 0, metrics_sum_up, &metrics, &said, NULL), 0);
    assert_int_equal(metrics.count, 2);
    const struct metric *a = &metrics.items[0], *b = &metrics.items[1];
    assert_string_equal(a->name, "a");
    assert_int_equal(a->count, 3);
    assert_true(a->has_range && a->min == -1.5 && a->max == 3 && !a->has_step);
    metrics_format(a->latest, &text);
    assert_string_equal(text.data, "NaN");
    assert_true(b->count == 1 && !b->has_range && b->has_step && b->step == 2);
}

static void no_more_names_are_kept_than_fit(void **state)
{
    const struct place *p = *state;
    struct metrics_unread said = {0};
    CLEANUP_METRICS struct metrics metrics = {.items = NULL};
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    for (int i = 0; i < METRICS_NAMES_MAX + 5; i++) {
        strbuf_printf(&text, "{\"m%d\":1}\n", i);
    }
    place_write(p, "home/state/runs/abcd/metrics", text.data);
    assert_int_equal(
        metrics_read(p->home, "abcd", 0, metrics_sum_up, &metrics, &said, NULL), 0);
    assert_int_equal(metrics.count, METRICS_NAMES_MAX);
    assert_int_equal(metrics.left_out, 5);
}

static void numbers_are_short(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{1, "1"},         {-3, "-3"},
                {0.1, "0.1"},     {0.36751, "0.36751"},
                {1e-9, "1e-09"},  {123456789, "123456789"},
                {1e300, "1e+300"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        metrics_format_number(rows[i].value, &text);
        assert_string_equal(text.data, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        place_test(values_come_in_the_order_of_the_lines),
        place_test(a_list_is_several_values_and_a_table_several_rows),
        place_test(numbers_that_json_does_not_have_are_read),
        place_test(what_is_no_metric_is_counted_and_passed_over),
        place_test(a_line_that_is_too_long_is_passed_over_in_little_memory),
        place_test(generations_come_one_behind_another_up_to_the_limit),
        place_test(in_short_it_is_the_latest_and_the_range),
        place_test(no_more_names_are_kept_than_fit),
        cmocka_unit_test(numbers_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
