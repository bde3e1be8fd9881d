#include "controller/peek.h"
#include "tests/unit/scratch.h"

static uint64_t peek(const struct scratch *s, const char *name, bool *is_all)
{
    return peek_size(s->fd, name, is_all);
}

static void sizes_are_summed_however_deep(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    bool is_all = false;

    (void)state;
    scratch_mkdir(s, "data");
    scratch_mkdir(s, "data/deep");
    scratch_write(s, "data/a", "12345");
    scratch_write(s, "data/deep/b", "123");
    assert_int_equal(symlinkat("../data/a", s->fd, "data/link"), 0);
    assert_int_equal(peek(s, "data", &is_all), 8);
    assert_true(is_all);
    assert_int_equal(peek(s, "data/a", &is_all), 5);
    assert_true(is_all);
}

static void what_is_not_there_or_a_link_is_nothing(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    bool is_all = false;

    (void)state;
    scratch_mkdir(s, "data");
    scratch_write(s, "data/a", "12345");
    assert_int_equal(symlinkat("data", s->fd, "link"), 0);
    assert_int_equal(peek(s, "link", &is_all), 0);
    assert_int_equal(peek(s, "nothing", &is_all), 0);
    assert_true(is_all);
}

static void a_glance_ends_and_says_so(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    bool is_all = true;

    (void)state;
    scratch_mkdir(s, "data");
    for (unsigned i = 0; i < PEEK_NAMES_MAX; i++) {
        CLEANUP_FREE char *name = xasprintf("data/%u", i);

        scratch_write(s, name, "1");
    }
    assert_int_equal(peek(s, "data", &is_all), PEEK_NAMES_MAX);
    assert_true(is_all);
    scratch_write(s, "data/one more", "1");
    assert_int_equal(peek(s, "data", &is_all), PEEK_NAMES_MAX);
    assert_false(is_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_summed_however_deep),
        cmocka_unit_test(what_is_not_there_or_a_link_is_nothing),
        cmocka_unit_test(a_glance_ends_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
