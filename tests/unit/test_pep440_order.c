#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/pep440.h"

static const struct {
    const char *version, *specifiers;
    bool fits;
} cases[] = {
    {"3.11.7", "", true},
    {"3.11.7", "==3.11.*", true},
    {"3.1.7", "==3.11.*", false},
    {"3.11.7", ">=3.9,<3.13", true},
    {"3.13.0", ">=3.9,<3.13", false},
    {"3.11.7", "~=3.10", true},
    {"4.0.0", "~=3.10", false},
    {"3.11.7", "~=3.11.2", true},
    {"3.12.1", "~=3.11.2", false},
    {"3.9.0", "==3.9", true},
    {"3.9.18", "<=3.9", false},
    {"3.9.18", "!=3.9.*", false},
    {"3.9.18", "!=3.9.7, >3.8", true},
    {"3.13.0rc1", "<3.13", false},
    {"3.13.0rc1", "<3.13.0rc2", true},
    {"3.13.0", ">3.13.0rc2", true},
    {"3.11.7", "junk", false},
    {"3.11.7", "==", false},
    {"3.11.7", ">=3.9 <3.13", false},
};

static void specifiers_are_taken_as_pep_440_has_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (pep440_fits(cases[i].version, cases[i].specifiers) != cases[i].fits) {
            fail_msg("%s and %s", cases[i].version, cases[i].specifiers);
        }
    }
}

static void versions_have_an_order(void **state)
{
    static const char *const versions[] = {
        "2.7.18",    "3.6.15",    "3.9.2",     "3.9.18", "3.14.0a1",
        "3.14.0b10", "3.14.0rc1", "3.14.0rc2", "3.14.0", "3.14.1"};
    (void)state;
    for (size_t a = 0; a < ARRAY_SIZE(versions); a++) {
        for (size_t b = 0; b < ARRAY_SIZE(versions); b++) {
            int order = pep440_compare(versions[a], versions[b]);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
        }
    }
    assert_true(pep440_is_early("3.14.0rc1"));
    assert_false(pep440_is_early("3.14.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specifiers_are_taken_as_pep_440_has_them),
        cmocka_unit_test(versions_have_an_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
