/*
 * subprocess_wait: the end of a program, and running one to its end.            [base]
 */
#define _GNU_SOURCE /* syscall */
#include "common/subprocess.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fdio.h"
#include "common/mem.h"

/* Between two looks at a child where the kernel has no pidfd. */
#define PAUSE_MAX_MS 20
#define OUTPUT_BLOCK ((size_t)16384)

static void close_pipes(struct subprocess *sp)
{
    fdio_close(&sp->stdin_fd);
    fdio_close(&sp->stdout_fd);
    fdio_close(&sp->stderr_fd);
}

static pid_t wait_for(pid_t pid, int *out_status)
{
    pid_t got;

    do {
        got = waitpid(pid, out_status, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

int subprocess_wait(struct subprocess *sp, int *out_status, struct error *err)
{
    pid_t pid = sp->pid;

    close_pipes(sp);
    sp->pid = -1;
    if (pid <= 0) {
        return error_set(err, ERR_INTERNAL, "there is no process to wait for");
    }
    return wait_for(pid, out_status) < 0 ? error_sys(err, "wait for a process") : 0;
}

bool subprocess_has_ended(const struct subprocess *sp)
{
    siginfo_t info = {.si_pid = 0};
    int failed;

    do {
        failed = waitid(P_PID, (id_t)sp->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    } while (failed < 0 && errno == EINTR);
    return failed < 0 || info.si_pid != 0;
}

int subprocess_open_end(const struct subprocess *sp)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, sp->pid, 0U); /* close-on-exec by itself */
#else
    (void)sp;
    return -1;
#endif
}

/* Milliseconds until then, 0 when past, -1 for no deadline; at most most_ms, where that
 * is not negative. */
static int left_ms(int64_t deadline_ns, int most_ms)
{
    int64_t left;

    if (deadline_ns < 0) {
        return most_ms;
    }
    left = (deadline_ns - clock_monotonic_ns() + NS_PER_MS - 1) / NS_PER_MS;
    if (left <= 0) {
        return 0;
    }
    if (most_ms >= 0 && left > most_ms) {
        return most_ms;
    }
    return left > INT_MAX ? INT_MAX : (int)left;
}

static int64_t deadline_after(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : clock_monotonic_ns() + timeout_ms * NS_PER_MS;
}

/* Wait until the child has ended or the time is over. Returns whether it has. */
static bool wait_ended(const struct subprocess *sp, int timeout_ms)
{
    CLEANUP_FD int pidfd = subprocess_open_end(sp);
    struct pollfd waiting = {.fd = pidfd, .events = POLLIN};
    int64_t deadline_ns = deadline_after(timeout_ms);

    while (!subprocess_has_ended(sp)) {
        int wait = left_ms(deadline_ns, pidfd >= 0 ? -1 : PAUSE_MAX_MS);

        if (wait == 0) {
            return false;
        }
        poll(&waiting, 1, wait);
    }
    return true;
}

/* A process with a session of its own is signalled with its group. */
static void send_signal(const struct subprocess *sp, int signal_number)
{
    if (!sp->want_session || kill(-sp->pid, signal_number) < 0) {
        kill(sp->pid, signal_number);
    }
}

void subprocess_stop(struct subprocess *sp, int grace_ms)
{
    int status;

    if (sp->pid <= 0) {
        close_pipes(sp);
        return;
    }
    send_signal(sp, SIGTERM);
    if (!wait_ended(sp, grace_ms)) {
        send_signal(sp, SIGKILL);
    }
    subprocess_wait(sp, &status, NULL);
}

/* ---- running to the end -------------------------------------------------------------
 */

struct capture {
    struct strbuf *out;
    int *fd;
};

/* Take some of what is there, at most that much. Closes the descriptor at its end. */
static int take_output(struct capture *capture, size_t most, const char *program,
                       struct error *err)
{
    char block[OUTPUT_BLOCK];
    ssize_t got = fdio_read(*capture->fd, block, most);

    if (got > 0) {
        return strbuf_add(capture->out, block, (size_t)got, err) < 0
                   ? error_wrap(err, "read the output of %s", program)
                   : 0;
    }
    if (got < 0 && errno == EAGAIN) {
        return 0;
    }
    if (got < 0) {
        return error_sys(err, "read the output of %s", program);
    }
    fdio_close(capture->fd);
    return 0;
}

/* The program has ended: what it left in the pipe, and no more. Somebody it started may
 * hold the pipe open for long, and go on talking. */
static int drain_output(struct capture *capture, const char *program, struct error *err)
{
    size_t left = *capture->fd >= 0 ? fdio_waiting(*capture->fd) : 0;

    while (left > 0 && *capture->fd >= 0) {
        size_t most = left < OUTPUT_BLOCK ? left : OUTPUT_BLOCK;

        if (take_output(capture, most, program, err) < 0) {
            return -1;
        }
        left -= most; /* a pipe gives what it has */
    }
    return 0;
}

static int collect(struct subprocess *sp, struct capture captures[2], int timeout_ms,
                   struct error *err)
{
    CLEANUP_FD int pidfd = subprocess_open_end(sp);
    int64_t deadline_ns = deadline_after(timeout_ms);
    const char *program = sp->argv[0];
    int stop_fd = sp->has_stop ? sp->stop_fd : -1;

    while (!subprocess_has_ended(sp)) {
        struct pollfd waiting[] = {{.fd = pidfd, .events = POLLIN},
                                   {.fd = *captures[0].fd, .events = POLLIN},
                                   {.fd = *captures[1].fd, .events = POLLIN},
                                   {.fd = stop_fd, .events = POLLIN}};
        int wait = left_ms(deadline_ns, pidfd >= 0 ? -1 : PAUSE_MAX_MS);

        if (wait == 0) {
            return error_set(err, ERR_TIMED_OUT, "%s has not ended after %d ms", program,
                             timeout_ms);
        }
        if (poll(waiting, ARRAY_SIZE(waiting), wait) < 0) {
            continue; /* a signal */
        }
        if (waiting[3].revents != 0) {
            return error_set(err, ERR_CANCELED, "%s was ended", program);
        }
        for (int i = 0; i < 2; i++) {
            if (waiting[i + 1].revents != 0 &&
                take_output(&captures[i], OUTPUT_BLOCK, program, err) < 0) {
                return -1;
            }
        }
    }
    if (drain_output(&captures[0], program, err) < 0 ||
        drain_output(&captures[1], program, err) < 0) {
        return -1;
    }
    return 0;
}

int subprocess_capture_start(struct subprocess *sp, const char *const *argv,
                             bool want_error, struct error *err)
{
    *sp = (struct subprocess){
        .argv = argv,
        .in = SUBPROCESS_NULL,
        .out = SUBPROCESS_PIPE,
        .error = want_error ? SUBPROCESS_PIPE : SUBPROCESS_NULL,
    };
    return subprocess_start(sp, err);
}

int subprocess_capture_finish(struct subprocess *sp, struct strbuf *out,
                              struct strbuf *error_out, int timeout_ms, int *out_status,
                              struct error *err)
{
    struct capture captures[2] = {{.out = out, .fd = &sp->stdout_fd},
                                  {.out = error_out, .fd = &sp->stderr_fd}};

    if (collect(sp, captures, timeout_ms, err) < 0) {
        int status;

        kill(sp->pid, SIGKILL);
        subprocess_wait(sp, &status, NULL);
        return -1;
    }
    return subprocess_wait(sp, out_status, err);
}

int subprocess_capture(const char *const *argv, struct strbuf *out,
                       struct strbuf *error_out, int timeout_ms, int *out_status,
                       struct error *err)
{
    struct subprocess sp;

    return subprocess_capture_start(&sp, argv, error_out != NULL, err) < 0
               ? -1
               : subprocess_capture_finish(&sp, out, error_out, timeout_ms, out_status,
                                           err);
}
