/*
 * fuzz_tree: any bytes as a tree's body.
 *
 * What decodes can be walked without a look at a bound; and level 0 written again gives
 * the same bytes: there is one body for one folder.
 */
#include <assert.h>
#include <string.h>

#include "common/tree.h"

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
    assert(kind == OBJECT_TREE);
    assert(length == same->size && memcmp(body, same->data, length) == 0);
    return 0;
}

static void write_again(struct tree *tree, struct same *same)
{
    CLEANUP(tree_writer_cleanup) struct tree_writer *writer = tree_writer_new();
    const struct object_sink sink = {.put = compare, .context = same};
    struct tree_entry entry;
    uint64_t size_bytes;
    struct oid oid;
    int result;

    while (tree_next(tree, &entry)) {
        result = tree_writer_add(writer, &entry, NULL);
        assert(result == 0);
    }
    result = tree_writer_finish(writer, &sink, &oid, &size_bytes, NULL);
    assert(result == 0 && size_bytes == tree->size_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct same same = {.data = data, .size = size};
    struct error err = ERROR_INIT;
    struct tree_part part;
    uint64_t sum = 0;
    struct tree tree;

    if (tree_decode(data, size, &tree, &err) < 0) {
        assert(err.code == ERR_CORRUPT);
        return 0;
    }
    if (tree.level == 0) {
        write_again(&tree, &same);
        return 0;
    }
    while (tree_next_part(&tree, &part)) {
        sum += part.size_bytes;
    }
    assert(sum == tree.size_bytes);
    return 0;
}
