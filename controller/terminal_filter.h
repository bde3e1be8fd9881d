/*
 * terminal_filter: bytes from elsewhere, made harmless for a terminal. [controller]
 *
 * A state machine over a stream that may be cut anywhere. What gets through as it is:
 * printable UTF-8, newline, tab and carriage return, and "select graphic rendition"
 * (ESC [ digits ; : m; ECMA-48 section 8.3.117), which colours text. Everything else is
 * shown: other control characters as ^X (an escape sequence as ^[ and its own text, so
 * that a title, a clipboard write or a device query is read and not obeyed), C1 controls
 * and those that turn the direction of text or hide it as \u{9b}, bytes that are no UTF-8
 * as \x9b.
 */
#ifndef CONTROLLER_TERMINAL_FILTER_H
#define CONTROLLER_TERMINAL_FILTER_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

/* ESC [ and the parameters of a colour are held until the m comes; what is longer is
 * none. */
#define TERMINAL_FILTER_HELD_MAX 64
/* No byte of input becomes more output. */
#define TERMINAL_FILTER_GROWTH 10

struct terminal_filter {
    bool
        is_line; /* one line of ours: no colours, and newline, tab and return are shown */
    bool is_coloured; /* the last colour was not a reset */
    size_t held;      /* bytes of a sequence or character that is not whole yet */
    char hold[TERMINAL_FILTER_HELD_MAX];
};

void terminal_filter_init(struct terminal_filter *filter, bool is_line);

/* Append what data becomes to out, whose limit leaves room for TERMINAL_FILTER_GROWTH
 * bytes for each of data and of what is held. */
void terminal_filter_feed(struct terminal_filter *filter, const void *data, size_t length,
                          struct strbuf *out);
/* The stream is over: append what is held, shown, and end a colour. */
void terminal_filter_finish(struct terminal_filter *filter, struct strbuf *out);

#endif
