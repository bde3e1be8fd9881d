/*
 * ssh2_session: one SSH session of libssh2 with one channel, never blocking. [controller]
 *
 * The only file that sees libssh2. What libssh2 sends is always taken, into a queue, and
 * written when the socket has room: so no packet is ever partly sent from libssh2's point
 * of view, which its releases cannot bear (several calls under a poll loop die with -7 or
 * -39). What it reads has a deadline and, before the login, a limit: by itself a
 * handshake with a silent or babbling server never ends.
 *
 * The steps in their order, each called again and again until it is not SSH2_AGAIN:
 * ssh2_session_handshake, then the host key is judged, ssh2_session_key (or another way
 * to log in), ssh2_session_exec; then the stream is there. After SSH2_FAILED of anything
 * but a login the session can only be asked for its words and freed.
 */
#ifndef CONTROLLER_SSH2_SESSION_H
#define CONTROLLER_SSH2_SESSION_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum ssh2_step {
    SSH2_DONE,
    SSH2_AGAIN, /* when the socket is ready */
    SSH2_FAILED,
};

/* Makes a signature: its bytes alone, as they follow the kind in RFC 4253 section 6.6,
 * appended to out. -1: not possible. */
struct ssh2_signer {
    void *context;
    int (*sign)(void *context, const void *data, size_t length, struct strbuf *out);
};

/* Answers a question of keyboard-interactive (RFC 4256), made safe for a terminal. -1:
 * no answer. */
struct ssh2_answerer {
    void *context;
    int (*answer)(void *context, const char *instruction, const char *prompt,
                  bool is_shown, struct strbuf *out);
};

struct ssh2_session;

/* fd: a connected non-blocking socket, the session's from now on. kinds: of host keys, to
 * be offered first, in order; NULL at the end. Errors: ERR_UNSUPPORTED (no libssh2). */
struct ssh2_session *ssh2_session_new(int fd, const char *const *kinds,
                                      struct error *err);
/* Says goodbye where that does not block. */
void ssh2_session_free(struct ssh2_session *session);
DEFINE_CLEANUP_FREE(ssh2_session)
/* The same, but without a word to the server, and leaving the connection open: a child
 * that was forked goes on with it. */
void ssh2_session_disown(struct ssh2_session *session);

/* Whether a kind of host key can be negotiated. */
bool ssh2_session_takes_kind(const char *kind);
/* After this monotonic time nothing is read any more; INT64_MAX: no deadline. */
void ssh2_session_set_deadline(struct ssh2_session *session, int64_t deadline_ns);
/* Write what is queued as far as it goes. False: the connection is broken. */
bool ssh2_session_flush(struct ssh2_session *session);
/* Whether the socket has to be polled for writing. */
bool ssh2_session_is_queued(const struct ssh2_session *session);
int ssh2_session_fd(const struct ssh2_session *session);

/* Versions and keys of the session; SSH2_DONE: the host key is there to be judged. */
enum ssh2_step ssh2_session_handshake(struct ssh2_session *session);
/* The server's host key; borrowed. */
const void *ssh2_session_host_key(const struct ssh2_session *session, size_t *out_length);

/* Log in with a public key (RFC 4253 section 6.6) whose signatures signer makes. An RSA
 * key is offered as rsa-sha2-512. signer is borrowed until it is not SSH2_AGAIN. */
enum ssh2_step ssh2_session_key(struct ssh2_session *session, const char *user,
                                const void *blob, size_t length,
                                const struct ssh2_signer *signer);
/* Log in with a private key's file that libssh2 reads itself (ed25519, ECDSA). */
enum ssh2_step ssh2_session_key_file(struct ssh2_session *session, const char *user,
                                     const char *path, const char *passphrase);
enum ssh2_step ssh2_session_password(struct ssh2_session *session, const char *user,
                                     const char *password);
enum ssh2_step ssh2_session_interactive(struct ssh2_session *session, const char *user,
                                        const struct ssh2_answerer *answerer);
/* The ways to log in that the server takes, "publickey,password": append. SSH2_DONE with
 * nothing appended: one is in already. */
enum ssh2_step ssh2_session_methods(struct ssh2_session *session, const char *user,
                                    struct strbuf *out);
/* Whether the file's passphrase was wrong, or the file could not be read: the server was
 * not asked. */
bool ssh2_session_file_failed(const struct ssh2_session *session);

/* Whether the server took the last key, and its signature did not let us in: it wants
 * another way as well, or holds the signature to be wrong. */
bool ssh2_session_key_was_taken(const struct ssh2_session *session);

/* Open the channel and start command on it. */
enum ssh2_step ssh2_session_exec(struct ssh2_session *session, const char *command);

/* As link_read: 0 at the end; errno EAGAIN, else the connection is broken. */
ssize_t ssh2_session_read(struct ssh2_session *session, void *out, size_t size);
/* As link_write. */
ssize_t ssh2_session_write(struct ssh2_session *session, const void *data, size_t length);
/* Whether ssh2_session_write would take something. */
bool ssh2_session_has_room(const struct ssh2_session *session);

/* The connection ended before the stream did: that says nothing of the command. */
bool ssh2_session_is_cut(const struct ssh2_session *session);
/* How the command ended, waited for a moment: its exit status, 128 where a signal ended
 * it, 0 also where it did not tell. how: "exited with status 1", appended. */
int ssh2_session_exit_status(struct ssh2_session *session, struct strbuf *how);
/* What the far end's command said on its stderr so far: its last words. Borrowed. For
 * when the stream is over: what comes of it meanwhile waits for the next ready socket. */
const struct strbuf *ssh2_session_stderr(struct ssh2_session *session);

/* Why the last step failed. */
enum ssh2_cause {
    SSH2_CAUSE_OTHER,
    SSH2_CAUSE_ALGORITHMS, /* the two ends share none: text says of what */
    SSH2_CAUSE_CLOSED,     /* the server hung up */
    SSH2_CAUSE_FULL,       /* the same before it said a word, or saying so */
    SSH2_CAUSE_LATE,       /* the deadline passed */
    SSH2_CAUSE_BABBLE,     /* what the server says is not SSH, and does not end */
    SSH2_CAUSE_SSH_1,      /* the server speaks that alone */
    SSH2_CAUSE_EXPELLED,   /* the server hung up and said why, as after too many logins */
    SSH2_CAUSE_UNREADABLE, /* libssh2 gave up on a packet, such as a very long banner */
    SSH2_CAUSE_REFUSED,    /* login: not this way */
    SSH2_CAUSE_NO_SESSION, /* logged in, and the server runs nothing */
};
/* text: a part of a sentence, with libssh2's own words and code; appended. */
enum ssh2_cause ssh2_session_cause(const struct ssh2_session *session,
                                   struct strbuf *text);

/* What was negotiated: "cipher" ... and its value; key NULL behind the last. Borrowed. */
struct ssh2_fact {
    const char *key, *value;
};
struct ssh2_fact ssh2_session_fact(const struct ssh2_session *session, size_t i);

#endif
