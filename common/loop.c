#define _GNU_SOURCE /* NSIG */
#include "common/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"

struct watch {
    int fd;
    unsigned events;
    uint64_t serial; /* tells a watch from a later one of the same descriptor */
    loop_fd_handler *handler;
    void *context;
};

struct loop_timer {
    struct loop_timer *next; /* by time; those of the same time in the order they came */
    int64_t at_ns;
    uint64_t serial;
    loop_timer_handler *handler;
    void *context;
};

struct signal_watch {
    loop_signal_handler *handler; /* NULL: not watched */
    void *context;
    struct sigaction before;
};

struct loop {
    struct watch watches[LOOP_WATCH_MAX];
    size_t watch_count;
    struct loop_timer *timers;
    uint64_t serial;
    bool is_stopped;
    int signal_fds[2]; /* -1 until loop_signal */
    struct signal_watch signals[NSIG];
};

/*
 * What the signal handler can reach: which signals came, and the pipe that wakes the
 * loop. A full pipe loses a byte and nothing else, because the flags are what counts.
 */
/* NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables) */
static volatile sig_atomic_t signals_pending[NSIG];
static volatile sig_atomic_t signals_fd = -1;
/* NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables) */

struct loop *loop_new(void)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));

    loop->signal_fds[0] = -1;
    loop->signal_fds[1] = -1;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    for (int i = 1; i < NSIG; i++) {
        if (loop->signals[i].handler != NULL) {
            sigaction(i, &loop->signals[i].before, NULL);
            signals_pending[i] = 0;
        }
    }
    if (loop->signal_fds[1] >= 0) {
        signals_fd = -1;
    }
    fdio_close(&loop->signal_fds[0]);
    fdio_close(&loop->signal_fds[1]);
    while (loop->timers != NULL) {
        loop_timer_cancel(loop, loop->timers);
    }
    free(loop);
}

static struct watch *find_watch(struct loop *loop, int fd)
{
    for (size_t i = 0; i < loop->watch_count; i++) {
        if (loop->watches[i].fd == fd) {
            return &loop->watches[i];
        }
    }
    return NULL;
}

void loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_handler *handler,
                void *context)
{
    struct watch *watch = find_watch(loop, fd);

    assert(fd >= 0 && handler != NULL);
    if (watch == NULL) {
        if (loop->watch_count == LOOP_WATCH_MAX) {
            mem_abort("too many descriptors are watched");
        }
        watch = &loop->watches[loop->watch_count++];
        watch->fd = fd;
        watch->serial = ++loop->serial;
    }
    watch->events = events;
    watch->handler = handler;
    watch->context = context;
}

void loop_unwatch(struct loop *loop, int fd)
{
    struct watch *watch = find_watch(loop, fd);

    if (watch != NULL) {
        *watch = loop->watches[--loop->watch_count];
    }
}

struct loop_timer *loop_timer_at(struct loop *loop, int64_t monotonic_ns,
                                 loop_timer_handler *handler, void *context)
{
    struct loop_timer *timer = xcalloc(1, sizeof(*timer));
    struct loop_timer **place = &loop->timers;

    while (*place != NULL && (*place)->at_ns <= monotonic_ns) {
        place = &(*place)->next;
    }
    timer->next = *place;
    timer->at_ns = monotonic_ns;
    timer->serial = ++loop->serial;
    timer->handler = handler;
    timer->context = context;
    *place = timer;
    return timer;
}

static void raise_flag(void *flag)
{
    *(bool *)flag = true;
}

struct loop_timer *loop_flag_at(struct loop *loop, int64_t monotonic_ns, bool *flag)
{
    return loop_timer_at(loop, monotonic_ns, raise_flag, flag);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    if (timer == NULL) {
        return;
    }
    for (struct loop_timer **place = &loop->timers; *place != NULL;
         place = &(*place)->next) {
        if (*place == timer) {
            *place = timer->next;
            free(timer);
            return;
        }
    }
    mem_abort("a timer that is not the loop's was cancelled");
}

static void note_signal(int signal_number)
{
    int saved = errno;
    int fd = signals_fd;

    signals_pending[signal_number] = 1;
    if (fd >= 0 && write(fd, "", 1) < 0) {
        errno = saved; /* full: the loop wakes anyway */
    }
    errno = saved;
}

static int open_signal_pipe(struct loop *loop, struct error *err)
{
    if (loop->signal_fds[0] >= 0) {
        return 0;
    }
    assert(signals_fd < 0);
    if (fdio_pipe(loop->signal_fds, err) < 0 ||
        fdio_set_nonblocking(loop->signal_fds[0], true, err) < 0 ||
        fdio_set_nonblocking(loop->signal_fds[1], true, err) < 0) {
        fdio_close(&loop->signal_fds[0]);
        fdio_close(&loop->signal_fds[1]);
        return -1;
    }
    signals_fd = loop->signal_fds[1];
    return 0;
}

