#include "controller/ssh_wire.h"

#include <string.h>

static const uint8_t *take(struct ssh_reader *reader, size_t length)
{
    if (reader->is_broken || reader->left < length) {
        reader->is_broken = true;
        return NULL;
    }
    const uint8_t *data = reader->data;
    reader->data += length;
    reader->left -= length;
    return data;
}

uint8_t ssh_get_u8(struct ssh_reader *reader)
{
    const uint8_t *data = take(reader, 1);
    return data != NULL ? data[0] : 0;
}

uint32_t ssh_get_u32(struct ssh_reader *reader)
{
    const uint8_t *data = take(reader, 4);
    return data == NULL ? 0
                        : (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
                              (uint32_t)data[2] << 8 | data[3];
}

struct ssh_bytes ssh_get_string(struct ssh_reader *reader)
{
    size_t length = ssh_get_u32(reader);
    const uint8_t *data = take(reader, length);
    return data != NULL ? (struct ssh_bytes){data, length}
                        : (struct ssh_bytes){(const uint8_t *)"", 0};
}

bool ssh_bytes_are(struct ssh_bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && memcmp(bytes.data, text, bytes.length) == 0;
}

int ssh_put_u32(struct strbuf *out, uint32_t value, struct error *err)
{
    const uint8_t data[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                             (uint8_t)(value >> 8), (uint8_t)value};
    return strbuf_add(out, data, sizeof data, err);
}

int ssh_put_string(struct strbuf *out, const void *data, size_t length, struct error *err)
{
    if (length > UINT32_MAX) {
        return error_set(err, ERR_LIMIT, "a string of SSH is too long");
    }
    if (ssh_put_u32(out, (uint32_t)length, err) != 0) {
        return -1;
    }
    if (strbuf_add(out, data, length, err) != 0) {
        strbuf_truncate(out, out->length - 4);
        return -1;
    }
    return 0;
}

int ssh_put_key_for_signing(struct strbuf *out, const void *blob, size_t length,
                            struct error *err)
{
    static const char rsa_name[] = "rsa-sha2-512";
    struct ssh_reader reader = {blob, length, false};
    if (!ssh_bytes_are(ssh_get_string(&reader), "ssh-rsa")) {
        return strbuf_add(out, blob, length, err);
    }
    return ssh_put_string(out, rsa_name, strlen(rsa_name), err) == 0
               ? strbuf_add(out, reader.data, reader.left, err)
               : -1;
}
