#include "executor/silence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void who_speaks_is_left_alone(void **state)
{
    (void)state;
    struct silence s;
    int64_t next;
    for (int64_t now = 0; now < 2 * SILENCE_END_NS; now += SILENCE_PING_NS / 2) {
        silence_heard(&s, now);
        assert_int_equal(silence_judge(&s, now + SILENCE_PING_NS / 2, &next),
                         SILENCE_FINE);
        assert_int_equal(next, now + SILENCE_PING_NS);
    }
}

static void who_is_silent_is_asked_once_a_minute_and_then_left(void **state)
{
    (void)state;
    struct silence s;
    int64_t next;
    silence_heard(&s, 1000);
    int asked = 0;
    enum silence_verdict verdict = SILENCE_FINE;
    int64_t now = 1000;
    while (verdict != SILENCE_DEAD) {
        verdict = silence_judge(&s, now, &next);
        asked += verdict == SILENCE_ASK;
        assert_true(now <= 1000 + SILENCE_END_NS);
        now = next;
    }
    assert_int_equal(asked, SILENCE_END_NS / SILENCE_PING_NS - 1);
}

static void an_answer_starts_the_count_anew(void **state)
{
    (void)state;
    struct silence s;
    int64_t next;
    silence_heard(&s, 0);
    assert_int_equal(silence_judge(&s, SILENCE_END_NS - 1, &next), SILENCE_ASK);
    silence_heard(&s, SILENCE_END_NS - 1);
    assert_int_equal(silence_judge(&s, SILENCE_END_NS, &next), SILENCE_FINE);
    assert_int_equal(silence_judge(&s, 2 * SILENCE_END_NS - 2, &next), SILENCE_ASK);
    assert_int_equal(silence_judge(&s, 2 * SILENCE_END_NS - 1, &next), SILENCE_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_speaks_is_left_alone),
        cmocka_unit_test(who_is_silent_is_asked_once_a_minute_and_then_left),
        cmocka_unit_test(an_answer_starts_the_count_anew),
    };
    return cmocka_run_group_tests_name("silence", tests, NULL, NULL);
}
