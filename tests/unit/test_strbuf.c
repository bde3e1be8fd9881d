#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/strbuf.h"

static void appends_text(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

    (void)state;
    strbuf_printf(&sb, "%d", 42);
    strbuf_puts(&sb, "x");
    assert_string_equal(sb.data, "42x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
