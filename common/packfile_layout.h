/*
 * packfile_layout: where things are in a pack file (FORMATS.md).            [content]
 *
 * packfile.c reads what packfile_write.c writes.
 */
#ifndef COMMON_PACKFILE_LAYOUT_H
#define COMMON_PACKFILE_LAYOUT_H

#include "common/oid.h"

/* At both ends of the file. */
#define PACKFILE_MAGIC "ERNDPCK1"
#define PACKFILE_HEAD_SIZE ((size_t)8)

/* An entry: digest, u64 offset, u32 length, u8 state, three zeros. */
#define PACKFILE_OFFSET_AT OID_SIZE
#define PACKFILE_LENGTH_AT (PACKFILE_OFFSET_AT + 8)
#define PACKFILE_STATE_AT (PACKFILE_LENGTH_AT + 4)
#define PACKFILE_ENTRY_SIZE ((size_t)48)

/* For each value of a digest's first byte the number of entries up to it, u32. */
#define PACKFILE_FAN 256
#define PACKFILE_FAN_SIZE ((size_t)4 * PACKFILE_FAN)

/* u64 count, u64 offset of the index, the magic bytes. */
#define PACKFILE_TAIL_SIZE ((size_t)16 + PACKFILE_HEAD_SIZE)

#endif
