/*
 * clock: the only place that asks what time it is.            [base]
 *
 * Monotonic time for deadlines, boot time for limits that go on while the machine sleeps,
 * UTC for records. Tests drive it: clock_test_set replaces all three until
 * clock_test_clear.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/error.h"

#include <stdint.h>
#include <time.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define MS_PER_DAY INT64_C(86400000)

/* CLOCK_MONOTONIC. Nanoseconds. */
int64_t clock_monotonic_ns(void);
/* CLOCK_BOOTTIME, or CLOCK_MONOTONIC where the system has none. */
int64_t clock_boottime_ns(void);
/* UTC, milliseconds since 1970. */
int64_t clock_utc_ms(void);

/* A file's time (stat(2)) in these units. Whatever a filesystem says: what is beyond the
 * range wraps round. */
int64_t clock_ms_of(const struct timespec *time);
int64_t clock_ns_of(const struct timespec *time);

/* "2026-11-23T23:59:59.123Z": RFC 3339, UTC, milliseconds. Times outside the years 0 to
 * 9999 are written as the first or last of them. out has CLOCK_TEXT_SIZE bytes. Allocates
 * nothing. */
#define CLOCK_TEXT_SIZE 32
void clock_format(char out[CLOCK_TEXT_SIZE], int64_t utc_ms);
/* Reads what clock_format writes, and nothing else. Errors: ERR_CORRUPT. */
int clock_parse(const char *text, int64_t *out_utc_ms, struct error *err);

/* A length of time, seconds where no unit is given: "90", "90s", "15m", "2h", "7d".
 * Errors: ERR_USAGE, ERR_LIMIT (over 10 years). */
int clock_parse_duration(const char *text, int64_t *out_ms, struct error *err);
/* For people, cut and not rounded: "0.3 s", "42 s", "3 m 20 s", "2 h 5 m", "2 d"; below 0
 * as 0. out has CLOCK_TEXT_SIZE bytes. */
void clock_format_duration(char out[CLOCK_TEXT_SIZE], int64_t ms);

/* For tests: every clock stands at this value until clock_test_clear. */
void clock_test_set(int64_t monotonic_ns, int64_t utc_ms);
void clock_test_clear(void);

#endif
