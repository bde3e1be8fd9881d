#define _GNU_SOURCE /* TCP_USER_TIMEOUT */
#include "controller/dial.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDRESSES_MAX 16
#define NEXT_AFTER_NS (250 * NS_PER_MS)
#define DEAD_AFTER_MS 45000U

struct address {
    struct sockaddr_storage socket;
    socklen_t length;
    char text[NI_MAXHOST];
    int fd; /* -1: not tried, or given up */
};

/* What the child that looks the name up writes: this, then count addresses. */
struct lookup {
    int code; /* of getaddrinfo */
    size_t count;
};

struct dial {
    int64_t resolved_ns;
    char *host;
    uint16_t port;
    int family;
    pid_t child; /* 0: none */
    int child_fd;
    struct strbuf answer;
    struct address addresses[ADDRESSES_MAX];
    size_t count, tried;
    struct loop *loop;
    dial_handler *handler;
    void *context;
    struct loop_timer *next;
    bool is_over;
    int fd; /* connected, or -1 */
    char *winner;
    struct error failure;
};

static int look_up(const struct dial *d, int flags, struct lookup *out,
                   struct address addresses[ADDRESSES_MAX])
{
    char service[8];
    struct addrinfo *found = NULL;
    struct addrinfo hints = {
        .ai_family = d->family, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    *out = (struct lookup){0};
    (void)snprintf(service, sizeof service, "%u", (unsigned)d->port);
    out->code = getaddrinfo(d->host, service, &hints, &found);
    for (const struct addrinfo *i = found; i != NULL && out->count < ADDRESSES_MAX;
         i = i->ai_next) {
        if (i->ai_addrlen <= sizeof addresses->socket) {
            struct address *a = &addresses[out->count++];
            *a = (struct address){.length = i->ai_addrlen, .fd = -1};
            memcpy(&a->socket, i->ai_addr, i->ai_addrlen);
            (void)getnameinfo(i->ai_addr, i->ai_addrlen, a->text, sizeof a->text, NULL, 0,
                              NI_NUMERICHOST);
        }
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return out->code;
}

/* Families in turn, in the order of their first ones. */
static void interleave(struct dial *d)
{
    for (size_t i = 1; i < d->count; i++) {
        size_t other = i;
        while (other < d->count && d->addresses[other].socket.ss_family ==
                                       d->addresses[i - 1].socket.ss_family) {
            other++;
        }
        if (other == d->count || other == i) {
            continue;
        }
        struct address moved = d->addresses[other];
        memmove(&d->addresses[i + 1], &d->addresses[i],
                (other - i) * sizeof d->addresses[0]);
        d->addresses[i] = moved;
    }
}

static int start_lookup(struct dial *d, struct error *err)
{
    int fds[2];
    if (fdio_pipe(fds, err) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct lookup lookup;
        struct address addresses[ADDRESSES_MAX];
        /* No lock and no pipe of ours hangs on a resolver that hangs. */
        fdio_close_except(STDERR_FILENO + 1, &fds[1], 1);
        (void)look_up(d, AI_ADDRCONFIG, &lookup, addresses);
        _exit(fdio_write_full(fds[1], &lookup, sizeof lookup) == 0 &&
                      fdio_write_full(fds[1], addresses,
                                      lookup.count * sizeof addresses[0]) == 0
                  ? 0
                  : 1);
    }
    fdio_close(&fds[1]);
    d->child_fd = fds[0];
    if (pid < 0) {
        return error_sys(err, "start a process to look up %s", d->host);
    }
    d->child = pid;
    return fdio_set_nonblocking(d->child_fd, true, err);
}

static void end_child(struct dial *d)
{
    if (d->child > 0) {
        (void)kill(d->child, SIGKILL);
        while (waitpid(d->child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    d->child = 0;
}

static void close_watched(struct dial *d, int *fd)
{
    if (*fd >= 0 && d->loop != NULL) {
        loop_unwatch(d->loop, *fd);
    }
    fdio_close(fd);
}

/* Whether it went well or not: nothing goes on, and the handler is told. */
static void finish(struct dial *d)
{
    if (d->loop != NULL) {
        loop_timer_cancel(d->loop, d->next);
    }
    d->next = NULL;
    close_watched(d, &d->child_fd);
    end_child(d);
    for (size_t i = 0; i < d->count; i++) {
        close_watched(d, &d->addresses[i].fd);
    }
    d->is_over = true;
    if (d->loop != NULL && d->handler != NULL) {
        d->handler(d->context);
    }
}

static void set_options(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef TCP_USER_TIMEOUT
    unsigned dead_after_ms = DEAD_AFTER_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_after_ms,
                     sizeof dead_after_ms);
#endif
#ifdef TCP_NOTSENT_LOWAT /* what is urgent does not wait behind megabytes */
    int low_water = 64 << 10;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low_water, sizeof low_water);
#endif
}

static void try_next(void *context);

/* Without a loop nothing is planned: dial_watch does. */
static void plan_next(struct dial *d, int64_t after_ns)
{
    if (d->loop != NULL) {
        loop_timer_cancel(d->loop, d->next);
        d->next = loop_timer_at(d->loop, clock_monotonic_ns() + after_ns, try_next, d);
    }
}

static bool is_any_open(const struct dial *d)
{
    for (size_t i = 0; i < d->tried; i++) {
        if (d->addresses[i].fd >= 0) {
            return true;
        }
    }
    return false;
}

static void attempt_failed(struct dial *d, struct address *a, int code)
{
    (void)error_set(&d->failure, ERR_CONNECT, "connect to %s port %u: %s", a->text,
                    (unsigned)d->port, strerror(code));
    d->failure.sys = code;
    close_watched(d, &a->fd);
    plan_next(d, 0);
}

static void attempt_ready(void *context, int fd, unsigned events)
{
    struct dial *d = context;
    int code = 0;
    socklen_t size = sizeof code;
    (void)events;
    for (size_t i = 0; i < d->tried; i++) {
        struct address *a = &d->addresses[i];
        if (a->fd != fd) {
            continue;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0 || code != 0) {
            attempt_failed(d, a, code != 0 ? code : errno);
            return;
        }
        loop_unwatch(d->loop, fd);
        d->fd = take_fd(&a->fd);
        d->winner = xstrdup(a->text);
        finish(d);
        return;
    }
}

static void try_next(void *context)
{
    struct dial *d = context;
    d->next = NULL;
    if (d->tried == d->count) { /* what is still open may yet answer */
        if (!is_any_open(d)) {
            finish(d);
        }
        return;
    }
    struct address *a = &d->addresses[d->tried++];
    a->fd = socket(a->socket.ss_family, SOCK_STREAM, 0);
    if (a->fd < 0 || fdio_set_cloexec(a->fd, true, NULL) != 0 ||
        fdio_set_nonblocking(a->fd, true, NULL) != 0) {
        attempt_failed(d, a, errno);
        return;
    }
    set_options(a->fd);
    if (connect(a->fd, (const struct sockaddr *)&a->socket, a->length) != 0 &&
        errno != EINPROGRESS) {
        attempt_failed(d, a, errno);
        return;
    }
    if (d->loop != NULL) {
        loop_watch(d->loop, a->fd, LOOP_WRITE, attempt_ready, d);
    }
    plan_next(d, NEXT_AFTER_NS);
}

struct dial *dial_start(const char *host, uint16_t port, int family, struct error *err)
{
    struct lookup lookup;
    struct dial *d = xcalloc(1, sizeof *d);
    d->host = xstrdup(host);
    d->port = port;
    d->family = family;
    d->child_fd = d->fd = -1;
    /* And room for one more: what is full is also read, to find its end. */
    strbuf_init(&d->answer, sizeof lookup + sizeof d->addresses + sizeof d->addresses[0]);
    /* Most hosts are names; an address needs no child. */
    if (look_up(d, AI_NUMERICHOST, &lookup, d->addresses) == 0) {
        d->count = lookup.count;
        d->resolved_ns = clock_monotonic_ns();
        try_next(d);
    } else if (start_lookup(d, err) != 0) {
        dial_free(d);
        return NULL;
    }
    return d;
}

static void take_lookup(struct dial *d)
{
    struct lookup lookup = {.code = EAI_FAIL};
    if (d->answer.length >= sizeof lookup) {
        memcpy(&lookup, d->answer.data, sizeof lookup);
    }
    size_t size = lookup.count * sizeof d->addresses[0];
    close_watched(d, &d->child_fd);
    end_child(d);
    if (lookup.code != 0 || lookup.count == 0 ||
        d->answer.length != sizeof lookup + size) {
        (void)error_set(&d->failure, ERR_CONNECT, "%s has no address: %s", d->host,
                        gai_strerror(lookup.code != 0 ? lookup.code : EAI_NONAME));
        finish(d);
        return;
    }
    memcpy(d->addresses, d->answer.data + sizeof lookup, size);
    d->count = lookup.count;
    d->resolved_ns = clock_monotonic_ns();
    interleave(d);
    plan_next(d, 0);
}

static void lookup_ready(void *context, int fd, unsigned events)
{
    struct dial *d = context;
    char *place = strbuf_reserve(&d->answer, sizeof d->addresses[0], NULL);
    (void)events;
    if (place == NULL) {
        take_lookup(d);
        return;
    }
    ssize_t got = fdio_read(fd, place, sizeof d->addresses[0]);
    if (got > 0) {
        strbuf_grown(&d->answer, (size_t)got);
    } else if (got == 0 || errno != EAGAIN) {
        take_lookup(d);
    }
}

void dial_watch(struct dial *d, struct loop *loop, dial_handler *handler, void *context)
{
    d->handler = handler;
    d->context = context;
    if (d->loop == loop || d->is_over) {
        return;
    }
    dial_unwatch(d);
    d->loop = loop;
    if (d->child_fd >= 0) {
        loop_watch(loop, d->child_fd, LOOP_READ, lookup_ready, d);
        return;
    }
    for (size_t i = 0; i < d->tried; i++) {
        if (d->addresses[i].fd >= 0) {
            loop_watch(loop, d->addresses[i].fd, LOOP_WRITE, attempt_ready, d);
        }
    }
    plan_next(d, 0);
}

void dial_unwatch(struct dial *d)
{
    if (d->loop == NULL) {
        return;
    }
    loop_timer_cancel(d->loop, d->next);
    d->next = NULL;
    if (d->child_fd >= 0) {
        loop_unwatch(d->loop, d->child_fd);
    }
    for (size_t i = 0; i < d->tried; i++) {
        if (d->addresses[i].fd >= 0) {
            loop_unwatch(d->loop, d->addresses[i].fd);
        }
    }
    d->loop = NULL;
    d->handler = NULL;
}

int dial_take(struct dial *d, struct error *err)
{
    if (d->fd < 0) {
        return error_copy(err, &d->failure);
    }
    return take_fd(&d->fd);
}

void dial_describe(const struct dial *d, struct strbuf *out)
{
    if (d->count == 0) {
        strbuf_puts(out, "the name server does not answer");
        return;
    }
    strbuf_printf(out, "%s port %u does not answer",
                  d->addresses[d->tried > 0 ? d->tried - 1 : 0].text, (unsigned)d->port);
}

bool dial_is_resolved(const struct dial *d)
{
    return d->count > 0;
}

int64_t dial_resolved_ns(const struct dial *d)
{
    return d->resolved_ns;
}

const char *dial_address(const struct dial *d)
{
    return d->winner != NULL ? d->winner : "";
}

void dial_free(struct dial *d)
{
    if (d == NULL) {
        return;
    }
    dial_unwatch(d);
    fdio_close(&d->child_fd);
    end_child(d);
    for (size_t i = 0; i < d->count; i++) {
        fdio_close(&d->addresses[i].fd);
    }
    fdio_close(&d->fd);
    strbuf_release(&d->answer);
    free(d->winner);
    free(d->host);
    free(d);
}
