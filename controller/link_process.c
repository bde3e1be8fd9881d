#define _GNU_SOURCE /* strsep */
#include "controller/link_process.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "common/subprocess.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is in the pipe when a link is lost was sent in vain, and a cancel waits behind it.
 */
#define STDIN_PIPE_BYTES ((size_t)256 << 10)
#define WORDS_PART                                                                       \
    ((size_t)32 << 10)    /* of stderr, from its beginning and from its end              \
                           */
#define END_GRACE_MS 500  /* for a child whose streams were closed */
#define STOP_GRACE_MS 100 /* for one that was asked to end */

struct process_link {
    struct link link;
    struct subprocess child;
    int words_fd; /* what the child said on stderr */
    bool has_ended;
    bool has_spoken; /* something came from it */
    int status;
    struct link_process_options options; /* argv is not kept */
};

static int open_words(struct error *err)
{
    const char *folder = getenv("TMPDIR");
    CLEANUP_FREE char *path = xasprintf(
        "%s/errand-XXXXXX", folder != NULL && folder[0] == '/' ? folder : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0) {
        return error_sys(err, "make a temporary file %s", path);
    }
    (void)unlink(path);
    if (fdio_set_cloexec(fd, true, err) != 0) {
        fdio_close(&fd);
        return -1;
    }
    return fd;
}

/* True once the child has ended, which is waited for until deadline_ns. */
static bool has_ended_by(struct process_link *link, int64_t deadline_ns)
{
    pid_t ended = 0;
    while ((ended = waitpid(link->child.pid, &link->status, WNOHANG)) == 0 &&
           clock_monotonic_ns() < deadline_ns) {
        (void)poll(NULL, 0, 2);
    }
    return ended != 0;
}

/* The child, and what it started where that is known. */
static void signal_child(const struct process_link *link, int number)
{
    pid_t pid = link->child.pid;
    (void)kill(link->options.has_terminal ? pid : -pid, number);
}

/* Learn how the child ended. One that goes on for grace_ms after its streams were closed
 * is asked, then made, to end. */
static void wait_for_end(struct process_link *link, int64_t grace_ms)
{
    if (link->has_ended || link->child.pid <= 0) {
        return;
    }
    link->has_ended = true;
    fdio_close(&link->child.stdin_fd);
    if (has_ended_by(link, clock_monotonic_ns() + grace_ms * NS_PER_MS)) {
        return;
    }
    signal_child(link, SIGTERM);
    if (!has_ended_by(link, clock_monotonic_ns() + STOP_GRACE_MS * NS_PER_MS)) {
        signal_child(link, SIGKILL);
        while (waitpid(link->child.pid, &link->status, 0) < 0 && errno == EINTR) {
        }
    }
}

/* Append a part of what the child said, each line made safe. */
static void read_part(const struct process_link *link, uint64_t from, struct strbuf *out)
{
    CLEANUP_FREE char *words = xmalloc(WORDS_PART + 1);
    ssize_t length = fdio_pread_full(link->words_fd, words, WORDS_PART, from);
    words[length > 0 ? length : 0] = '\0';
    char *rest = words;
    for (char *line = strsep(&rest, "\r\n"); line != NULL; line = strsep(&rest, "\r\n")) {
        if (line[0] != '\0') {
            strbuf_puts(out, out->length > 0 ? "\n" : "");
            terminal_make_safe(line, strlen(line), out);
        }
    }
}

/* How it began, which tells how far it came, and its last words. */
static void read_words(const struct process_link *link, struct strbuf *out)
{
    off_t end = lseek(link->words_fd, 0, SEEK_END);
    if (end <= 0) {
        return;
    }
    read_part(link, 0, out);
    if ((uint64_t)end > WORDS_PART) {
        uint64_t last = (uint64_t)end - WORDS_PART;
        read_part(link, last > WORDS_PART ? last : WORDS_PART, out);
    }
}

static struct process_link *of(struct link *link)
{
    return (struct process_link *)link;
}

static ssize_t process_read(struct link *link, void *out, size_t size)
{
    ssize_t length = fdio_read(of(link)->child.stdout_fd, out, size);
    of(link)->has_spoken = of(link)->has_spoken || length > 0;
    return length;
}

static ssize_t process_write(struct link *link, const void *data, size_t length)
{
    if (of(link)->child.stdin_fd < 0) {
        errno = EPIPE;
        return -1;
    }
    return fdio_write(of(link)->child.stdin_fd, data, length);
}

