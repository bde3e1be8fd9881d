#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/loop.h"
#include "tests/unit/child.h"
#include "tests/unit/death.h"

/* What was called, in its order: a letter each. */
struct seen {
    struct loop *loop;
    char calls[32];
    size_t count;
    unsigned events;
    int fds[2]; /* a pipe, where a test needs one */
    struct loop_timer *timer;
};

static int make_seen(void **state)
{
    struct seen *seen = xcalloc(1, sizeof(*seen));

    seen->loop = loop_new();
    *state = seen;
    return fdio_pipe(seen->fds, NULL);
}

static int free_seen(void **state)
{
    struct seen *seen = *state;

    clock_test_clear();
    loop_free(seen->loop);
    fdio_close(&seen->fds[0]);
    fdio_close(&seen->fds[1]);
    free(seen);
    return 0;
}

static void note(struct seen *seen, char what)
{
    assert_true(seen->count + 1 < sizeof(seen->calls));
    seen->calls[seen->count++] = what;
}

static void step(struct seen *seen, int timeout_ms)
{
    struct error err = ERROR_INIT;

    assert_int_equal(loop_step(seen->loop, timeout_ms, &err), 0);
}

/* ---- descriptors --------------------------------------------------------------------
 */

static void note_events(void *context, int fd, unsigned events)
{
    struct seen *seen = context;

    (void)fd;
    seen->events = events;
    note(seen, 'f');
}

static void a_descriptor_is_told_what_it_is_watched_for(void **state)
{
    struct seen *seen = *state;

    loop_watch(seen->loop, seen->fds[0], LOOP_READ, note_events, seen);
    step(seen, 0);
    assert_string_equal(seen->calls, "");
    assert_int_equal(fdio_write_full(seen->fds[1], "ab", 2), 0);
    step(seen, -1);
    step(seen, -1);
    assert_string_equal(seen->calls, "ff");
    assert_int_equal(seen->events, LOOP_READ);
    loop_watch(seen->loop, seen->fds[1], LOOP_WRITE, note_events, seen);
    loop_unwatch(seen->loop, seen->fds[0]);
    loop_unwatch(seen->loop, seen->fds[0]);
    step(seen, -1);
    assert_string_equal(seen->calls, "fff");
    assert_int_equal(seen->events, LOOP_WRITE);
}

static void a_silent_watch_hears_nothing_and_is_kept(void **state)
{
    struct seen *seen = *state;

    fdio_close(&seen->fds[1]);
    loop_watch(seen->loop, seen->fds[0], 0, note_events, seen);
    step(seen, 1);
    assert_string_equal(seen->calls, "");
    loop_watch(seen->loop, seen->fds[0], LOOP_READ, note_events, seen);
    step(seen, -1);
    assert_string_equal(seen->calls, "f");
}

static void a_hang_up_shows_as_what_is_watched_for(void **state)
{
    struct seen *seen = *state;

    loop_watch(seen->loop, seen->fds[1], LOOP_WRITE, note_events, seen);
    fdio_close(&seen->fds[0]);
    step(seen, -1);
    assert_int_equal(seen->events, LOOP_WRITE);
    loop_watch(seen->loop, seen->fds[1], LOOP_READ, note_events, seen);
    step(seen, -1);
    assert_int_equal(seen->events, LOOP_READ);
    loop_watch(seen->loop, seen->fds[1], LOOP_READ | LOOP_WRITE, note_events, seen);
    step(seen, -1);
    assert_int_equal(seen->events, LOOP_READ | LOOP_WRITE);
}

/* Both ends are ready; whoever is called first forgets the other one. */
static void forget_other(void *context, int fd, unsigned events)
{
    struct seen *seen = context;

    (void)events;
    note(seen, 'o');
    loop_unwatch(seen->loop, fd == seen->fds[0] ? seen->fds[1] : seen->fds[0]);
}

static void a_watch_removed_by_another_is_not_called(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(fdio_write_full(seen->fds[1], "a", 1), 0);
    loop_watch(seen->loop, seen->fds[0], LOOP_READ, forget_other, seen);
    loop_watch(seen->loop, seen->fds[1], LOOP_WRITE, forget_other, seen);
    step(seen, -1);
    assert_string_equal(seen->calls, "o");
}

