#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/strvec.h"

static void an_empty_list_ends_in_null(void **state)
{
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;

    (void)state;
    assert_false(strvec_contains(&sv, "a"));
    strvec_sort(&sv);
    assert_non_null(strvec_argv(&sv));
    assert_null(strvec_argv(&sv)[0]);
    assert_int_equal(sv.count, 0);
}

static void every_push_keeps_the_null_behind_it(void **state)
{
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        strvec_pushf(&sv, "%zu", i);
        assert_int_equal(sv.count, i + 1);
        assert_null(sv.items[sv.count]);
    }
    assert_string_equal(sv.items[0], "0");
    assert_string_equal(strvec_argv(&sv)[999], "999");
    assert_null(strvec_argv(&sv)[1000]);
}

static void pushes_copies_and_adopts_the_thing_itself(void **state)
{
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;
    char text[] = "a";
    char *adopted = xstrdup("b");

    (void)state;
    strvec_push(&sv, text);
    strvec_adopt(&sv, adopted);
    text[0] = 'x';
    assert_string_equal(sv.items[0], "a");
    assert_ptr_equal(sv.items[1], adopted);
}

static void finds_and_removes(void **state)
{
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;

    (void)state;
    strvec_push(&sv, "a");
    strvec_push(&sv, "b");
    strvec_push(&sv, "c");
    assert_true(strvec_contains(&sv, "b"));
    assert_false(strvec_contains(&sv, "B"));
    strvec_remove(&sv, 1);
    assert_false(strvec_contains(&sv, "b"));
    assert_string_equal(sv.items[1], "c");
    strvec_remove(&sv, 1);
    strvec_remove(&sv, 0);
    assert_int_equal(sv.count, 0);
    assert_null(strvec_argv(&sv)[0]);
}

static void sorts_by_bytes(void **state)
{
    static const char *const sorted[] = {"", "B", "a", "ab", "b", "\xc3\xa4"};
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;

    (void)state;
    strvec_push(&sv, "b");
    strvec_push(&sv, "\xc3\xa4");
    strvec_push(&sv, "a");
    strvec_push(&sv, "");
    strvec_push(&sv, "ab");
    strvec_push(&sv, "B");
    strvec_sort(&sv);
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
        assert_string_equal(sv.items[i], sorted[i]);
    }
    assert_null(sv.items[sv.count]);
}

static void a_released_list_is_usable_again(void **state)
{
    struct strvec sv = STRVEC_INIT;

    (void)state;
    strvec_push(&sv, "a");
    strvec_release(&sv);
    strvec_release(&sv);
    assert_int_equal(sv.count, 0);
    strvec_push(&sv, "b");
    assert_string_equal(sv.items[0], "b");
    strvec_release(&sv);
}

static void sorts_and_keeps_one_of_each(void **state)
{
    static const char *const given[] = {"b", "a", "b", "", "a", "b", "c"};
    static const char *const sorted[] = {"", "a", "b", "c"};
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;

    (void)state;
    strvec_sort_unique(&sv);
    assert_int_equal(sv.count, 0);
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        strvec_push(&sv, given[i]);
    }
    strvec_sort_unique(&sv);
    assert_int_equal(sv.count, sizeof(sorted) / sizeof(sorted[0]));
    for (size_t i = 0; i < sv.count; i++) {
        assert_string_equal(sv.items[i], sorted[i]);
    }
    assert_null(sv.items[sv.count]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_list_ends_in_null),
        cmocka_unit_test(every_push_keeps_the_null_behind_it),
        cmocka_unit_test(pushes_copies_and_adopts_the_thing_itself),
        cmocka_unit_test(finds_and_removes),
        cmocka_unit_test(sorts_by_bytes),
        cmocka_unit_test(sorts_and_keeps_one_of_each),
        cmocka_unit_test(a_released_list_is_usable_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
