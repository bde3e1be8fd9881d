#include "controller/loggap.h"

#include "scratch.h"

#define FILE_NAME "driver.log"

static void add(struct loggaps *gaps, const struct scratch *s, int64_t generation,
                uint64_t from, uint64_t to, enum loggap_why why)
{
    const struct loggap gap = {generation, from, to, why};
    assert_int_equal(loggaps_add(gaps, s->fd, FILE_NAME, &gap, NULL), 0);
}

static void assert_gap(const struct loggaps *gaps, size_t i, int64_t generation,
                       uint64_t from, uint64_t to, enum loggap_why why)
{
    assert_true(i < gaps->count);
    assert_int_equal(gaps->items[i].generation, generation);
    assert_int_equal(gaps->items[i].from, from);
    assert_int_equal(gaps->items[i].to, to);
    assert_int_equal(gaps->items[i].why, why);
}

static void what_is_noted_is_read_again(void **state)
{
    (void)state;
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct loggaps gaps = LOGGAPS_INIT, read = LOGGAPS_INIT;
    assert_int_equal(loggaps_load(&gaps, s->fd, FILE_NAME, NULL), 0);
    assert_int_equal(gaps.count, 0);
    for (uint64_t i = 0; i < 50; i++) {
        add(&gaps, s, (int64_t)i / 20, 100 * i, 100 * i + i + 1,
            (enum loggap_why)(i % LOGGAP_UNKNOWN));
    }
    assert_int_equal(loggaps_load(&read, s->fd, FILE_NAME, NULL), 0);
    assert_int_equal(read.count, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_gap(&gaps, i, (int64_t)i / 20, 100 * i, 100 * i + i + 1,
                   (enum loggap_why)(i % LOGGAP_UNKNOWN));
        assert_gap(&read, i, (int64_t)i / 20, 100 * i, 100 * i + i + 1,
                   (enum loggap_why)(i % LOGGAP_UNKNOWN));
    }
    assert_int_equal(loggaps_total(&read), 50 * 51 / 2);
    loggaps_release(&gaps);
    loggaps_release(&read);
}

static void gaps_that_touch_are_one(void **state)
{
    (void)state;
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct loggaps gaps = LOGGAPS_INIT;
    add(&gaps, s, 0, 10, 20, LOGGAP_LIMIT);
    add(&gaps, s, 0, 40, 50, LOGGAP_CUT);
    add(&gaps, s, 1, 15, 45, LOGGAP_CUT); /* elsewhere */
    assert_int_equal(gaps.count, 3);
    add(&gaps, s, 0, 20, 30, LOGGAP_REMOVED);
    assert_int_equal(gaps.count, 3);
    assert_gap(&gaps, 0, 0, 10, 30, LOGGAP_LIMIT);
    add(&gaps, s, 0, 5, 12, LOGGAP_REMOVED);
    assert_gap(&gaps, 0, 0, 5, 30, LOGGAP_REMOVED);
    add(&gaps, s, 0, 25, 60, LOGGAP_LIMIT);
    assert_int_equal(gaps.count, 2);
    assert_gap(&gaps, 0, 0, 5, 60, LOGGAP_REMOVED);
    assert_gap(&gaps, 1, 1, 15, 45, LOGGAP_CUT);
    assert_int_equal(loggaps_load(&gaps, s->fd, FILE_NAME, NULL), 0);
    assert_int_equal(gaps.count, 2);
    assert_gap(&gaps, 0, 0, 5, 60, LOGGAP_REMOVED);
    loggaps_release(&gaps);
}

static void the_next_and_the_one_before_are_found(void **state)
{
    (void)state;
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct loggaps gaps = LOGGAPS_INIT;
    add(&gaps, s, 0, 10, 20, LOGGAP_LIMIT);
    add(&gaps, s, 0, 40, 50, LOGGAP_LIMIT);
    add(&gaps, s, 1, 0, 5, LOGGAP_LIMIT);
    assert_int_equal(loggaps_next(&gaps, 0, 0)->from, 10);
    assert_int_equal(loggaps_next(&gaps, 0, 19)->from, 10);
    assert_int_equal(loggaps_next(&gaps, 0, 20)->from, 40);
    assert_null(loggaps_next(&gaps, 0, 50));
    assert_int_equal(loggaps_next(&gaps, 1, 0)->to, 5);
    assert_null(loggaps_next(&gaps, 2, 0));
    assert_null(loggaps_before(&gaps, 0, 10));
    assert_int_equal(loggaps_before(&gaps, 0, 11)->from, 10);
    assert_int_equal(loggaps_before(&gaps, 0, 1000)->from, 40);
    assert_null(loggaps_before(&gaps, 2, 1000));
    loggaps_release(&gaps);
}

static void a_torn_line_spoils_none_before_or_after_it(void **state)
{
    (void)state;
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    struct loggaps gaps = LOGGAPS_INIT;
    scratch_write(s, FILE_NAME ".gaps",
                  "{\"generation\":0,\"from\":1,\"to\":2,\"why\":\"limit\"}\n"
                  "{\"generation\":0,\"from\":7,\"to\":7,\"why\":\"limit\"}\n"
                  "{\"generation\":0,\"from\":8,\"to\":9,\"why\":\"later word\"}\n"
                  "{\"generation\":0,\"from\":1");
    assert_int_equal(loggaps_load(&gaps, s->fd, FILE_NAME, NULL), 0);
    assert_int_equal(gaps.count, 2);
    assert_gap(&gaps, 1, 0, 8, 9, LOGGAP_UNKNOWN);
    add(&gaps, s, 0, 100, 200, LOGGAP_CUT);
    assert_int_equal(loggaps_load(&gaps, s->fd, FILE_NAME, NULL), 0);
    assert_int_equal(gaps.count, 3);
    assert_gap(&gaps, 2, 0, 100, 200, LOGGAP_CUT);
    loggaps_release(&gaps);
}

static void every_reason_has_a_word_and_a_sentence(void **state)
{
    (void)state;
    char text[LOGGAP_TEXT_SIZE];
    static const char *const words[] = {"limit", "cut", "removed"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        assert_int_equal(loggap_why(words[i]), i);
    }
    assert_int_equal(loggap_why("eaten"), LOGGAP_UNKNOWN);
    assert_int_equal(loggap_why(NULL), LOGGAP_UNKNOWN);
    for (enum loggap_why why = LOGGAP_LIMIT; why <= LOGGAP_UNKNOWN; why++) {
        const struct loggap gap = {0, 1000, UINT64_MAX, why};
        loggap_describe(&gap, text);
        assert_true(strlen(text) < sizeof text - 1);
        assert_non_null(strstr(text, "18446744073709550615 bytes"));
    }
    const struct loggap gap = {3, 1000, 1001000, LOGGAP_LIMIT};
    loggap_describe(&gap, text);
    assert_string_equal(text, "1000000 bytes (1.0 MB) of the log are missing here: the "
                              "node had given them up, because the log was over its "
                              "limit (log_max_size)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_noted_is_read_again),
        cmocka_unit_test(gaps_that_touch_are_one),
        cmocka_unit_test(the_next_and_the_one_before_are_found),
        cmocka_unit_test(a_torn_line_spoils_none_before_or_after_it),
        cmocka_unit_test(every_reason_has_a_word_and_a_sentence),
    };
    return cmocka_run_group_tests_name("loggap", tests, NULL, NULL);
}
