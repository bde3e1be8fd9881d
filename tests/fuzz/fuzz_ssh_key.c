/*
 * ssh_key, ssh_rsa: a private key's file is read or refused with a sentence; what is
 * known of it agrees with the public key in it, and an RSA key that can be built has a
 * public key and signs. The input is the file.
 */
#include <stddef.h>

#include "controller/ssh_key.h"
#include "controller/ssh_rsa.h"
#include "controller/ssh_wire.h"
#include "fuzz.h"

static void check_blob(const struct ssh_key *key)
{
    struct ssh_reader reader = {(const uint8_t *)key->blob.data, key->blob.length, false};
    struct ssh_bytes kind = ssh_get_string(&reader);
    CLEANUP_STRBUF struct strbuf offered = STRBUF_INIT;
    assert(!reader.is_broken);
    assert(key->is_rsa == ssh_bytes_are(kind, "ssh-rsa"));
    assert(!key->is_hardware || !ssh_key_is_plain(kind));
    assert(ssh_put_key_for_signing(&offered, key->blob.data, key->blob.length, NULL) ==
           0);
    assert(offered.length == key->blob.length + (key->is_rsa ? 5 : 0));
}

static void check_rsa(const struct ssh_rsa *rsa)
{
    CLEANUP_STRBUF struct strbuf blob = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf signature = STRBUF_INIT;
    if (ssh_rsa_blob(rsa, &blob, NULL) == 0) {
        struct ssh_reader reader = {(const uint8_t *)blob.data, blob.length, false};
        assert(ssh_bytes_are(ssh_get_string(&reader), "ssh-rsa"));
        (void)ssh_get_string(&reader);
        (void)ssh_get_string(&reader);
        assert(!reader.is_broken && reader.left == 0);
    }
    struct error err = ERROR_INIT;
    if (ssh_rsa_sign(rsa, "what is signed", 14, &signature, &err) != 0) {
        fuzz_check_error(&err);
        assert(signature.length == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ssh_key key;
    struct error err = ERROR_INIT;
    if (ssh_key_parse(&key, (const char *)data, size, &err) != 0) {
        fuzz_check_error(&err);
    } else {
        assert(key.text.length == size && size <= SSH_KEY_FILE_MAX);
        if (key.is_openssh) {
            check_blob(&key);
        }
        CLEANUP(ssh_rsa_cleanup) struct ssh_rsa *rsa = ssh_rsa_new(&key, "words", &err);
        if (rsa != NULL) {
            check_rsa(rsa);
        } else {
            fuzz_check_error(&err);
        }
    }
    ssh_key_release(&key);
    return 0;
}
