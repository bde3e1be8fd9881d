#include "common/chunk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define LIST_VERSION 1
#define HEAD_SIZE ((size_t)16)
#define ENTRY_SIZE ((size_t)40)
#define ENTRIES_MAX ((CHUNK_LIST_MAX - HEAD_SIZE) / ENTRY_SIZE)
/* Bytes of entries before a part may be cut by content. */
#define PART_MIN ((size_t)64 << 10)
#define PART_MASK UINT32_C(0xfff)
/* No file is larger (tree.h: TREE_FILE_SIZE_MAX); also keeps every sum far from
 * overflow. */
#define FILE_SIZE_MAX (UINT64_C(1) << 50)

/* Xia et al., section 3.4: below the average more bits must be zero than above it. */
#define MASK_BEFORE_AVERAGE UINT64_C(0xfffffc0000000000)
#define MASK_FROM_AVERAGE UINT64_C(0xffffc00000000000)
/* The fingerprint is shifted by one bit a byte: older bytes have left it. */
#define WINDOW ((size_t)64)

static const uint64_t gear[256] = {
#include "common/chunk_gear.def"
};

/* Go on from the fingerprint *h at byte i until a cut or end; the chunk's length, or 0.
 */
static size_t scan(const uint8_t *data, size_t i, size_t end, uint64_t mask, uint64_t *h)
{
    uint64_t fingerprint = *h;

    for (; i < end; i++) {
        fingerprint = (fingerprint << 1) + gear[data[i]];
        if ((fingerprint & mask) == 0) {
            return i + 1;
        }
    }
    *h = fingerprint;
    return 0;
}

size_t chunk_cut(const uint8_t *data, size_t length)
{
    size_t end = length < CHUNK_MAX ? length : CHUNK_MAX;
    size_t average = end < CHUNK_AVERAGE ? end : CHUNK_AVERAGE;
    uint64_t h = 0;
    size_t cut;

    if (length <= CHUNK_MIN) {
        return length;
    }
    for (size_t i = CHUNK_MIN - WINDOW; i < CHUNK_MIN - 1; i++) {
        h = (h << 1) + gear[data[i]];
    }
    /* Byte i ends a chunk of i + 1 bytes, which is below the average for i < average - 1.
     */
    cut = scan(data, CHUNK_MIN - 1, average - 1, MASK_BEFORE_AVERAGE, &h);
    if (cut == 0) {
        cut = scan(data, average - 1, end, MASK_FROM_AVERAGE, &h);
    }
    return cut > 0 ? cut : end;
}

struct chunk_list_writer {
    struct chunk_list_entry *entries;
    size_t count, capacity;
};

struct chunk_list_writer *chunk_list_writer_new(void)
{
    return xcalloc(1, sizeof(struct chunk_list_writer));
}

void chunk_list_writer_free(struct chunk_list_writer *w)
{
    if (w) {
        free(w->entries);
        free(w);
    }
}

static void append(struct chunk_list_writer *w, const struct oid *oid,
                   uint64_t size_bytes)
{
    if (w->count == w->capacity) {
        w->capacity = w->capacity > 0 ? w->capacity * 2 : 64;
        w->entries = xrealloc(w->entries, w->capacity, sizeof(*w->entries));
    }
    w->entries[w->count++] =
        (struct chunk_list_entry){.oid = *oid, .size_bytes = size_bytes};
}

void chunk_list_writer_add(struct chunk_list_writer *w, const struct oid *chunk,
                           size_t length)
{
    assert(length > 0 && length <= CHUNK_MAX);
    append(w, chunk, length);
}

/* How many of the entries the first part takes. */
static size_t cut_part(const struct chunk_list_entry *entries, size_t count)
{
    size_t i;

    for (i = 0; i < count && i < ENTRIES_MAX; i++) {
        if ((i + 1) * ENTRY_SIZE >= PART_MIN &&
            (bytes_get_u32(entries[i].oid.digest) & PART_MASK) == 0) {
            return i + 1;
        }
    }
    return i;
}

