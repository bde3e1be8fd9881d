#include "controller/known_hosts.h"

#include "common/bytes.h"
#include "common/files.h"
#include "common/oid.h"
#include "common/strvec.h"
#include "controller/known_hosts_name.h"
#include "controller/ssh_wire.h"
#include "controller/terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SSH_PORT 22
#define BLANKS " \t"

enum marker {
    MARKER_NONE,
    MARKER_AUTHORITY,
    MARKER_REVOKED,
    MARKER_BAD,
};

struct entry {
    enum marker marker;
    bool is_bare; /* its line means the host, but not at this port */
    size_t path;  /* in paths */
    size_t line;
    uint8_t *key;
    size_t key_length;
};

struct known_hosts {
    char *host; /* small letters */
    char *name; /* with the port, where there is one */
    struct strvec paths;
    struct strvec kinds;
    struct entry *entries;
    size_t count, capacity;
};

struct known_hosts *known_hosts_new(const char *host, uint16_t port)
{
    struct known_hosts *known = xcalloc(1, sizeof *known);
    known->host = xstrdup(host);
    for (char *c = known->host; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c - 'A' + 'a');
        }
    }
    known->name = port == 0 || port == SSH_PORT
                      ? xstrdup(known->host)
                      : xasprintf("[%s]:%u", known->host, (unsigned)port);
    return known;
}

void known_hosts_free(struct known_hosts *known)
{
    if (known == NULL) {
        return;
    }
    for (size_t i = 0; i < known->count; i++) {
        free(known->entries[i].key);
    }
    free(known->entries);
    strvec_release(&known->paths);
    strvec_release(&known->kinds);
    free(known->name);
    free(known->host);
    free(known);
}

const char *known_hosts_name(const struct known_hosts *known)
{
    return known->name;
}

/* A marker and the blanks behind it are taken off *line. */
static enum marker take_marker(char **line)
{
    if (**line != '@') {
        return MARKER_NONE;
    }
    size_t length = strcspn(*line, BLANKS);
    enum marker marker = MARKER_BAD;
    if (length == strlen("@cert-authority") &&
        strncmp(*line, "@cert-authority", length) == 0) {
        marker = MARKER_AUTHORITY;
    } else if (length == strlen("@revoked") && strncmp(*line, "@revoked", length) == 0) {
        marker = MARKER_REVOKED;
    }
    *line += length;
    *line += strspn(*line, BLANKS);
    return **line == '@' ? MARKER_BAD : marker; /* one a line */
}

/* The next field of a line, which is cut behind it. */
static char *take_field(char **line)
{
    char *field = *line;
    *line += strcspn(*line, BLANKS);
    if (**line != '\0') {
        *(*line)++ = '\0';
        *line += strspn(*line, BLANKS);
    }
    return field;
}

/* Whether the kind that a line names is the key's own; RSA keys may be named by a way to
 * sign with them. */
static bool kind_fits(const char *word, struct ssh_bytes kind)
{
    return ssh_bytes_are(kind, word) ||
           (ssh_bytes_are(kind, "ssh-rsa") &&
            (strcmp(word, "rsa-sha2-256") == 0 || strcmp(word, "rsa-sha2-512") == 0));
}

/* The key of a line; false where it has none that can be read. */
static bool take_key(char **line, struct strbuf *out)
{
    const char *word = take_field(line);
    char *text = take_field(line);
    size_t length = 0;
    for (const char *c = text; *c != '\0'; c++) { /* a file from Windows has \r */
        if (strchr("\r\v\f", *c) == NULL) {
            text[length++] = *c;
        }
    }
    text[length] = '\0';
    if (bytes_from_base64(out, text, NULL) != 0) {
        return false;
    }
    struct ssh_reader reader = {(const uint8_t *)out->data, out->length, false};
    struct ssh_bytes kind = ssh_get_string(&reader);
    return !reader.is_broken && kind_fits(word, kind);
}

static void add_kind(struct known_hosts *known, const struct strbuf *key)
{
    CLEANUP_STRBUF struct strbuf kind = STRBUF_INIT;
    (void)known_hosts_key_kind(&kind, key->data, key->length);
    for (size_t i = 0; i < known->kinds.count; i++) {
        if (strcmp(known->kinds.items[i], kind.data) == 0) {
            return;
        }
    }
    strvec_push(&known->kinds, kind.data);
}

static void add_entry(struct known_hosts *known, const struct entry *entry,
                      const struct strbuf *key)
{
    if (known->count == known->capacity) {
        known->capacity = known->capacity > 0 ? 2 * known->capacity : 4;
        known->entries =
            xrealloc(known->entries, known->capacity, sizeof *known->entries);
    }
    known->entries[known->count] = *entry;
    known->entries[known->count].key = xmemdup(key->data, key->length);
    known->entries[known->count].key_length = key->length;
    known->count++;
    if (entry->marker == MARKER_NONE) {
        add_kind(known, key);
    }
}

