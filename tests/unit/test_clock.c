#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"

static void monotonic_time_goes_forward(void **state)
{
    int64_t before = clock_monotonic_ns();
    int64_t after = clock_monotonic_ns();

    (void)state;
    assert_true(before > 0);
    assert_true(after >= before);
}

static void boot_time_counts_at_least_as_much(void **state)
{
    int64_t monotonic = clock_monotonic_ns();

    (void)state;
    assert_true(clock_boottime_ns() >= monotonic);
}

static void utc_is_the_time_of_day(void **state)
{
    int64_t now_s = (int64_t)time(NULL);
    int64_t ms = clock_utc_ms();

    (void)state;
    assert_true(ms / 1000 >= now_s - 1 && ms / 1000 <= now_s + 60);
}

static void tests_drive_every_clock(void **state)
{
    (void)state;
    clock_test_set(5, 7);
    assert_int_equal(clock_monotonic_ns(), 5);
    assert_int_equal(clock_boottime_ns(), 5);
    assert_int_equal(clock_utc_ms(), 7);
    clock_test_set(6, 8);
    assert_int_equal(clock_monotonic_ns(), 6);
    clock_test_clear();
    assert_true(clock_monotonic_ns() > 6);
    assert_true(clock_utc_ms() > 8);
}

static const struct {
    int64_t utc_ms;
    const char *text;
} time_rows[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {-1, "1969-12-31T23:59:59.999Z"},
    {951782400000, "2000-02-29T00:00:00.000Z"},
    {951868799999, "2000-02-29T23:59:59.999Z"},
    {951868800000, "2000-03-01T00:00:00.000Z"},
    {1795478399123, "2026-11-23T23:59:59.123Z"},
    {1798761599999, "2026-12-31T23:59:59.999Z"},
    {4107542400000, "2100-03-01T00:00:00.000Z"},
    {2147483648000, "2038-01-19T03:14:08.000Z"},
    {-62167219200000, "0000-01-01T00:00:00.000Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z"},
};

static void times_are_written_and_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(time_rows); i++) {
        char text[CLOCK_TEXT_SIZE];
        int64_t utc_ms = 42;

        clock_format(text, time_rows[i].utc_ms);
        assert_string_equal(text, time_rows[i].text);
        assert_int_equal(clock_parse(text, &utc_ms, NULL), 0);
        assert_true(utc_ms == time_rows[i].utc_ms);
    }
}

/* Ten thousand days in steps that meet every day of the year, against the C library. */
static void dates_are_those_of_the_library(void **state)
{
    (void)state;
    for (int64_t day = -25000; day < 60000; day += 17) {
        char ours[CLOCK_TEXT_SIZE];
        char theirs[CLOCK_TEXT_SIZE];
        time_t seconds = (time_t)(day * 86400 + 4711);
        struct tm parts;

        assert_non_null(gmtime_r(&seconds, &parts));
        strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000Z", &parts);
        clock_format(ours, (int64_t)seconds * 1000);
        assert_string_equal(ours, theirs);
    }
}

