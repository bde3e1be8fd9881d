/*
 * pack: objects on their way, in self-contained archives.            [content]
 *
 * A pack is one zstd-compressed ustar archive of at most PACK_SIZE_MAX decompressed
 * bytes, headers counted; each entry is one object, named "content/<digest>",
 * "list/<digest>" or "tree/<digest>". It is built and read in memory, never on disk. A
 * pack is the unit of resume, of progress and of verification.
 */
#ifndef COMMON_PACK_H
#define COMMON_PACK_H

#include "common/mem.h"
#include "common/object.h"

#define PACK_SIZE_MAX ((size_t)8 << 20) /* decompressed */
#define PACK_WIRE_MAX                                                                    \
    (PACK_SIZE_MAX + 65536) /* compressed: what does not shrink grows by less than this  \
                             */
#define PACK_OBJECTS_MAX (PACK_SIZE_MAX / 512)

struct pack_builder;
struct pack_builder *pack_builder_new(void);
void pack_builder_free(struct pack_builder *b);
DEFINE_CLEANUP_FREE(pack_builder)
/* How hard the next packs are compressed, from the next first object on. */
enum pack_effort {
    PACK_SMALL, /* at first: where the link is what takes the time */
    PACK_FAST,  /* half the time, a sixth more bytes of text */
};
void pack_builder_set_effort(struct pack_builder *b, enum pack_effort effort);
/* True where an object of this many bytes still fits. An empty pack takes any object. */
bool pack_builder_fits(const struct pack_builder *b, size_t length);
bool pack_builder_is_empty(const struct pack_builder *b);
/* The object must fit. */
int pack_builder_add(struct pack_builder *b, enum object_kind kind, const struct oid *oid,
                     const void *body, size_t length, struct error *err);
/* Append the finished pack to out (limit at least PACK_WIRE_MAX); the builder is empty
 * again and usable. */
int pack_builder_finish(struct pack_builder *b, struct strbuf *out, struct error *err);

/*
 * Decode a whole pack and put each object, verified against its name, into sink. Errors:
 * ERR_CORRUPT (not a pack, an entry of another kind or name, a digest that is wrong,
 * trailing bytes), ERR_LIMIT (more than PACK_SIZE_MAX decompressed), or the sink's.
 * Objects before the bad one were put.
 */
int pack_read(const void *data, size_t length, const struct object_sink *sink,
              struct error *err);

#endif