/* As a server does that closes one connection and gets the next: the same number. */
static void watch_other_anew(void *context, int fd, unsigned events)
{
    struct seen *seen = context;

    (void)fd;
    (void)events;
    note(seen, 'o');
    loop_unwatch(seen->loop, seen->fds[0]);
    loop_unwatch(seen->loop, seen->fds[1]);
    loop_watch(seen->loop, seen->fds[0], LOOP_READ, note_events, seen);
    loop_watch(seen->loop, seen->fds[1], LOOP_WRITE, note_events, seen);
}

static void a_watch_does_not_hear_of_the_one_before_it(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(fdio_write_full(seen->fds[1], "a", 1), 0);
    loop_watch(seen->loop, seen->fds[0], LOOP_READ, watch_other_anew, seen);
    loop_watch(seen->loop, seen->fds[1], LOOP_WRITE, watch_other_anew, seen);
    step(seen, -1);
    assert_string_equal(seen->calls, "o");
    step(seen, -1);
    assert_string_equal(seen->calls, "off");
}

static void watch_too_many(void)
{
    struct loop *loop = loop_new();

    for (int fd = 0; fd <= LOOP_WATCH_MAX; fd++) {
        loop_watch(loop, fd, LOOP_READ, note_events, NULL);
    }
}

static void too_many_watches_end_the_program(void **state)
{
    char said[128];

    (void)state;
    assert_int_equal(death_by(watch_too_many, said, sizeof(said)), SIGABRT);
    assert_non_null(strstr(said, "too many descriptors"));
}

static int poll_beyond_the_limit(void *context)
{
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    struct error err = ERROR_INIT;

    if (setrlimit(RLIMIT_NOFILE, &none) < 0) {
        return 1;
    }
    return loop_step(context, 0, &err) == -1 && err.sys == EINVAL ? 0 : 2;
}

static void a_poll_that_fails_is_an_error(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(in_child(poll_beyond_the_limit, seen->loop), 0);
}

/* ---- timers -------------------------------------------------------------------------
 */

static void note_a(void *context)
{
    note(context, 'a');
}

static void note_b(void *context)
{
    note(context, 'b');
}

static void note_c(void *context)
{
    note(context, 'c');
}

static void timers_fire_once_and_by_time(void **state)
{
    struct seen *seen = *state;

    clock_test_set(1000, 0);
    loop_timer_at(seen->loop, 1001, note_c, seen);
    loop_timer_at(seen->loop, 900, note_b, seen);
    loop_timer_at(seen->loop, 1000, note_b, seen);
    loop_timer_at(seen->loop, 800, note_a, seen);
    loop_timer_at(seen->loop, 1000, note_a, seen);
    step(seen, -1);
    assert_string_equal(seen->calls, "abba");
    step(seen, 0);
    assert_string_equal(seen->calls, "abba");
    clock_test_set(1001, 0);
    step(seen, -1);
    assert_string_equal(seen->calls, "abbac");
}

static void add_due(void *context)
{
    struct seen *seen = context;

    note(seen, '+');
    loop_timer_at(seen->loop, 1, note_a, seen);
}

static void a_timer_made_by_a_timer_waits_for_the_next_step(void **state)
{
    struct seen *seen = *state;

    clock_test_set(1000, 0);
    loop_timer_at(seen->loop, 500, add_due, seen);
    loop_timer_at(seen->loop, 1000, note_b, seen);
    step(seen, -1);
    assert_string_equal(seen->calls, "+b");
    step(seen, -1);
    assert_string_equal(seen->calls, "+ba");
}

static void what_has_come_is_handed_out_before_a_timer_that_is_due(void **state)
{
    struct seen *seen = *state;

    loop_watch(seen->loop, seen->fds[0], LOOP_READ, note_events, seen);
    (void)loop_timer_at(seen->loop, 0, note_a, seen);
    assert_int_equal(fdio_write_full(seen->fds[1], "x", 1), 0);
    step(seen, -1);
    assert_string_equal(seen->calls, "fa");
}

