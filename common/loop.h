/*
 * loop: waits for descriptors, deadlines and signals in one thread.            [base]
 *
 * A thin layer over poll: at most LOOP_WATCH_MAX descriptors, each with a callback;
 * timers with a callback; signals through a pipe of the loop's own. Callbacks may add and
 * remove watches and timers, their own included; what one of them removed is not called
 * any more. An error or hang-up on a descriptor is reported as whatever is watched for,
 * so that the next read or write sees it. What has come is handed out before the timers
 * that are due: a deadline is never held against what was there in time.
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

/* Watch fd, or change what is watched for (events 0 keeps the watch, silent, errors
 * included). fd stays the caller's. More than LOOP_WATCH_MAX end the program. */
void loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_handler *handler,
                void *context);
/* Forget fd; before it is closed. Unknown descriptors are ignored. */
void loop_unwatch(struct loop *loop, int fd);

/* Call handler once at this monotonic time; in the next step where that is past. The
 * timer is the loop's; it is gone when its handler is called or it was cancelled. */
struct loop_timer *loop_timer_at(struct loop *loop, int64_t monotonic_ns,
                                 loop_timer_handler *handler, void *context);
/* The same, for who waits in steps: *flag (borrowed until then) becomes true. */
struct loop_timer *loop_flag_at(struct loop *loop, int64_t monotonic_ns, bool *flag);
/* NULL is ignored. Not after it fired. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Call handler, outside the signal's context, when the signal comes; several of one kind
 * may come as one. One loop of a process may do so at a time; loop_free restores what was
 * before. Errors: by errno. */
int loop_signal(struct loop *loop, int signal_number, loop_signal_handler *handler,
                void *context, struct error *err);

/* Run until loop_stop, or until neither watches (silent ones count) nor timers are left;
 * signals alone do not keep it. Errors: by errno of poll. */
int loop_run(struct loop *loop, struct error *err);
/* Wait for and handle events once; timeout_ms -1: as long as it takes. Returns 0 also
 * where nothing happened. */
int loop_step(struct loop *loop, int timeout_ms, struct error *err);
/* Make loop_run return after the step that is under way. */
void loop_stop(struct loop *loop);

#endif
