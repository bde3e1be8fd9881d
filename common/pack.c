#include "common/pack.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "common/pack_frame.h"

#define TAR_BLOCK ((size_t)512)
#define TAR_END (2 * TAR_BLOCK)
/* zstd's levels up to 19 use at most 8 MiB; what a builder of ours writes needs 2. */
#define WINDOW_MAX ((uint64_t)8 << 20)
#define NAME_SIZE (sizeof("content/") + OID_HEX_SIZE)

struct pack_builder {
    struct archive *archive; /* NULL: empty */
    struct archive_entry *entry;
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

static int archive_failed(struct archive *a, const char *what, struct error *err)
{
    const char *reason = archive_error_string(a);

    return error_set(err, ERR_INTERNAL, "%s: %s", what, reason ? reason : "unknown");
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
    /* Freeing would write what is left: out is released afterwards. */
    archive_write_free(b->archive);
    b->archive = NULL;
    b->size_bytes = 0;
    strbuf_release(&b->out);
}

void pack_builder_free(struct pack_builder *b)
{
    if (b) {
        drop_archive(b);
        archive_entry_free(b->entry);
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

static la_ssize_t take_output(struct archive *a, void *context, const void *data,
                              size_t length)
{
    struct pack_builder *b = context;

    if (strbuf_add(&b->out, data, length, NULL) < 0) {
        archive_set_error(a, ENOBUFS, "the pack grew beyond its limit");
        return -1;
    }
    return (la_ssize_t)length;
}

static int open_archive(struct pack_builder *b, struct error *err)
{
    b->archive = archive_write_new();
    b->entry = b->entry ? b->entry : archive_entry_new();
    if (!b->archive || !b->entry) {
        return error_set(err, ERR_LIMIT, "pack: no memory");
    }
    if (archive_write_set_format_ustar(b->archive) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(b->archive) != ARCHIVE_OK ||
        archive_write_set_filter_option(b->archive, "zstd", "compression-level",
                                        zstd_levels[b->effort]) != ARCHIVE_OK ||
        /* No padding behind the frame. */
        archive_write_set_bytes_in_last_block(b->archive, 1) != ARCHIVE_OK ||
        archive_write_open(b->archive, b, NULL, take_output, NULL) != ARCHIVE_OK) {
        return archive_failed(b->archive, "pack: start", err);
    }
    return 0;
}

static int write_entry(struct pack_builder *b, enum object_kind kind,
                       const struct oid *oid, const void *body, size_t length,
                       struct error *err)
{
    char hex[OID_HEX_SIZE];
    char name[NAME_SIZE];

    oid_to_hex(oid, hex);
    (void)snprintf(name, sizeof(name), "%s/%s", object_kind_name(kind), hex);
    archive_entry_clear(b->entry);
    archive_entry_set_pathname(b->entry, name);
    archive_entry_set_filetype(b->entry, AE_IFREG);
    archive_entry_set_perm(b->entry, 0400);
    archive_entry_set_mtime(b->entry, 0, 0);
    archive_entry_set_size(b->entry, (la_int64_t)length);
    if (archive_write_header(b->archive, b->entry) != ARCHIVE_OK ||
        (length > 0 &&
         archive_write_data(b->archive, body, length) != (la_ssize_t)length)) {
        return archive_failed(b->archive, "pack: write an object", err);
    }
    return 0;
}

int pack_builder_add(struct pack_builder *b, enum object_kind kind, const struct oid *oid,
                     const void *body, size_t length, struct error *err)
{
    assert(pack_builder_fits(b, length));
    if ((!b->archive && open_archive(b, err) < 0) ||
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

    if ((!b->archive && open_archive(b, err) < 0)) {
        result = -1;
    } else if (archive_write_close(b->archive) != ARCHIVE_OK) {
        result = archive_failed(b->archive, "pack: finish", err);
    } else {
        result = strbuf_add(out, b->out.data, b->out.length, err);
    }
    drop_archive(b);
    return result;
}

static void archive_cleanup(struct archive **a)
{
    archive_read_free(*a);
}

static int read_failed(struct archive *a, struct error *err)
{
    const char *reason = archive_error_string(a);

    return error_set(err, ERR_CORRUPT, "pack: %.200s", reason ? reason : "unreadable");
}

/* Decompress into out, whose limit is PACK_SIZE_MAX. */
static int decompress(const void *data, size_t length, struct strbuf *out,
                      struct error *err)
{
    CLEANUP(archive_cleanup) struct archive *a = archive_read_new();
    struct archive_entry *entry;
    la_ssize_t got;

    if (!a || archive_read_support_format_raw(a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(a) != ARCHIVE_OK) {
        return error_set(err, ERR_UNSUPPORTED, "pack: this libarchive has no zstd");
    }
    if (archive_read_open_memory(a, data, length) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) != ARCHIVE_OK) {
        return read_failed(a, err);
    }
    do {
        char buffer[65536];

        got = archive_read_data(a, buffer, sizeof(buffer));
        if (got < 0) {
            return read_failed(a, err);
        }
        if (strbuf_add(out, buffer, (size_t)got, NULL) < 0) {
            return error_set(err, ERR_LIMIT, "pack: more than %zu bytes decompressed",
                             PACK_SIZE_MAX);
        }
    } while (got > 0);
    return 0;
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
    struct archive *archive;
    size_t position; /* where the next entry has to begin */
    size_t length;
    struct strbuf body;
};

/* An entry is taken only where it is one plain header and the body, at its place: pax and
 * GNU extensions, which come before a header, would move it. */
static int check_entry(struct tar *tar, struct archive_entry *entry, size_t *out_length,
                       struct error *err)
{
    la_int64_t size = archive_entry_size(entry);

    if (archive_format(tar->archive) != ARCHIVE_FORMAT_TAR_USTAR ||
        archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
        archive_entry_symlink(entry) ||
        archive_read_header_position(tar->archive) != (la_int64_t)tar->position) {
        return error_set(err, ERR_CORRUPT, "pack: an entry that is no plain file");
    }
    if (size < 0 || size > (la_int64_t)OBJECT_SIZE_MAX) {
        return error_set(err, ERR_CORRUPT, "pack: an object of %lld bytes",
                         (long long)size);
    }
    *out_length = (size_t)size;
    tar->position += padded((size_t)size);
    if (tar->position > tar->length) {
        return error_set(err, ERR_CORRUPT, "pack: cut off");
    }
    return 0;
}

static int take_entry(struct tar *tar, struct archive_entry *entry,
                      const struct object_sink *sink, struct error *err)
{
    enum object_kind kind = OBJECT_CONTENT;
    struct oid oid, found;
    size_t length = 0;
    char *body;

    if (check_entry(tar, entry, &length, err) < 0 ||
        parse_name(archive_entry_pathname(entry), &kind, &oid, err) < 0) {
        return -1;
    }
    strbuf_reset(&tar->body);
    body = strbuf_reserve(&tar->body, length, err);
    if (!body) {
        return -1;
    }
    if (archive_read_data(tar->archive, body, length) != (la_ssize_t)length) {
        return read_failed(tar->archive, err);
    }
    strbuf_grown(&tar->body, length);
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
    CLEANUP(archive_cleanup) struct archive *a = archive_read_new();
    struct tar tar = {.archive = a, .position = 0, .length = bytes->length};
    struct archive_entry *entry;
    int result = 0;

    if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK) {
        return error_set(err, ERR_UNSUPPORTED, "pack: this libarchive has no tar");
    }
    if (archive_read_open_memory(a, bytes->data, bytes->length) != ARCHIVE_OK) {
        return read_failed(a, err);
    }
    strbuf_init(&tar.body, OBJECT_SIZE_MAX);
    while (result == 0) {
        int got = archive_read_next_header(a, &entry);

        if (got == ARCHIVE_EOF) {
            result = check_end(&tar, bytes->data, err);
            break;
        }
        result =
            got == ARCHIVE_OK ? take_entry(&tar, entry, sink, err) : read_failed(a, err);
    }
    strbuf_release(&tar.body);
    return result;
}

int pack_read(const void *data, size_t length, const struct object_sink *sink,
              struct error *err)
{
    CLEANUP_STRBUF struct strbuf bytes;

    strbuf_init(&bytes, PACK_SIZE_MAX);
    if (length > PACK_WIRE_MAX) {
        return error_set(err, ERR_LIMIT, "pack: %zu bytes", length);
    }
    if (pack_frame_check(data, length, WINDOW_MAX, err) < 0 ||
        decompress(data, length, &bytes, err) < 0) {
        return -1;
    }
    return read_tar(&bytes, sink, err);
}
