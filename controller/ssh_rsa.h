/*
 * ssh_rsa: a private RSA key that signs with SHA-512 (rsa-sha2-512, RFC 8332).
 * [controller]
 *
 * libssh2 1.10 can sign with SHA-1 alone, which servers refuse. The only file that sees
 * libcrypto.
 */
#ifndef CONTROLLER_SSH_RSA_H
#define CONTROLLER_SSH_RSA_H

#include "common/mem.h"
#include "controller/ssh_key.h"

struct ssh_rsa;

/* passphrase: NULL where none is known. Errors: ERR_UNSUPPORTED (encrypted in OpenSSH's
 * own format, which only ssh reads, or no RSA key), ERR_ACCESS (a wrong passphrase),
 * ERR_CORRUPT. */
struct ssh_rsa *ssh_rsa_new(const struct ssh_key *key, const char *passphrase,
                            struct error *err);
void ssh_rsa_free(struct ssh_rsa *rsa);
DEFINE_CLEANUP_FREE(ssh_rsa)

/* The public key, RFC 4253 section 6.6: append. */
int ssh_rsa_blob(const struct ssh_rsa *rsa, struct strbuf *out, struct error *err);
/* A signature's bytes (RFC 8332 section 3): append. */
int ssh_rsa_sign(const struct ssh_rsa *rsa, const void *data, size_t length,
                 struct strbuf *out, struct error *err);

#endif
