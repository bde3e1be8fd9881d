#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/bytes.h"

static void hex_is_lower_case(void **state)
{
    char hex[5];

    (void)state;
    bytes_to_hex(hex, "\xab\x01", 2);
    assert_string_equal(hex, "ab01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_is_lower_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
