/*
 * fuzz_chunk_list: any bytes as a chunk list's body.
 *
 * What decodes can be walked without a look at a bound; and level 0 written again gives
 * the same bytes: there is one list for one file.
 */
#include <assert.h>
#include <string.h>

#include "common/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct same {
    const uint8_t *data;
    size_t size;
};

static int compare(void *context, enum object_kind kind, const struct oid *oid,
                   const void *body, size_t length, struct error *err)
{
    const struct same *same = context;

    (void)oid;
    (void)err;
    assert(kind == OBJECT_LIST);
    assert(length == same->size && memcmp(body, same->data, length) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(chunk_list_writer_cleanup)
    struct chunk_list_writer *writer = chunk_list_writer_new();
    struct same same = {.data = data, .size = size};
    const struct object_sink sink = {.put = compare, .context = &same};
    struct error err = ERROR_INIT;
    struct chunk_list list;
    uint64_t sum = 0;
    struct oid oid;
    int result;

    if (chunk_list_decode(data, size, &list, &err) < 0) {
        assert(err.code == ERR_CORRUPT);
        return 0;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct chunk_list_entry entry;

        chunk_list_entry_at(&list, i, &entry);
        sum += entry.size_bytes;
        if (list.level == 0) {
            chunk_list_writer_add(writer, &entry.oid, (size_t)entry.size_bytes);
        }
    }
    assert(sum == list.size_bytes);
    if (list.level == 0) {
        result = chunk_list_writer_finish(writer, &sink, &oid, NULL);
        assert(result == 0);
    }
    return 0;
}
