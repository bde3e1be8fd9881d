/*
 * terminal: what a person sees: progress, colour, questions, and text from elsewhere made
 * harmless.            [controller]
 *
 * Progress and notes go to stderr; stdout has results and the script's log. On a terminal
 * progress is one line that is rewritten, elsewhere plain lines, rarely. NO_COLOR and
 * TERM=dumb are honoured. Questions are asked on /dev/tty.
 */
#ifndef CONTROLLER_TERMINAL_H
#define CONTROLLER_TERMINAL_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct terminal;
struct terminal *terminal_new(bool is_quiet);
void terminal_free(struct terminal *t);

/* True where stderr is a terminal on which lines can be rewritten. */
bool terminal_is_live(const struct terminal *t);
/* True where a person sits at /dev/tty and may be asked. */
bool terminal_can_ask(const struct terminal *t);

/* A line to stderr: "errand: text". Clears a progress line first. */
void terminal_note(struct terminal *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void terminal_warn(struct terminal *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line to stderr as it is, also where terminal_new was told to be quiet: what a
 * question is about. */
void terminal_show(struct terminal *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* An error, with its hint on a line of its own. */
void terminal_error(struct terminal *t, const struct error *err);

/* Progress of something long: what ("sending"), done of total bytes or items (0:
 * unknown). Rewrites its line at most 10 times a second. */
void terminal_progress(struct terminal *t, const char *what, uint64_t done_bytes,
                       uint64_t total_bytes);
/* A line that stands for as long as something lasts ("trying again in 42 s"), in the
 * place of the progress line; on a terminal only, elsewhere nothing. Rewritten by the
 * next one. */
void terminal_status(struct terminal *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* True where the script's last line stands there unended. */
bool terminal_is_mid_line(const struct terminal *t);
/* Take away what terminal_progress or terminal_status wrote last. */
void terminal_progress_clear(struct terminal *t);

/* Called before Ctrl-C, or a signal, ends the program. */
typedef void terminal_farewell(void *context);
/* Ask on /dev/tty; an empty answer is the default, what was typed before is none; Ctrl-C
 * and signals end the program, after farewell where that is not NULL. Errors: ERR_USAGE
 * where there is no terminal, ERR_CANCELED where it ends. */
int terminal_ask_yes_no(struct terminal *t, const char *question, bool by_default,
                        terminal_farewell *farewell, void *context, bool *out,
                        struct error *err);

/* Ask on /dev/tty for a line, which is shown while it is typed or not; it is appended to
 * out, at most 1023 bytes of it. Ctrl-C and signals end the program, with the terminal as
 * it was. Errors: ERR_USAGE where there is no terminal, ERR_CANCELED where it ends. */
int terminal_ask_line(struct terminal *t, const char *question, bool is_shown,
                      struct strbuf *out, struct error *err);

/*
 * Text of the script, or of the other end, to stdout: on a terminal only printable UTF-8,
 * newline, tab, carriage return and SGR colours get through, all other control sequences
 * are shown as ^[, \u{...} or \x.. (terminal_filter.h); elsewhere the bytes as they are.
 * Sequences may be cut anywhere between calls. Waits for whoever reads. Errors: by errno
 * of the write (EPIPE: the reader went away).
 */
int terminal_script_output(struct terminal *t, const void *data, size_t length,
                           struct error *err);
/*
 * The same without waiting, to be called when stdout polls writable: it takes what stdout
 * takes. *out_taken bytes of data are done with, 0 where there was still something of
 * earlier calls. What is done with may yet be held: then call it again, length may be 0.
 */
int terminal_script_offer(struct terminal *t, const void *data, size_t length,
                          size_t *out_taken, struct error *err);
/* True where something of the script is still to be written. */
bool terminal_has_held(const struct terminal *t);
/* The same filter, for names and messages within our own lines: no colours, no newlines.
 * Appends to out. */
void terminal_make_safe(const void *data, size_t length, struct strbuf *out);

#endif
