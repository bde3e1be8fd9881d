#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"

static void without_a_sink_nothing_is_written(void **state)
{
    struct log log = {.fd = -1, .word = "serve"};

    (void)state;
    log_line(&log, "%d", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_sink_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
