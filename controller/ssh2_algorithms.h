/*
 * ssh2_algorithms: which algorithms the built-in transport offers a server. [controller]
 *
 * Modern ones alone, as far as a release of libssh2 has them and has them without known
 * holes; releases are numbered as LIBSSH2_VERSION_NUM.
 */
#ifndef CONTROLLER_SSH2_ALGORITHMS_H
#define CONTROLLER_SSH2_ALGORITHMS_H

#include "controller/ssh_kexinit.h"

#include <stdbool.h>
#include <stdint.h>

struct ssh2_algorithms {
    const char *lists[SSH_KEX_LIST_COUNT]; /* comma lists, the best first */
    char *host_keys;                       /* one of them */
};

/* kinds: of host keys, to come first, in order; NULL at the end, or NULL. out is to be
 * released. */
void ssh2_algorithms_init(struct ssh2_algorithms *out, uint32_t release,
                          const char *const *kinds);
void ssh2_algorithms_release(struct ssh2_algorithms *algorithms);
/* Whether a kind of host key ("ssh-ed25519") can be negotiated. */
bool ssh2_algorithms_take_kind(uint32_t release, const char *kind);

#endif
