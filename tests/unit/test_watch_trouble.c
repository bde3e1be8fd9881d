/* watch_trouble: which of many tries that fail are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "controller/watch.h"

/* How many lines so many tries make, one a second, whose causes alternate. */
static int count_lines(int tries, enum error_code even, enum error_code odd, bool is_live)
{
    struct watch_trouble trouble = {0};
    int lines = 0;
    for (int i = 0; i < tries; i++) {
        lines += watch_trouble_is_news(&trouble, i % 2 == 0 ? even : odd,
                                       (1000 + i) * NS_PER_S, is_live);
    }
    return lines;
}

static void a_cause_is_told_when_it_is_new(void **state)
{
    (void)state;
    assert_int_equal(count_lines(50, ERR_CONNECT, ERR_CONNECT, false), 1);
    assert_int_equal(count_lines(50, ERR_LINK, ERR_CONNECT, false), 2);
}

/* Each change from one to the other was a line: one a try, for hours. */
static void causes_that_come_and_go_are_told_once_each(void **state)
{
    (void)state;
    assert_int_equal(count_lines(100000, ERR_LINK, ERR_CONNECT, true), 2);
    assert_in_range(count_lines(8 * 3600, ERR_LINK, ERR_CONNECT, false), 8, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cause_is_told_when_it_is_new),
        cmocka_unit_test(causes_that_come_and_go_are_told_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
