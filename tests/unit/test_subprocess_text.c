#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common/mem.h"
#include "common/subprocess.h"

static void signals_have_names_both_ways(void **state)
{
    static const struct {
        int number;
        const char *name;
    } rows[] = {
        {SIGKILL, "SIGKILL"},     {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"},
        {SIGABRT, "SIGABRT"},     {SIGSYS, "SIGSYS"},   {SIGWINCH, "SIGWINCH"},
        {SIGSTKFLT, "SIGSTKFLT"}, {SIGPWR, "SIGPWR"},   {SIGIO, "SIGIO"},
        {SIGXCPU, "SIGXCPU"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_string_equal(subprocess_signal_name(rows[i].number), rows[i].name);
        assert_int_equal(subprocess_signal_number(rows[i].name), rows[i].number);
        assert_int_equal(subprocess_signal_number(rows[i].name + 3), rows[i].number);
    }
    assert_int_equal(subprocess_signal_number("SIGIOT"), SIGABRT);
    assert_int_equal(subprocess_signal_number("POLL"), SIGIO);
}

static void every_signal_of_the_system_has_a_name(void **state)
{
    (void)state;
    for (int i = 1; i < NSIG; i++) {
        const char *name = subprocess_signal_name(i);

        /* 32 and 33 are the C library's own. */
        if (i > SIGSYS && i < SIGRTMIN) {
            assert_string_equal(name, "SIGUNKNOWN");
        } else {
            assert_int_equal(subprocess_signal_number(name), i);
        }
    }
    assert_string_equal(subprocess_signal_name(SIGRTMIN), "SIGRTMIN");
    assert_string_equal(subprocess_signal_name(SIGRTMIN + 2), "SIGRTMIN+2");
    assert_int_equal(subprocess_signal_number("RTMIN+2"), SIGRTMIN + 2);
}

static void other_names_and_numbers_are_unknown(void **state)
{
    static const char *const names[] = {"",    "SIG",       "kill",       "SIGKILLL",
                                        "9",   "KIL",       "SIGSIGKILL", "SIGRTMIN+99",
                                        "RT0", "SIGUNKNOWN"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(subprocess_signal_number(names[i]), -1);
    }
    assert_string_equal(subprocess_signal_name(0), "SIGUNKNOWN");
    assert_string_equal(subprocess_signal_name(-1), "SIGUNKNOWN");
    assert_string_equal(subprocess_signal_name(NSIG + 100), "SIGUNKNOWN");
}

static void statuses_become_sentences(void **state)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {W_EXITCODE(0, 0), "exited with status 0"},
        {W_EXITCODE(3, 0), "exited with status 3"},
        {W_EXITCODE(0, SIGKILL), "was killed by SIGKILL"},
        {W_EXITCODE(0, SIGSEGV) | 0x80, "was killed by SIGSEGV"},
        {W_EXITCODE(0, 33), "was killed by signal 33"},
        {W_STOPCODE(SIGSTOP), "has wait status 0x137f"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

        subprocess_describe_status(rows[i].status, &sb);
        assert_string_equal(sb.data, rows[i].text);
    }
}

static void plain_words_stay_readable(void **state)
{
    static const struct {
        const char *word, *quoted;
    } rows[] = {
        {"", "''"},
        {"train.py", "train.py"},
        {"--lr=0.1", "'--lr=0.1'"},
        {"a@b:/c,d+e%f-g_h", "a@b:/c,d+e%f-g_h"},
        {"a b", "'a b'"},
        {"~", "'~'"},
        {"=ls", "'=ls'"},
        {"it's", "'it'\\''s'"},
        {"'", "\\'"},
        {"\\", "\\\\"},
        {"!", "\\!"},
        {"$x", "'$x'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

        subprocess_quote(&sb, rows[i].word);
        assert_string_equal(sb.data, rows[i].quoted);
    }
}

/* Every byte, alone and between others, and what shells are known to trip over. */
static void collect_words(struct strbuf *line, struct strbuf *expected, bool has_newlines)
{
    static const char *const nasty[] = {
        "",         "-n",     "~root", "$HOME",     "`id`",  "$(id)", "a'b\"c\\d",
        "{a,b}",    "[a-z]*", "?",     "#no",       "a#b",   "!!",    "a!b",
        "^x^y",     "=ls",    "%1",    "\\'",       "'\\''", "\\\\",  "'!'",
        "a\tb ",    " ",      "&& x",  "<(x)",      ">x",    ";",     "a=b",
        "\xc3\xa4", "@",      "$'x'",  "history\\!"};

    for (size_t i = 0; i < ARRAY_SIZE(nasty); i++) {
        strbuf_putc(line, ' ');
        subprocess_quote(line, nasty[i]);
        strbuf_printf(expected, "[%s]", nasty[i]);
    }
    for (char c = 1; c < 127; c++) {
        char word[] = {c, 'x', c, c, '\0'};

        if (c != '\n' || has_newlines) {
            strbuf_putc(line, ' ');
            subprocess_quote(line, word);
            strbuf_printf(expected, "[%s]", word);
        }
    }
}

static void shells_see_what_was_quoted(void **state)
{
    static const struct {
        const char *shell;
        bool has_newlines;
    } rows[] = {{"sh", true},  {"dash", true}, {"bash", true}, {"busybox", true},
                {"ksh", true}, {"zsh", true},  {"fish", true}, {"tcsh", false}};
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf expected = STRBUF_INIT;
        CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
        bool is_busybox = strcmp(rows[i].shell, "busybox") == 0;
        const char *const busybox[] = {"busybox", "sh", "-c", NULL, NULL};
        const char *argv[5] = {rows[i].shell, "-c", NULL, NULL, NULL};
        struct error err = ERROR_INIT;
        int status = -1;

        strbuf_puts(&line, "/usr/bin/printf '[%s]'");
        collect_words(&line, &expected, rows[i].has_newlines);
        for (size_t j = 0; is_busybox && j < ARRAY_SIZE(busybox); j++) {
            argv[j] = busybox[j];
        }
        argv[is_busybox ? 3 : 2] = line.data;
        if (subprocess_capture(argv, &out, NULL, 60000, &status, &err) < 0) {
            assert_int_equal(err.code, ERR_SPAWN); /* this shell is not installed */
            continue;
        }
        tried++;
        if (status != 0 || strcmp(out.data, expected.data) != 0) {
            fail_msg("%s read\n%s\nas\n%s\nnot\n%s", rows[i].shell, line.data, out.data,
                     expected.data);
        }
    }
    assert_true(tried >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_have_names_both_ways),
        cmocka_unit_test(every_signal_of_the_system_has_a_name),
        cmocka_unit_test(other_names_and_numbers_are_unknown),
        cmocka_unit_test(statuses_become_sentences),
        cmocka_unit_test(plain_words_stay_readable),
        cmocka_unit_test(shells_see_what_was_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
