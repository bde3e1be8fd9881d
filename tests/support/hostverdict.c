/*
 * hostverdict: what known_hosts says of keys, for comparison with ssh.
 *
 *     hostverdict HOST PORT BASE64-KEY FILE...   prints unknown, known, changed or
 * revoked hostverdict --add HOST PORT BASE64-KEY FILE plain|hashed
 */
#include "common/bytes.h"
#include "common/mem.h"
#include "controller/known_hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct error *err)
{
    (void)fprintf(stderr, "hostverdict: %s\n", err->text);
    return 1;
}

static int print_verdict(struct known_hosts *known, const struct strbuf *key,
                         char *const *files, struct error *err)
{
    static const char *const words[] = {
        [KNOWN_HOSTS_UNKNOWN] = "unknown",
        [KNOWN_HOSTS_KNOWN] = "known",
        [KNOWN_HOSTS_CHANGED] = "changed",
        [KNOWN_HOSTS_REVOKED] = "revoked",
    };
    struct known_hosts_line line;
    for (; *files != NULL; files++) {
        if (known_hosts_read(known, *files, err) != 0) {
            return -1;
        }
    }
    puts(words[known_hosts_check(known, key->data, key->length, &line)]);
    return 0;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
    uint64_t port = 0;
    bool want_add = argc == 7 && strcmp(argv[1], "--add") == 0;
    argv += want_add ? 1 : 0;
    if (argc < 5 || bytes_parse_u64(argv[2], UINT16_MAX, &port, &err) != 0 ||
        bytes_from_base64(&key, argv[3], &err) != 0) {
        return fail(&err);
    }
    CLEANUP(known_hosts_cleanup)
    struct known_hosts *known = known_hosts_new(argv[1], (uint16_t)port);
    int result = want_add ? known_hosts_add(known, argv[4], key.data, key.length,
                                            strcmp(argv[5], "hashed") == 0, &err)
                          : print_verdict(known, &key, argv + 4, &err);
    return result == 0 ? 0 : fail(&err);
}
