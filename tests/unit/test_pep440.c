#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "common/pep440.h"

struct row {
    const char *text, *written; /* NULL: refused */
};

typedef int reader(const char *text, size_t length, struct strbuf *out,
                   struct error *err);

static void try_rows(const struct row *rows, size_t count, reader *read)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
        struct error err = ERROR_INIT;
        int result = read(rows[i].text, strlen(rows[i].text), &out, &err);

        if (result != (rows[i].written != NULL ? 0 : -1)) {
            fail_msg("%s: %d, %s", rows[i].text, result, err.text);
        }
        if (result < 0) {
            assert_int_equal(err.code, ERR_CONFIG);
            assert_int_equal(out.length, 0);
            continue;
        }
        assert_string_equal(out.data, rows[i].written);
        assert_int_equal(read(out.data, out.length, &again, &err), 0);
        assert_string_equal(again.data, out.data);
    }
}

static void a_version_has_one_spelling(void **state)
{
    static const struct row rows[] = {
        {"1", "1"},
        {"1.0", "1.0"},
        {"v1.0", "1.0"},
        {"2024.01.05", "2024.1.5"},
        {"1.0a1", "1.0a1"},
        {"1.0.Alpha-1", "1.0a1"},
        {"1.0-beta", "1.0b0"},
        {"1.0c2", "1.0rc2"},
        {"1.0pre", "1.0rc0"},
        {"1.0.preview_3", "1.0rc3"},
        {"1.0RC1", "1.0rc1"},
        {"1.0-1", "1.0.post1"},
        {"1.0.post", "1.0.post0"},
        {"1.0rev2", "1.0.post2"},
        {"1.0-r4", "1.0.post4"},
        {"1.0.dev", "1.0.dev0"},
        {"1.0DEV3", "1.0.dev3"},
        {"1.0a1.post2.dev3", "1.0a1.post2.dev3"},
        {"1!2.0", "1!2.0"},
        {"0!2.0", "2.0"},
        {"1.0+CU118", "1.0+cu118"},
        {"1.0+ubuntu-1_2", "1.0+ubuntu.1.2"},
        {"0.0", "0.0"},
        {"007", "7"},
        {"", NULL},
        {"x", NULL},
        {"1.", NULL},
        {"1..2", NULL},
        {"1.0.*", NULL},
        {"1.0+", NULL},
        {"1.0+a..b", NULL},
        {"1.0 ", NULL},
        {"1.0alphabet", NULL},
        {"1.0a1b2", NULL},
        {"!1", NULL},
        {"1!", NULL},
        {"1.0-", NULL},
    };

    (void)state;
    try_rows(rows, ARRAY_SIZE(rows), pep440_version);
}

static void specifiers_have_one_spelling(void **state)
{
    static const struct row rows[] = {
        {"", ""},
        {"  ", ""},
        {"==1.0", "==1.0"},
        {" >= 1.0 , < 2 ", "<2,>=1.0"},
        {"<2,>=1.0,<2", "<2,>=1.0"},
        {"~=1.4.2", "~=1.4.2"},
        {"!=1.5.*", "!=1.5.*"},
        {"== v1.*", "==1.*"},
        {"===2.0-x", "===2.0-x"},
        {"==1.0+cu118", "==1.0+cu118"},
        {">=1.0,", ">=1.0"},
        {"1.0", NULL},
        {"=1.0", NULL},
        {"=>1.0", NULL},
        {">>1.0", NULL},
        {"== 1.0 2", NULL},
        {">=1.*", NULL},
        {"~=1", NULL},
        {"~=1.*", NULL},
        {">=1.0+cu118", NULL},
        {"==1.0.dev1.*", NULL},
        {",>=1", NULL},
        {">=1,,<2", NULL},
        {"==", NULL},
        {"===", NULL},
        {"latest", NULL},
    };

    (void)state;
    try_rows(rows, ARRAY_SIZE(rows), pep440_specifiers);
}

static void what_was_probably_meant_is_said(void **state)
{
    static const struct row rows[] = {
        {"1.0", "==1.0"},
        {"=1.0", "==1.0"},
        {">=1.2.*", ">=1.2"},
        {"~=1", "==1.*"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(
            pep440_specifiers(rows[i].text, strlen(rows[i].text), &out, &err), -1);
        assert_non_null(strstr(err.hint, rows[i].written));
    }
}

static int python(const char *text, size_t length, struct strbuf *out, struct error *err)
{
    (void)length;
    return pep440_python(text, out, err);
}

static void a_bare_python_is_its_series(void **state)
{
    static const struct row rows[] = {
        {"3.11", "==3.11.*"},
        {"3", "==3.*"},
        {"3.11.7", "==3.11.7"},
        {">=3.9", ">=3.9"},
        {"3.10 ", "==3.10.*"},
        {"3.14rc1", "==3.14rc1"},
        {"", ""},
        {"python3", NULL},
        {"three", NULL},
    };

    (void)state;
    try_rows(rows, ARRAY_SIZE(rows), python);
}

static void one_version_alone_is_pinned(void **state)
{
    (void)state;
    assert_true(pep440_is_pinned("==1.0"));
    assert_true(pep440_is_pinned("===1.0-x"));
    assert_false(pep440_is_pinned("==1.0.*"));
    assert_false(pep440_is_pinned("==1.0,>=1"));
    assert_false(pep440_is_pinned(">=1.0"));
    assert_false(pep440_is_pinned(""));
}

static void zeros_at_the_end_do_not_make_another_version(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"1", "1.0", true},      {"1.0", "1.0.0", true},
        {"1.0a1", "1a1", true},  {"1.0.post1", "1.post1", true},
        {"1.0.1", "1.1", false}, {"1.0", "1.0.1", false},
        {"1", "10", false},      {"1.0", "1.00", false},
        {"2", "1", false},       {"1.0+a", "1+a", true},
        {"1.10", "1.1", false},  {"1.0.0.1", "1.0.0", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (pep440_same(rows[i].a, rows[i].b) != rows[i].is_same ||
            pep440_same(rows[i].b, rows[i].a) != rows[i].is_same) {
            fail_msg("%s, %s", rows[i].a, rows[i].b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_has_one_spelling),
        cmocka_unit_test(specifiers_have_one_spelling),
        cmocka_unit_test(what_was_probably_meant_is_said),
        cmocka_unit_test(a_bare_python_is_its_series),
        cmocka_unit_test(one_version_alone_is_pinned),
        cmocka_unit_test(zeros_at_the_end_do_not_make_another_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
