/*
 * known_hosts: whatever a file holds, what is found in it is a key of the host: the line
 * is in the file, its key is the one asked for exactly where the verdict says so, and a
 * good line added behind makes an unknown key a known one.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controller/known_hosts.h"

#define HOST "gpu1"

static const char good[] = "\ngpu1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIELq/"
                           "BgksiX9pQgGhMN+5qpkVbLhJSQmuZE8Tb1TC6jm\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key of the file, judged: it is known or revoked. */
static void check_own_key(const struct known_hosts *known,
                          const struct known_hosts_line *line)
{
    struct known_hosts_line own;
    enum known_hosts_verdict verdict =
        known_hosts_check(known, line->key, line->key_length, &own);
    CLEANUP_STRBUF struct strbuf kind = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf fingerprint = STRBUF_INIT;
    assert(verdict == KNOWN_HOSTS_KNOWN || verdict == KNOWN_HOSTS_REVOKED);
    assert(own.key_length == line->key_length &&
           memcmp(own.key, line->key, own.key_length) == 0);
    (void)known_hosts_key_kind(&kind, line->key, line->key_length);
    known_hosts_fingerprint(&fingerprint, line->key, line->key_length);
}

static void check_file(const char *data, size_t size, uint16_t port)
{
    CLEANUP(known_hosts_cleanup) struct known_hosts *known = known_hosts_new(HOST, port);
    struct known_hosts_line line;
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n' ? 1 : 0;
    }
    known_hosts_parse(known, "f", data, size);
    enum known_hosts_verdict verdict = known_hosts_check(known, "key", 3, &line);
    assert(verdict == KNOWN_HOSTS_UNKNOWN || verdict == KNOWN_HOSTS_CHANGED);
    if (verdict == KNOWN_HOSTS_CHANGED) {
        assert(line.number >= 1 && line.number <= lines);
        check_own_key(known, &line);
    }
    (void)known_hosts_has_authority(known);

    CLEANUP(known_hosts_cleanup) struct known_hosts *one = known_hosts_new(HOST, port);
    known_hosts_parse(one, "g", good, strlen(good));
    (void)known_hosts_check(one, "key", 3, &line);
    if (port != 22) {
        return;
    }
    known_hosts_parse(known, "g", good, strlen(good));
    verdict = known_hosts_check(known, line.key, line.key_length, &line);
    assert(verdict == KNOWN_HOSTS_KNOWN || verdict == KNOWN_HOSTS_REVOKED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_file((const char *)data, size, 22);
    check_file((const char *)data, size, 2222);
    return 0;
}
