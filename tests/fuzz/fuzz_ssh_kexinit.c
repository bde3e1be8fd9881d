/*
 * ssh_kexinit: whatever a server sends first, what is lacking in it is told in a short
 * text without a control character, or nothing is; what follows the offer does not change
 * that. The input is what the server sent.
 */
#include <stddef.h>

#include "controller/ssh_kexinit.h"
#include "fuzz.h"

#define TEXT_MAX 1000

static const char *const ours[SSH_KEX_LIST_COUNT] = {
    "curve25519-sha256,ecdh-sha2-nistp256", "ssh-ed25519",  "aes256-ctr", "aes256-ctr",
    "hmac-sha2-256,hmac-sha2-512",          "hmac-sha2-256"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf longer = STRBUF_INIT;
    if (!ssh_kexinit_lacking(data, size, ours, &text)) {
        assert(text.length == 0);
        return 0;
    }
    assert(text.length > 0 && text.length < TEXT_MAX);
    for (size_t i = 0; i < text.length; i++) {
        assert((unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f);
    }
    if (strbuf_add(&longer, data, size, NULL) == 0 &&
        strbuf_add(&longer, "\nSSH-2.0-x\n", 11, NULL) == 0) {
        assert(ssh_kexinit_lacking(longer.data, longer.length, ours, &again));
        assert(strcmp(text.data, again.data) == 0);
    }
    return 0;
}
