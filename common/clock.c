#include "common/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"

#define MS_PER_S INT64_C(1000)
#define MS_PER_MINUTE (60 * MS_PER_S)
#define MS_PER_HOUR (60 * MS_PER_MINUTE)
#define DURATION_MAX_MS (INT64_C(3650) * MS_PER_DAY)

#define UTC_MIN_MS (-INT64_C(719528) * MS_PER_DAY)     /* 0000-01-01T00:00:00.000Z */
#define UTC_MAX_MS (INT64_C(2932897) * MS_PER_DAY - 1) /* 9999-12-31T23:59:59.999Z */
#define CLOCK_TEXT_LENGTH (sizeof("2026-11-23T23:59:59.123Z") - 1)

struct test_clock {
    bool is_set;
    int64_t monotonic_ns;
    int64_t utc_ms;
};

/* The one mutable global of the base: what a test says the time is. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static struct test_clock test_clock;

static int64_t read_clock_ns(clockid_t id)
{
    struct timespec now;

    if (clock_gettime(id, &now) != 0) {
        return -1;
    }
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
    int64_t now_ns;

    if (test_clock.is_set) {
        return test_clock.monotonic_ns;
    }
    now_ns = read_clock_ns(CLOCK_MONOTONIC);
    if (now_ns < 0) {
        mem_abort("the system has no monotonic clock");
    }
    return now_ns;
}

int64_t clock_boottime_ns(void)
{
#ifdef CLOCK_BOOTTIME
    if (!test_clock.is_set) {
        int64_t now_ns = read_clock_ns(CLOCK_BOOTTIME);

        if (now_ns >= 0) {
            return now_ns;
        }
    }
#endif
    return clock_monotonic_ns();
}

int64_t clock_utc_ms(void)
{
    if (test_clock.is_set) {
        return test_clock.utc_ms;
    }
    return read_clock_ns(CLOCK_REALTIME) / NS_PER_MS;
}

struct date {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
};

/*
 * Days since 1970 and the date of the Gregorian calendar, both ways: Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", with years that begin in March. Not
 * gmtime_r, which may allocate: the supervisors' log asks here.
 */
static struct date date_from_days(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct date date;

    date.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    date.month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
    return date;
}

static int64_t days_from_date(struct date date)
{
    int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

int64_t clock_ms_of(const struct timespec *time)
{
    return (int64_t)((uint64_t)time->tv_sec * 1000 +
                     (uint64_t)time->tv_nsec / (uint64_t)NS_PER_MS);
}

int64_t clock_ns_of(const struct timespec *time)
{
    return (int64_t)((uint64_t)time->tv_sec * (uint64_t)NS_PER_S +
                     (uint64_t)time->tv_nsec);
}

void clock_format(char out[CLOCK_TEXT_SIZE], int64_t utc_ms)
{
    int64_t within = utc_ms < UTC_MIN_MS ? UTC_MIN_MS : utc_ms;
    int64_t days;
    int64_t rest_ms;
    struct date date;

    within = within > UTC_MAX_MS ? UTC_MAX_MS : within;
    days = (within - UTC_MIN_MS) / MS_PER_DAY + UTC_MIN_MS / MS_PER_DAY;
    rest_ms = within - days * MS_PER_DAY;
    date = date_from_days(days);
    snprintf(out, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)date.year % 10000, (unsigned)date.month % 100,
             (unsigned)date.day % 100, (unsigned)(rest_ms / MS_PER_HOUR) % 100,
             (unsigned)(rest_ms / MS_PER_MINUTE % 60),
             (unsigned)(rest_ms / MS_PER_S % 60), (unsigned)(rest_ms % MS_PER_S));
}

/* Where each number stands in the text, and its range. */
struct field_row {
    size_t at, digits;
    int64_t min, max;
};

enum field { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, MILLISECOND, FIELD_COUNT };

static const struct field_row field_rows[FIELD_COUNT] = {
    [YEAR] = {0, 4, 0, 9999},        [MONTH] = {5, 2, 1, 12},   [DAY] = {8, 2, 1, 31},
    [HOUR] = {11, 2, 0, 23},         [MINUTE] = {14, 2, 0, 59}, [SECOND] = {17, 2, 0, 59},
    [MILLISECOND] = {20, 3, 0, 999},
};

