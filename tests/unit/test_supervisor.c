#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "executor/arguments.h"
#include "executor/supervisor.h"

static void every_phase_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (enum phase a = PHASE_IDLE; a < PHASE_COUNT; a++) {
        assert_non_null(supervisor_phase_name(a));
        for (enum phase b = PHASE_IDLE; b < a; b++) {
            assert_string_not_equal(supervisor_phase_name(a), supervisor_phase_name(b));
        }
    }
}

/* No phase lasts for ever: each can end by what its process does, by a round, or by a
 * limit; and a cancel is heard wherever something can still be ended. */
static void every_phase_can_be_left(void **state)
{
    (void)state;
    for (enum phase phase = PHASE_IDLE; phase < PHASE_DONE; phase++) {
        assert_true(supervisor_handles(phase, EVENT_BEGIN) ||
                    supervisor_handles(phase, EVENT_ENDED) ||
                    supervisor_handles(phase, EVENT_ROUND));
        assert_int_equal(supervisor_handles(phase, EVENT_CANCEL),
                         phase != PHASE_FINISHING);
        /* Whoever waits for a process has a deadline. */
        if (supervisor_handles(phase, EVENT_ENDED)) {
            assert_true(supervisor_handles(phase, EVENT_LIMIT) ||
                        supervisor_handles(phase, EVENT_ROUND));
        }
    }
    for (enum event event = EVENT_BEGIN; event < EVENT_COUNT; event++) {
        assert_false(supervisor_handles(PHASE_DONE, event));
    }
}

static void events_to_which_a_phase_is_deaf_are_dropped(void **state)
{
    struct supervisor s = {.phase = PHASE_FINISHING};
    (void)state;
    supervisor_note(&s, EVENT_CANCEL);
    supervisor_note(&s, EVENT_STARTED);
    supervisor_deliver(&s);
    assert_int_equal(s.phase, PHASE_FINISHING);
    assert_int_equal(s.events, 0);
}

static int parse(struct arguments *out, int argc, const char *const *argv)
{
    char *words[16];
    memcpy(words, argv, (size_t)argc * sizeof(*argv));
    return arguments_parse(argc, words, out, NULL);
}

static void arguments_are_taken_and_checked(void **state)
{
    static const char *const good[] = {"launch", "--root",    "/r", "--run",
                                       "id",     "--attempt", "3",  "--go-fd",
                                       "7",      "--adopt"};
    static const char *const bad[][4] = {
        {"launch", "--root", "/r", NULL},   {"launch", "--run", "id", NULL},
        {"launch", "--root", NULL, NULL},   {"launch", "--what", NULL, NULL},
        {"launch", "--attempt", "x", NULL}, {"launch", "--go-fd", "-1", NULL},
    };
    struct arguments a;
    (void)state;
    assert_int_equal(parse(&a, 10, good), 0);
    assert_string_equal(a.root, "/r");
    assert_string_equal(a.run, "id");
    assert_int_equal(a.attempt, 3);
    assert_int_equal(a.go_fd, 7);
    assert_int_equal(a.report_fd, -1);
    assert_true(a.is_adopting);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int argc = 0;
        while (bad[i][argc] != NULL) {
            argc++;
        }
        assert_int_equal(parse(&a, argc, bad[i]), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_phase_has_a_name_of_its_own),
        cmocka_unit_test(every_phase_can_be_left),
        cmocka_unit_test(events_to_which_a_phase_is_deaf_are_dropped),
        cmocka_unit_test(arguments_are_taken_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