/* Write one body and its name. */
static int put_body(const struct chunk_list_entry *entries, size_t count, unsigned level,
                    const struct object_sink *sink, struct chunk_list_entry *out,
                    struct error *err)
{
    size_t length = HEAD_SIZE + count * ENTRY_SIZE;
    CLEANUP_FREE uint8_t *body = xmalloc(length);
    uint8_t *at = body + HEAD_SIZE;
    uint64_t size_bytes = 0;

    for (size_t i = 0; i < count; i++, at += ENTRY_SIZE) {
        memcpy(at, entries[i].oid.digest, OID_SIZE);
        bytes_put_u64(at + OID_SIZE, entries[i].size_bytes);
        size_bytes += entries[i].size_bytes;
    }
    body[0] = LIST_VERSION;
    body[1] = (uint8_t)level;
    bytes_put_u16(body + 2, 0);
    bytes_put_u32(body + 4, (uint32_t)count);
    bytes_put_u64(body + 8, size_bytes);
    out->size_bytes = size_bytes;
    oid_of(OBJECT_LIST, body, length, &out->oid);
    return sink->put(sink->context, OBJECT_LIST, &out->oid, body, length, err);
}

/* Replace the entries by the names of the parts that hold them. */
static int cut_level(struct chunk_list_writer *w, unsigned level,
                     const struct object_sink *sink, struct error *err)
{
    size_t done = 0, parts = 0;

    while (done < w->count) {
        size_t taken = cut_part(w->entries + done, w->count - done);
        struct chunk_list_entry part;

        if (put_body(w->entries + done, taken, level, sink, &part, err) < 0) {
            return -1;
        }
        /* There are never more parts than entries already read. */
        w->entries[parts++] = part;
        done += taken;
    }
    w->count = parts;
    return 0;
}

int chunk_list_writer_finish(struct chunk_list_writer *w, const struct object_sink *sink,
                             struct oid *out, struct error *err)
{
    struct chunk_list_entry root;
    unsigned level;

    assert(w->count > 0);
    for (level = 0; w->count > ENTRIES_MAX; level++) {
        if (level == CHUNK_LEVEL_MAX) {
            return error_set(err, ERR_LIMIT, "a file of too many chunks");
        }
        if (cut_level(w, level, sink, err) < 0) {
            return -1;
        }
    }
    if (put_body(w->entries, w->count, level, sink, &root, err) < 0) {
        return -1;
    }
    *out = root.oid;
    return 0;
}

void chunk_list_entry_at(const struct chunk_list *list, size_t i,
                         struct chunk_list_entry *out)
{
    const uint8_t *at = list->entries + i * ENTRY_SIZE;

    assert(i < list->count);
    memcpy(out->oid.digest, at, OID_SIZE);
    out->size_bytes = bytes_get_u64(at + OID_SIZE);
}

/* Check every entry and that the sizes add up. */
static int check_entries(const struct chunk_list *list, struct error *err)
{
    uint64_t limit = list->level == 0 ? CHUNK_MAX : FILE_SIZE_MAX;
    uint64_t sum = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct chunk_list_entry entry;

        chunk_list_entry_at(list, i, &entry);
        if (entry.size_bytes == 0 || entry.size_bytes > limit) {
            return error_set(err, ERR_CORRUPT, "chunk list: entry %zu has a wrong size",
                             i);
        }
        sum += entry.size_bytes;
        if (sum > FILE_SIZE_MAX) {
            return error_set(err, ERR_CORRUPT, "chunk list: a file that cannot be");
        }
    }
    if (sum != list->size_bytes) {
        return error_set(err, ERR_CORRUPT, "chunk list: the sizes do not add up");
    }
    return 0;
}

int chunk_list_decode(const void *body, size_t length, struct chunk_list *out,
                      struct error *err)
{
    const uint8_t *bytes = body;
    struct chunk_list list;