/* A silent watch would not see errors, and costs poll nothing to leave out. */
static void watch_fd(struct process_link *link, int fd, unsigned events)
{
    if (fd >= 0 && events != 0) {
        loop_watch(link->link.watcher.loop, fd, events, link_fd_ready, link);
    } else if (fd >= 0) {
        loop_unwatch(link->link.watcher.loop, fd);
    }
}

static void process_watch(struct link *link)
{
    watch_fd(of(link), of(link)->child.stdout_fd, link->watcher.events & LOOP_READ);
    watch_fd(of(link), of(link)->child.stdin_fd, link->watcher.events & LOOP_WRITE);
}

static void process_shutdown(struct link *link)
{
    int *fd = &of(link)->child.stdin_fd;
    if (*fd >= 0 && link->watcher.loop != NULL) {
        loop_unwatch(link->watcher.loop, *fd);
    }
    fdio_close(fd);
}

static int process_explain(struct link *link, const struct link_end *end,
                           struct error *err)
{
    struct process_link *p = of(link);
    bool goes_on = end->late_ms > 0 || end->cause != NULL;
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    process_shutdown(link);
    if (goes_on) { /* before it says that it was ended */
        read_words(p, &words);
    }
    wait_for_end(p, goes_on ? 0 : END_GRACE_MS);
    if (!goes_on) {
        read_words(p, &words);
    }
    const struct process_end all = {.status = p->status, .words = words.data, .end = end};
    return p->options.explain(p->options.context, &all, err);
}

static bool process_may_be_asking(const struct link *link)
{
    const struct process_link *p = (const struct process_link *)link;
    if (p->options.may_be_asking == NULL) {
        return false;
    }
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    read_words(p, &words);
    return p->options.may_be_asking(p->options.context, words.data);
}

static struct json *process_facts(const struct link *link)
{
    const struct process_link *p = (const struct process_link *)link;
    if (p->options.describe == NULL) {
        return NULL;
    }
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    read_words(p, &words);
    return p->options.describe(p->options.context, words.data);
}

static void process_disown(struct link *link)
{
    struct process_link *p = of(link);
    fdio_close(&p->child.stdout_fd);
    fdio_close(&p->child.stdin_fd);
    fdio_close(&p->words_fd);
    if (p->options.free_context != NULL) {
        p->options.free_context(p->options.context);
    }
    free(p);
}

static void process_free(struct link *link)
{
    struct process_link *p = of(link);
    fdio_close(&p->child.stdout_fd);
    /* One that still connects has nothing to finish. */
    wait_for_end(p, p->has_spoken ? END_GRACE_MS : 0);
    process_disown(link);
}

static const struct link_type process_type = {
    .read = process_read,
    .write = process_write,
    .watch = process_watch,
    .unwatch = process_watch,
    .explain = process_explain,
    .may_be_asking = process_may_be_asking,
    .facts = process_facts,
    .disown = process_disown,
    .free = process_free,
};

struct link *link_process_open(const struct link_process_options *options,
                               struct error *err)
{
    struct process_link *link = xcalloc(1, sizeof *link);
    link->link.type = &process_type;
    link->options = *options;
    link->options.argv = NULL;
    link->child.stdin_fd = link->child.stdout_fd = link->child.stderr_fd = -1;
    link->words_fd = open_words(err);
    if (link->words_fd < 0) {
        link_free(&link->link);
        return NULL;
    }
    link->child.argv = (const char *const *)options->argv;
    link->child.in = SUBPROCESS_PIPE;
    link->child.out = SUBPROCESS_PIPE;
    link->child.error = link->words_fd;
    link->child.want_session = !options->has_terminal;
    /* What Ctrl-C means is decided here (interrupt.h): the link lives on while the person
     * is asked, or while the far end is told. */
    link->child.want_no_interrupt = true;
    link->child.file_limit_bytes = options->words_max_bytes;
    if (subprocess_start(&link->child, err) != 0 ||
        fdio_set_nonblocking(link->child.stdin_fd, true, err) != 0 ||
        fdio_set_nonblocking(link->child.stdout_fd, true, err) != 0) {
        link_free(&link->link);
        return NULL;
    }
    fdio_widen_pipe(link->child.stdout_fd, FDIO_PIPE_WIDE);
    fdio_widen_pipe(link->child.stdin_fd, STDIN_PIPE_BYTES);
    link->child.argv = NULL;
    return &link->link;
}
