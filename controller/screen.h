/*
 * screen: shows a run's log while it grows at home.            [controller]
 *
 * Reads driver.log (its generations one after another) and writes it to stdout, a little
 * at a time and only when stdout takes it, so that a stopped terminal never holds up the
 * network side. Where bytes are missing (loggap.h), a line on stderr says so between what
 * was shown before and what is shown after.
 */
#ifndef CONTROLLER_SCREEN_H
#define CONTROLLER_SCREEN_H

#include "common/loop.h"
#include "controller/runlog.h"
#include "controller/terminal.h"

struct screen;

/* Where in the log something is: a byte of a generation. */
struct screen_place {
    int64_t generation;
    uint64_t offset;
};

/* log is borrowed. Nothing is shown before from: zeroed, all is shown. */
struct screen *screen_new(const struct runlog *log, struct terminal *terminal,
                          struct screen_place from);
void screen_free(struct screen *screen);
DEFINE_CLEANUP_FREE(screen)

/* There may be more to show: watch stdout in loop until it was shown. loop NULL: stop
 * watching. */
void screen_update(struct screen *screen, struct loop *loop);
/* The first byte that the terminal has not taken: where another screen goes on. */
struct screen_place screen_shown(const struct screen *screen);
/* True while something is left to show: the loop goes on. */
bool screen_is_busy(const struct screen *screen);
/* True where stdout failed; err tells how: ERR_IO with EPIPE in sys where the reader went
 * away. */
bool screen_has_failed(const struct screen *screen, struct error *err);

#endif
