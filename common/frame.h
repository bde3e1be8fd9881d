/*
 * frame: the unit of the wire.            [wire]
 *
 *     u32 length · u8 type · u8 flags · u16 zero · u32 stream, little-endian, then length
 * bytes of payload
 *
 * See PROTOCOL.md, "Frames". Only the header's shape is judged here; message.h knows what
 * may come.
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_SIZE 12
#define FRAME_DATA_MAX (64u << 10)
#define FRAME_CONTROL_MAX (1u << 20)

/* DATA: the last frame of a pack, or of a list of digests. */
#define FRAME_FLAG_LAST 1u

struct frame_header {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
};

/* Write the header's bytes. */
void frame_encode(uint8_t out[FRAME_HEADER_SIZE], const struct frame_header *header);
/* Errors: ERR_PROTOCOL (reserved bits set, length over FRAME_CONTROL_MAX). */
int frame_decode(const uint8_t in[FRAME_HEADER_SIZE], struct frame_header *out,
                 struct error *err);

#endif
