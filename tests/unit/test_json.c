#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"

static void reads_and_writes(void **state)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_JSON struct json *j = json_parse("{\"a\":[1,2]}", 11, NULL);

    (void)state;
    assert_non_null(j);
    json_write(j, false, &out);
    assert_string_equal(out.data, "{\"a\":[1,2]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
