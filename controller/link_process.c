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

#define WORDS_MAX ((size_t)4 << 10) /* of stderr, from its end */
#define END_GRACE_MS 500

struct link {
    struct subprocess child;
    int words_fd; /* what the child said on stderr */
    bool has_ended;
    int status;
    link_explainer *explain;
    link_describer *describe;
    void *context;
    void (*free_context)(void *context);
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

struct link *link_process_open(const struct link_process_options *options,
                               struct error *err)
{
    struct link *link = xcalloc(1, sizeof *link);
    link->explain = options->explain;
    link->describe = options->describe;
    link->context = options->context;
    link->free_context = options->free_context;
    link->child.stdin_fd = link->child.stdout_fd = link->child.stderr_fd = -1;
    link->words_fd = open_words(err);
    if (link->words_fd < 0) {
        link_free(link);
        return NULL;
    }
    link->child.argv = (const char *const *)options->argv;
    link->child.in = SUBPROCESS_PIPE;
    link->child.out = SUBPROCESS_PIPE;
    link->child.error = link->words_fd;
    if (subprocess_start(&link->child, err) != 0 ||
        fdio_set_nonblocking(link->child.stdin_fd, true, err) != 0 ||
        fdio_set_nonblocking(link->child.stdout_fd, true, err) != 0) {
        link_free(link);
        return NULL;
    }
    link->child.argv = NULL;
    return link;
}

int link_read_fd(const struct link *link)
{
    return link->child.stdout_fd;
}

int link_write_fd(const struct link *link)
{
    return link->child.stdin_fd;
}

void link_shutdown(struct link *link)
{
    fdio_close(&link->child.stdin_fd);
}

/* Learn how the child ended; a child that goes on after its streams were closed is asked,
 * then made, to end. */
static void wait_for_end(struct link *link)
{
    if (link->has_ended || link->child.pid <= 0) {
        return;
    }
    link_shutdown(link);
    int64_t deadline = clock_monotonic_ns() + END_GRACE_MS * NS_PER_MS;
    pid_t ended = 0;
    while ((ended = waitpid(link->child.pid, &link->status, WNOHANG)) == 0 &&
           clock_monotonic_ns() < deadline) {
        (void)poll(NULL, 0, 2);
    }
    if (ended == 0) {
        (void)kill(link->child.pid, SIGTERM);
        (void)poll(NULL, 0, 50);
        (void)kill(link->child.pid, SIGKILL);
        while (waitpid(link->child.pid, &link->status, 0) < 0 && errno == EINTR) {
        }
    }
    link->has_ended = true;
}

void link_free(struct link *link)
{
    if (link == NULL) {
        return;
    }
    fdio_close(&link->child.stdout_fd);
    wait_for_end(link);
    fdio_close(&link->child.stdin_fd);
    fdio_close(&link->words_fd);
    if (link->free_context != NULL) {
        link->free_context(link->context);
    }
    free(link);
}

/* The end of what the child said, each line made safe. */
static void read_words(const struct link *link, struct strbuf *out)
{
    off_t end = lseek(link->words_fd, 0, SEEK_END);
    if (end <= 0) {
        return;
    }
    uint64_t from = (uint64_t)end > WORDS_MAX ? (uint64_t)end - WORDS_MAX : 0;
    char words[WORDS_MAX + 1];
    ssize_t length = fdio_pread_full(link->words_fd, words, WORDS_MAX, from);
    words[length > 0 ? length : 0] = '\0';
    char *rest = words;
    for (char *line = strsep(&rest, "\r\n"); line != NULL; line = strsep(&rest, "\r\n")) {
        if (line[0] != '\0') {
            strbuf_puts(out, out->length > 0 ? "\n" : "");
            terminal_make_safe(line, strlen(line), out);
        }
    }
}

int link_explain(struct link *link, const char *noise, struct error *err)
{
    wait_for_end(link);
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    read_words(link, &words);
    return link->explain(link->context, link->status, words.data, noise, err);
}

struct json *link_facts(const struct link *link)
{
    return link->describe != NULL ? link->describe(link->context) : NULL;
}