    if (length < HEAD_SIZE || length > CHUNK_LIST_MAX) {
        return error_set(err, ERR_CORRUPT, "chunk list: %zu bytes", length);
    }
    if (bytes[0] != LIST_VERSION) {
        return error_set(err, ERR_CORRUPT, "chunk list: version %u is not known",
                         bytes[0]);
    }
    list = (struct chunk_list){
        .level = bytes[1],
        .size_bytes = bytes_get_u64(bytes + 8),
        .count = bytes_get_u32(bytes + 4),
        .entries = bytes + HEAD_SIZE,
    };
    if (list.level > CHUNK_LEVEL_MAX || bytes_get_u16(bytes + 2) != 0 ||
        list.count == 0 || list.count > ENTRIES_MAX ||
        length != HEAD_SIZE + list.count * ENTRY_SIZE) {
        return error_set(err, ERR_CORRUPT, "chunk list: its head is wrong");
    }
    if (check_entries(&list, err) < 0) {
        return -1;
    }
    *out = list;
    return 0;
}

struct visit {
    const struct object_source *source;
    chunk_visitor *visit;
    void *context;
    uint64_t offset, size_bytes;
};

static int visit_chunks(struct visit *v, const struct chunk_list *list, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        struct chunk_list_entry entry;

        chunk_list_entry_at(list, i, &entry);
        /* Only a file's last chunk is short; so a list cannot claim endless tiny ones. */
        if (entry.size_bytes < CHUNK_MIN &&
            v->offset + entry.size_bytes != v->size_bytes) {
            return error_set(err, ERR_CORRUPT, "chunk list: a chunk is too small");
        }
        if (v->visit(v->context, &entry.oid, v->offset, (size_t)entry.size_bytes, err) <
            0) {
            return -1;
        }
        v->offset += entry.size_bytes;
    }
    return 0;
}

static int load(const struct object_source *source, const struct chunk_list_entry *want,
                struct strbuf *body, struct chunk_list *out, struct error *err)
{
    char hex[OID_HEX_SIZE];

    oid_to_hex(&want->oid, hex);
    if (source->get(source->context, OBJECT_LIST, &want->oid, body, err) < 0) {
        return error_wrap(err, "chunk list %s", hex);
    }
    if (chunk_list_decode(body->data, body->length, out, err) < 0) {
        return error_wrap(err, "%s", hex);
    }
    if (out->size_bytes != want->size_bytes) {
        return error_set(err, ERR_CORRUPT, "chunk list %s: another size than expected",
                         hex);
    }
    return 0;
}

/* level: what the parent demands, or -1 for the root. Recurses at most CHUNK_LEVEL_MAX
 * deep. */
static int visit_list(struct visit *v, const struct chunk_list_entry *want, int level,
                      struct error *err)
{
    CLEANUP_STRBUF struct strbuf body;
    struct chunk_list list;

    strbuf_init(&body, OBJECT_SIZE_MAX);
    if (load(v->source, want, &body, &list, err) < 0) {
        return -1;
    }
    if (level < 0 ? (list.level > 0 && list.count < 2)
                  : (list.level != (unsigned)level)) {
        return error_set(err, ERR_CORRUPT, "chunk list: a part of a wrong level");
    }
    if (list.level == 0) {
        return visit_chunks(v, &list, err);
    }
    for (size_t i = 0; i < list.count; i++) {
        struct chunk_list_entry part;

        chunk_list_entry_at(&list, i, &part);
        if (visit_list(v, &part, (int)list.level - 1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int chunk_list_visit(const struct object_source *source, const struct oid *list,
                     uint64_t size_bytes, chunk_visitor *visit, void *context,
                     struct error *err)
{
    struct chunk_list_entry root = {.oid = *list, .size_bytes = size_bytes};
    struct visit v = {.source = source,
                      .visit = visit,
                      .context = context,
                      .offset = 0,
                      .size_bytes = size_bytes};

    if (size_bytes <= OBJECT_SIZE_MAX) {
        return error_set(err, ERR_CORRUPT, "chunk list: for a file that needs none");
    }
    return visit_list(&v, &root, -1, err);
}