static void cancel_other(void *context)
{
    struct seen *seen = context;

    note(seen, 'x');
    loop_timer_cancel(seen->loop, seen->timer);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    struct seen *seen = *state;
    struct loop_timer *timer;

    clock_test_set(1000, 0);
    loop_timer_cancel(seen->loop, NULL);
    timer = loop_timer_at(seen->loop, 1, note_a, seen);
    loop_timer_at(seen->loop, 2, cancel_other, seen);
    seen->timer = loop_timer_at(seen->loop, 3, note_b, seen);
    loop_timer_at(seen->loop, 4, note_c, seen);
    loop_timer_cancel(seen->loop, timer);
    step(seen, -1);
    assert_string_equal(seen->calls, "xc");
}

static void a_timer_is_never_early(void **state)
{
    struct seen *seen = *state;
    int64_t at_ns = clock_monotonic_ns() + 3 * NS_PER_MS + 1;
    struct error err = ERROR_INIT;

    loop_timer_at(seen->loop, at_ns, note_a, seen);
    assert_int_equal(loop_run(seen->loop, &err), 0);
    assert_true(clock_monotonic_ns() >= at_ns);
    assert_string_equal(seen->calls, "a");
}

static void a_step_ends_with_its_own_time_before_the_timers(void **state)
{
    struct seen *seen = *state;

    loop_timer_at(seen->loop, clock_monotonic_ns() + 3600 * NS_PER_S, note_a, seen);
    loop_timer_at(seen->loop, INT64_MAX, note_a, seen);
    step(seen, 1);
    assert_string_equal(seen->calls, "");
}

/* ---- running ------------------------------------------------------------------------
 */

static void stop(void *context)
{
    struct seen *seen = context;

    note(seen, 's');
    loop_stop(seen->loop);
}

static void take_and_leave(void *context, int fd, unsigned events)
{
    struct seen *seen = context;
    char byte;

    assert_int_equal(events, LOOP_READ);
    assert_int_equal(fdio_read(fd, &byte, 1), 1);
    note(seen, byte);
    loop_unwatch(seen->loop, fd);
}

static void a_run_ends_when_told_or_when_nothing_is_left(void **state)
{
    struct seen *seen = *state;
    struct error err = ERROR_INIT;

    assert_int_equal(loop_run(seen->loop, &err), 0);
    loop_watch(seen->loop, seen->fds[0], LOOP_READ, take_and_leave, seen);
    loop_timer_at(seen->loop, 1, stop, seen);
    assert_int_equal(loop_run(seen->loop, &err), 0);
    assert_string_equal(seen->calls, "s");
    assert_int_equal(fdio_write_full(seen->fds[1], "x", 1), 0);
    assert_int_equal(loop_run(seen->loop, &err), 0);
    assert_string_equal(seen->calls, "sx");
}

/* ---- signals ------------------------------------------------------------------------
 */

static void note_signal(void *context, int signal_number)
{
    note(context, signal_number == SIGUSR1 ? '1' : signal_number == SIGUSR2 ? '2' : '?');
}

static int signal_parent(void *context)
{
    (void)context;
    return kill(getppid(), SIGUSR1) == 0 ? 0 : 1;
}

static void a_signal_wakes_the_loop(void **state)
{
    struct seen *seen = *state;
    struct error err = ERROR_INIT;
    pid_t child;

    assert_int_equal(loop_signal(seen->loop, SIGUSR1, note_signal, seen, &err), 0);
    child = child_start(signal_parent, NULL);
    while (seen->count == 0) {
        step(seen, -1);
    }
    assert_string_equal(seen->calls, "1");
    assert_int_equal(child_end(child), 0);
}

/* More than the pipe holds: none of its kind may be forgotten for that. */
static void a_flood_of_one_signal_does_not_hide_another(void **state)
{
    struct seen *seen = *state;
    struct error err = ERROR_INIT;

    assert_int_equal(loop_signal(seen->loop, SIGUSR1, note_signal, seen, &err), 0);
    assert_int_equal(loop_signal(seen->loop, SIGUSR2, note_signal, seen, &err), 0);
    errno = ERANGE;
    for (int i = 0; i < 70000; i++) {
        raise(SIGUSR2);
    }
    raise(SIGUSR1);
    assert_int_equal(errno, ERANGE);
    step(seen, -1);
    assert_string_equal(seen->calls, "12");
    step(seen, 0);
    assert_string_equal(seen->calls, "12");
}

