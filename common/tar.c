#include "common/tar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#define READ_SIZE ((size_t)256 << 10)
#define WRITE_SIZE (128 << 10)
/* A path that is not this long is no path of ours; what carries longer ones is read no
 * further. */
#define PERMISSIONS 07777U

/* ---- Writing */

struct tar_writer {
    struct archive *archive;
    struct archive_entry *entry;
    struct tar_format format;
    struct error failure; /* put's own, which libarchive cannot carry */
    uint64_t missing;     /* bytes that the current file still has to get */
};

/* What put failed with, else libarchive's words. */
static int write_failed(struct tar_writer *w, const char *what, struct error *err)
{
    const char *reason = archive_error_string(w->archive);

    if (w->failure.code != ERR_NONE) {
        if (err != NULL) {
            *err = w->failure;
        }
        return error_result();
    }
    return error_set(err, ERR_INTERNAL, "archive: %s: %.300s", what,
                     reason != NULL ? reason : "unknown");
}

static la_ssize_t take_output(struct archive *a, void *context, const void *data,
                              size_t length)
{
    struct tar_writer *w = context;

    if (w->failure.code != ERR_NONE ||
        w->format.put(w->format.context, data, length, &w->failure) < 0) {
        archive_set_error(a, EIO, "the output failed");
        return -1;
    }
    return (la_ssize_t)length;
}

static int set_format(struct tar_writer *w)
{
    struct archive *a = w->archive;
    int result = w->format.has_long_names ? archive_write_set_format_gnutar(a)
                                          : archive_write_set_format_ustar(a);

    if (result == ARCHIVE_OK && w->format.zstd_level != NULL) {
        result = archive_write_add_filter_zstd(a);
    }
    if (result == ARCHIVE_OK && w->format.zstd_level != NULL) {
        result = archive_write_set_filter_option(a, "zstd", "compression-level",
                                                 w->format.zstd_level);
    }
    if (result == ARCHIVE_OK && w->format.zstd_level == NULL) {
        result = archive_write_set_bytes_per_block(a, WRITE_SIZE);
    }
    /* No padding behind the end. */
    return result == ARCHIVE_OK ? archive_write_set_bytes_in_last_block(a, 1) : result;
}

struct tar_writer *tar_writer_new(const struct tar_format *format, struct error *err)
{
    CLEANUP(tar_writer_cleanup) struct tar_writer *w = xcalloc(1, sizeof(*w));

    w->format = *format;
    w->archive = archive_write_new();
    w->entry = archive_entry_new();
    if (w->archive == NULL || w->entry == NULL) {
        error_set(err, ERR_LIMIT, "archive: no memory");
        return NULL;
    }
    if (set_format(w) != ARCHIVE_OK ||
        archive_write_open(w->archive, w, NULL, take_output, NULL) != ARCHIVE_OK) {
        (void)write_failed(w, "start", err);
        return NULL;
    }
    return TAKE_PTR(w);
}

void tar_writer_free(struct tar_writer *w)
{
    if (w == NULL) {
        return;
    }
    /* Freeing would write what is left. */
    if (w->failure.code == ERR_NONE) {
        error_set(&w->failure, ERR_INTERNAL, "archive: given up");
    }
    archive_write_free(w->archive);
    archive_entry_free(w->entry);
    free(w);
}

static void fill_entry(struct archive_entry *e, const struct tar_entry *entry)
{
    archive_entry_clear(e);
    archive_entry_set_pathname(e, entry->path);
    archive_entry_set_perm(e, (mode_t)entry->mode);
    archive_entry_set_mtime(e, (time_t)entry->mtime_s, 0);
    archive_entry_set_size(e, (la_int64_t)entry->size_bytes);
    if (entry->kind == TREE_SYMLINK) {
        archive_entry_set_filetype(e, AE_IFLNK);
        archive_entry_set_symlink(e, entry->target);
    } else {
        archive_entry_set_filetype(e, entry->kind == TREE_FOLDER ? AE_IFDIR : AE_IFREG);
    }
}

int tar_writer_add(struct tar_writer *w, const struct tar_entry *entry, struct error *err)
{
    if (w->missing > 0) {
        return error_set(err, ERR_CHANGED, "archive: a file has fewer bytes than it had");
    }
    fill_entry(w->entry, entry);
    if (archive_write_header(w->archive, w->entry) != ARCHIVE_OK) {
        return write_failed(w, "begin an entry", err);
    }
    w->missing = entry->size_bytes;
    return 0;
}

int tar_writer_data(struct tar_writer *w, const void *data, size_t length,
                    struct error *err)
{
    if (length > w->missing) {
        return error_set(err, ERR_INTERNAL, "archive: a file has more bytes than it had");
    }
    if (length > 0 &&
        archive_write_data(w->archive, data, length) != (la_ssize_t)length) {
        return write_failed(w, "write a file", err);
    }
    w->missing -= length;
    return 0;
}

int tar_writer_finish(struct tar_writer *w, struct error *err)
{
    if (w->missing > 0) {
        return error_set(err, ERR_CHANGED, "archive: a file has fewer bytes than it had");
    }
    return archive_write_close(w->archive) != ARCHIVE_OK ? write_failed(w, "finish", err)
                                                         : 0;
}

/* ---- Reading */

struct tar_reader {
    struct archive *archive;
    struct archive_entry *entry; /* the archive's */
};

