#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/mem.h"
#include "controller/install.h"

static const struct executor_files one = {
    .items = {{.size_bytes = 4711, .digest = "d16e57", .platform = "Linux-x86_64"}},
    .count = 1,
};
static const struct executor_files two = {
    .items = {{.size_bytes = 4711, .digest = "d16e57", .platform = "Linux-x86_64"},
              {.size_bytes = 815, .digest = "a4a4", .platform = "Linux-aarch64"}},
    .count = 2,
};

static void the_node_names_its_platform(void **state)
{
    (void)state;
    assert_ptr_equal(install_answer("missing Linux x86_64", "gpu1", &two, NULL),
                     &two.items[0]);
    assert_ptr_equal(install_answer("missing  Linux aarch64 more", "gpu1", &two, NULL),
                     &two.items[1]);
}

static void a_platform_that_none_is_here_for_is_named(void **state)
{
    static const char *const rows[][2] = {
        {"missing Linux aarch64",
         "the node is Linux on aarch64, and there is no errand-executor-linux-aarch64 "
         "here"},
        {"missing CYGWIN_NT-10.0 i686",
         "the node runs CYGWIN_NT-10.0; the executor is for Linux"},
        {"missing linux x86_64", "the node runs linux; the executor is for Linux"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        assert_null(install_answer(rows[i][0], "gpu1", &one, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_string_equal(err.text, rows[i][1]);
        assert_true(err.hint[0] != '\0');
    }
}

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
        struct error err = ERROR_INIT;

        assert_null(install_answer(answers[i], "gpu1", &two, &err));
        assert_int_equal(err.code, ERR_BOOTSTRAP);
        assert_true(err.hint[0] != '\0');
    }
}

static void each_refusal_has_its_sentence(void **state)
{
    static const struct {
        const char *words, *text, *hint;
    } rows[] = {
        {"nohome /home/me/.errand", "/home/me/.errand cannot be written",
         "root: in gpu1"},
        {"nospace /d", "no room for the executor (2 MB) in /d", "root: in gpu1"},
        {"noexec /d", "programs may not be executed in /d (mounted noexec)",
         "another folder"},
        {"failed sh: no", "the executor does not run there: sh: no", "uname"},
        {"failed \033[31mred", "the executor does not run there: ^[[31mred", "uname"},
        {"nospacecraft", "the executor does not run there: nospacecraft", "uname"},
        {"", "the executor does not run there: ", "uname"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;

        assert_null(install_answer(rows[i].words, "gpu1", &one, &err));
        assert_string_equal(err.text, rows[i].text);
        assert_non_null(strstr(err.hint, rows[i].hint));
    }
}

/* One line that every login shell takes alike. */
static void the_line_is_quoted_once(void **state)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;

    (void)state;
    assert_int_equal(install_line(&one, NULL, &line, NULL), 0);
    assert_true(strncmp(line.data, "exec sh -c '", 12) == 0);
    assert_ptr_equal(strchr(line.data + 12, '\''), line.data + line.length - 1);
    assert_null(strpbrk(line.data, "\n\\!"));
    assert_non_null(strstr(line.data, "r=\"$HOME/.errand\""));
    assert_non_null(strstr(line.data, " d=d16e57; n=4711; f="));
    strbuf_reset(&line);
    assert_int_equal(install_line(&two, "/data/errand", &line, NULL), 0);
    assert_non_null(strstr(line.data, "r=\"/data/errand\""));
    assert_ptr_equal(strchr(line.data + 12, '\''), line.data + line.length - 1);
    assert_null(strpbrk(line.data, "\n\\!"));
    assert_non_null(strstr(line.data, " Linux-x86_64) d=d16e57; n=4711;; "));
    assert_non_null(strstr(line.data, " Linux-aarch64) d=a4a4; n=815;; "));
}

static void a_root_that_a_shell_would_read_is_refused(void **state)
{
    static const char *const roots[] = {"",       "relative", "~you/x", "/a b",  "/a;b",
                                        "/$HOME", "/a'b",     "/a\"b",  "/`id`", "/a\nb"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(install_line(&one, roots[i], &line, &err), -1);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(line.length, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_node_names_its_platform),
        cmocka_unit_test(a_platform_that_none_is_here_for_is_named),
        cmocka_unit_test(a_platform_that_is_no_name_is_refused),
        cmocka_unit_test(each_refusal_has_its_sentence),
        cmocka_unit_test(the_line_is_quoted_once),
        cmocka_unit_test(a_root_that_a_shell_would_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
