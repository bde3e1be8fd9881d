#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/explain.h"
#include "common/mem.h"

static const struct explain_row rows[] = {
    {"disk is full", ERR_NO_SPACE, "no room", NULL},
    {"user={}, access={*}, inode=\"{}\"", ERR_ACCESS, "{} has no {} there", "look at {}"},
    {"UnknownHostException: {}", ERR_CONNECT, "no host {}", NULL},
    {"refused", ERR_CONNECT, "nobody listens", "start it"},
};

static void words_fill_the_sentence_and_then_the_hint(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(explain(rows, ARRAY_SIZE(rows),
                        "x\nPermission denied: user=ada, access=READ WRITE, "
                        "inode=\"/a\":hdfs\n",
                        &err));
    assert_int_equal(err.code, ERR_ACCESS);
    assert_string_equal(err.text, "ada has no READ WRITE there");
    assert_string_equal(err.hint, "look at /a");
}

static void the_first_row_counts(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(
        explain(rows, ARRAY_SIZE(rows), "connection refused; disk is full", &err));
    assert_string_equal(err.text, "no room");
    assert_string_equal(err.hint, "");
}

static void a_word_at_the_end_is_taken_whole(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_true(explain(rows, ARRAY_SIZE(rows),
                        "java.net.UnknownHostException: nn1.example.net\n\tat x", &err));
    assert_string_equal(err.text, "no host nn1.example.net");
    assert_true(
        explain(rows, ARRAY_SIZE(rows), "UnknownHostException: nn1 (again)", &err));
    assert_string_equal(err.text, "no host nn1");
}

static void what_no_row_knows_is_left_alone(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_false(explain(rows, ARRAY_SIZE(rows), "all went well, user=x", &err));
    assert_int_equal(err.code, ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_fill_the_sentence_and_then_the_hint),
        cmocka_unit_test(the_first_row_counts),
        cmocka_unit_test(a_word_at_the_end_is_taken_whole),
        cmocka_unit_test(what_no_row_knows_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
