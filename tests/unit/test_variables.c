#define _GNU_SOURCE /* environ */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/variables.h"

static bool has(const struct strvec *v, const char *text)
{
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static int set_some(void **state)
{
    (void)state;
    variables_forget(); /* whatever who started us had */
    return setenv("ERRAND_RUN_ID", "outer", 1) != 0 || setenv("ERRAND_", "x", 1) != 0 ||
           setenv("ERRANDS", "many", 1) != 0 || setenv("MY_ERRAND_X", "mine", 1) != 0;
}

static void own_variables_begin_with_the_prefix(void **state)
{
    (void)state;
    assert_true(variables_is_own("ERRAND_RUN_ID=x"));
    assert_true(variables_is_own("ERRAND_"));
    assert_false(variables_is_own("ERRAND=x"));
    assert_false(variables_is_own("MY_ERRAND_X=y"));
}

static void all_others_are_inherited(void **state)
{
    CLEANUP_STRVEC struct strvec v = STRVEC_INIT;
    size_t all = 0;

    (void)state;
    while (environ[all] != NULL) {
        all++;
    }
    variables_inherit(&v);
    assert_int_equal(v.count, all - 2);
    assert_true(has(&v, "ERRANDS=many"));
    assert_true(has(&v, "MY_ERRAND_X=mine"));
    assert_false(has(&v, "ERRAND_RUN_ID=outer"));
}

static void forgotten_ones_leave_no_text(void **state)
{
    const char *value = getenv("ERRAND_RUN_ID");

    (void)state;
    variables_forget();
    assert_null(getenv("ERRAND_RUN_ID"));
    assert_null(getenv("ERRAND_"));
    assert_string_equal(getenv("ERRANDS"), "many");
    assert_string_equal(value, ""); /* glibc keeps the memory of what was set */
}

static void a_list_is_changed_by_name(void **state)
{
    struct strvec list CLEANUP_STRVEC = STRVEC_INIT;
    (void)state;
    strvec_push(&list, "PATH=/a");
    strvec_push(&list, "PATHS=/b");
    strvec_push(&list, "PATH=/c");
    assert_string_equal(variables_find(&list, "PATH"), "/c");
    assert_null(variables_find(&list, "PAT"));
    variables_setf(&list, "PATH=%s:%s", "/first", variables_find(&list, "PATH"));
    assert_string_equal(variables_find(&list, "PATH"), "/first:/c");
    assert_int_equal(list.count, 2);
    variables_set(&list, "EMPTY=");
    assert_string_equal(variables_find(&list, "EMPTY"), "");
    variables_unset(&list, "PATH");
    variables_unset(&list, "NONE");
    assert_null(variables_find(&list, "PATH"));
    assert_string_equal(variables_find(&list, "PATHS"), "/b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_changed_by_name),
        cmocka_unit_test_setup(own_variables_begin_with_the_prefix, set_some),
        cmocka_unit_test_setup(all_others_are_inherited, set_some),
        cmocka_unit_test_setup(forgotten_ones_leave_no_text, set_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
