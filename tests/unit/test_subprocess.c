#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "common/subprocess.h"

static void output_and_status_come_back(void **state)
{
    static const char *const argv[] = {"sh", "-c", "echo out; echo bad >&2; exit 3",
                                       NULL};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf bad = STRBUF_INIT;
    struct error err = ERROR_INIT;
    int status = 0;

    (void)state;
    assert_int_equal(subprocess_capture(argv, &out, &bad, -1, &status, &err), 0);
    assert_string_equal(out.data, "out\n");
    assert_string_equal(bad.data, "bad\n");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

static void a_missing_program_is_an_error_of_the_call(void **state)
{
    static const char *const argv[] = {"no-such-program", NULL};
    struct subprocess sp = {.argv = argv, .in = SUBPROCESS_NULL};
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(subprocess_start(&sp, &err), -1);
    assert_int_equal(err.code, ERR_SPAWN);
    assert_int_equal(err.sys, ENOENT);
    assert_non_null(strstr(err.text, "no-such-program"));
    assert_int_equal(sp.pid, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_status_come_back),
        cmocka_unit_test(a_missing_program_is_an_error_of_the_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
