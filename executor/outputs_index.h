/*
 * outputs_index: the bytes of outputs.index (FORMATS.md 4.8), for outputs' two halves.
 * [executor]
 */
#ifndef EXECUTOR_OUTPUTS_INDEX_H
#define EXECUTOR_OUTPUTS_INDEX_H

#include "common/oid.h"

#define OUTPUTS_INDEX_MAGIC "ERNDIDX1"
#define OUTPUTS_HEAD_SIZE 24
#define OUTPUTS_ENTRY_SIZE 56

struct outputs_entry {
    struct oid oid;
    uint64_t path_offset; /* in the paths */
    uint64_t offset;      /* of the body in its file */
    uint32_t length;      /* of the body */
    uint32_t path_length; /* 0: the file is outputs.objects */
};

#endif
