#include "controller/ssh_kexinit.h"

#include "controller/ssh_wire.h"
#include "controller/terminal.h"

#include <string.h>

#define MSG_KEXINIT 20
#define COOKIE_SIZE 16
#define SHOWN_MAX 200

/* The server's first packet: behind the line that begins with "SSH-". */
static bool find_packet(const char *data, size_t length, struct ssh_reader *out)
{
    while (length > 0) {
        const char *newline = memchr(data, '\n', length);
        if (newline == NULL) {
            return false;
        }
        bool is_banner = length >= 4 && memcmp(data, "SSH-", 4) == 0;
        length -= (size_t)(newline + 1 - data);
        data = newline + 1;
        if (is_banner) {
            *out = (struct ssh_reader){(const uint8_t *)data, length, false};
            return true;
        }
    }
    return false;
}

static bool list_has(struct ssh_bytes list, const char *name, size_t length)
{
    const char *at = (const char *)list.data;
    size_t left = list.length;
    while (left > 0) {
        const char *comma = memchr(at, ',', left);
        size_t size = comma != NULL ? (size_t)(comma - at) : left;
        if (size == length && memcmp(at, name, length) == 0) {
            return true;
        }
        size += comma != NULL ? 1 : 0;
        at += size;
        left -= size;
    }
    return false;
}

static bool is_shared(struct ssh_bytes theirs, const char *ours)
{
    while (*ours != '\0') {
        size_t length = strcspn(ours, ",");
        if (length > 0 && list_has(theirs, ours, length)) {
            return true;
        }
        ours += length;
        ours += *ours == ',' ? 1 : 0;
    }
    return false;
}

bool ssh_kexinit_lacking(const void *greeting, size_t length,
                         const char *const ours[SSH_KEX_LIST_COUNT], struct strbuf *out)
{
    static const char *const names[SSH_KEX_LIST_COUNT] = {
        "key exchanges", "kinds of host key", "ciphers", "ciphers", "MACs", "MACs"};
    struct ssh_reader reader;
    if (!find_packet(greeting, length, &reader)) {
        return false;
    }
    (void)ssh_get_u32(&reader); /* the packet's length: what of it came is what counts */
    (void)ssh_get_u8(&reader);
    bool is_offer = ssh_get_u8(&reader) == MSG_KEXINIT;
    for (int i = 0; i < COOKIE_SIZE; i++) {
        (void)ssh_get_u8(&reader);
    }
    for (int i = 0; i < SSH_KEX_LIST_COUNT && is_offer; i++) {
        struct ssh_bytes theirs = ssh_get_string(&reader);
        if (reader.is_broken) {
            return false;
        }
        if (!is_shared(theirs, ours[i])) {
            strbuf_printf(out, "%s (the server offers only ", names[i]);
            terminal_make_safe(
                theirs.data, theirs.length < SHOWN_MAX ? theirs.length : SHOWN_MAX, out);
            strbuf_puts(out, ")");
            return true;
        }
    }
    return false;
}
