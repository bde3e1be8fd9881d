/*
 * ssh2_socket: the socket of an SSH session: a queue out, deadlines and limits in.
 * [controller]
 *
 * What is sent is always taken; what is read has a deadline, a limit until the login is
 * over, and a share for each turn, so that a fast server leaves time for other things.
 * Once the stream is there, the session hears nothing of an end or a broken connection:
 * libssh2 would drop what has come before it.
 * Life: ssh2_socket_init -> ... -> ssh2_socket_release.
 */
#ifndef CONTROLLER_SSH2_SOCKET_H
#define CONTROLLER_SSH2_SOCKET_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssh2_socket { /* fields are for reading; "set" ones for the session to set */
    int fd;
    bool is_closing;    /* set: nothing is read any more */
    bool has_logged_in; /* set: no limit any more */
    bool is_stream;     /* set: who reads it looks at has_ended, who writes at broken */
    int64_t deadline_ns;
    bool has_ended;   /* nothing more comes */
    bool is_late;     /* the deadline passed */
    bool does_babble; /* the limit was passed */
    int broken;       /* errno, or 0 */
    size_t received;
    struct strbuf greeting; /* the first bytes that came */
    size_t version_seen;    /* of "SSH-" in this line; more: it begins otherwise */
    size_t version_given;   /* of it to the session */
    struct strbuf queue;
    size_t sent; /* of queue */
    size_t turn; /* may still be read in this turn */
};

/* fd: connected and non-blocking, the socket's from now on. */
void ssh2_socket_init(struct ssh2_socket *socket, int fd);
/* Closes it: the connection ends with its last descriptor. */
void ssh2_socket_release(struct ssh2_socket *socket);
/* End the connection now. */
void ssh2_socket_shutdown(struct ssh2_socket *socket);

/* A new turn: this much may be read. */
void ssh2_socket_begin_turn(struct ssh2_socket *socket, size_t size);
#define SSH2_SOCKET_TURN ((size_t)1 << 20)
/* As recv, less the lines that may come before the version (RFC 4253 section 4.2), on
 * which libssh2 gives up where one is empty: -errno on failure, -EAGAIN also where this
 * turn's share is used up. */
ssize_t ssh2_socket_take(struct ssh2_socket *socket, void *out, size_t size);
/* Take all of data, to drop it where nothing can be sent any more; -errno on failure. */
ssize_t ssh2_socket_queue(struct ssh2_socket *socket, const void *data, size_t length);
/* Write what is queued as far as it goes. False: the connection is broken. */
bool ssh2_socket_flush(struct ssh2_socket *socket);
/* Bytes that are queued. */
size_t ssh2_socket_queued(const struct ssh2_socket *socket);
/* What came first: SSH 2 (or not all of a line yet), SSH 1 alone, something else, or the
 * words with which sshd turns somebody away before it speaks SSH. */
enum ssh2_greeting {
    SSH2_GREETING_NONE,
    SSH2_GREETING_SSH,
    SSH2_GREETING_SSH_1,
    SSH2_GREETING_REFUSAL,
    SSH2_GREETING_OTHER,
};
enum ssh2_greeting ssh2_socket_greeting(const struct ssh2_socket *socket);
/* The line that begins with "SSH-", and its length; NULL where none came. Borrowed. */
const char *ssh2_socket_version(const struct ssh2_socket *socket, size_t *out_length);
/* Wait until there is something to read. False: timeout_ms passed. */
bool ssh2_socket_wait(const struct ssh2_socket *socket, int timeout_ms);

#endif
