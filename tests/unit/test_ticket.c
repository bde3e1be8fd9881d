#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "common/files.h"
#include "common/mem.h"
#include "common/ticket.h"
#include "tests/unit/scratch.h"

#define MIT                                                                              \
    "Ticket cache: FILE:/tmp/cc\nDefault principal: u@R\n\n"                             \
    "Valid starting     Expires            Service principal\n"                          \
    "11/28/26 13:11:05  11/28/26 14:00:00  HTTP/h@R\n"                                   \
    "11/28/26 13:10:46  11/28/26 14:10:46  krbtgt/R@R\n\trenew until 12/05/26 "          \
    "13:10:46\n"
#define HEIMDAL                                                                          \
    "Credentials cache: FILE:/tmp/cc\n        Principal: u@R\n\n"                        \
    "  Issued                Expires               Principal\n"                          \
    "Nov 28 13:10:46 2026  Nov 28 14:10:46 2026  krbtgt/R@R\n"
#define ENDS ((int64_t)1795875046000) /* 2026-11-28T14:10:46Z */

static void the_end_of_the_ticket_is_read(void **state)
{
    int64_t end_utc_ms = 0;
    (void)state;
    assert_true(ticket_read(MIT, &end_utc_ms));
    assert_int_equal(end_utc_ms, ENDS);
    end_utc_ms = 0;
    assert_true(ticket_read(HEIMDAL, &end_utc_ms));
    assert_int_equal(end_utc_ms, ENDS);
    assert_false(ticket_read("", &end_utc_ms));
    assert_false(
        ticket_read("11/28/26 13:11:05  11/28/26 14:00:00  HTTP/h@R", &end_utc_ms));
    assert_false(ticket_read("klist: No credentials cache found\n", &end_utc_ms));
}

/* A klist in PATH that prints this and ends so. */
static void stand_in(struct scratch *s, const char *text, int status)
{
    CLEANUP_FREE char *script =
        xasprintf("#!/bin/sh\ncat <<'END'\n%sEND\nexit %d\n", text, status);
    scratch_write(s, "klist", script);
    CLEANUP_FREE char *program = scratch_path(s, "klist");
    assert_int_equal(chmod(program, 0755), 0);
    CLEANUP_FREE char *folder = scratch_path(s, ".");
    CLEANUP_FREE char *path = xasprintf("%s:/usr/bin:/bin", folder);
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static void who_may_be_longer_than_the_ticket_hears_of_it(void **state)
{
    static const struct {
        int status;
        int64_t left_ms, limit_ms;
        bool is_told;
    } rows[] = {
        {0, 3600000, 0, true},        {0, 3600000, 7200000, true},
        {0, 3600000, 1800000, false}, {0, 90000000, 0, false},
        {0, -1000, 0, false},         {1, 3600000, 0, false},
    };
    CLEANUP_SCRATCH struct scratch *s = scratch_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        stand_in(s, MIT, rows[i].status);
        clock_test_set(clock_monotonic_ns(), ENDS - rows[i].left_ms);
        bool is_told = ticket_warn(rows[i].limit_ms, &text);
        clock_test_clear();
        assert_int_equal(is_told, rows[i].is_told);
        assert_int_equal(strstr(text.data, "ticket ends in 1 h") != NULL, is_told);
    }
}

static int in_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC0", 1);
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_the_ticket_is_read),
        cmocka_unit_test(who_may_be_longer_than_the_ticket_hears_of_it),
    };
    return cmocka_run_group_tests(tests, in_utc, NULL);
}
