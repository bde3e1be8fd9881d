#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "controller/install.h"

static const struct executor_file file = {.size_bytes = 4711, .digest = "d16e57"};

static void the_node_names_its_platform(void **state)
{
    char os[INSTALL_NAME_SIZE];
    char machine[INSTALL_NAME_SIZE];

    (void)state;
    assert_int_equal(install_answer("missing Linux x86_64", "gpu1", os, machine, NULL),
                     0);
    assert_string_equal(os, "Linux");
    assert_string_equal(machine, "x86_64");
    assert_int_equal(
        install_answer("missing  CYGWIN_NT-10.0 i686 more", "gpu1", os, machine, NULL),
        0);
    assert_string_equal(os, "CYGWIN_NT-10.0");
    assert_string_equal(machine, "i686");
}

/* The names become part of a file's name here. */
static void a_platform_that_is_no_name_is_refused(void **state)
{
    static const char *const answers[] = {
        "missing",
        "missing Linux",
        "missing ../../tmp/x x86_64",
        "missing Linux /etc/passwd",
        "missing .. x86_64",
        "missing Linux x86\n64",
        "missing \033[31mLinux x86_64",
        "missing Linux "
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "missingLinux x86_64",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        char os[INSTALL_NAME_SIZE];
        char machine[INSTALL_NAME_SIZE];
        struct error err = ERROR_INIT;

        assert_int_equal(install_answer(answers[i], "gpu1", os, machine, &err), -1);
        assert_int_equal(err.code, ERR_BOOTSTRAP);
        assert_true(err.hint[0] != '\0');
    }
}

static void each_refusal_has_its_sentence(void **state)
{
    static const struct {
        const char *words, *text, *hint;
    } rows[] = {
        {"nohome /home/me/.errand", "gpu1: /home/me/.errand cannot be written", "--root"},
        {"nospace /d 0", "gpu1: no room for the executor (2 MB) in /d 0", "free some"},
        {"noexec /d", "gpu1: programs may not be executed in /d (mounted noexec)",
         "another folder"},
        {"failed sh: no", "gpu1: the executor does not run there: sh: no", "uname"},
        {"nospacecraft", "gpu1: the executor does not run there: nospacecraft", "uname"},
        {"", "gpu1: the executor does not run there: ", "uname"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char os[INSTALL_NAME_SIZE];
        char machine[INSTALL_NAME_SIZE];
        struct error err = ERROR_INIT;

        assert_int_equal(install_answer(rows[i].words, "gpu1", os, machine, &err), -1);
        assert_string_equal(err.text, rows[i].text);
        assert_non_null(strstr(err.hint, rows[i].hint));
    }
}

/* One line that every login shell takes alike. */
static void the_line_is_quoted_once(void **state)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;

    (void)state;
    assert_int_equal(install_line(&file, NULL, &line, NULL), 0);
    assert_true(strncmp(line.data, "exec sh -c '", 12) == 0);
    assert_ptr_equal(strchr(line.data + 12, '\''), line.data + line.length - 1);
    assert_null(strpbrk(line.data, "\n\\!"));
    assert_non_null(strstr(line.data, "r=\"$HOME/.errand\""));
    assert_non_null(strstr(line.data, "head -c 4711 "));
    assert_non_null(strstr(line.data, "--digest d16e57'"));
    strbuf_reset(&line);
    assert_int_equal(install_line(&file, "/data/errand", &line, NULL), 0);
    assert_non_null(strstr(line.data, "r=\"/data/errand\""));
}

static void a_root_that_a_shell_would_read_is_refused(void **state)
{
    static const char *const roots[] = {"",       "relative", "~you/x", "/a b",  "/a;b",
                                        "/$HOME", "/a'b",     "/a\"b",  "/`id`", "/a\nb"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(install_line(&file, roots[i], &line, &err), -1);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(line.length, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_node_names_its_platform),
        cmocka_unit_test(a_platform_that_is_no_name_is_refused),
        cmocka_unit_test(each_refusal_has_its_sentence),
        cmocka_unit_test(the_line_is_quoted_once),
        cmocka_unit_test(a_root_that_a_shell_would_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