static void raise_again(void *context, int signal_number)
{
    struct seen *seen = context;

    note(seen, 'r');
    if (seen->count == 1) {
        raise(signal_number);
    }
}

static void a_signal_within_its_handler_comes_again(void **state)
{
    struct seen *seen = *state;
    struct error err = ERROR_INIT;

    assert_int_equal(loop_signal(seen->loop, SIGUSR1, raise_again, seen, &err), 0);
    raise(SIGUSR1);
    step(seen, -1);
    assert_string_equal(seen->calls, "r");
    step(seen, -1);
    assert_string_equal(seen->calls, "rr");
}

static void handlers_are_replaced_and_given_back(void **state)
{
    struct seen *seen = *state;
    struct loop *loop = loop_new();
    struct error err = ERROR_INIT;
    struct sigaction before;
    struct sigaction after;

    loop_free(seen->loop);
    assert_int_equal(sigaction(SIGUSR1, NULL, &before), 0);
    assert_int_equal(loop_signal(loop, SIGUSR1, raise_again, seen, &err), 0);
    assert_int_equal(loop_signal(loop, SIGUSR1, note_signal, seen, &err), 0);
    raise(SIGUSR1);
    assert_int_equal(loop_step(loop, -1, &err), 0);
    assert_string_equal(seen->calls, "1");
    assert_int_equal(loop_signal(loop, SIGKILL, note_signal, seen, &err), -1);
    assert_int_equal(err.sys, EINVAL);
    loop_free(loop);
    assert_int_equal(sigaction(SIGUSR1, NULL, &after), 0);
    assert_ptr_equal(after.sa_handler, before.sa_handler);
    loop_free(NULL);
    seen->loop = loop_new();
    assert_int_equal(loop_signal(seen->loop, SIGUSR2, note_signal, seen, &err), 0);
}

#define WITH_SEEN(test) cmocka_unit_test_setup_teardown(test, make_seen, free_seen)

static void a_flag_is_raised_in_its_time_and_not_after_it_was_cancelled(void **state)
{
    CLEANUP(loop_cleanup) struct loop *loop = loop_new();
    bool is_over = false, is_never = false;
    struct loop_timer *timer = loop_flag_at(loop, clock_monotonic_ns(), &is_never);

    (void)state;
    loop_timer_cancel(loop, timer);
    (void)loop_flag_at(loop, clock_monotonic_ns() + NS_PER_MS, &is_over);
    while (!is_over) {
        assert_int_equal(loop_step(loop, -1, NULL), 0);
    }
    assert_false(is_never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SEEN(a_descriptor_is_told_what_it_is_watched_for),
        WITH_SEEN(a_silent_watch_hears_nothing_and_is_kept),
        WITH_SEEN(a_hang_up_shows_as_what_is_watched_for),
        WITH_SEEN(a_watch_removed_by_another_is_not_called),
        WITH_SEEN(a_watch_does_not_hear_of_the_one_before_it),
        cmocka_unit_test(a_flag_is_raised_in_its_time_and_not_after_it_was_cancelled),
        cmocka_unit_test(too_many_watches_end_the_program),
        WITH_SEEN(a_poll_that_fails_is_an_error),
        WITH_SEEN(timers_fire_once_and_by_time),
        WITH_SEEN(a_timer_made_by_a_timer_waits_for_the_next_step),
        WITH_SEEN(a_cancelled_timer_does_not_fire),
        WITH_SEEN(what_has_come_is_handed_out_before_a_timer_that_is_due),
        WITH_SEEN(a_timer_is_never_early),
        WITH_SEEN(a_step_ends_with_its_own_time_before_the_timers),
        WITH_SEEN(a_run_ends_when_told_or_when_nothing_is_left),
        WITH_SEEN(a_signal_wakes_the_loop),
        WITH_SEEN(a_flood_of_one_signal_does_not_hide_another),
        WITH_SEEN(a_signal_within_its_handler_comes_again),
        WITH_SEEN(handlers_are_replaced_and_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
