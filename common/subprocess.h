/*
 * subprocess: starting other programs.            [base]
 *
 * A request is a struct, zero-initialised, then filled. Failure to execute comes back as
 * an error of the call itself ({step,
 * errno} over a close-on-exec pipe), so that "python3: not found" never looks
 * like the program's own exit 127. The child has default signal handlers (but see
 * want_no_interrupt), an empty signal mask, and no descriptor but 0, 1, 2 and those in
 * keep_fds.
 */
#ifndef COMMON_SUBPROCESS_H
#define COMMON_SUBPROCESS_H

#include "common/error.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    SUBPROCESS_NULL = -1,    /* /dev/null */
    SUBPROCESS_INHERIT = -2, /* the caller's own */
    SUBPROCESS_PIPE = -3, /* a new pipe, whose other end comes back in stdin_fd, stdout_fd
                             or stderr_fd */
};

struct subprocess {
    /* Filled by the caller; borrowed for the call. */

    /* NULL-terminated; argv[0] is looked up in PATH (env's, where it has one) where it
     * has no slash. A script needs its "#!" line: no shell is tried. */
    const char *const *argv;
    const char *const *env; /* NULL-terminated "K=V"; NULL: the caller's own */
    /* Each a descriptor (>= 0), or one of the values above; 0 means descriptor 0. */
    int in, out, error;
    const int *keep_fds; /* above 2; these stay open in the child, under their numbers */
    size_t keep_fd_count;
    int dir_fd; /* the child's working folder, where has_dir */
    bool has_dir;
    /* subprocess_capture_finish ends the program once this is readable, where has_stop.
     */
    int stop_fd;
    bool has_stop;
    bool want_session;      /* setsid; subprocess_stop then signals the group */
    bool want_no_interrupt; /* SIGINT and SIGQUIT are ignored: Ctrl-C, which the terminal
                               sends to the child too, is the caller's alone to act on */
    uint64_t file_limit_bytes; /* no file that the child writes grows beyond this; its
                                  writes fail then (EFBIG). 0: no limit of ours */
    bool want_parent_death; /* SIGTERM for the child when the caller's thread dies (Linux
                               only) */
    bool want_parent_kill;  /* the same, by SIGKILL: for one that SIGTERM tells something
                               else */

    /* Filled by subprocess_start. */
    pid_t pid;
    int stdin_fd, stdout_fd, stderr_fd; /* the caller's ends of pipes, else -1 */
};

/* Returns once the program has been executed. Errors: ERR_SPAWN with the program's name
 * and errno; nothing is left then. */
int subprocess_start(struct subprocess *sp, struct error *err);

/* Close the caller's ends of the pipes, wait for the end and reap; pid becomes -1.
 * *out_status: as waitpid has it. */
int subprocess_wait(struct subprocess *sp, int *out_status, struct error *err);
/* Whether it has ended; it is not reaped. Does not block. */
bool subprocess_has_ended(const struct subprocess *sp);
/* A descriptor, the caller's, that is readable once it has ended; -1: the kernel has none
 * (before Linux 5.3), and subprocess_has_ended is to be asked now and then. */
int subprocess_open_end(const struct subprocess *sp);
/* SIGTERM, grace_ms, SIGKILL, and wait; nothing where it was waited for. The pipes stay
 * open for the grace. */
void subprocess_stop(struct subprocess *sp, int grace_ms);

/*
 * Run to the end with nothing on stdin and collect stdout (up to out's limit) and, where
 * error_out is not NULL, stderr (else discarded). timeout_ms -1: none; past it the
 * program is killed and ERR_TIMED_OUT returned. The end is the program's, not that of its
 * output, which somebody it left behind may hold open. Errors: ERR_SPAWN, ERR_TIMED_OUT,
 * ERR_LIMIT and ERR_CANCELED (killed as well), ERR_IO.
 */
int subprocess_capture(const char *const *argv, struct strbuf *out,
                       struct strbuf *error_out, int timeout_ms, int *out_status,
                       struct error *err);
/* The same in two steps, so that something else is done meanwhile, or stop_fd is set
 * between them. argv is borrowed until the second, which also frees; subprocess_stop does
 * that instead where nobody wants to know any more. timeout_ms counts from the second. */
int subprocess_capture_start(struct subprocess *sp, const char *const *argv,
                             bool want_error, struct error *err);
int subprocess_capture_finish(struct subprocess *sp, struct strbuf *out,
                              struct strbuf *error_out, int timeout_ms, int *out_status,
                              struct error *err);

/* "exited with status 3", "was killed by SIGKILL": for sentences. */
void subprocess_describe_status(int status, struct strbuf *out);
/* "SIGKILL" for 9, "SIGRTMIN+2" ...; "SIGUNKNOWN" where there is no name. Static
 * storage. */
const char *subprocess_signal_name(int signal_number);
/* The number of "SIGKILL", "KILL" or "SIGRTMIN+2"; -1 where there is none. */
int subprocess_signal_number(const char *name);

/* Append word quoted for a POSIX shell, fish or tcsh (the latter without newlines): the
 * only place where shell text is made. */
void subprocess_quote(struct strbuf *out, const char *word);

#endif
