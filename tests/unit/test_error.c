#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"

static void set_stores_code_and_sentence(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(error_set(&err, ERR_LIMIT, "%d of %s", 3, "them"), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.text, "3 of them");
    assert_string_equal(err.hint, "");
}

static void set_clears_what_an_earlier_failure_left(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    errno = ENOENT;
    error_sys(&err, "open");
    error_hint(&err, "look elsewhere");
    error_set(&err, ERR_IO, "other");
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.hint, "");
}

static void sys_maps_errno_and_keeps_it(void **state)
{
    static const struct {
        int sys;
        enum error_code code;
    } rows[] = {
        {ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE}, {ENOENT, ERR_NOT_FOUND},
        {EACCES, ERR_ACCESS},   {EPERM, ERR_ACCESS},    {EROFS, ERR_ACCESS},
        {EEXIST, ERR_EXISTS},   {EAGAIN, ERR_BUSY},     {ETIMEDOUT, ERR_TIMED_OUT},
        {EIO, ERR_IO},          {EPIPE, ERR_IO},        {123456, ERR_IO},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        errno = rows[i].sys;
        assert_int_equal(error_sys(&err, "read %s", "x"), -1);
        assert_int_equal(errno, rows[i].sys);
        assert_int_equal(err.sys, rows[i].sys);
        assert_int_equal(err.code, rows[i].code);
        assert_memory_equal(err.text, "read x: ", 8);
        assert_true(strlen(err.text) > 8);
    }
}

static void sys_says_the_reason(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    errno = ENOSPC;
    error_sys(&err, "write object");
    assert_string_equal(err.text, "write object: No space left on device");
}

static void wrap_puts_context_in_front(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    errno = ENOSPC;
    error_sys(&err, "write object");
    error_hint(&err, "free some");
    assert_int_equal(error_wrap(&err, "push to %s", "gpu1"), -1);
    assert_string_equal(err.text, "push to gpu1: write object: No space left on device");
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(err.sys, ENOSPC);
    assert_string_equal(err.hint, "free some");
}

static void the_sentence_may_be_its_own_argument(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    error_set(&err, ERR_IO, "inner");
    error_set(&err, ERR_LINK, "<%s>", err.text);
    assert_string_equal(err.text, "<inner>");
    error_wrap(&err, "%s", err.text);
    assert_string_equal(err.text, "<inner>: <inner>");
}

static void long_texts_are_cut(void **state)
{
    struct error err = ERROR_INIT;
    char text[2 * ERROR_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&err, ERR_IO, "%s", text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    error_hint(&err, "%s", text);
    assert_int_equal(strlen(err.hint), ERROR_HINT_MAX - 1);
    error_wrap(&err, "context");
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "context: xxx", 12);
    error_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    errno = EIO;
    error_sys(&err, "%s", text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    assert_int_equal(err.code, ERR_IO);
}

static void a_copy_has_all_of_it(void **state)
{
    struct error from = ERROR_INIT, to = ERROR_INIT;

    (void)state;
    errno = ENOSPC;
    (void)error_sys(&from, "write");
    (void)error_hint(&from, "free some");
    assert_int_equal(error_copy(&to, &from), -1);
    assert_memory_equal(&to, &from, sizeof(to));
    assert_int_equal(error_copy(NULL, &from), -1);
}

static void nobody_need_care(void **state)
{
    (void)state;
    errno = ENOENT;
    assert_int_equal(error_set(NULL, ERR_IO, "x"), -1);
    assert_int_equal(error_sys(NULL, "x"), -1);
    assert_int_equal(error_wrap(NULL, "x"), -1);
    assert_int_equal(error_hint(NULL, "x"), -1);
    assert_int_equal(errno, ENOENT);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = ERR_NONE; a < ERR_COUNT; a++) {
        const char *name = error_code_name((enum error_code)a);

        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        assert_true(strlen(name) > 0);
        for (int b = a + 1; b < ERR_COUNT; b++) {
            assert_string_not_equal(name, error_code_name((enum error_code)b));
        }
        if (a != ERR_NONE) {
            assert_int_equal(error_code_parse(name), a);
        }
    }
}

static void names_from_outside_are_judged(void **state)
{
    (void)state;
    assert_int_equal(error_code_parse("nonsense"), ERR_INTERNAL);
    assert_int_equal(error_code_parse(""), ERR_INTERNAL);
    assert_int_equal(error_code_parse("none"), ERR_INTERNAL);
    assert_int_equal(error_code_parse("IO"), ERR_INTERNAL);
    assert_string_equal(error_code_name(ERR_COUNT), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_stores_code_and_sentence),
        cmocka_unit_test(set_clears_what_an_earlier_failure_left),
        cmocka_unit_test(sys_maps_errno_and_keeps_it),
        cmocka_unit_test(sys_says_the_reason),
        cmocka_unit_test(wrap_puts_context_in_front),
        cmocka_unit_test(the_sentence_may_be_its_own_argument),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(a_copy_has_all_of_it),
        cmocka_unit_test(nobody_need_care),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(names_from_outside_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
