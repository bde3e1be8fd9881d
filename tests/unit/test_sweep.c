#include "common/clock.h"
#include "common/sweep.h"
#include "tests/unit/scratch.h"

#define HOUR_MS (INT64_C(3600) * 1000)

struct seen {
    struct sweep sweep;
    uint64_t count;
    struct strvec names;
};

static void take(void *context, int dir_fd, const char *name)
{
    struct seen *seen = context;

    strvec_push(&seen->names, name);
    sweep_remove(&seen->sweep, dir_fd, name, &seen->count);
}

static void release(struct seen *seen)
{
    sweep_release(&seen->sweep);
    strvec_release(&seen->names);
}

/* Two old names that fit, a young one, one that does not fit. */
static void fill(const struct scratch *s)
{
    scratch_mkdir(s, ".tmp-folder");
    scratch_write(s, ".tmp-folder/file", "text");
    scratch_write(s, ".tmp-file", "text");
    scratch_write(s, "kept", "text");
    clock_test_set(clock_monotonic_ns(), clock_utc_ms() + HOUR_MS + 1000);
}

static void old_names_that_fit_go(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct seen seen = {.count = 0};

    (void)state;
    fill(s);
    sweep_old(s->fd, ".tmp-*", HOUR_MS, take, &seen);
    clock_test_clear();
    assert_int_equal(seen.count, 2);
    assert_true(seen.sweep.bytes > 0);
    assert_false(scratch_exists(s, ".tmp-folder") || scratch_exists(s, ".tmp-file"));
    assert_true(scratch_exists(s, "kept"));
    release(&seen);
}

static void what_is_young_stays(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct seen seen = {.count = 0};

    (void)state;
    fill(s);
    sweep_old(s->fd, "*", 2 * HOUR_MS, take, &seen);
    clock_test_clear();
    assert_int_equal(seen.count, 0);
    release(&seen);
}

static void dry_only_counts(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct seen seen = {.sweep = {.is_dry = true}};

    (void)state;
    fill(s);
    sweep_old(s->fd, "*", HOUR_MS, take, &seen);
    clock_test_clear();
    assert_int_equal(seen.count, 3); /* and not the folder itself */
    assert_true(scratch_exists(s, ".tmp-folder/file") && scratch_exists(s, ".tmp-file"));
    release(&seen);
}

static void what_cannot_be_removed_is_a_warning(void **state)
{
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct seen seen = {.count = 0};

    (void)state;
    sweep_remove(&seen.sweep, -1, "name", &seen.count);
    assert_int_equal(seen.count, 0);
    assert_int_equal(seen.sweep.warnings.count, 1);
    for (size_t i = 0; i < 2 * SWEEP_WARNINGS_MAX; i++) {
        sweep_remove(&seen.sweep, -1, "name", &seen.count);
    }
    assert_int_equal(seen.sweep.warnings.count, SWEEP_WARNINGS_MAX);
    release(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_names_that_fit_go),
        cmocka_unit_test(what_is_young_stays),
        cmocka_unit_test(dry_only_counts),
        cmocka_unit_test(what_cannot_be_removed_is_a_warning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
