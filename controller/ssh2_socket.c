#define _GNU_SOURCE /* TCP_QUICKACK */
#include "controller/ssh2_socket.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define QUEUE_LIMIT ((size_t)64 << 20)
#define QUEUE_COMPACT ((size_t)256 << 10)
#define GREETING_KEPT ((size_t)16 << 10)
#define PREFACE_MAX ((size_t)256 << 10) /* lines before the version */
#define VERSION_BEGIN "SSH-"
#define VERSION_LENGTH (sizeof VERSION_BEGIN - 1)
#define RECEIVED_MAX ((size_t)4 << 20) /* until the login is over */

void ssh2_socket_init(struct ssh2_socket *s, int fd)
{
    *s = (struct ssh2_socket){
        .fd = fd, .deadline_ns = INT64_MAX, .turn = SSH2_SOCKET_TURN};
    strbuf_init(&s->queue, QUEUE_LIMIT);
    strbuf_init(&s->greeting, GREETING_KEPT);
}

void ssh2_socket_release(struct ssh2_socket *s)
{
    fdio_close(&s->fd);
    strbuf_release(&s->queue);
    strbuf_release(&s->greeting);
}

void ssh2_socket_shutdown(struct ssh2_socket *s)
{
    if (s->fd >= 0) {
        (void)shutdown(s->fd, SHUT_RDWR);
    }
}

void ssh2_socket_begin_turn(struct ssh2_socket *s, size_t size)
{
    s->turn = size;
}

static void acknowledge_at_once(int fd)
{
#ifdef TCP_QUICKACK /* else a server's second small packet waits 40 ms for ours */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#endif
}

/* Read what there is, and note it. */
static ssize_t receive(struct ssh2_socket *s, void *out, size_t size)
{
    ssize_t got = recv(s->fd, out, size < s->turn ? size : s->turn, 0);
    if (got < 0) {
        int code = errno == EINTR ? EAGAIN : errno;
        s->broken = code != EAGAIN ? code : s->broken;
        s->has_ended = s->has_ended || code != EAGAIN;
        return -code;
    }
    s->has_ended = s->has_ended || got == 0;
    s->turn -= (size_t)got;
    s->received += (size_t)got;
    if (s->greeting.length < GREETING_KEPT) {
        size_t room = GREETING_KEPT - s->greeting.length;
        (void)strbuf_add(&s->greeting, out, (size_t)got < room ? (size_t)got : room,
                         NULL);
    }
    return got;
}

/* The version's first bytes, when they have come; what came before them is dropped. Byte
 * by byte, since what follows the version is no line any more. */
static ssize_t take_version(struct ssh2_socket *s, char *out, size_t size)
{
    while (s->version_seen != VERSION_LENGTH) {
        char byte = '\0';
        if (s->received > PREFACE_MAX) {
            s->does_babble = true;
            return -ECONNABORTED;
        }
        ssize_t got = receive(s, &byte, 1);
        if (got <= 0) {
            return got;
        }
        bool is_next =
            s->version_seen < VERSION_LENGTH && byte == VERSION_BEGIN[s->version_seen];
        s->version_seen = byte == '\n' ? 0
                          : is_next    ? s->version_seen + 1
                                       : VERSION_LENGTH + 1;
        if (s->turn == 0 && s->version_seen != VERSION_LENGTH) {
            return -EAGAIN;
        }
    }
    size_t left = VERSION_LENGTH - s->version_given;
    size_t given = size < left ? size : left;
    memcpy(out, VERSION_BEGIN + s->version_given, given);
    s->version_given += given;
    return (ssize_t)given;
}

ssize_t ssh2_socket_take(struct ssh2_socket *s, void *out, size_t size)
{
    s->is_late = s->is_late || clock_monotonic_ns() > s->deadline_ns;
    s->does_babble = s->does_babble || (!s->has_logged_in && s->received > RECEIVED_MAX);
    if (s->is_closing || s->is_late || s->does_babble) {
        return -ECONNABORTED;
    }
    if (s->turn == 0 || (s->is_stream && s->has_ended)) {
        return -EAGAIN;
    }
    ssize_t got = s->version_given < VERSION_LENGTH ? take_version(s, out, size)
                                                    : receive(s, out, size);
    if (got > 0) {
        acknowledge_at_once(s->fd);
    }
    return got <= 0 && s->is_stream ? -EAGAIN : got;
}

ssize_t ssh2_socket_queue(struct ssh2_socket *s, const void *data, size_t length)
{
    if (s->broken != 0) {
        return s->is_stream ? (ssize_t)length : -s->broken;
    }
    return strbuf_add(&s->queue, data, length, NULL) == 0 ? (ssize_t)length : -ENOBUFS;
}

bool ssh2_socket_flush(struct ssh2_socket *s)
{
    while (s->sent < s->queue.length && s->broken == 0) {
        ssize_t got =
            send(s->fd, s->queue.data + s->sent, s->queue.length - s->sent, MSG_NOSIGNAL);
        if (got < 0 && errno == EAGAIN) {
            break;
        }
        if (got >= 0) {
            s->sent += (size_t)got;
        } else if (errno != EINTR) {
            s->broken = errno;
        }
    }
    if (s->sent == s->queue.length) {
        strbuf_reset(&s->queue);
        s->sent = 0;
    } else if (s->sent > QUEUE_COMPACT) {
        strbuf_consume(&s->queue, s->sent);
        s->sent = 0;
    }
    return s->broken == 0;
}

size_t ssh2_socket_queued(const struct ssh2_socket *s)
{
    return s->queue.length - s->sent;
}

const char *ssh2_socket_version(const struct ssh2_socket *s, size_t *out_length)
{
    const char *line = s->greeting.data;
    while (line != NULL && strncmp(line, "SSH-", 4) != 0) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    *out_length = line != NULL ? strcspn(line, "\r\n") : 0;
    return line;
}

/* RFC 4253 section 5.1: "1.99" is a server that speaks both. */
static bool is_ssh_1(const char *version, size_t length)
{
    return version[length] != '\0' && strncmp(version, "SSH-1.", 6) == 0 &&
           strncmp(version, "SSH-1.99-", 9) != 0;
}

enum ssh2_greeting ssh2_socket_greeting(const struct ssh2_socket *s)
{
    const char *words = s->greeting.data;
    size_t length = 0;
    const char *version = ssh2_socket_version(s, &length);
    if (s->received == 0) {
        return SSH2_GREETING_NONE;
    }
    if (version != NULL) {
        return is_ssh_1(version, length) ? SSH2_GREETING_SSH_1 : SSH2_GREETING_SSH;
    }
    return strstr(words, "MaxStartups") != NULL || strstr(words, "Not allowed") != NULL
               ? SSH2_GREETING_REFUSAL
               : SSH2_GREETING_OTHER;
}

bool ssh2_socket_wait(const struct ssh2_socket *s, int timeout_ms)
{
    struct pollfd polled = {.fd = s->fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) > 0;
}
