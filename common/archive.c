#include "common/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/archive_inside.h"
#include "common/chunk.h"
#include "common/fdio.h"
#include "common/ingest.h"

/* ---- What both have in common */

static int put_bytes(void *context, const void *data, size_t length, struct error *err)
{
    struct archiving *a = context;

    a->facts.archive_bytes += length;
    return fdio_write_full(a->request->out_fd, data, length) < 0
               ? error_sys(err, "write the archive")
               : 0;
}

int archiving_begin(struct archiving *a, const struct archive_request *request,
                    struct error *err)
{
    const struct tar_format format = {
        .has_long_names = true, .put = put_bytes, .context = a};

    *a = (struct archiving){.request = request};
    a->tar = tar_writer_new(&format, err);
    return a->tar != NULL ? 0 : -1;
}

void archiving_drop(struct archiving *a)
{
    tar_writer_free(TAKE_PTR(a->tar));
}

int archiving_finish(struct archiving *a, struct archive_facts *out, struct error *err)
{
    if (tar_writer_finish(a->tar, err) < 0) {
        return -1;
    }
    *out = a->facts;
    return 0;
}

static int count(struct archiving *a, const char *path, uint64_t size_bytes,
                 struct error *err)
{
    const struct worktree_limits *limits = &a->request->limits;
    struct tree_totals *totals = &a->facts.totals;

    totals->files++;
    totals->size_bytes += size_bytes;
    if (limits->max_files > 0 && totals->files > limits->max_files) {
        return error_set(err, ERR_LIMIT, "%.300s: more than %llu files", path,
                         (unsigned long long)limits->max_files);
    }
    if (limits->max_size_bytes > 0 && totals->size_bytes > limits->max_size_bytes) {
        return error_set(err, ERR_LIMIT, "%.300s: more than %llu bytes", path,
                         (unsigned long long)limits->max_size_bytes);
    }
    return 0;
}

int archiving_add(struct archiving *a, enum tree_kind kind, const char *path,
                  uint64_t size_bytes, int64_t mtime_s, struct error *err)
{
    const struct tar_entry entry = {
        .kind = kind,
        .mode = kind == TREE_FILE ? 0644 : 0755,
        .size_bytes = kind == TREE_FOLDER ? 0 : size_bytes,
        .mtime_s = mtime_s,
        .path = path,
    };

    if (kind != TREE_FOLDER && count(a, path, size_bytes, err) < 0) {
        return -1;
    }
    return tar_writer_add(a->tar, &entry, err);
}

int archiving_add_link(struct archiving *a, const char *path, const char *target,
                       int64_t mtime_s, struct error *err)
{
    const struct archive_request *request = a->request;
    const struct tar_entry entry = {.kind = TREE_SYMLINK,
                                    .mode = 0777,
                                    .mtime_s = mtime_s,
                                    .path = path,
                                    .target = target};

    if (ingest_link_leaves(path, target)) {
        if (request->leads_out != NULL) {
            return request->leads_out(request->context, path, target, err);
        }
        error_set(err, ERR_UNSUPPORTED, "%.300s is a link to %.300s", path, target);
        return error_hint(err, "a link that leads out of an archive leads nowhere where "
                               "the archive is unpacked");
    }
    return count(a, path, 0, err) < 0 ? -1 : tar_writer_add(a->tar, &entry, err);
}

/* ---- Of a snapshot */

struct snapshot {
    struct archiving archiving;
    const struct object_source *source;
    struct strbuf body;
};

static int read_content(struct snapshot *s, const struct oid *oid, uint64_t size_bytes,
                        struct error *err)
{
    if (s->source->get(s->source->context, OBJECT_CONTENT, oid, &s->body, err) < 0) {
        return -1;
    }
    return s->body.length != size_bytes
               ? error_set(err, ERR_CORRUPT, "%zu bytes of content, not %llu",
                           s->body.length, (unsigned long long)size_bytes)
               : 0;
}

static int add_content(struct snapshot *s, const struct oid *oid, uint64_t size_bytes,
                       struct error *err)
{
    if (read_content(s, oid, size_bytes, err) < 0) {
        return -1;
    }
    return tar_writer_data(s->archiving.tar, s->body.data, s->body.length, err);
}

static int add_chunk(void *context, const struct oid *chunk, uint64_t offset,
                     size_t length, struct error *err)
{
    (void)offset;
    return add_content(context, chunk, length, err);
}

static int add_file(struct snapshot *s, const char *path, const struct tree_entry *entry,
                    struct error *err)
{
    if (archiving_add(&s->archiving, entry->kind, path, entry->size_bytes, ARCHIVE_TIME_S,
                      err) < 0) {
        return -1;
    }
    return tree_entry_object(entry) == OBJECT_LIST
               ? chunk_list_visit(s->source, &entry->oid, entry->size_bytes, add_chunk, s,
                                  err)
               : add_content(s, &entry->oid, entry->size_bytes, err);
}

static int add_link(struct snapshot *s, const char *path, const struct tree_entry *entry,
                    struct error *err)
{
    if (read_content(s, &entry->oid, entry->size_bytes, err) < 0) {
        return -1;
    }
    if (memchr(s->body.data, '\0', s->body.length) != NULL) {
        return error_set(err, ERR_CORRUPT, "a link whose target has a NUL");
    }
    return archiving_add_link(&s->archiving, path, s->body.data, ARCHIVE_TIME_S, err);
}

static int add_entry(void *context, const char *path, const struct tree_entry *entry,
                     struct error *err)
{
    struct snapshot *s = context;
    int result = -1;

    switch (entry->kind) {
    case TREE_FILE:
    case TREE_EXECUTABLE:
        result = add_file(s, path, entry, err);
        break;
    case TREE_SYMLINK:
        result = add_link(s, path, entry, err);
        break;
    case TREE_FOLDER:
        result = archiving_add(&s->archiving, TREE_FOLDER, path, 0, ARCHIVE_TIME_S, err);
        break;
    }
    return result < 0 ? error_wrap(err, "archive %.300s", path) : 0;
}

int archive_snapshot(const struct archive_request *request,
                     const struct object_source *source, const struct oid *root,
                     struct archive_facts *out, struct error *err)
{
    struct snapshot s = {.source = source};
    struct archiving *a CLEANUP(archiving_cleanup) = &s.archiving;

    strbuf_init(&s.body, OBJECT_SIZE_MAX);
    int result = archiving_begin(a, request, err) < 0 ||
                         tree_walk(source, root, add_entry, &s, err) < 0 ||
                         archiving_finish(a, out, err) < 0
                     ? -1
                     : 0;
    strbuf_release(&s.body);
    return result;
}
