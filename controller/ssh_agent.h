/*
 * ssh_agent: asks a running ssh-agent which keys it holds and for signatures.
 * [controller]
 *
 * The protocol is that of draft-miller-ssh-agent (sections 3 to 5), of which two requests
 * are needed. An answer is bounded and checked whole before anything of it is used. Calls
 * block until the agent answers or a deadline passes: listing is immediate, a signature
 * may wait for a person who confirms it.
 *
 * Life: ssh_agent_open -> ssh_agent_list -> ssh_agent_sign ... -> ssh_agent_free.
 */
#ifndef CONTROLLER_SSH_AGENT_H
#define CONTROLLER_SSH_AGENT_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <stddef.h>
#include <stdint.h>

#define SSH_AGENT_ANSWER_MAX ((size_t)256 << 10)
#define SSH_AGENT_KEYS_MAX 256

/* Flags of ssh_agent_sign for RSA keys; 0 for all others. */
enum {
    SSH_AGENT_RSA_SHA2_256 = 2,
    SSH_AGENT_RSA_SHA2_512 = 4,
};

struct ssh_agent_key {
    uint8_t *blob; /* the public key, RFC 4253 section 6.6 */
    size_t blob_length;
    char *comment; /* made safe for a terminal */
};

struct ssh_agent_keys {
    struct ssh_agent_key *items;
    size_t count;
};

struct ssh_agent;

/* Connect to the agent's socket. Errors: by errno. */
struct ssh_agent *ssh_agent_open(const char *socket_path, struct error *err);
void ssh_agent_free(struct ssh_agent *agent);
DEFINE_CLEANUP_FREE(ssh_agent)
/* How long an answer may take: for a list, for a signature. Default 5 s and 60 s. */
void ssh_agent_set_deadlines(struct ssh_agent *agent, int64_t list_ms, int64_t sign_ms);

/* The keys that it holds, at most SSH_AGENT_KEYS_MAX; out is the caller's to release.
 * Errors: ERR_PROTOCOL, ERR_TIMED_OUT, ERR_ACCESS (it refused), by errno. */
int ssh_agent_list(struct ssh_agent *agent, struct ssh_agent_keys *out,
                   struct error *err);
/* Sign data with a key that it holds: the signature, RFC 4253 section 6.6 (a string of
 * its kind, a string of its bytes), is appended to out. Errors: as ssh_agent_list. */
int ssh_agent_sign(struct ssh_agent *agent, const struct ssh_agent_key *key,
                   const void *data, size_t length, uint32_t flags, struct strbuf *out,
                   struct error *err);
void ssh_agent_keys_release(struct ssh_agent_keys *keys);

/* Read an answer without its length: what ssh_agent_list and ssh_agent_sign do with it.
 * Errors: ERR_PROTOCOL, ERR_ACCESS; out is then empty, or as it was. */
int ssh_agent_read_keys(const void *data, size_t length, struct ssh_agent_keys *out,
                        struct error *err);
int ssh_agent_read_signature(const void *data, size_t length, struct strbuf *out,
                             struct error *err);

#endif
