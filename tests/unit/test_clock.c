#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"

static void formats_utc(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    clock_format(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_utc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
