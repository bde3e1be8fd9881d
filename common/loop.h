/*
 * loop: waits for descriptors, deadlines and signals in one thread.            [base]
 *
 * A thin layer over poll: at most LOOP_WATCH_MAX descriptors, each with a callback;
 * timers with a callback; signals through a pipe of the loop's own. Callbacks may add and
 * remove watches and timers, their own included. An error or hang-up on a descriptor is
 * reported as readable and writable, so that the next call sees it.
 *
 * Life: loop_new -> loop_watch, loop_timer ... -> loop_run (until loop_stop or nothing is
 * left) -> loop_free.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/error.h"
#include "common/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define LOOP_WATCH_MAX 256

enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
};

struct loop;
struct loop_timer;

/* events: what happened, LOOP_READ and LOOP_WRITE. */
typedef void loop_fd_handler(void *context, int fd, unsigned events);
typedef void loop_timer_handler(void *context);
typedef void loop_signal_handler(void *context, int signal_number);

struct loop *loop_new(void);
void loop_free(struct loop *loop);
DEFINE_CLEANUP_FREE(loop)

/* Watch fd, or change what is watched for (events 0 keeps the watch, silent). fd stays
 * the caller's. */
void loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_handler *handler,
                void *context);
/* Forget fd; before it is closed. Unknown descriptors are ignored. */
void loop_unwatch(struct loop *loop, int fd);

/* Call handler once at this monotonic time. The timer is the loop's; it is gone after it
 * fired or was cancelled. */
struct loop_timer *loop_timer_at(struct loop *loop, int64_t monotonic_ns,
                                 loop_timer_handler *handler, void *context);
/* NULL is ignored. Not after it fired. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Call handler, outside the signal's context, when the signal comes. One loop of a
 * process may do so at a time. */
int loop_signal(struct loop *loop, int signal_number, loop_signal_handler *handler,
                void *context, struct error *err);

/* Run until loop_stop, or until neither watches nor timers are left. */
int loop_run(struct loop *loop, struct error *err);
/* Wait for and handle events once; timeout_ms -1: as long as it takes. */
int loop_step(struct loop *loop, int timeout_ms, struct error *err);
void loop_stop(struct loop *loop);

#endif
