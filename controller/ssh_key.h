/*
 * ssh_key: the file of a private key, as far as it can be read without its passphrase.
 * [controller]
 *
 * OpenSSH's own format (PROTOCOL.key of OpenSSH) has the public key in clear; of others
 * only the kind may be known. Reading is bounded and takes nothing that ssh would refuse:
 * a file that others can read is an error.
 */
#ifndef CONTROLLER_SSH_KEY_H
#define CONTROLLER_SSH_KEY_H

#include "common/error.h"
#include "common/strbuf.h"
#include "controller/ssh_wire.h"

#include <stdbool.h>

#define SSH_KEY_FILE_MAX ((size_t)64 << 10)

struct ssh_key {
    bool is_openssh;   /* its format; else PEM of some kind */
    bool is_encrypted; /* a passphrase is needed */
    bool is_rsa;
    bool is_hardware;    /* a security key (sk-...): only ssh can use it */
    struct strbuf text;  /* the file */
    struct strbuf blob;  /* the public key, or empty where it is not known */
    struct strbuf inner; /* the private part of OpenSSH's format, encrypted or not */
};

/* Read a file. Errors: ERR_NOT_FOUND, ERR_ACCESS (also: others may read it), ERR_CORRUPT
 * (no private key) ... ; out is to be released in any case. */
int ssh_key_read(struct ssh_key *out, const char *path, struct error *err);
/* The same for a file's content. */
int ssh_key_parse(struct ssh_key *out, const char *text, size_t length,
                  struct error *err);
/* Where the public key is not known: take it from the file beside a private key,
 * "PATH.pub", or, where is_private is false, from path itself, an agent having the
 * private one. What cannot be read is passed over. */
void ssh_key_read_public(struct ssh_key *key, const char *path, bool is_private);
/* Whether a key of this kind is a plain one: no certificate, none of a security key. */
bool ssh_key_is_plain(struct ssh_bytes kind);
/* Whether a certificate lies beside the private key at path. */
bool ssh_key_has_certificate(const char *path);
/* Overwrites what is secret. */
void ssh_key_release(struct ssh_key *key);

#endif
