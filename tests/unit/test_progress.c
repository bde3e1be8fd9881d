#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/progress.h"

static void assert_says(struct progress *p, const char *what, uint64_t done,
                        uint64_t total, double at_s, const char *expected)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    progress_describe(p, what, done, total, (int64_t)(at_s * (double)NS_PER_S), &text);
    assert_string_equal(text.data, expected);
}

static void the_rate_is_that_of_the_last_seconds(void **state)
{
    struct progress p;

    (void)state;
    progress_init(&p);
    assert_says(&p, "sending", 0, 100000000, 10, "sending: 0 bytes of 100 MB (0 %)");
    assert_says(&p, "sending", 4000000, 100000000, 10.5,
                "sending: 4.0 MB of 100 MB (4 %)");
    assert_says(&p, "sending", 8000000, 100000000, 12,
                "sending: 8.0 MB of 100 MB (8 %), 4.0 MB/s, 23 s left");
    /* It stands still. */
    assert_says(&p, "sending", 8000000, 100000000, 14,
                "sending: 8.0 MB of 100 MB (8 %), 2.0 MB/s, 46 s left");
    assert_says(&p, "sending", 100000000, 100000000, 14.1,
                "sending: 100 MB of 100 MB (100 %), 2.0 MB/s");
    progress_release(&p);
}

static void other_work_begins_anew(void **state)
{
    struct progress p;

    (void)state;
    progress_init(&p);
    assert_says(&p, "sending", 0, 0, 1, "sending: 0 bytes");
    assert_says(&p, "sending", 2000, 0, 3, "sending: 2.0 KB, 1.0 KB/s");
    assert_says(&p, "fetching", 10, 0, 4, "fetching: 10 bytes");
    progress_clear(&p);
    assert_says(&p, "fetching", 20, 0, 9, "fetching: 20 bytes");
    progress_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_is_that_of_the_last_seconds),
        cmocka_unit_test(other_work_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
