#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/strvec.h"

static void keeps_a_null_behind_the_last(void **state)
{
    CLEANUP_STRVEC struct strvec sv = STRVEC_INIT;

    (void)state;
    assert_null(strvec_argv(&sv)[0]);
    strvec_pushf(&sv, "%d", 1);
    assert_string_equal(sv.items[0], "1");
    assert_null(sv.items[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_null_behind_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
