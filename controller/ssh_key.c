#include "controller/ssh_key.h"

#include "common/bytes.h"
#include "common/fdio.h"
#include "common/files.h"
#include "common/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEGIN_OPENSSH "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END_OPENSSH "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* with its NUL */

static void init(struct ssh_key *out)
{
    *out = (struct ssh_key){0};
    strbuf_init(&out->text, SSH_KEY_FILE_MAX);
    strbuf_init(&out->blob, SSH_KEY_FILE_MAX);
    strbuf_init(&out->inner, SSH_KEY_FILE_MAX);
}

static void forget(struct strbuf *secret)
{
    volatile char *data = secret->data;
    for (size_t i = 0; i < secret->length; i++) {
        data[i] = 0;
    }
    strbuf_release(secret);
}

void ssh_key_release(struct ssh_key *key)
{
    forget(&key->text);
    forget(&key->inner);
    strbuf_release(&key->blob);
}

/* What stands between the two lines, decoded: append. */
static int decode_armour(const char *text, struct strbuf *out, struct error *err)
{
    CLEANUP_STRBUF struct strbuf base64 = STRBUF_INIT;
    const char *at = text + strlen(BEGIN_OPENSSH);
    const char *end = strstr(at, END_OPENSSH);
    if (end == NULL) {
        return error_set(err, ERR_CORRUPT, "the private key is cut");
    }
    for (; at < end; at++) {
        if (strchr(" \t\r\n", *at) == NULL) {
            strbuf_putc(&base64, *at);
        }
    }
    int result = bytes_from_base64(out, base64.data, err);
    forget(&base64);
    return result;
}

static int parse_openssh(struct ssh_key *out, const char *text, struct error *err)
{
    struct strbuf body;
    strbuf_init(&body, SSH_KEY_FILE_MAX);
    if (decode_armour(text, &body, err) != 0) {
        strbuf_release(&body);
        return -1;
    }
    bool has_magic =
        body.length > sizeof MAGIC && memcmp(body.data, MAGIC, sizeof MAGIC) == 0;
    size_t start = has_magic ? sizeof MAGIC : body.length;
    struct ssh_reader reader = {(const uint8_t *)body.data + start, body.length - start,
                                false};
    struct ssh_bytes cipher = ssh_get_string(&reader);
    (void)ssh_get_string(&reader); /* how the passphrase becomes a key */
    (void)ssh_get_string(&reader);
    uint32_t count = ssh_get_u32(&reader);
    struct ssh_bytes blob = ssh_get_string(&reader);
    struct ssh_bytes inner = ssh_get_string(&reader);
    struct ssh_reader inside = {blob.data, blob.length, false};
    struct ssh_bytes kind = ssh_get_string(&inside);
    int result = 0;
    if (reader.is_broken || inside.is_broken || count != 1) {
        result = error_set(err, ERR_CORRUPT, "the private key is damaged");
    } else {
        out->is_openssh = true;
        out->is_encrypted = !ssh_bytes_are(cipher, "none");
        out->is_rsa = ssh_bytes_are(kind, "ssh-rsa");
        out->is_hardware = kind.length > 3 && memcmp(kind.data, "sk-", 3) == 0;
        (void)strbuf_add(&out->blob, blob.data, blob.length, NULL);
        (void)strbuf_add(&out->inner, inner.data, inner.length, NULL);
    }
    forget(&body);
    return result;
}

int ssh_key_parse(struct ssh_key *out, const char *text, size_t length, struct error *err)
{
    init(out);
    if (strbuf_add(&out->text, text, length, err) != 0) {
        return -1;
    }
    const char *begin = strstr(out->text.data, "-----BEGIN ");
    const char *armour = strstr(out->text.data, BEGIN_OPENSSH);
    if (armour != NULL) {
        return parse_openssh(out, armour, err);
    }
    if (begin == NULL || strstr(begin, "PRIVATE KEY-----") == NULL) {
        return error_set(err, ERR_CORRUPT, "it is no private key");
    }
    out->is_rsa = strstr(begin, "BEGIN RSA PRIVATE KEY") != NULL;
    out->is_encrypted = strstr(begin, "ENCRYPTED") != NULL;
    return 0;
}

int ssh_key_read(struct ssh_key *out, const char *path, struct error *err)
{
    struct stat st;
    struct strbuf text;
    init(out);
    strbuf_init(&text, SSH_KEY_FILE_MAX);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return error_sys(err, "open %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERR_CORRUPT, "%s: it is no file", path);
    }
    if (st.st_uid == getuid() && (st.st_mode & 077) != 0) {
        (void)error_set(err, ERR_ACCESS, "%s: others may read this private key", path);
        return error_hint(err, "chmod 600 %s", path);
    }
    int result = fdio_read_all(fd, path, &text, err);
    if (result == 0 && ssh_key_parse(out, text.data, text.length, err) != 0) {
        result = error_wrap(err, "%s", path);
    }
    forget(&text);
    return result;
}

void ssh_key_read_public(struct ssh_key *key, const char *path, bool is_private)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *beside = is_private ? xasprintf("%s.pub", path) : NULL;
    strbuf_init(&text, SSH_KEY_FILE_MAX);
    if (files_read(AT_FDCWD, beside != NULL ? beside : path, &text, NULL) != 0) {
        return;
    }
    char *base64 = text.data + strcspn(text.data, " \t\n");
    base64 += strspn(base64, " \t");
    base64[strcspn(base64, " \t\r\n")] = '\0';
    (void)bytes_from_base64(&key->blob, base64, NULL);
}

bool ssh_key_is_plain(struct ssh_bytes kind)
{
    static const char *const kinds[] = {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256",
                                        "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (ssh_bytes_are(kind, kinds[i])) {
            return true;
        }
    }
    return false;
}

bool ssh_key_has_certificate(const char *path)
{
    CLEANUP_FREE char *name = xasprintf("%s-cert.pub", path);
    return access(name, F_OK) == 0;
}