int loop_signal(struct loop *loop, int signal_number, loop_signal_handler *handler,
                void *context, struct error *err)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    struct signal_watch *watch;

    assert(signal_number > 0 && signal_number < NSIG && handler != NULL);
    if (open_signal_pipe(loop, err) < 0) {
        return -1;
    }
    watch = &loop->signals[signal_number];
    sigemptyset(&action.sa_mask);
    if (watch->handler == NULL && sigaction(signal_number, &action, &watch->before) < 0) {
        return error_sys(err, "handle signal %d", signal_number);
    }
    watch->handler = handler;
    watch->context = context;
    return 0;
}

static void dispatch_signals(struct loop *loop)
{
    char bytes[64];

    /* The pipe before the flags: a signal in between wakes us once more. */
    while (fdio_read(loop->signal_fds[0], bytes, sizeof(bytes)) > 0) {
    }
    for (int i = 1; i < NSIG; i++) {
        if (signals_pending[i] && loop->signals[i].handler != NULL) {
            signals_pending[i] = 0;
            loop->signals[i].handler(loop->signals[i].context, i);
        }
    }
}

/* Those that are due, and were there before the first of them was called. */
static void dispatch_timers(struct loop *loop)
{
    int64_t now_ns = clock_monotonic_ns();
    uint64_t newest = loop->serial;
    struct loop_timer **place = &loop->timers;

    while (*place != NULL && (*place)->at_ns <= now_ns) {
        struct loop_timer *timer = *place;
        struct loop_timer fired = *timer;

        if (timer->serial > newest) {
            place = &timer->next;
            continue;
        }
        *place = timer->next;
        free(timer);
        fired.handler(fired.context);
        place = &loop->timers; /* the handler may have changed any of them */
    }
}

/* Milliseconds to wait, rounded up: a timer never finds itself early. */
static int wait_ms(const struct loop *loop, int timeout_ms)
{
    int64_t left_ns;
    int64_t left_ms;

    if (loop->timers == NULL) {
        return timeout_ms;
    }
    left_ns = loop->timers->at_ns - clock_monotonic_ns();
    left_ms = left_ns <= 0 ? 0 : (left_ns - 1) / NS_PER_MS + 1;
    if (timeout_ms >= 0 && left_ms > timeout_ms) {
        return timeout_ms;
    }
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

/* What poll is asked: the signals' pipe first, then each watch, the silent ones as a
 * negative descriptor, because an error is reported unasked. */
static nfds_t fill_polled(const struct loop *loop, struct pollfd *polled,
                          uint64_t *serials)
{
    polled[0] = (struct pollfd){.fd = loop->signal_fds[0], .events = POLLIN};
    for (size_t i = 0; i < loop->watch_count; i++) {
        const struct watch *watch = &loop->watches[i];
        int events = (watch->events & LOOP_READ ? POLLIN : 0) |
                     (watch->events & LOOP_WRITE ? POLLOUT : 0);

        polled[i + 1] =
            (struct pollfd){.fd = events == 0 ? -1 : watch->fd, .events = (short)events};
        serials[i + 1] = watch->serial;
    }
    return loop->watch_count + 1;
}

static void dispatch_polled(struct loop *loop, const struct pollfd *polled,
                            uint64_t serial)
{
    bool is_broken = (polled->revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    unsigned events = (polled->revents & POLLIN || is_broken ? LOOP_READ : 0) |
                      (polled->revents & POLLOUT || is_broken ? LOOP_WRITE : 0);
    const struct watch *watch;

    if (polled->fd < 0 || events == 0) {
        return;
    }
    watch = find_watch(loop, polled->fd);
    if (watch != NULL && watch->serial == serial && (events & watch->events) != 0) {
        watch->handler(watch->context, watch->fd, events & watch->events);
    }
}

int loop_step(struct loop *loop, int timeout_ms, struct error *err)
{
    struct pollfd polled[LOOP_WATCH_MAX + 1];
    uint64_t serials[LOOP_WATCH_MAX + 1];
    nfds_t count = fill_polled(loop, polled, serials);
    int ready = poll(polled, count, wait_ms(loop, timeout_ms));

    if (ready < 0) { /* a signal's word is in the pipe: the next step has it */
        return errno == EINTR ? 0 : error_sys(err, "wait for events");
    }
    if (polled[0].revents != 0) {
        dispatch_signals(loop);
    }
    for (nfds_t i = 1; ready > 0 && i < count; i++) {
        dispatch_polled(loop, &polled[i], serials[i]);
    }
    dispatch_timers(loop);
    return 0;
}

int loop_run(struct loop *loop, struct error *err)
{
    loop->is_stopped = false;
    while (!loop->is_stopped && (loop->watch_count > 0 || loop->timers != NULL)) {
        if (loop_step(loop, -1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
}
