/*
 * ssh_kexinit: what a server offers, from the first bytes that it sent. [controller]
 */
#ifndef CONTROLLER_SSH_KEXINIT_H
#define CONTROLLER_SSH_KEXINIT_H

#include "common/strbuf.h"

#include <stdbool.h>

/* The lists of RFC 4253 section 7.1 that have to have something in common, in order. */
enum ssh_kex_list {
    SSH_KEX_METHODS,
    SSH_KEX_HOST_KEYS,
    SSH_KEX_CIPHERS_OUT,
    SSH_KEX_CIPHERS_IN,
    SSH_KEX_MACS_OUT,
    SSH_KEX_MACS_IN,
    SSH_KEX_LIST_COUNT
};

/*
 * Append what of the server's is not shared: "MACs (the server offers only a,b)". ours:
 * comma lists, ours in each of enum ssh_kex_list. greeting: what came first, banner
 * included; false where it has no whole offer, or nothing is lacking.
 */
bool ssh_kexinit_lacking(const void *greeting, size_t length,
                         const char *const ours[SSH_KEX_LIST_COUNT], struct strbuf *out);

#endif
