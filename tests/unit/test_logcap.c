#define _GNU_SOURCE /* fallocate, SEEK_DATA */
#include "executor/logcap.h"

#include "scratch.h"

#include <errno.h>
#include <stdio.h>

#include "common/clock.h"

#define LIMIT ((uint64_t)1000000)
#define KEPT (LIMIT - LIMIT / 4)
#define BLOCK ((uint64_t)64 << 10)
#define SLACK ((uint64_t)64 << 10) /* the filesystem's own blocks, and the block cut */

/* What the filesystem says instead; 0: it does as it is told. */
static int
    fallocate_failure; /* NOLINT(cppcoreguidelines-avoid-non-const-global-variables) */

int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
    if (fallocate_failure != 0) {
        errno = fallocate_failure;
        return -1;
    }
    return __real_fallocate64(fd, mode, offset, length);
}

struct fixture {
    struct scratch *s;
    struct logcap cap;
    struct log log;
    int writer; /* as the script has it */
    int64_t now_ns;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->s = scratch_new();
    f->writer =
        openat(f->s->fd, "driver.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    f->log = (struct log){.fd = openat(f->s->fd, "control.log",
                                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
                          .word = "guardian"};
    assert_true(f->writer >= 0 && f->log.fd >= 0);
    logcap_init(&f->cap, LIMIT);
    fallocate_failure = 0;
    f->now_ns = 1000 * NS_PER_S;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    clock_test_clear();
    logcap_close(&f->cap);
    close(f->writer);
    close(f->log.fd);
    scratch_free(f->s);
    free(f);
    return 0;
}

/* As the supervisors do: look when it is time. */
static void look_later(struct fixture *f, int64_t past_ns)
{
    f->now_ns += past_ns;
    clock_test_set(f->now_ns, 1);
    if (f->cap.next_ns != 0 && f->now_ns >= f->cap.next_ns) {
        logcap_look(&f->cap, f->s->fd, &f->log);
    }
}

static void write_bytes(const struct fixture *f, size_t length)
{
    CLEANUP_FREE char *text = xmalloc(length);
    memset(text, 'y', length);
    assert_int_equal(fdio_write_full(f->writer, text, length), 0);
}

static uint64_t disk_bytes(const struct fixture *f)
{
    return (uint64_t)scratch_stat(f->s, "driver.log").st_blocks * 512;
}

static uint64_t first_data(const struct fixture *f)
{
    CLEANUP_FD int fd = openat(f->s->fd, "driver.log", O_RDONLY | O_CLOEXEC);
    off_t data = lseek(fd, 0, SEEK_DATA);
    assert_true(data >= 0);
    return (uint64_t)data;
}

/* How often control.log has these words. */
static int count_said(const struct fixture *f, const char *words)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int count = 0;
    assert_int_equal(files_read(f->s->fd, "control.log", &text, NULL), 0);
    for (const char *at = text.data; (at = strstr(at, words)) != NULL; at++) {
        count++;
    }
    return count;
}

static void a_log_within_its_limit_is_left_alone(void **state)
{
    struct fixture *f = *state;
    look_later(f, 0);
    write_bytes(f, LIMIT);
    look_later(f, 2 * NS_PER_S);
    assert_int_equal(first_data(f), 0);
    assert_int_equal(count_said(f, "limit"), 0);
    assert_int_equal(f->cap.given_up, 0);
}

static void a_log_over_its_limit_keeps_its_end_and_all_offsets(void **state)
{
    struct fixture *f = *state;
    look_later(f, 0);
    for (int i = 1; i <= 20; i++) {
        write_bytes(f, 300000);
        look_later(f, 2 * NS_PER_S);
        assert_int_equal(scratch_stat(f->s, "driver.log").st_size, i * 300000);
        assert_true(disk_bytes(f) <= LIMIT + SLACK);
        assert_true(i * 300000 - first_data(f) >= (i < 3 ? 0 : KEPT));
        assert_int_equal(first_data(f) % BLOCK, 0);
        assert_int_equal(first_data(f), f->cap.given_up);
    }
    assert_int_equal(count_said(f, "from now on its beginning is given up"), 1);
}

static void the_faster_it_grows_the_sooner_it_is_looked_at(void **state)
{
    struct fixture *f = *state;
    look_later(f, 0);
    assert_true(f->cap.next_ns - f->now_ns <= 100 * NS_PER_MS);
    look_later(f, 100 * NS_PER_MS);
    assert_int_equal(f->cap.next_ns - f->now_ns, 2 * NS_PER_S); /* it is quiet */
    write_bytes(f, LIMIT);                                      /* half of it a second */
    look_later(f, 2 * NS_PER_S);
    assert_in_range(f->cap.next_ns - f->now_ns, 490 * NS_PER_MS, 510 * NS_PER_MS);
    write_bytes(f, 20 * LIMIT);
    look_later(f, 500 * NS_PER_MS);
    assert_int_equal(f->cap.next_ns - f->now_ns, 20 * NS_PER_MS);
    look_later(f, 20 * NS_PER_MS);
    assert_int_equal(f->cap.next_ns - f->now_ns, 2 * NS_PER_S);
}

