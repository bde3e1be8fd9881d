#include "controller/known_hosts_name.h"

#include "common/bytes.h"
#include "common/mem.h"

#include <nettle/hmac.h>
#include <stdlib.h>
#include <string.h>

#define HASH_PREFIX "|1|" /* HMAC-SHA1 of the name, its key the salt */
#define PATTERN_MAX ((size_t)1023)

static char to_lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c;
}

/* "*" for any bytes, "?" for one; capitals in the pattern count as small letters. */
static bool glob_matches(const char *pattern, size_t length, const char *text)
{
    size_t at = 0;
    size_t star = SIZE_MAX; /* where to go on when what follows the last * does not fit */
    const char *star_text = NULL;
    while (*text != '\0') {
        if (at < length && pattern[at] == '*') {
            star = ++at;
            star_text = text;
        } else if (at < length &&
                   (pattern[at] == '?' || to_lower(pattern[at]) == *text)) {
            at++;
            text++;
        } else if (star != SIZE_MAX) {
            at = star;
            text = ++star_text;
        } else {
            return false;
        }
    }
    while (at < length && pattern[at] == '*') {
        at++;
    }
    return at == length;
}

/* One pattern that fits and begins with "!" outweighs all others. */
static bool list_matches(const char *list, const char *name)
{
    bool does_match = false;
    while (*list != '\0') {
        bool is_negated = *list == '!';
        list += is_negated ? 1 : 0;
        size_t length = strcspn(list, ",");
        if (length >= PATTERN_MAX) {
            return false;
        }
        if (glob_matches(list, length, name)) {
            if (is_negated) {
                return false;
            }
            does_match = true;
        }
        list += length;
        list += *list == ',' ? 1 : 0;
    }
    return does_match;
}

static void hash_name(uint8_t out[SHA1_DIGEST_SIZE], const uint8_t salt[SHA1_DIGEST_SIZE],
                      const char *name)
{
    struct hmac_sha1_ctx context;
    hmac_sha1_set_key(&context, SHA1_DIGEST_SIZE, salt);
    hmac_sha1_update(&context, strlen(name), (const uint8_t *)name);
    hmac_sha1_digest(&context, SHA1_DIGEST_SIZE, out);
}

static bool decode(struct strbuf *out, const char *text, size_t length)
{
    CLEANUP_FREE char *copy = xstrndup(text, length);
    return bytes_from_base64(out, copy, NULL) == 0 && out->length == SHA1_DIGEST_SIZE;
}

static bool hash_matches(const char *field, const char *name)
{
    CLEANUP_STRBUF struct strbuf salt = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf hash = STRBUF_INIT;
    uint8_t wanted[SHA1_DIGEST_SIZE];
    if (strncmp(field, HASH_PREFIX, strlen(HASH_PREFIX)) != 0) {
        return false;
    }
    const char *salt_text = field + strlen(HASH_PREFIX);
    size_t salt_length = strcspn(salt_text, "|");
    if (salt_text[salt_length] != '|' || !decode(&salt, salt_text, salt_length)) {
        return false;
    }
    const char *hash_text = salt_text + salt_length + 1;
    if (!decode(&hash, hash_text, strlen(hash_text))) {
        return false;
    }
    hash_name(wanted, (const uint8_t *)salt.data, name);
    return memcmp(wanted, hash.data, sizeof wanted) == 0;
}

bool known_hosts_name_matches(const char *field, const char *name)
{
    return field[0] == '|' ? hash_matches(field, name) : list_matches(field, name);
}

void known_hosts_name_hash(struct strbuf *out, const char *name)
{
    uint8_t salt[SHA1_DIGEST_SIZE];
    uint8_t hash[SHA1_DIGEST_SIZE];
    bytes_random(salt, sizeof salt);
    hash_name(hash, salt, name);
    strbuf_puts(out, HASH_PREFIX);
    bytes_to_base64(out, salt, sizeof salt);
    strbuf_putc(out, '|');
    bytes_to_base64(out, hash, sizeof hash);
}
