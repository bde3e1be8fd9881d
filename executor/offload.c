#define _GNU_SOURCE /* PR_SET_PDEATHSIG */
#include "executor/offload.h"

#include "common/fdio.h"
#include "common/message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct offload {
    struct loop *loop;
    pid_t pid; /* -1: reaped */
    int fd;    /* the answer, -1 after its end */
    struct strbuf answer;
    bool is_too_long;
    offload_ready *ready;
    void *context;
};

/* The first byte of what comes through the pipe; JSON follows. */
enum {
    IS_ANSWER = 'a',
    IS_ERROR = 'e',
};

/* Without waiting: a child that hangs in the kernel must not hang the connection. What is
 * left then ends with this process. */
static void reap(struct offload *o)
{
    if (o->pid > 0) {
        (void)waitpid(o->pid, NULL, WNOHANG);
    }
    o->pid = -1;
}

static void on_readable(void *context, int fd, unsigned events)
{
    (void)events;
    struct offload *o = context;
    char buffer[16 << 10];
    ssize_t got = fdio_read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got > 0) {
        o->is_too_long |= strbuf_add(&o->answer, buffer, (size_t)got, NULL) < 0;
        return;
    }
    loop_unwatch(o->loop, fd);
    fdio_close(&o->fd);
    reap(o);
    o->ready(o->context);
}

/* The child: work, write the answer or the error, leave without running the parent's exit
 * handlers. */
static void work_and_leave(int fd, pid_t parent, offload_work *work, const void *context)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0) {
        _exit(1);
    }
    struct error err = ERROR_INIT;
    struct json *answer = work(context, &err);
    struct strbuf text;
    strbuf_init(&text, 2 * OFFLOAD_ANSWER_MAX);
    strbuf_putc(&text, answer != NULL ? IS_ANSWER : IS_ERROR);
    json_write(answer != NULL ? answer : message_from_error(&err), false, &text);
    _exit(fdio_write_full(fd, text.data, text.length) != 0 ? 1 : 0);
}

struct offload *offload_start(struct loop *loop, offload_work *work,
                              const void *work_context, offload_ready *ready,
                              void *ready_context, struct error *err)
{
    int fds[2];
    if (fdio_pipe(fds, err) < 0) {
        return NULL;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        work_and_leave(fds[1], parent, work, work_context);
    }
    int failed = errno;
    fdio_close(&fds[1]);
    if (pid < 0 || fdio_set_nonblocking(fds[0], true, err) < 0) {
        fdio_close(&fds[0]);
        errno = failed;
        error_sys(err, "start a process of our own");
        return NULL;
    }
    struct offload *o = xcalloc(1, sizeof *o);
    *o = (struct offload){.loop = loop, .pid = pid, .fd = fds[0], .ready = ready};
    o->context = ready_context;
    strbuf_init(&o->answer, OFFLOAD_ANSWER_MAX);
    loop_watch(loop, o->fd, LOOP_READ, on_readable, o);
    return o;
}

struct json *offload_answer(struct offload *o, struct error *err)
{
    if (o->is_too_long) {
        error_set(err, ERR_LIMIT, "the answer is longer than %zu bytes",
                  OFFLOAD_ANSWER_MAX);
        return NULL;
    }
    char kind = o->answer.data[0];
    CLEANUP_JSON struct json *message =
        o->answer.length == 0
            ? NULL
            : json_parse(o->answer.data + 1, o->answer.length - 1, NULL);
    if (kind == IS_ANSWER && json_is_object(message)) {
        return TAKE_PTR(message);
    }
    if (kind == IS_ERROR && json_is_object(message) && err != NULL) {
        message_to_error(message, err);
        return NULL;
    }
    error_set(err, ERR_INTERNAL, "the process that looked for the answer died");
    return NULL;
}

void offload_free(struct offload *o)
{
    if (o == NULL) {
        return;
    }
    if (o->fd >= 0) {
        loop_unwatch(o->loop, o->fd);
        fdio_close(&o->fd);
    }
    if (o->pid > 0) {
        (void)kill(o->pid, SIGKILL);
        reap(o);
    }
    strbuf_release(&o->answer);
    free(o);
}
