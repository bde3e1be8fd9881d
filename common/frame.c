#include "common/frame.h"

#include "common/bytes.h"

/* Where each field lies in the header (PROTOCOL.md, "Frames"). */
enum {
    AT_LENGTH = 0,
    AT_TYPE = 4,
    AT_FLAGS = 5,
    AT_ZERO = 6,
    AT_STREAM = 8,
};

void frame_encode(uint8_t out[FRAME_HEADER_SIZE], const struct frame_header *header)
{
    bytes_put_u32(out + AT_LENGTH, header->length);
    out[AT_TYPE] = header->type;
    out[AT_FLAGS] = header->flags;
    bytes_put_u16(out + AT_ZERO, 0);
    bytes_put_u32(out + AT_STREAM, header->stream);
}

int frame_decode(const uint8_t in[FRAME_HEADER_SIZE], struct frame_header *out,
                 struct error *err)
{
    struct frame_header header = {
        .length = bytes_get_u32(in + AT_LENGTH),
        .type = in[AT_TYPE],
        .flags = in[AT_FLAGS],
        .stream = bytes_get_u32(in + AT_STREAM),
    };

    if (bytes_get_u16(in + AT_ZERO) != 0 || (header.flags & ~FRAME_FLAG_LAST) != 0) {
        return error_set(err, ERR_PROTOCOL, "a frame has bits set that mean nothing");
    }
    if (header.length > FRAME_CONTROL_MAX) {
        return error_set(err, ERR_PROTOCOL, "a frame of %u bytes is longer than %u",
                         (unsigned)header.length, FRAME_CONTROL_MAX);
    }
    *out = header;
    return 0;
}
