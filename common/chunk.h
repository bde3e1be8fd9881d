/*
 * chunk: large files as lists of content-defined chunks.            [content]
 *
 * A file up to OBJECT_SIZE_MAX is one content object. A larger one is always cut into
 * chunks by FastCDC with normalisation (Xia et al., USENIX ATC 2016): 256 KiB / 1 MiB / 4
 * MiB. The parameters and the gear table are part of format 1 (FORMATS.md), so that a
 * file has one name for ever. The list of chunks is an object of kind list; above
 * CHUNK_LIST_MAX its body is in turn a list of parts, cut by content, up to
 * CHUNK_LEVEL_MAX levels.
 */
#ifndef COMMON_CHUNK_H
#define COMMON_CHUNK_H

#include "common/mem.h"
#include "common/object.h"

#define CHUNK_MIN ((size_t)256 << 10)
#define CHUNK_AVERAGE ((size_t)1 << 20)
#define CHUNK_MAX OBJECT_SIZE_MAX
#define CHUNK_LIST_MAX ((size_t)1 << 20)
#define CHUNK_LEVEL_MAX 3

/*
 * The length of the first chunk of data. length must reach CHUNK_MAX, or data must go to
 * the end of the file. 1 .. CHUNK_MAX, for length > 0. Looks at nothing behind the
 * chunk's end.
 */
size_t chunk_cut(const uint8_t *data, size_t length);

/* Collects the chunks of one file, in order, and makes the list object or objects. */
struct chunk_list_writer;
struct chunk_list_writer *chunk_list_writer_new(void);
void chunk_list_writer_free(struct chunk_list_writer *w);
DEFINE_CLEANUP_FREE(chunk_list_writer)
void chunk_list_writer_add(struct chunk_list_writer *w, const struct oid *chunk,
                           size_t length);
/* Write the objects, parts first; *out names the list. Errors: the sink's. */
int chunk_list_writer_finish(struct chunk_list_writer *w, const struct object_sink *sink,
                             struct oid *out, struct error *err);

/* One decoded body of kind list: either chunks (level 0) or further lists. */
struct chunk_list {
    unsigned level;
    uint64_t size_bytes; /* of the file, or of the part of it */
    size_t count;
    const uint8_t *entries; /* borrowed from body */
};
struct chunk_list_entry {
    struct oid oid;      /* kind content at level 0, else kind list */
    uint64_t size_bytes; /* at level 0: 1 .. CHUNK_MAX */
};
/* Check and decode; out borrows body. Errors: ERR_CORRUPT. Every sum and bound is checked
 * here. */
int chunk_list_decode(const void *body, size_t length, struct chunk_list *out,
                      struct error *err);
void chunk_list_entry_at(const struct chunk_list *list, size_t i,
                         struct chunk_list_entry *out);

/*
 * Visit the chunks of the file in order. visit returns 0 to go on, -1 (with err) to stop.
 * size_bytes is what the tree says of the file; a list that says otherwise is
 * ERR_CORRUPT.
 */
typedef int chunk_visitor(void *context, const struct oid *chunk, uint64_t offset,
                          size_t length, struct error *err);
int chunk_list_visit(const struct object_source *source, const struct oid *list,
                     uint64_t size_bytes, chunk_visitor *visit, void *context,
                     struct error *err);

#endif
