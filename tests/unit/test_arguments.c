#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "executor/arguments.h"

#define WORDS_MAX 16

/* Parse words that one space separates. */
static int parse(const char *words, struct arguments *out, struct error *err)
{
    CLEANUP_FREE char *copy = xstrdup(words);
    char *argv[WORDS_MAX] = {xstrdup("launch")};
    int argc = 1;
    int result;

    for (char *at = copy; *at != '\0' && argc < WORDS_MAX; argc++) {
        size_t length = strcspn(at, " ");

        argv[argc] = at;
        at += length + (at[length] != '\0');
        argv[argc][length] = '\0';
    }
    result = arguments_parse(argc, argv, out, err);
    if (result == 0) {
        assert_string_equal(out->root, "/r");
        assert_string_equal(out->run, "run-a");
    }
    free(argv[0]);
    return result;
}

static void what_is_not_given_has_its_default(void **state)
{
    struct arguments args;

    (void)state;
    assert_int_equal(parse("--root /r --run run-a", &args, NULL), 0);
    assert_int_equal(args.attempt, 1);
    assert_int_equal(args.report_fd, -1);
    assert_int_equal(args.go_fd, -1);
    assert_int_equal(args.secrets_fd, -1);
    assert_false(args.is_adopting);
}

static void every_option_is_read(void **state)
{
    struct arguments args;

    (void)state;
    assert_int_equal(parse("--adopt --run run-a --attempt 7 --report-fd 3 --go-fd 4 "
                           "--secrets-fd 0 --root /r",
                           &args, NULL),
                     0);
    assert_int_equal(args.attempt, 7);
    assert_int_equal(args.report_fd, 3);
    assert_int_equal(args.go_fd, 4);
    assert_int_equal(args.secrets_fd, 0);
    assert_true(args.is_adopting);
}

static void the_last_of_an_option_counts(void **state)
{
    struct arguments args;

    (void)state;
    assert_int_equal(
        parse("--root /x --attempt 2 --root /r --run run-a --attempt 3", &args, NULL), 0);
    assert_int_equal(args.attempt, 3);
}

static void what_cannot_be_is_refused_with_its_name(void **state)
{
    static const struct {
        const char *words, *said;
    } rows[] = {
        {"", "--root"},
        {"--root /r", "--run"},
        {"--run run-a", "--root"},
        {"--root /r --run", "--run needs a value"},
        {"--root /r --run run-a extra", "extra"},
        {"--root /r --run run-a --Adopt", "--Adopt"},
        {"--root /r --run run-a --attempt 0", "--attempt"},
        {"--root /r --run run-a --attempt -1", "--attempt"},
        {"--root /r --run run-a --attempt 1x", "--attempt"},
        {"--root /r --run run-a --attempt 99999999999999999999", "--attempt"},
        {"--root /r --run run-a --go-fd -1", "--go-fd"},
        {"--root /r --run run-a --go-fd 9999999", "--go-fd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arguments args;
        struct error err = ERROR_INIT;

        assert_int_equal(parse(rows[i].words, &args, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.text, rows[i].said));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_given_has_its_default),
        cmocka_unit_test(every_option_is_read),
        cmocka_unit_test(the_last_of_an_option_counts),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
