#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "common/mem.h"

static void copies_text(void **state)
{
    CLEANUP_FREE char *s = xasprintf("%s-%d", "a", 7);

    (void)state;
    assert_string_equal(s, "a-7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