/* text: one line, NUL-terminated, which is written to. */
static void parse_line(struct known_hosts *known, char *text, size_t number)
{
    CLEANUP_STRBUF struct strbuf key = STRBUF_INIT;
    struct entry entry = {.path = known->paths.count - 1, .line = number};
    strbuf_init(&key, KNOWN_HOSTS_KEY_MAX);
    text += strspn(text, BLANKS);
    if (*text == '\0' || *text == '#') {
        return;
    }
    entry.marker = take_marker(&text);
    const char *names = take_field(&text);
    if (entry.marker == MARKER_BAD || names[0] == '\0') {
        return;
    }
    if (!known_hosts_name_matches(names, known->name)) {
        if (strcmp(known->name, known->host) == 0 ||
            !known_hosts_name_matches(names, known->host)) {
            return;
        }
        entry.is_bare = true;
    }
    if (take_key(&text, &key)) {
        add_entry(known, &entry, &key);
    }
}

void known_hosts_parse(struct known_hosts *known, const char *path, const char *text,
                       size_t length)
{
    size_t number = 0;
    strvec_push(&known->paths, path);
    while (length > 0) {
        const char *newline = memchr(text, '\n', length);
        size_t size = newline != NULL ? (size_t)(newline - text) : length;
        CLEANUP_FREE char *line = xstrndup(text, size); /* up to a NUL, as ssh */
        parse_line(known, line, ++number);
        size += newline != NULL ? 1 : 0;
        text += size;
        length -= size;
    }
}

int known_hosts_read(struct known_hosts *known, const char *path, struct error *err)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct error failure = ERROR_INIT;
    strbuf_init(&text, KNOWN_HOSTS_FILE_MAX);
    if (files_read(AT_FDCWD, path, &text, &failure) != 0) {
        if (failure.code == ERR_NOT_FOUND) {
            return 0;
        }
        (void)error_copy(err, &failure);
        return error_wrap(err, "read the known hosts");
    }
    known_hosts_parse(known, path, text.data, text.length);
    return 0;
}

static bool is_key(const struct entry *entry, const void *key, size_t length)
{
    return entry->key_length == length && memcmp(entry->key, key, length) == 0;
}

static void set_line(const struct known_hosts *known, const struct entry *entry,
                     struct known_hosts_line *out)
{
    *out = (struct known_hosts_line){known->paths.items[entry->path], entry->line,
                                     entry->key, entry->key_length};
}

/* The verdict of the lines for this port, or of those for the host alone. */
static enum known_hosts_verdict check_lines(const struct known_hosts *known, bool is_bare,
                                            const void *key, size_t length,
                                            struct known_hosts_line *out_line)
{
    enum known_hosts_verdict verdict = KNOWN_HOSTS_UNKNOWN;
    for (size_t i = 0; i < known->count; i++) {
        const struct entry *entry = &known->entries[i];
        if (entry->marker != MARKER_NONE || entry->is_bare != is_bare) {
            continue;
        }
        if (is_key(entry, key, length)) {
            set_line(known, entry, out_line);
            return KNOWN_HOSTS_KNOWN;
        }
        if (verdict == KNOWN_HOSTS_UNKNOWN) {
            set_line(known, entry, out_line);
            verdict = KNOWN_HOSTS_CHANGED;
        }
    }
    return verdict;
}

enum known_hosts_verdict known_hosts_check(const struct known_hosts *known,
                                           const void *key, size_t length,
                                           struct known_hosts_line *out_line)
{
    struct known_hosts_line bare = {0};
    *out_line = bare;
    for (size_t i = 0; i < known->count; i++) {
        if (known->entries[i].marker == MARKER_REVOKED &&
            is_key(&known->entries[i], key, length)) {
            set_line(known, &known->entries[i], out_line);
            return KNOWN_HOSTS_REVOKED;
        }
    }
    enum known_hosts_verdict verdict = check_lines(known, false, key, length, out_line);
    /* As ssh: a host that is unknown at this port may be known without one; a key that
     * differs from that one says nothing. */
    if (verdict == KNOWN_HOSTS_UNKNOWN &&
        check_lines(known, true, key, length, &bare) == KNOWN_HOSTS_KNOWN) {
        *out_line = bare;
        return KNOWN_HOSTS_KNOWN;
    }
    return verdict;
}

bool known_hosts_has_authority(const struct known_hosts *known)
{
    for (size_t i = 0; i < known->count; i++) {
        if (known->entries[i].marker == MARKER_AUTHORITY) {
            return true;
        }
    }
    return false;
}

const char *known_hosts_kind(const struct known_hosts *known, size_t i)
{
    return i < known->kinds.count ? known->kinds.items[i] : NULL;
}

void known_hosts_fingerprint(struct strbuf *out, const void *key, size_t length)
{
    struct oid digest;
    oid_of_bytes(key, length, &digest);
    strbuf_puts(out, "SHA256:");
    bytes_to_base64(out, digest.digest, sizeof digest.digest);
    strbuf_truncate(out, out->length - 1); /* 32 bytes have one "=" */
}

bool known_hosts_key_kind(struct strbuf *out, const void *key, size_t length)
{
    struct ssh_reader reader = {key, length, false};
    struct ssh_bytes kind = ssh_get_string(&reader);
    if (reader.is_broken || kind.length == 0 || kind.length > 64) {
        return false;
    }
    terminal_make_safe(kind.data, kind.length, out);
    return true;
}