static bool has_form(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";

    if (strnlen(text, CLOCK_TEXT_LENGTH + 1) != CLOCK_TEXT_LENGTH) {
        return false;
    }
    for (size_t i = 0; i < CLOCK_TEXT_LENGTH; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';

        if (form[i] == '0' ? !is_digit : text[i] != form[i]) {
            return false;
        }
    }
    return true;
}

static bool read_fields(const char *text, int64_t values[FIELD_COUNT])
{
    if (!has_form(text)) {
        return false;
    }
    for (size_t f = 0; f < FIELD_COUNT; f++) {
        const struct field_row *row = &field_rows[f];

        values[f] = 0;
        for (size_t i = 0; i < row->digits; i++) {
            values[f] = values[f] * 10 + (text[row->at + i] - '0');
        }
        if (values[f] < row->min || values[f] > row->max) {
            return false;
        }
    }
    return true;
}

int clock_parse(const char *text, int64_t *out_utc_ms, struct error *err)
{
    int64_t values[FIELD_COUNT];
    struct date date;
    int64_t days;

    if (!read_fields(text, values)) {
        return error_set(err, ERR_CORRUPT,
                         "not a time like 2026-11-23T23:59:59.123Z: %.40s", text);
    }
    date = (struct date){values[YEAR], values[MONTH], values[DAY]};
    days = days_from_date(date);
    if (date_from_days(days).day != date.day) {
        return error_set(err, ERR_CORRUPT, "no such day: %.40s", text);
    }
    *out_utc_ms = days * MS_PER_DAY + values[HOUR] * MS_PER_HOUR +
                  values[MINUTE] * MS_PER_MINUTE + values[SECOND] * MS_PER_S +
                  values[MILLISECOND];
    return 0;
}

/* The factor of a unit's letter; 0 where there is no such unit. */
static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } rows[] = {
        {"", MS_PER_S},     {"s", MS_PER_S},   {"m", MS_PER_MINUTE},
        {"h", MS_PER_HOUR}, {"d", MS_PER_DAY},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].unit, unit) == 0) {
            return rows[i].ms;
        }
    }
    return 0;
}

int clock_parse_duration(const char *text, int64_t *out_ms, struct error *err)
{
    size_t digits = strspn(text, "0123456789");
    int64_t factor_ms = unit_ms(text + digits);
    int64_t count = 0;

    if (digits == 0 || factor_ms == 0) {
        return error_set(err, ERR_USAGE,
                         "not a length of time like 90s, 15m, 2h or 7d: %.40s", text);
    }
    for (size_t i = 0; i < digits && count <= DURATION_MAX_MS; i++) {
        count = count * 10 + (text[i] - '0');
    }
    if (count > DURATION_MAX_MS / factor_ms) {
        return error_set(err, ERR_LIMIT, "longer than ten years: %.40s", text);
    }
    *out_ms = count * factor_ms;
    return 0;
}

void clock_format_duration(char out[CLOCK_TEXT_SIZE], int64_t ms)
{
    static const struct {
        int64_t ms;
        char name;
    } units[] = {
        {MS_PER_DAY, 'd'}, {MS_PER_HOUR, 'h'}, {MS_PER_MINUTE, 'm'}, {MS_PER_S, 's'}};

    if (ms < 10 * MS_PER_S) {
        int64_t tenths = ms < 0 ? 0 : ms / 100;

        snprintf(out, CLOCK_TEXT_SIZE, "%d.%d s", (int)(tenths / 10), (int)(tenths % 10));
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        long long count = ms / units[i].ms;
        long long rest =
            i + 1 < ARRAY_SIZE(units) ? ms % units[i].ms / units[i + 1].ms : 0;

        if (count > 0 && rest > 0) {
            snprintf(out, CLOCK_TEXT_SIZE, "%lld %c %u %c", count, units[i].name,
                     (unsigned)rest % 100, units[i + 1].name);
            return;
        }
        if (count > 0) {
            snprintf(out, CLOCK_TEXT_SIZE, "%lld %c", count, units[i].name);
            return;
        }
    }
}

void clock_test_set(int64_t monotonic_ns, int64_t utc_ms)
{
    test_clock = (struct test_clock){
        .is_set = true, .monotonic_ns = monotonic_ns, .utc_ms = utc_ms};
}

void clock_test_clear(void)
{
    test_clock = (struct test_clock){.is_set = false};
}
