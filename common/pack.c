#include "common/pack.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pack_frame.h"
#include "common/tar.h"

/* zstd's levels up to 19 use at most 8 MiB; what a builder of ours writes needs 2. */
#define WINDOW_MAX ((uint64_t)8 << 20)
#define NAME_SIZE (sizeof("content/") + OID_HEX_SIZE)

struct pack_builder {
    struct tar_writer *tar; /* NULL: empty */
    struct strbuf out;
    size_t size_bytes; /* decompressed, without the end */
    enum pack_effort effort;
};

static const char *const zstd_levels[] = {[PACK_SMALL] = "3", [PACK_FAST] = "1"};

/* What an object's body takes in the archive. */
static size_t padded(size_t length)
{
    return TAR_BLOCK + (length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

struct pack_builder *pack_builder_new(void)
{
    struct pack_builder *b = xcalloc(1, sizeof(*b));

    strbuf_init(&b->out, PACK_WIRE_MAX);
    return b;
}

void pack_builder_set_effort(struct pack_builder *b, enum pack_effort effort)
{
    b->effort = effort;
}

static void drop_archive(struct pack_builder *b)
{
    tar_writer_free(b->tar);
    b->tar = NULL;
    b->size_bytes = 0;
    strbuf_release(&b->out);
}

void pack_builder_free(struct pack_builder *b)
{
    if (b) {
        drop_archive(b);
        free(b);
    }
}

bool pack_builder_fits(const struct pack_builder *b, size_t length)
{
    return length <= OBJECT_SIZE_MAX &&
           b->size_bytes + padded(length) + TAR_END <= PACK_SIZE_MAX;
}

bool pack_builder_is_empty(const struct pack_builder *b)
{
    return b->size_bytes == 0;
}

static int take_output(void *context, const void *data, size_t length, struct error *err)
{
    struct pack_builder *b = context;

    return strbuf_add(&b->out, data, length, NULL) < 0
               ? error_set(err, ERR_INTERNAL, "the pack grew beyond its limit")
               : 0;
}

static int open_archive(struct pack_builder *b, struct error *err)
{
    const struct tar_format format = {
        .zstd_level = zstd_levels[b->effort], .put = take_output, .context = b};

    b->tar = tar_writer_new(&format, err);
    return b->tar ? 0 : -1;
}

static int write_entry(struct pack_builder *b, enum object_kind kind,
                       const struct oid *oid, const void *body, size_t length,
                       struct error *err)
{
    char hex[OID_HEX_SIZE];
    char name[NAME_SIZE];
    const struct tar_entry entry = {
        .kind = TREE_FILE, .mode = 0400, .size_bytes = length, .path = name};

    oid_to_hex(oid, hex);
    (void)snprintf(name, sizeof(name), "%s/%s", object_kind_name(kind), hex);
    return tar_writer_add(b->tar, &entry, err) < 0 ||
                   tar_writer_data(b->tar, body, length, err) < 0
               ? error_wrap(err, "pack")
               : 0;
}

int pack_builder_add(struct pack_builder *b, enum object_kind kind, const struct oid *oid,
                     const void *body, size_t length, struct error *err)
{
    assert(pack_builder_fits(b, length));
    if ((!b->tar && open_archive(b, err) < 0) ||
        write_entry(b, kind, oid, body, length, err) < 0) {
        drop_archive(b);
        return -1;
    }
    b->size_bytes += padded(length);
    return 0;
}

int pack_builder_finish(struct pack_builder *b, struct strbuf *out, struct error *err)
{
    int result = 0;

    if ((!b->tar && open_archive(b, err) < 0) || tar_writer_finish(b->tar, err) < 0) {
        result = error_wrap(err, "pack");
    } else {
        result = strbuf_add(out, b->out.data, b->out.length, err);
    }
    drop_archive(b);
    return result;
}

/* "content/<digest>" and the like. */
static int parse_name(const char *name, enum object_kind *kind, struct oid *oid,
                      struct error *err)
{
    static const enum object_kind kinds[] = {OBJECT_CONTENT, OBJECT_LIST, OBJECT_TREE};
    const char *slash = name ? strchr(name, '/') : NULL;

    for (size_t i = 0; slash && i < ARRAY_SIZE(kinds); i++) {
        const char *word = object_kind_name(kinds[i]);
        size_t length = strlen(word);

        if ((size_t)(slash - name) == length && memcmp(name, word, length) == 0) {
            *kind = kinds[i];
            return oid_from_hex(slash + 1, oid, err);
        }
    }
    return error_set(err, ERR_CORRUPT, "pack: an entry that is no object");
}

struct tar {
    struct tar_reader *reader;
    size_t position; /* where the next entry has to begin */
    size_t length;
    struct strbuf body;
};

/* An entry is taken only where it is one plain header and the body, at its place: pax and
 * GNU extensions, which come before a header, would move it. */
static int check_entry(struct tar *tar, const struct tar_entry *entry, struct error *err)
{
    if (!tar_reader_is_plain(tar->reader) ||
        (entry->kind != TREE_FILE && entry->kind != TREE_EXECUTABLE) ||
        tar_reader_position(tar->reader) != tar->position) {
        return error_set(err, ERR_CORRUPT, "pack: an entry that is no plain file");
    }
    if (entry->size_bytes > OBJECT_SIZE_MAX) {
        return error_set(err, ERR_CORRUPT, "pack: an object of %llu bytes",
                         (unsigned long long)entry->size_bytes);
    }
    tar->position += padded((size_t)entry->size_bytes);
    if (tar->position > tar->length) {
        return error_set(err, ERR_CORRUPT, "pack: cut off");
    }
    return 0;
}

/* The entry's bytes, all of them. */
static int read_body(struct tar *tar, size_t length, struct error *err)
{
    strbuf_reset(&tar->body);
    char *body = strbuf_reserve(&tar->body, length, err);
    size_t have = 0;
    ssize_t got = 1;

    if (!body) {
        return -1;
    }
    while (have < length && got > 0) {
        got = tar_reader_data(tar->reader, body + have, length - have, err);
        have += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        return error_wrap(err, "pack");
    }
    strbuf_grown(&tar->body, have);
    return have < length ? error_set(err, ERR_CORRUPT, "pack: cut off") : 0;
}

static int take_entry(struct tar *tar, const struct tar_entry *entry,
                      const struct object_sink *sink, struct error *err)
{
    enum object_kind kind = OBJECT_CONTENT;
    struct oid oid, found;
    size_t length = (size_t)entry->size_bytes;

    if (check_entry(tar, entry, err) < 0 ||
        parse_name(entry->path, &kind, &oid, err) < 0 ||
        read_body(tar, length, err) < 0) {
        return -1;
    }
    oid_of(kind, tar->body.data, length, &found);
    if (!oid_equal(&found, &oid)) {
        return error_set(err, ERR_CORRUPT, "pack: an object is not what its name says");
    }
    return sink->put(sink->context, kind, &oid, tar->body.data, length, err);
}

/* Two blocks of zeros behind the last entry, and nothing else. */
static int check_end(const struct tar *tar, const char *bytes, struct error *err)
{
    static const char zeros[TAR_END];

    if (tar->length != tar->position + TAR_END ||
        memcmp(bytes + tar->position, zeros, TAR_END) != 0) {
        return error_set(err, ERR_CORRUPT, "pack: its archive's end is wrong");
    }
    return 0;
}

static int read_tar(const struct strbuf *bytes, const struct object_sink *sink,
                    struct error *err)
{
    CLEANUP(tar_reader_cleanup)
    struct tar_reader *reader = tar_reader_of_memory(bytes->data, bytes->length, err);
    struct tar tar = {.reader = reader, .position = 0, .length = bytes->length};
    struct tar_entry entry;
    int got = 1;
    int result = 0;

    if (!reader) {
        return error_wrap(err, "pack");
    }
    strbuf_init(&tar.body, OBJECT_SIZE_MAX);
    while (result == 0 && (got = tar_reader_next(reader, &entry, err)) > 0) {
        result = take_entry(&tar, &entry, sink, err);
    }
    strbuf_release(&tar.body);
    if (got < 0) {
        /* An entry that is of no kind of ours is no pack's either. */
        return error_set(err, ERR_CORRUPT, "pack: no archive of objects");
    }
    return result < 0 ? -1 : check_end(&tar, bytes->data, err);
}

int pack_read(const void *data, size_t length, const struct object_sink *sink,
              struct error *err)
{
    CLEANUP_STRBUF struct strbuf bytes;

    strbuf_init(&bytes, PACK_SIZE_MAX);
    if (length > PACK_WIRE_MAX) {
        return error_set(err, ERR_LIMIT, "pack: %zu bytes", length);
    }
    if (pack_frame_check(data, length, WINDOW_MAX, err) < 0) {
        return -1;
    }
    if (tar_unzstd(data, length, &bytes, err) < 0) {
        return error_wrap(err, "pack");
    }
    return read_tar(&bytes, sink, err);
}
