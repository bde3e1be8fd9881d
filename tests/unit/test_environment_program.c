/* environment_program: what programs say, and what of it is hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/fdio.h"
#include "executor/environment_program.h"

static const char *say(struct programs *p, const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct error err = ERROR_INIT;
    if (programs_run(p, argv, true, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return programs_text(p)->data;
}

static void a_secret_is_hidden_wherever_it_stands(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    (void)state;
    programs_hide(p, "s3cret");
    programs_hide(p, "abc");
    assert_string_equal(say(p, "echo s3crets3cret, s3cre; echo abc"),
                        "******, s3cre\nabc\n");
}

/* The line was begun anew before it had ended. */
static void a_line_that_ends_as_on_windows_is_there(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    (void)state;
    assert_string_equal(say(p, "printf 'one\\r\\ntwo\\r\\r\\n10%%\\r100%%\\nend\\r'"),
                        "one\ntwo\n100%\nend\n");
}

/* A key of several lines was shown line by line. */
static void every_line_of_a_long_secret_is_hidden(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    (void)state;
    programs_hide(p, "BEGIN KEY\r\nq1w2e3r4\n\nEND KEY\n");
    assert_string_equal(say(p, "printf 'BEGIN KEY\\nq1w2e3r4\\n\\nEND KEY\\n'"),
                        "***\n***\n\n***\n");
}

/* What began another one was hidden first, and left that one's end. */
static void a_secret_that_begins_another_hides_it_no_less(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    (void)state;
    programs_hide(p, "alice");
    programs_hide(p, "alice:word");
    programs_hide(p, "alice:word:2");
    assert_string_equal(say(p, "echo alice alice:word alice:word:2"), "*** *** ***\n");
}

/* Its output was read to the end, and who it left behind held that open, and talked. */
static void a_program_has_ended_though_one_it_left_goes_on_talking(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    (void)state;
    const char *text = say(p, "echo built; while echo chatter; do :; done &");
    assert_non_null(strstr(text, "built\n"));
}

/* Nobody looked for the stop once the output had ended. */
static void a_program_that_closed_its_output_is_ended_too(void **state)
{
    const char *const argv[] = {"/bin/sh", "-c", "exec >&- 2>&-; sleep 600", NULL};
    int stop[2];
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(fdio_pipe(stop, NULL), 0);
    CLEANUP(programs_cleanup) struct programs *p = programs_new(stop[0], -1);
    assert_int_equal(fdio_write_full(stop[1], "x", 1), 0);
    assert_int_equal(programs_run(p, argv, true, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
    fdio_close(&stop[0]);
    fdio_close(&stop[1]);
}

/* Whatever it says meanwhile. */
static void what_takes_too_long_is_ended(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    const char *const argv[] = {"/bin/sh", "-c", "while :; do echo x; done", NULL};
    struct error err = ERROR_INIT;
    (void)state;
    programs_limit(p, 50);
    assert_int_equal(programs_run(p, argv, true, &err), -1);
    assert_int_equal(err.code, ERR_TIMED_OUT);
    programs_limit(p, 0);
    assert_string_equal(say(p, "echo on"), "on\n");
}

/* Attendants were killed while they ended what they had asked a cluster for. */
static void a_program_has_the_time_to_end_that_was_set(void **state)
{
    int stop[2];
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(fdio_pipe(stop, NULL), 0);
    CLEANUP_FREE char *script = xasprintf("trap 'sleep 1; echo ended; exit' TERM; (trap "
                                          "'' TERM; echo x >/proc/$PPID/fd/%d); "
                                          "while :; do sleep 0.1; done",
                                          stop[1]);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    CLEANUP(programs_cleanup) struct programs *p = programs_new(stop[0], -1);
    programs_set_patience(p, 60000, 60);
    assert_int_equal(programs_run(p, argv, true, &err), -1);
    assert_int_equal(err.code, ERR_CANCELED);
    /* Of a sleep that met the signal too the shell says "Terminated" first. */
    assert_non_null(strstr(programs_text(p)->data, "ended\n"));
    fdio_close(&stop[0]);
    fdio_close(&stop[1]);
}

/* An upload of over an hour was taken for a program that hangs. */
static void a_program_may_be_silent_as_long_as_was_set(void **state)
{
    CLEANUP(programs_cleanup) struct programs *p = programs_new(-1, -1);
    const char *const argv[] = {"/bin/sleep", "600", NULL};
    struct error err = ERROR_INIT;
    (void)state;
    programs_set_patience(p, 0, 1);
    assert_int_equal(programs_run(p, argv, true, &err), -1);
    assert_int_equal(err.code, ERR_TIMED_OUT);
    programs_set_patience(p, 0, 600);
    assert_string_equal(say(p, "sleep 2; echo sent"), "sent\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_hidden_wherever_it_stands),
        cmocka_unit_test(a_line_that_ends_as_on_windows_is_there),
        cmocka_unit_test(every_line_of_a_long_secret_is_hidden),
        cmocka_unit_test(a_secret_that_begins_another_hides_it_no_less),
        cmocka_unit_test(a_program_has_ended_though_one_it_left_goes_on_talking),
        cmocka_unit_test(a_program_that_closed_its_output_is_ended_too),
        cmocka_unit_test(what_takes_too_long_is_ended),
        cmocka_unit_test(a_program_has_the_time_to_end_that_was_set),
        cmocka_unit_test(a_program_may_be_silent_as_long_as_was_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
