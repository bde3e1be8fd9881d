#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "controller/poetry.h"
#include "controller/toml.h"

static void constraints_are_written_as_the_standard_has_them(void **state)
{
    static const struct {
        const char *poetry, *standard;
    } rows[] = {
        {"*", ""},
        {"", ""},
        {"^1.2.3", ">=1.2.3,<2"},
        {"^1.2", ">=1.2,<2"},
        {"^1", ">=1,<2"},
        {"^0.2.3", ">=0.2.3,<0.3"},
        {"^0.0.3", ">=0.0.3,<0.0.4"},
        {"^0.0", ">=0.0,<0.1"},
        {"^0", ">=0,<1"},
        {"^1.0.0rc1", ">=1.0.0rc1,<2"},
        {"~1.2.3", ">=1.2.3,<1.3"},
        {"~1.2", ">=1.2,<1.3"},
        {"~1", ">=1,<2"},
        {"~=1.4.2", "~=1.4.2"},
        {"1.*", "==1.*"},
        {"1.2.3", "==1.2.3"},
        {"=1.2.3", "==1.2.3"},
        {"v1.2", "==1.2"},
        {"== 1.2.*", "==1.2.*"},
        {">= 1.2, < 1.5", ">=1.2,<1.5"},
        {">=1.2 <1.5, !=1.3", ">=1.2,<1.5,!=1.3"},
        {">=1,^1.2", ">=1,>=1.2,<2"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        if (poetry_constraint(rows[i].poetry, &text, &err) < 0) {
            fail_msg("%s: %s", rows[i].poetry, err.text);
        }
        assert_string_equal(text.data, rows[i].standard);
    }
}

static void what_is_no_constraint_is_refused(void **state)
{
    static const char *const texts[] = {
        "banana",   "^",   "^1.*", "~x", "<>1",
        "^1 || ^2", "1|2", ">",    ">*", "^99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        if (poetry_constraint(texts[i], &text, &err) == 0) {
            fail_msg("%s became %s", texts[i], text.data);
        }
        assert_int_equal(err.code, ERR_CONFIG);
    }
}

/* The member of the document that standardising makes, or the sentence. */
static void assert_standard(const char *toml, const char *key, const char *expected)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *document =
        toml_parse("pyproject.toml", toml, strlen(toml), &err);
    assert_non_null(document);
    if (poetry_standardise(document, "pyproject.toml", &err) < 0) {
        assert_string_equal(err.text, expected);
    } else if (json_get(document, key) == NULL) {
        assert_string_equal("none", expected);
    } else {
        json_write(json_get(document, key), false, &text);
        assert_string_equal(text.data, expected);
    }
}

static void tables_become_the_standards(void **state)
{
    static const char packages[] =
        "[tool.poetry]\nname = 'x'\n"
        "[tool.poetry.dependencies]\npython = '^3.9'\nsix = '^1.15'\n"
        "Torch = {version = '2.1.0', extras = ['a', 'b'], python = '>=3.9,<3.12'}\n"
        "idna = {version = '*', markers = \"sys_platform == 'linux'\"}\n"
        "exact = {version = '1', python = '3.8'}\n"
        "patch = {version = '1', python = '>=3.8.1'}\n"
        "any = {version = '1', python = '3.8.*'}\n"
        "lib = {git = 'https://g/x.git', rev = 'abc'}\n"
        "plots = {version = '>=2', optional = true}\n"
        "old = [{version = '1.*', python = '<3.10'}, {version = '2.*', python = "
        "'>=3.10'}]\n"
        "[tool.poetry.extras]\nplot = ['plots']\n"
        "[tool.poetry.dev-dependencies]\npytest = '*'\n"
        "[tool.poetry.group.docs.dependencies]\nsphinx = '~7.1'\n";
    (void)state;
    assert_standard(
        packages, "project",
        "{\"dependencies\":[\"six>=1.15,<2\",\"Torch[a,b]==2.1.0 ; python_version >= "
        "'3.9' and python_version < '3.12'\",\"idna ; (sys_platform == "
        "'linux')\",\"exact==1 ; python_version == '3.8'\",\"patch==1 ; "
        "python_full_version >= "
        "'3.8.1'\",\"any==1 ; python_full_version == '3.8.*'\",\"lib\",\"old==1.* ; "
        "python_version < '3.10'\",\"old==2.* ; "
        "python_version >= '3.10'\"],\"optional-dependencies\":{\"plot\":[\"plots>=2"
        "\"]},\"requires-python\":\">=3.9,<4\"}");
    assert_standard(packages, "dependency-groups",
                    "{\"dev\":[\"pytest\"],\"docs\":[\"sphinx>=7.1,<7.2\"]}");
}

static void what_says_it_already_is_left_alone(void **state)
{
    (void)state;
    assert_standard("[tool.ruff]\nx = 1\n", "project", "none");
    assert_standard("[tool.poetry]\nbuild = 'build.py'\n", "project", "none");
    assert_standard("[project]\nname = 'x'\n[tool.poetry]\ndependencies = {six = '1'}\n",
                    "project", "{\"name\":\"x\"}");
}

static void wrong_tables_are_told(void **state)
{
    (void)state;
    assert_standard("[tool.poetry.dependencies]\nsix = 'banana'\n", "project",
                    "pyproject.toml: tool.poetry: six: \"banana\" is no version "
                    "constraint of Poetry's");
    assert_standard("[tool.poetry.dependencies]\nsix = 3\n", "project",
                    "pyproject.toml: tool.poetry: six is neither a version constraint "
                    "nor a table");
    assert_standard("[tool.poetry.extras]\nplot = ['plots']\n", "project",
                    "pyproject.toml: tool.poetry.extras.plot: an item is none of "
                    "tool.poetry.dependencies");
    assert_standard("[tool.poetry.dependencies]\npython = 'x'\n", "project",
                    "pyproject.toml: tool.poetry: python: \"x\" is no version constraint "
                    "of Poetry's");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constraints_are_written_as_the_standard_has_them),
        cmocka_unit_test(what_is_no_constraint_is_refused),
        cmocka_unit_test(tables_become_the_standards),
        cmocka_unit_test(what_says_it_already_is_left_alone),
        cmocka_unit_test(wrong_tables_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
