#include "common/pack_frame.h"

#include <stdbool.h>

#include "common/bytes.h"

#define MAGIC UINT32_C(0xfd2fb528)
#define BLOCK_HEAD_SIZE ((size_t)3)
#define BLOCK_SIZE_MAX ((size_t)128 << 10)
#define CHECKSUM_SIZE ((size_t)4)

/* RFC 8878 section 3.1.1.1: the frame's head, taken apart. */
struct frame_head {
    size_t length; /* with the magic number */
    uint64_t window;
    bool has_checksum;
};

enum block_type { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };

static int cut_off(struct error *err)
{
    return error_set(err, ERR_CORRUPT, "pack: cut off");
}

/* Frame_Content_Size of 1, 2, 4 or 8 bytes; two bytes count from 256. */
static uint64_t content_size(const uint8_t *at, size_t width)
{
    switch (width) {
    case 1:
        return at[0];
    case 2:
        return (uint64_t)bytes_get_u16(at) + 256;
    case 4:
        return bytes_get_u32(at);
    default:
        return bytes_get_u64(at);
    }
}

/* Window_Descriptor: an exponent and eighths of it. */
static uint64_t window_size(uint8_t descriptor)
{
    uint64_t base = UINT64_C(1) << (10 + (descriptor >> 3));

    return base + base / 8 * (descriptor & 7);
}

static int read_head(const uint8_t *data, size_t length, struct frame_head *out,
                     struct error *err)
{
    static const uint8_t size_widths[] = {0, 2, 4, 8};
    uint8_t descriptor;
    bool is_single;
    size_t width;

    if (length < 6 || bytes_get_u32(data) != MAGIC) {
        return error_set(err, ERR_CORRUPT, "pack: not a zstd frame");
    }
    descriptor = data[4];
    is_single = (descriptor & 0x20) != 0;
    if ((descriptor & 0x0b) != 0) {
        return error_set(err, ERR_CORRUPT, "pack: a reserved bit or a dictionary");
    }
    width = size_widths[descriptor >> 6];
    if (is_single && width == 0) {
        width = 1;
    }
    out->length = 5 + (is_single ? 0 : 1) + width;
    out->has_checksum = (descriptor & 0x04) != 0;
    if (out->length > length) {
        return cut_off(err);
    }
    out->window = is_single ? content_size(data + 5, width) : window_size(data[5]);
    return 0;
}

int pack_frame_check(const uint8_t *data, size_t length, uint64_t window_max,
                     struct error *err)
{
    struct frame_head head = {.length = 0};
    bool is_last = false;
    size_t at;

    if (read_head(data, length, &head, err) < 0) {
        return -1;
    }
    if (head.window > window_max) {
        return error_set(err, ERR_LIMIT, "pack: wants a window of %llu bytes",
                         (unsigned long long)head.window);
    }
    for (at = head.length; !is_last;) {
        uint32_t block;
        size_t size;

        if (length - at < BLOCK_HEAD_SIZE) {
            return cut_off(err);
        }
        block = data[at] | (uint32_t)data[at + 1] << 8 | (uint32_t)data[at + 2] << 16;
        at += BLOCK_HEAD_SIZE;
        is_last = (block & 1) != 0;
        size = block >> 3;
        if ((block >> 1 & 3) == BLOCK_RESERVED || size > BLOCK_SIZE_MAX) {
            return error_set(err, ERR_CORRUPT, "pack: a block that cannot be");
        }
        size = (block >> 1 & 3) == BLOCK_RLE ? 1 : size;
        if (length - at < size) {
            return cut_off(err);
        }
        at += size;
    }
    if (length - at != (head.has_checksum ? CHECKSUM_SIZE : 0)) {
        return error_set(err, ERR_CORRUPT, "pack: bytes behind its end");
    }
    return 0;
}