static void a_log_that_its_script_cut_is_measured_anew(void **state)
{
    struct fixture *f = *state;
    look_later(f, 0);
    write_bytes(f, 3 * LIMIT);
    look_later(f, 2 * NS_PER_S);
    assert_true(first_data(f) > LIMIT);
    assert_int_equal(ftruncate(f->writer, 0), 0);
    write_bytes(f, LIMIT / 2);
    look_later(f, 2 * NS_PER_S);
    assert_int_equal(first_data(f), 0);
    write_bytes(f, LIMIT);
    look_later(f, 2 * NS_PER_S);
    assert_true(first_data(f) > 0);
    assert_true(disk_bytes(f) <= LIMIT + SLACK);
}

static void a_filesystem_without_holes_is_said_once_and_let_be(void **state)
{
    struct fixture *f = *state;
    fallocate_failure = EOPNOTSUPP;
    look_later(f, 0);
    for (int i = 0; i < 3; i++) {
        write_bytes(f, 2 * LIMIT);
        look_later(f, 2 * NS_PER_S);
    }
    assert_int_equal(count_said(f, "cannot be given up on this filesystem"), 1);
    assert_int_equal(f->cap.next_ns, 0);
    assert_int_equal(disk_bytes(f) / (6 * LIMIT), 1);
}

static void what_fails_now_is_tried_again(void **state)
{
    struct fixture *f = *state;
    fallocate_failure = ENOSPC;
    look_later(f, 0);
    write_bytes(f, 2 * LIMIT);
    look_later(f, 2 * NS_PER_S);
    look_later(f, 2 * NS_PER_S);
    assert_int_equal(count_said(f, "cannot be given up now"), 1);
    fallocate_failure = 0;
    look_later(f, 2 * NS_PER_S);
    assert_int_equal(count_said(f, "from now on its beginning is given up"), 1);
    assert_true(disk_bytes(f) <= LIMIT + SLACK);
}

static void who_takes_over_does_not_say_it_again(void **state)
{
    struct fixture *f = *state;
    look_later(f, 0);
    write_bytes(f, 2 * LIMIT);
    look_later(f, 2 * NS_PER_S);
    logcap_close(&f->cap);
    logcap_init(&f->cap, LIMIT);
    write_bytes(f, 2 * LIMIT);
    look_later(f, 0);
    assert_true(disk_bytes(f) <= LIMIT + SLACK);
    assert_int_equal(count_said(f, "from now on"), 1);
}

static void a_new_attempt_has_the_file_that_has_the_name_then(void **state)
{
    struct fixture *f = *state;
    look_later(f, 0);
    assert_int_equal(renameat(f->s->fd, "driver.log", f->s->fd, "old"), 0);
    write_bytes(f, 2 * LIMIT);
    look_later(f, 2 * NS_PER_S);
    assert_true(scratch_stat(f->s, "old").st_blocks * 512 < (blkcnt_t)(LIMIT + SLACK));
    close(f->writer);
    f->writer =
        openat(f->s->fd, "driver.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    logcap_restart(&f->cap);
    write_bytes(f, 2 * LIMIT);
    look_later(f, 0);
    assert_true(disk_bytes(f) <= LIMIT + SLACK);
}

static void a_log_that_is_not_there_yet_is_waited_for(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlinkat(f->s->fd, "driver.log", 0), 0);
    look_later(f, 0);
    assert_int_equal(f->cap.next_ns - f->now_ns, 2 * NS_PER_S);
    assert_int_equal(mkfifoat(f->s->fd, "driver.log", 0600), 0);
    look_later(f, 2 * NS_PER_S);
    assert_int_equal(f->cap.next_ns - f->now_ns, 2 * NS_PER_S);
}

static void without_a_limit_nothing_is_looked_at(void **state)
{
    struct fixture *f = *state;
    logcap_init(&f->cap, 0);
    assert_int_equal(f->cap.next_ns, 0);
    write_bytes(f, 2 * LIMIT);
    logcap_look(&f->cap, f->s->fd, &f->log);
    logcap_restart(&f->cap);
    assert_int_equal(f->cap.next_ns, 0);
    assert_int_equal(f->cap.fd, -1);
    assert_int_equal(first_data(f), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_log_within_its_limit_is_left_alone),
        TEST(a_log_over_its_limit_keeps_its_end_and_all_offsets),
        TEST(the_faster_it_grows_the_sooner_it_is_looked_at),
        TEST(a_log_that_its_script_cut_is_measured_anew),
        TEST(a_filesystem_without_holes_is_said_once_and_let_be),
        TEST(what_fails_now_is_tried_again),
        TEST(who_takes_over_does_not_say_it_again),
        TEST(a_new_attempt_has_the_file_that_has_the_name_then),
        TEST(a_log_that_is_not_there_yet_is_waited_for),
        TEST(without_a_limit_nothing_is_looked_at),
    };
    return cmocka_run_group_tests_name("logcap", tests, NULL, NULL);
}
