#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/* What log_line writes of text, read back from a pipe. */
static size_t written(const char *word, const char *text, char *out, size_t size)
{
    int ends[2];
    struct log log = {.fd = -1, .word = word};
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    log.fd = ends[1];
    log_line(&log, "%s", text);
    close(ends[1]);
    got = read(ends[0], out, size - 1);
    close(ends[0]);
    assert_true(got >= 0);
    out[got] = '\0';
    return (size_t)got;
}

static void a_line_has_time_and_speaker(void **state)
{
    char line[2048];

    (void)state;
    clock_test_set(1, 1795478399123);
    written("guardian", "run began", line, sizeof(line));
    clock_test_clear();
    assert_string_equal(line, "2026-11-23T23:59:59.123Z guardian: run began\n");
}

static void control_characters_are_shown_as_question_marks(void **state)
{
    char line[2048];

    (void)state;
    clock_test_set(1, 0);
    written("shim", "a\nb\rc\x1b[1m\x7f\td", line, sizeof(line));
    assert_string_equal(line, "1970-01-01T00:00:00.000Z shim: a?b?c?[1m??d\n");
    written("shim",
            "\xc2\x9b"
            "31m \xc3\x9b \xc2\xa0",
            line, sizeof(line));
    assert_string_equal(line, "1970-01-01T00:00:00.000Z shim: ??31m \xc3\x9b \xc2\xa0\n");
    clock_test_clear();
}

static void a_long_line_is_cut_at_one_kib(void **state)
{
    char text[5000];
    char line[6000];
    size_t length;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    length = written("serve", text, line, sizeof(line));
    assert_int_equal(length, 1024);
    assert_int_equal(line[1023], '\n');
    assert_int_equal(line[1022], 'x');
    length = written(text, "y", line, sizeof(line));
    assert_true(length <= 1024);
    assert_int_equal(line[length - 1], '\n');
}

static void a_cut_leaves_whole_characters(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char text[4000];
        char line[6000];
        size_t length;
        size_t euros;

        memset(text, 'x', shift);
        for (euros = 0; euros < 1000; euros++) {
            memcpy(text + shift + 3 * euros, "\xe2\x82\xac", 4);
        }
        length = written("serve", text, line, sizeof(line));
        assert_true(length > 1018 && length <= 1024);
        assert_memory_equal(line + length - 4, "\xe2\x82\xac\n", 4);
    }
}

static void without_a_sink_nothing_is_written(void **state)
{
    struct log log = {.fd = -1, .word = "serve"};

    (void)state;
    errno = EXDEV;
    log_line(&log, "%d", 1);
    assert_int_equal(errno, EXDEV);
}

static void a_full_disk_stops_nobody(void **state)
{
    CLEANUP_FD int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct log log = {.fd = fd, .word = "serve"};

    (void)state;
    if (fd < 0) {
        skip();
    }
    errno = EXDEV;
    log_line(&log, "%d", 1);
    assert_int_equal(errno, EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_and_speaker),
        cmocka_unit_test(control_characters_are_shown_as_question_marks),
        cmocka_unit_test(a_long_line_is_cut_at_one_kib),
        cmocka_unit_test(a_cut_leaves_whole_characters),
        cmocka_unit_test(without_a_sink_nothing_is_written),
        cmocka_unit_test(a_full_disk_stops_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
