/*
 * pack_frame: is this one zstd frame, and how much memory will it ask for? [content]
 *
 * Looks at the frame's own structure (RFC 8878 section 3.1.1) without decompressing:
 * libarchive alone would take several frames, skippable frames and whatever follows, and
 * allocate whatever window (up to 128 MiB) a head names.
 */
#ifndef COMMON_PACK_FRAME_H
#define COMMON_PACK_FRAME_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/* data is exactly one frame, without a dictionary, whose window is at most window_max
 * bytes. Errors: ERR_CORRUPT, ERR_LIMIT (window). */
int pack_frame_check(const uint8_t *data, size_t length, uint64_t window_max,
                     struct error *err);

#endif
