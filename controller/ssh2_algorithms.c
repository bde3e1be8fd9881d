#include "controller/ssh2_algorithms.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define HAS_RSA_SHA2 0x010b00
/* Without strict key exchange (from 1.11.1 on) chacha20 and EtM can be tampered with:
 * CVE-2023-48795. */
#define HAS_STRICT_KEX 0x010b01

/* In the order of OpenSSH, too: libssh2 deciphers block by block, and 128 bits save a
 * twelfth of all that a long log costs. */
#define CIPHERS "aes128-ctr,aes192-ctr,aes256-ctr"
#define NEWER_CIPHERS                                                                    \
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,"
#define MACS "hmac-sha2-256,hmac-sha2-512"
#define NEWER_MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,"

static const char kex_methods[] =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"
    "ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,"
    "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,"
    "diffie-hellman-group-exchange-sha256";

/* Kinds of host key and the names under which they are negotiated. */
static const struct {
    const char *kind, *names;
    uint32_t since;
} host_keys[] = {
    {"ssh-ed25519", "ssh-ed25519", 0},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", 0},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", 0},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", 0},
    {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256", HAS_RSA_SHA2},
};

bool ssh2_algorithms_take_kind(uint32_t release, const char *kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(host_keys); i++) {
        if (release >= host_keys[i].since && strcmp(host_keys[i].kind, kind) == 0) {
            return true;
        }
    }
    return false;
}

/* The names of the kinds that come first, then of all others. */
static char *order_host_keys(uint32_t release, const char *const *kinds)
{
    struct strbuf out = STRBUF_INIT;
    bool is_used[ARRAY_SIZE(host_keys)] = {false};
    for (size_t k = 0;; k++) {
        const char *kind = kinds != NULL ? kinds[k] : NULL;
        for (size_t i = 0; i < ARRAY_SIZE(host_keys); i++) {
            if (!is_used[i] && release >= host_keys[i].since &&
                (kind == NULL || strcmp(host_keys[i].kind, kind) == 0)) {
                is_used[i] = true;
                strbuf_printf(&out, "%s%s", out.length > 0 ? "," : "",
                              host_keys[i].names);
            }
        }
        if (kind == NULL) {
            return strbuf_detach(&out);
        }
    }
}

void ssh2_algorithms_init(struct ssh2_algorithms *out, uint32_t release,
                          const char *const *kinds)
{
    bool is_newer = release >= HAS_STRICT_KEX;
    const char *ciphers = is_newer ? NEWER_CIPHERS CIPHERS : CIPHERS;
    const char *macs = is_newer ? NEWER_MACS MACS : MACS;
    char *ordered = order_host_keys(release, kinds);
    *out = (struct ssh2_algorithms){
        .lists =
            {
                [SSH_KEX_METHODS] = kex_methods,
                [SSH_KEX_HOST_KEYS] = ordered,
                [SSH_KEX_CIPHERS_OUT] = ciphers,
                [SSH_KEX_CIPHERS_IN] = ciphers,
                [SSH_KEX_MACS_OUT] = macs,
                [SSH_KEX_MACS_IN] = macs,
            },
        .host_keys = ordered,
    };
}

void ssh2_algorithms_release(struct ssh2_algorithms *algorithms)
{
    free(algorithms->host_keys);
    *algorithms = (struct ssh2_algorithms){.host_keys = NULL};
}
