#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/loop.h"

struct seen {
    struct loop *loop;
    char byte;
    int signal_number;
};

static void take_byte(void *context, int fd, unsigned events)
{
    struct seen *seen = context;

    assert_int_equal(events, LOOP_READ);
    assert_int_equal(fdio_read(fd, &seen->byte, 1), 1);
    loop_unwatch(seen->loop, fd);
}

static void take_signal(void *context, int signal_number)
{
    struct seen *seen = context;

    seen->signal_number = signal_number;
}

static void raise_signal(void *context)
{
    (void)context;
    assert_int_equal(raise(SIGUSR1), 0);
}

static void a_descriptor_a_timer_and_a_signal_are_heard(void **state)
{
    struct seen seen = {.loop = loop_new()};
    struct error err = ERROR_INIT;
    int ends[2];

    (void)state;
    assert_int_equal(fdio_pipe(ends, &err), 0);
    assert_int_equal(fdio_write_full(ends[1], "x", 1), 0);
    assert_int_equal(loop_signal(seen.loop, SIGUSR1, take_signal, &seen, &err), 0);
    loop_watch(seen.loop, ends[0], LOOP_READ, take_byte, &seen);
    loop_timer_at(seen.loop, clock_monotonic_ns(), raise_signal, &seen);
    assert_int_equal(loop_run(seen.loop, &err), 0);
    assert_int_equal(loop_step(seen.loop, 0, &err), 0);
    assert_int_equal(seen.byte, 'x');
    assert_int_equal(seen.signal_number, SIGUSR1);
    fdio_close(&ends[0]);
    fdio_close(&ends[1]);
    loop_free(seen.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor_a_timer_and_a_signal_are_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