static int read_failed(struct archive *a, struct error *err)
{
    const char *reason = archive_error_string(a);
    int number = archive_errno(a);
    enum error_code code =
        number == EIO || number == EISDIR || number == EBADF ? ERR_IO : ERR_CORRUPT;

    return error_set(err, code, "archive: %.200s",
                     reason != NULL ? reason : "unreadable");
}

static struct tar_reader *reader_new(struct error *err)
{
    CLEANUP(tar_reader_cleanup) struct tar_reader *r = xcalloc(1, sizeof(*r));

    r->archive = archive_read_new();
    if (r->archive == NULL || archive_read_support_format_tar(r->archive) != ARCHIVE_OK) {
        error_set(err, ERR_UNSUPPORTED, "archive: this libarchive has no tar");
        return NULL;
    }
    return TAKE_PTR(r);
}

static struct tar_reader *opened(struct tar_reader *r, int result, struct error *err)
{
    if (result == ARCHIVE_OK) {
        return r;
    }
    (void)read_failed(r->archive, err);
    tar_reader_free(r);
    return NULL;
}

struct tar_reader *tar_reader_of_file(int fd, struct error *err)
{
    struct tar_reader *r = reader_new(err);

    return r == NULL ? NULL
                     : opened(r, archive_read_open_fd(r->archive, fd, READ_SIZE), err);
}

struct tar_reader *tar_reader_of_memory(const void *data, size_t length,
                                        struct error *err)
{
    struct tar_reader *r = reader_new(err);

    return r == NULL ? NULL
                     : opened(r, archive_read_open_memory(r->archive, data, length), err);
}

void tar_reader_free(struct tar_reader *r)
{
    if (r != NULL) {
        archive_read_free(r->archive);
        free(r);
    }
}

/* pax says UTF-8, which the C locale does not turn into bytes. */
static const char *path_of(struct archive_entry *e)
{
    const char *path = archive_entry_pathname(e);

    return path != NULL ? path : archive_entry_pathname_utf8(e);
}

static const char *target_of(struct archive_entry *e)
{
    const char *target = archive_entry_symlink(e);

    return target != NULL ? target : archive_entry_symlink_utf8(e);
}

static int take_kind(struct tar_reader *r, struct tar_entry *out, struct error *err)
{
    mode_t type = archive_entry_filetype(r->entry);
    bool is_hard_link = archive_entry_hardlink(r->entry) != NULL ||
                        archive_entry_hardlink_utf8(r->entry) != NULL;

    out->target = NULL;
    if (type == AE_IFREG && !is_hard_link) {
        out->kind = (out->mode & 0100U) != 0 ? TREE_EXECUTABLE : TREE_FILE;
    } else if (type == AE_IFDIR) {
        out->kind = TREE_FOLDER;
    } else if (type == AE_IFLNK) {
        out->kind = TREE_SYMLINK;
        out->target = target_of(r->entry);
    } else {
        return error_set(err, ERR_UNSUPPORTED,
                         "archive: %.300s is no file, folder or symbolic link",
                         out->path);
    }
    return out->kind == TREE_SYMLINK && out->target == NULL
               ? error_set(err, ERR_CORRUPT, "archive: %.300s leads nowhere", out->path)
               : 0;
}

int tar_reader_next(struct tar_reader *r, struct tar_entry *out, struct error *err)
{
    int got = archive_read_next_header(r->archive, &r->entry);

    if (got == ARCHIVE_EOF) {
        return 0;
    }
    if (got != ARCHIVE_OK) {
        return read_failed(r->archive, err);
    }
    la_int64_t size = archive_entry_size(r->entry);
    out->path = path_of(r->entry);
    if (out->path == NULL || size < 0) {
        return error_set(err, ERR_CORRUPT, "archive: an entry without a name or a size");
    }
    out->mode = (unsigned)archive_entry_perm(r->entry) & PERMISSIONS;
    out->mtime_s = archive_entry_mtime(r->entry);
    out->size_bytes = (uint64_t)size;
    return take_kind(r, out, err) < 0 ? -1 : 1;
}

ssize_t tar_reader_data(struct tar_reader *r, void *out, size_t length, struct error *err)
{
    la_ssize_t got = archive_read_data(r->archive, out, length);

    return got < 0 ? read_failed(r->archive, err) : got;
}

uint64_t tar_reader_position(const struct tar_reader *r)
{
    return (uint64_t)archive_read_header_position(r->archive);
}

bool tar_reader_is_plain(const struct tar_reader *r)
{
    return archive_format(r->archive) == ARCHIVE_FORMAT_TAR_USTAR;
}

/* ---- Without an archive */

static void archive_cleanup(struct archive **a)
{
    archive_read_free(*a);
}

int tar_unzstd(const void *data, size_t length, struct strbuf *out, struct error *err)
{
    CLEANUP(archive_cleanup) struct archive *a = archive_read_new();
    struct archive_entry *entry;
    la_ssize_t got;

    if (a == NULL || archive_read_support_format_raw(a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(a) != ARCHIVE_OK) {
        return error_set(err, ERR_UNSUPPORTED, "archive: this libarchive has no zstd");
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
            return error_set(err, ERR_LIMIT, "archive: more than %zu bytes decompressed",
                             out->limit_bytes);
        }
    } while (got > 0);
    return 0;
}
