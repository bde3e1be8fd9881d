/*
 * ssh_agent: an answer of the agent is read whole or refused; what is read lies within
 * the bounds, and a signature is the very bytes that came.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "controller/ssh_agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ssh_agent_keys keys;
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf signature = STRBUF_INIT;
    if (ssh_agent_read_keys(data, size, &keys, &err) == 0) {
        size_t total = 0;
        assert(keys.count <= SSH_AGENT_KEYS_MAX);
        for (size_t i = 0; i < keys.count; i++) {
            total += keys.items[i].blob_length;
        }
        assert(total < size);
        ssh_agent_keys_release(&keys);
    } else {
        assert(keys.items == NULL && err.text[0] != '\0');
    }
    if (ssh_agent_read_signature(data, size, &signature, NULL) == 0) {
        assert(signature.length + 5 == size);
        assert(memcmp(signature.data, data + 5, signature.length) == 0);
    } else {
        assert(signature.length == 0);
    }
    return 0;
}
