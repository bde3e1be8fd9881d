#define _GNU_SOURCE /* mkdtemp */
#include "executor/watcher.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 20000

struct fixture {
    char path[64];
    struct loop *loop;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    (void)snprintf(f->path, sizeof f->path, "/tmp/watcher.XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->loop = loop_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)files_remove_tree(AT_FDCWD, f->path, NULL);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void count_up(void *context)
{
    int *count = context;
    (*count)++;
}

static void write_file(const struct fixture *f, const char *name)
{
    CLEANUP_FREE char *path = files_join(f->path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

/* Run the loop until *count is above what it was; milliseconds that it took. */
static int64_t wait_above(struct fixture *f, const int *count, int before)
{
    int64_t begin = clock_monotonic_ns();
    while (*count <= before) {
        assert_int_equal(loop_step(f->loop, DEADLINE_MS, NULL), 0);
        assert_true(clock_monotonic_ns() - begin < DEADLINE_MS * NS_PER_MS);
    }
    return (clock_monotonic_ns() - begin) / NS_PER_MS;
}

static void every_change_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    struct watcher *w = watcher_new(f->loop, true);
    int count = 0;
    struct watcher_subscription *s = watcher_subscribe(w, f->path, count_up, &count);
    for (int i = 0; i < 5; i++) {
        int before = count;
        write_file(f, "driver.log");
        assert_true(wait_above(f, &count, before) < WATCHER_RECHECK_MS);
    }
    watcher_unsubscribe(w, s);
    watcher_free(w);
}

static void a_file_that_appears_later_is_told(void **state)
{
    struct fixture *f = *state;
    struct watcher *w = watcher_new(f->loop, true);
    int count = 0;
    (void)watcher_subscribe(w, f->path, count_up, &count);
    write_file(f, "metrics");
    assert_true(wait_above(f, &count, 0) < WATCHER_RECHECK_MS);
    watcher_free(w);
}

static void two_subscribers_of_one_folder_are_both_told(void **state)
{
    struct fixture *f = *state;
    struct watcher *w = watcher_new(f->loop, true);
    int first = 0, second = 0;
    struct watcher_subscription *s = watcher_subscribe(w, f->path, count_up, &first);
    (void)watcher_subscribe(w, f->path, count_up, &second);
    write_file(f, "driver.log");
    wait_above(f, &first, 0);
    wait_above(f, &second, 0);
    watcher_unsubscribe(w, s);
    int before = second, gone = first;
    write_file(f, "driver.log");
    assert_true(wait_above(f, &second, before) < WATCHER_RECHECK_MS);
    assert_int_equal(first, gone);
    watcher_free(w);
}

static void without_inotify_the_timer_asks(void **state)
{
    struct fixture *f = *state;
    struct watcher *w = watcher_new(f->loop, false);
    int count = 0;
    struct watcher_subscription *s = watcher_subscribe(w, f->path, count_up, &count);
    for (int i = 0; i < 3; i++) {
        wait_above(f, &count, i);
    }
    watcher_unsubscribe(w, s);
    watcher_free(w);
}

static void a_folder_that_is_not_there_is_asked_for_by_timer(void **state)
{
    struct fixture *f = *state;
    struct watcher *w = watcher_new(f->loop, true);
    int count = 0;
    (void)watcher_subscribe(w, "/nonexistent/runs/x", count_up, &count);
    wait_above(f, &count, 1);
    watcher_free(w);
}

static void an_unsubscribed_watcher_lets_the_loop_end(void **state)
{
    struct fixture *f = *state;
    struct watcher *w = watcher_new(f->loop, false);
    int count = 0;
    watcher_unsubscribe(w, watcher_subscribe(w, f->path, count_up, &count));
    watcher_unsubscribe(w, NULL);
    assert_int_equal(loop_run(f->loop, NULL), 0);
    watcher_free(w);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_change_is_told_at_once),
        TEST(a_file_that_appears_later_is_told),
        TEST(two_subscribers_of_one_folder_are_both_told),
        TEST(without_inotify_the_timer_asks),
        TEST(a_folder_that_is_not_there_is_asked_for_by_timer),
        TEST(an_unsubscribed_watcher_lets_the_loop_end),
    };
    return cmocka_run_group_tests_name("watcher", tests, NULL, NULL);
}
