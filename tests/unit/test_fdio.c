#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "common/fdio.h"
#include "common/mem.h"

static void what_is_written_is_read_to_the_end(void **state)
{
    CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int ends[2];

    (void)state;
    assert_int_equal(fdio_pipe(ends, &err), 0);
    assert_int_equal(fdio_write_full(ends[1], "some text", 9), 0);
    fdio_close(&ends[1]);
    assert_int_equal(ends[1], -1);
    assert_int_equal(fdio_read_all(ends[0], "a pipe", &sb, &err), 0);
    assert_string_equal(sb.data, "some text");
    fdio_close(&ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_to_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
