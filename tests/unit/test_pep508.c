#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "controller/pep508.h"

struct row {
    const char *text, *written;
};

static void one_requirement_has_one_spelling(void **state)
{
    static const struct row rows[] = {
        {"six", "six"},
        {"  Scikit_Learn ", "scikit-learn"},
        {"zope.interface", "zope-interface"},
        {"A--b__c", "a-b-c"},
        {"six==1.16.0", "six==1.16.0"},
        {"six ( >= 1.0 , <2 )", "six<2,>=1.0"},
        {"pandas[ Excel,aws,excel ] >= 2", "pandas[aws,excel]>=2"},
        {"pandas[]", "pandas"},
        {"x @ https://h/x.whl", "x @ https://h/x.whl"},
        {"x@git+https://h/x@v1#egg=x", "x @ git+https://h/x@v1#egg=x"},
        {"x @ https://h/x.whl ; python_version<'3.9'",
         "x @ https://h/x.whl ; python_version < \"3.9\""},
        {"x;os.name=='nt'", "x ; os_name == \"nt\""},
        {"x>1;(sys_platform=='linux')", "x>1 ; sys_platform == \"linux\""},
        {"x;'a'in extra or(os_name!='nt'and python_version>\"3\")",
         "x ; \"a\" in extra or os_name != \"nt\" and python_version > \"3\""},
        {"x;(os_name=='a' or os_name=='b')and extra=='y'",
         "x ; (os_name == \"a\" or os_name == \"b\") and extra == \"y\""},
        {"x;platform_machine not  in 'arm \"x\"'",
         "x ; platform_machine not in 'arm \"x\"'"},
        {"x;python_implementation=='CPython'",
         "x ; platform_python_implementation == \"CPython\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_PEP508 struct pep508 first = {.name = NULL};
        CLEANUP_PEP508 struct pep508 second = {.name = NULL};
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
        struct error err = ERROR_INIT;

        if (pep508_parse(rows[i].text, &first, &err) < 0) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        pep508_write(&first, &out);
        assert_string_equal(out.data, rows[i].written);
        assert_int_equal(pep508_parse(out.data, &second, &err), 0);
        pep508_write(&second, &again);
        assert_string_equal(again.data, out.data);
    }
}

static void what_is_wrong_is_said(void **state)
{
    static const struct row rows[] = {
        {"", "does not begin with a package's name"},
        {"==1.0", "does not begin with a package's name"},
        {"-e .", "no name of a package"},
        {"six-", "no name of a package"},
        {"six 1.0", "a version needs a comparison"},
        {"six=1.0", "= is no comparison"},
        {"six>>2", "two comparisons"},
        {"six[a", "is not closed"},
        {"six[a b]", "no name of an extra"},
        {"six[a,]b", "no version specifier"},
        {"six (==1", "( is not closed"},
        {"six (", "( is not closed"},
        {"x @", "no address"},
        {"x @ wheel", "is no address"},
        {"x @ https://h y", "stands behind the address"},
        {"x ;", "ends too early"},
        {"x ; python_versoin < '3'", "knows no \"python_versoin\""},
        {"x ; python_version", "where a comparison belongs"},
        {"x ; python_version < ", "ends too early"},
        {"x ; python_version < '3", "is not closed"},
        {"x ; 'a' == 'b'", "compares no variable"},
        {"x ; (os_name == 'a'", "( is not closed"},
        {"x ; os_name == 'a' b", "behind its end"},
        {"x ; os_name not 'a'", "where a comparison belongs"},
        {"x ; os_name == 3", "knows no \"3\""},
        {"x ; os_name == $", "where a name or a quoted text"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_PEP508 struct pep508 requirement = {.name = NULL};
        struct error err = ERROR_INIT;

        if (pep508_parse(rows[i].text, &requirement, &err) == 0 ||
            strstr(err.text, rows[i].written) == NULL) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_int_equal(err.code, ERR_CONFIG);
    }
}

static void a_misspelt_variable_gets_advice(void **state)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(pep508_marker("python_versoin < '3'", &out, &err), -1);
    assert_string_equal(err.hint, "did you mean python_version?");
}

static void a_marker_has_a_largest_depth(void **state)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        strbuf_putc(&text, '(');
    }
    assert_int_equal(pep508_marker(text.data, &out, &err), -1);
    assert_non_null(strstr(err.text, "too deep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_requirement_has_one_spelling),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_misspelt_variable_gets_advice),
        cmocka_unit_test(a_marker_has_a_largest_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
