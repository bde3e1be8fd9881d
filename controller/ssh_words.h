/*
 * ssh_words: what the ssh program said of a connection, understood. [controller]
 *
 * ssh runs with LogLevel=DEBUG1 and tells its progress on stderr, line by line. Those
 * lines say how far it came and what was negotiated; the others are for people: ssh's own
 * complaints, those of the ssh that ProxyJump started, the server's banner, and what the
 * far end's shell wrote on its stderr. Releases of OpenSSH differ in the progress they
 * report; what is not known stays empty.
 *
 * Life: ssh_words_read -> ssh_words_release. Nothing here is trusted further than for a
 * sentence: a server can say such lines, too.
 */
#ifndef CONTROLLER_SSH_WORDS_H
#define CONTROLLER_SSH_WORDS_H

#include "common/strvec.h"

#include <stdbool.h>

/* How far it came, in order. */
enum ssh_phase {
    SSH_RESOLVES,     /* reads its configuration, looks the name up */
    SSH_CONNECTS,     /* TCP, or the program of ProxyJump and ProxyCommand */
    SSH_SHAKES_HANDS, /* versions, keys of the session */
    SSH_CHECKS_KEY,   /* the host key came; asks about it where it is not known */
    SSH_LOGS_IN,      /* asks for passphrase or password where it may */
    SSH_IS_IN,        /* logged in: what follows is the far end's */
    SSH_PHASE_COUNT
};

struct ssh_words {
    enum ssh_phase phase;
    bool has_proxy;      /* ProxyJump or ProxyCommand */
    bool is_multiplexed; /* over the connection of a ControlMaster */
    bool was_killed;     /* what ran there was ended by a signal */
    /* NULL: not said. */
    char *software;        /* the server's, "OpenSSH_9.2p1 Debian-2" */
    char *key_exchange;    /* "sntrup761x25519-sha512" */
    char *cipher;          /* "chacha20-poly1305@openssh.com MAC: <implicit> ..." */
    char *host_key;        /* "ssh-ed25519 SHA256:..." */
    char *found_in;        /* where the host key is known, "FILE:LINE" */
    char *methods;         /* of login, that the server takes: "publickey,password" */
    char *accepted_key;    /* the key that it would take, "FILE KIND SHA256:..." */
    char *method;          /* the one that got in */
    struct strvec offered; /* keys, as accepted_key */
    struct strvec said;    /* the lines for people */
    size_t said_before; /* so many of them came before it was in: ssh's own, a banner */
};

/* Read the words: lines, made safe for a terminal. */
void ssh_words_read(struct ssh_words *words, const char *text);
void ssh_words_release(struct ssh_words *words);
/* The last line for people that has needle in it, or NULL. Borrowed from words. */
const char *ssh_words_find(const struct ssh_words *words, const char *needle);
/* "connect", "login" ...; static storage. */
const char *ssh_phase_name(enum ssh_phase phase);

#endif
