/*
 * known_hosts: which keys are known for a host, as OpenSSH's client reads them.
 * [controller]
 *
 * The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": lists of names with
 * wildcards and negation, hashed names, [host]:port, @revoked and @cert-authority. A line
 * that cannot be read is passed over, and never those behind it. The verdict is the one
 * that ssh comes to, or a stricter one: a file that cannot be read is an error, not an
 * empty file, and a key revoked for the host's name is revoked at any port.
 *
 * Life: known_hosts_new -> known_hosts_read for each file -> known_hosts_check ... ->
 * known_hosts_free.
 */
#ifndef CONTROLLER_KNOWN_HOSTS_H
#define CONTROLLER_KNOWN_HOSTS_H

#include "common/error.h"
#include "common/mem.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_HOSTS_FILE_MAX ((size_t)64 << 20)
#define KNOWN_HOSTS_KEY_MAX ((size_t)64 << 10) /* of a key in binary */

enum known_hosts_verdict {
    KNOWN_HOSTS_UNKNOWN, /* no key is known for the host */
    KNOWN_HOSTS_KNOWN,
    KNOWN_HOSTS_CHANGED, /* other keys are known, and this is none of them */
    KNOWN_HOSTS_REVOKED,
};

/* The line that decided; borrowed from the known_hosts. */
struct known_hosts_line {
    const char *path;
    size_t number; /* from 1 */
    const void *key;
    size_t key_length;
};

struct known_hosts;

/* host: as given to ssh, not empty; its capitals do not count. port 0: 22, or names that
 * have none (HostKeyAlias). */
struct known_hosts *known_hosts_new(const char *host, uint16_t port);
void known_hosts_free(struct known_hosts *known);
DEFINE_CLEANUP_FREE(known_hosts)

/* The name as it stands in the files: "host", or "[host]:port" where port is not 22.
 * Borrowed. */
const char *known_hosts_name(const struct known_hosts *known);

/* Add what a file says of the host; one that does not exist says nothing. Errors:
 * ERR_LIMIT, ERR_ACCESS, ERR_IO ... */
int known_hosts_read(struct known_hosts *known, const char *path, struct error *err);
/* The same for a file's content. */
void known_hosts_parse(struct known_hosts *known, const char *path, const char *text,
                       size_t length);

/* The verdict on a key as the server sent it (RFC 4253 section 6.6). out_line is set
 * unless the host is unknown. */
enum known_hosts_verdict known_hosts_check(const struct known_hosts *known,
                                           const void *key, size_t length,
                                           struct known_hosts_line *out_line);
/* True where a certificate authority is trusted for the host, which only ssh can use. */
bool known_hosts_has_authority(const struct known_hosts *known);
/* The i-th kind of key known for the host ("ssh-ed25519"), each once, in the order of the
 * files; NULL behind the last. Borrowed. */
const char *known_hosts_kind(const struct known_hosts *known, size_t i);

/*
 * Append the host's key to a file as ssh does, its name hashed where want_hash; the file
 * (0600) and the folder above it (0700) are made if need be. One that has the key already
 * stays as it is. The line is there whole and synced, or not at all. Blocks on a lock
 * that other errands hold for a moment. Errors: ERR_USAGE (a name that no line can have),
 * else by errno.
 */
int known_hosts_add(const struct known_hosts *known, const char *path, const void *key,
                    size_t length, bool want_hash, struct error *err);

/* "SHA256:" and base64 without padding, as ssh-keygen -l prints it: append. */
void known_hosts_fingerprint(struct strbuf *out, const void *key, size_t length);
/* The key's own name of its kind, as "ssh-ed25519"; false where it has none. Appends,
 * made safe for a terminal. */
bool known_hosts_key_kind(struct strbuf *out, const void *key, size_t length);

#endif
