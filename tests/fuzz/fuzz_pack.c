/*
 * fuzz_pack: any bytes as a pack, or as the archive in one.
 *
 * The first byte chooses: 'p': what follows is a pack; anything else: what follows is put
 * into a zstd frame of uncompressed blocks, so that the archive's reader is reached. What
 * is put has the name that it claims.
 */
#include <assert.h>
#include <string.h>

#include "common/bytes.h"
#include "common/pack.h"

#define BLOCK_MAX ((size_t)128 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(void *context, enum object_kind kind, const struct oid *oid,
                 const void *body, size_t length, struct error *err)
{
    struct oid name;

    (void)context;
    (void)err;
    assert(length <= OBJECT_SIZE_MAX);
    oid_of(kind, body, length, &name);
    assert(oid_equal(&name, oid));
    return 0;
}

static void read_pack(const void *data, size_t size)
{
    const struct object_sink sink = {.put = check};
    struct error err = ERROR_INIT;

    if (pack_read(data, size, &sink, &err) < 0) {
        assert(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
    } else {
        assert(err.code == ERR_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50};
    CLEANUP_STRBUF struct strbuf frame = STRBUF_INIT;

    if (size == 0 || data[0] == 'p') {
        read_pack(data + (size > 0), size - (size > 0));
        return 0;
    }
    data++;
    size--;
    (void)strbuf_add(&frame, head, sizeof(head), NULL);
    do {
        size_t length = size < BLOCK_MAX ? size : BLOCK_MAX;
        uint8_t block[4];

        bytes_put_u32(block, (uint32_t)(length << 3 | (length == size)));
        (void)strbuf_add(&frame, block, 3, NULL);
        (void)strbuf_add(&frame, data, length, NULL);
        data += length;
        size -= length;
    } while (size > 0);
    read_pack(frame.data, frame.length);
    return 0;
}
