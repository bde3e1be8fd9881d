/*
 * ssh_wire: strings and numbers as the SSH protocols write them (RFC 4251 section 5).
 * [controller]
 *
 * Keys in known_hosts, keys and signatures of the agent. A reader goes over borrowed
 * bytes and never past their end; once something did not fit it is broken and gives
 * nothing any more, so that a caller may read all it wants and ask once.
 */
#ifndef CONTROLLER_SSH_WIRE_H
#define CONTROLLER_SSH_WIRE_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct ssh_reader {
    const uint8_t *data;
    size_t left;
    bool is_broken;
};

struct ssh_bytes { /* borrowed from what was read */
    const uint8_t *data;
    size_t length;
};

/* The next byte; four bytes, big-endian. Broken: 0. */
uint8_t ssh_get_u8(struct ssh_reader *reader);
uint32_t ssh_get_u32(struct ssh_reader *reader);
/* A string: its length, then its bytes. Broken: {"", 0}. */
struct ssh_bytes ssh_get_string(struct ssh_reader *reader);
bool ssh_bytes_are(struct ssh_bytes bytes, const char *text);

/* Append to out, whose limit the caller knows to be large enough. Errors: ERR_LIMIT. */
int ssh_put_u32(struct strbuf *out, uint32_t value, struct error *err);
int ssh_put_string(struct strbuf *out, const void *data, size_t length,
                   struct error *err);

/* A public key under the name of its signatures: an RSA key as "rsa-sha2-512", all others
 * as they are. libssh2 takes the algorithm's name from the key's own first string, and
 * OpenSSH takes an RSA key under this name too. Errors: ERR_LIMIT. */
int ssh_put_key_for_signing(struct strbuf *out, const void *blob, size_t length,
                            struct error *err);

#endif
