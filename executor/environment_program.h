/*
 * environment_program: the programs that build an environment, and what they say.
 * [executor]
 *
 * A builder's output comes over a pipe, line by line; what is secret in it is replaced by
 * "***" before anybody sees or stores it. The lines go into the build's log and into that
 * of the run. A program that says nothing for too long is ended, and so is one
 * whose run is being ended: every wait here is one for the stop descriptor too.
 *
 * Life: programs_new -> programs_run ... -> programs_free.
 */
#ifndef EXECUTOR_ENVIRONMENT_PROGRAM_H
#define EXECUTOR_ENVIRONMENT_PROGRAM_H

#include "common/log.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "common/strvec.h"

#include <stdbool.h>
#include <stdint.h>

/* If nothing else is set. */
#define PROGRAM_SILENCE_S 3600
#define PROGRAM_GRACE_MS 500                 /* between SIGTERM and SIGKILL */
#define PROGRAM_LOG_MAX ((uint64_t)64 << 20) /* no more goes into the logs */
#define PROGRAM_TEXT_MAX ((size_t)512 << 10) /* so much of what one said is kept */

struct programs;

/* stop_fd is readable once all has to end (a signalfd); run_log_fd is the run's log; both
 * borrowed. */
struct programs *programs_new(int stop_fd, int run_log_fd);
void programs_free(struct programs *p);
DEFINE_CLEANUP_FREE(programs)

/* The environment of the programs, to be changed by the caller. */
struct strvec *programs_environment(struct programs *p);
/* Never show this text, nor a line of it. What is shorter than 4 bytes cannot be hidden.
 */
void programs_hide(struct programs *p, const char *secret);
/* Where lines go beside the run's log; -1: nowhere. Borrowed. */
void programs_set_log(struct programs *p, int build_log_fd);
/* Lines of ours (programs_say) go there too, as such; NULL: nowhere. Borrowed. */
void programs_set_control(struct programs *p, const struct log *control);
/* The working folder of the programs; -1: /. Borrowed. */
void programs_set_folder(struct programs *p, int dir_fd);
/* How long what is run from now on may take, whatever it says. 0: as long as it likes. */
void programs_limit(struct programs *p, int64_t timeout_ms);
/* What is run from now on has so long to end when it is told to, and may say nothing for
 * so long. */
void programs_set_patience(struct programs *p, int grace_ms, int silence_s);

/* A line of ours for both logs. */
void programs_say(struct programs *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Run to its end. What it said (stdout and stderr as they came, the newest
 * PROGRAM_TEXT_MAX bytes) is programs_text. is_quiet: it goes to no log. Returns the exit
 * status, 128 + n where signal n ended it, or -1: ERR_SPAWN, ERR_CANCELED (the run is
 * being ended), ERR_TIMED_OUT (silence, or the limit).
 */
int programs_run(struct programs *p, const char *const *argv, bool is_quiet,
                 struct error *err);
/* Borrowed until the next run. */
struct strbuf *programs_text(struct programs *p);
/* Its last line, for sentences; newlines at the end are taken from it. As above. */
const char *programs_last_line(struct programs *p);

/* What is readable once all has to end. Borrowed. */
int programs_stop_fd(const struct programs *p);
/* Wait so long, or until all has to end: false. */
bool programs_wait(struct programs *p, int timeout_ms);

#endif