static void times_beyond_four_digits_are_held_at_the_edge(void **state)
{
    char text[CLOCK_TEXT_SIZE];

    (void)state;
    clock_format(text, INT64_MAX);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format(text, INT64_MIN);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void no_other_form_of_time_is_read(void **state)
{
    static const char *const wrong[] = {
        "",
        "2026-11-23",
        "2026-11-23T23:59:59Z",
        "2026-11-23T23:59:59.12Z",
        "2026-11-23T23:59:59.1234Z",
        "2026-11-23T23:59:59.123",
        "2026-11-23T23:59:59.123z",
        "2026-11-23t23:59:59.123Z",
        "2026-11-23 23:59:59.123Z",
        "2026-11-23T23:59:59,123Z",
        "2026-11-23T23:59:59.123Z ",
        " 2026-11-23T23:59:59.123Z",
        "2026-11-23T23:59:59.123+00:00",
        "2026-00-23T23:59:59.123Z",
        "2026-13-23T23:59:59.123Z",
        "2026-11-00T23:59:59.123Z",
        "2026-11-31T23:59:59.123Z",
        "2026-02-29T23:59:59.123Z",
        "2100-02-29T23:59:59.123Z",
        "2026-11-23T24:00:00.000Z",
        "2026-11-23T23:60:59.123Z",
        "2026-11-23T23:59:60.123Z",
        "+026-11-23T23:59:59.123Z",
        "2026-1 -23T23:59:59.123Z",
        "20x6-11-23T23:59:59.123Z",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error err = ERROR_INIT;
        int64_t utc_ms = 42;

        assert_int_equal(clock_parse(wrong[i], &utc_ms, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(utc_ms, 42);
    }
}

static void the_times_of_files_are_converted(void **state)
{
    const struct timespec time = {.tv_sec = 3, .tv_nsec = 4999999};
    const struct timespec before = {.tv_sec = -1, .tv_nsec = 5000000};

    (void)state;
    assert_int_equal(clock_ms_of(&time), 3004);
    assert_int_equal(clock_ns_of(&time), INT64_C(3004999999));
    assert_int_equal(clock_ms_of(&before), -995);
    assert_int_equal(clock_ns_of(&before), INT64_C(-995000000));
}

static void durations_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},        {"90", 90000},           {"90s", 90000},
        {"15m", 900000}, {"2h", 7200000},         {"7d", 604800000},
        {"007", 7000},   {"3650d", 315360000000}, {"315360000", 315360000000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t ms = 42;

        assert_int_equal(clock_parse_duration(rows[i].text, &ms, NULL), 0);
        assert_true(ms == rows[i].ms);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const wrong[] = {"",     "s",   "-1", "+1",    " 1", "1 ",  "1 s",
                                        "1.5h", "1ms", "1S", "1h30m", "1w", "ten", "1s "};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error err = ERROR_INIT;
        int64_t ms = 42;

        assert_int_equal(clock_parse_duration(wrong[i], &ms, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_int_equal(ms, 42);
    }
}

static void durations_end_at_ten_years(void **state)
{
    static const char *const over[] = {"3651d", "315360001", "99999999999999999999999d",
                                       "9223372036854775807", "18446744073709551616s"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(over); i++) {
        struct error err = ERROR_INIT;
        int64_t ms = 42;

        assert_int_equal(clock_parse_duration(over[i], &ms, &err), -1);
        assert_int_equal(err.code, ERR_LIMIT);
        assert_int_equal(ms, 42);
    }
}

static void durations_are_for_people(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {-5, "0.0 s"},        {0, "0.0 s"},           {99, "0.0 s"},
        {300, "0.3 s"},       {9999, "9.9 s"},        {10000, "10 s"},
        {42999, "42 s"},      {60000, "1 m"},         {200000, "3 m 20 s"},
        {7500000, "2 h 5 m"}, {7259999, "2 h"},       {3599999, "59 m 59 s"},
        {86400000, "1 d"},    {183600000, "2 d 3 h"}, {INT64_MAX, "106751991167 d 7 h"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[CLOCK_TEXT_SIZE];

        clock_format_duration(text, rows[i].ms);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_goes_forward),
        cmocka_unit_test(boot_time_counts_at_least_as_much),
        cmocka_unit_test(utc_is_the_time_of_day),
        cmocka_unit_test(tests_drive_every_clock),
        cmocka_unit_test(times_are_written_and_read),
        cmocka_unit_test(dates_are_those_of_the_library),
        cmocka_unit_test(times_beyond_four_digits_are_held_at_the_edge),
        cmocka_unit_test(no_other_form_of_time_is_read),
        cmocka_unit_test(the_times_of_files_are_converted),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_end_at_ten_years),
        cmocka_unit_test(durations_are_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
